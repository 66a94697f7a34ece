"""The page's example (its section 5.1), unchanged but for its imports, with `ncsn` and with the page's code as printed.

Five seeds; sliced W2 of 20,000 samples against 50,000 held-out points; strays lie farther than 0.1 from every training
point. Run: ``python benchmarks/page_example.py [--seeds 5] [--as-printed]``.
"""

from __future__ import annotations

import argparse
from time import perf_counter
from types import ModuleType

import common
import page_as_printed
import torch

import ncsn
from ncsn import sliced_wasserstein2, stray_fraction


def run(library: ModuleType, seed: int) -> dict[str, float]:
    """Train and sample as the page does, and measure."""
    torch.manual_seed(seed)
    samples = ncsn.swiss_roll(5000)
    score_net = library.NCSNScoreNetwork(input_dim=2, hidden_dims=[128, 128, 128])
    model = library.NCSN(score_net, sigma_min=0.01, sigma_max=5.0, n_sigmas=10)
    start = perf_counter()
    for _ in range(10_000):
        index = torch.randperm(len(samples))[:256]
        model.train_step(samples[index])
    trained = perf_counter()
    generated = model.sample(20_000, n_steps_per_sigma=100, step_size=1e-4)
    sampled = perf_counter()
    finite = generated[generated.isfinite().all(dim=1)]
    held_out = ncsn.swiss_roll(50_000, torch.Generator().manual_seed(10_000 + seed))
    generator = torch.Generator().manual_seed(0)
    return {
        "not finite": float(len(generated) - len(finite)),
        "sliced W2": sliced_wasserstein2(finite, held_out, generator=generator),
        "strays %": 100 * stray_fraction(finite, samples, 0.1),
        "thickness": common.thickness(finite),
        "training s": trained - start,
        "sampling s": sampled - trained,
    }


def main() -> None:
    """Run the seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--as-printed", action="store_true", help="also the page's code as printed")
    arguments = parser.parse_args()
    libraries: dict[str, ModuleType] = {"ncsn": ncsn}
    if arguments.as_printed:
        libraries["page as printed"] = page_as_printed
    for name, library in libraries.items():
        common.report(name, [run(library, seed) for seed in range(arguments.seeds)])


if __name__ == "__main__":
    main()
