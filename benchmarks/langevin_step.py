"""One annealed-Langevin step, 5,000 particles, the page's network: `ncsn` and the page's code in turns.

Medians over many rounds and their ratio. Run: ``python benchmarks/langevin_step.py [--rounds 40]``.
"""

from __future__ import annotations

import argparse
import statistics
from time import perf_counter

import page_as_printed
import torch

from ncsn import NCSNScoreNetwork, create_noise_schedule, sample

PARTICLES = 5000
STEPS = 10


def main() -> None:
    """Time both in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    sigmas = create_noise_schedule(0.01, 5.0, 10)
    ours = NCSNScoreNetwork(2, [128, 128, 128])
    page = page_as_printed.NCSNScoreNetwork(2, [128, 128, 128])
    x = torch.randn(PARTICLES, 2)
    times: dict[str, list[float]] = {"ncsn": [], "page": []}
    for _ in range(arguments.rounds):
        start = perf_counter()
        sample(ours, sigmas[3:4], PARTICLES, 2, "annealed_langevin", x, False, n_steps_per_sigma=STEPS, step_size=1e-4)
        middle = perf_counter()
        with torch.no_grad():
            y = x
            for _ in range(STEPS):
                y = page_as_printed.langevin_step(page, y, sigmas[3], torch.tensor(1e-4))
        times["ncsn"].append((middle - start) / STEPS)
        times["page"].append((perf_counter() - middle) / STEPS)
    ratio = statistics.median(a / b for a, b in zip(*times.values(), strict=True))
    for name, values in times.items():
        print(f"{name}: {1e3 * statistics.median(values):.2f} ms a step")
    print(f"median ratio: {ratio:.2f}")


if __name__ == "__main__":
    main()
