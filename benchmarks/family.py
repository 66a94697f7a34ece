"""Every method of the lineage on the same data, with the same network and number of training steps.

Sliced W2 of samples against 50,000 held-out points, as a multiple of the training set's own, on 5,000 points of the Swiss
roll and of eight Gaussians; the median over the seeds, and the range. Run: ``python benchmarks/family.py [--seeds 3]
[--data swiss_roll] [--methods "edm;ddpm"]``.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from time import perf_counter
from typing import Any

import torch

from ncsn import NCSN, sliced_wasserstein2, stray_fraction
from ncsn.data import TOYS

LANGEVIN_BUDGET = 1000

WALKS: dict[str, dict[str, dict[str, Any]]] = {
    "ncsn": {"annealed Langevin, 1,000 evaluations": {"sampler": "annealed_langevin"}},
    "ncsnv2": {"consistent annealing, 100": {"sampler": "consistent_annealed", "steps": 100}},
    "ddpm": {"ancestral, 1,000": {"steps": 1000}, "DDIM, 50": {"sampler": "ddim", "steps": 50}},
    "ve_sde": {"predictor-corrector, 200": {"steps": 100}},
    "vp_sde": {"predictor-corrector, 200": {"steps": 100}},
    "subvp_sde": {"predictor-corrector, 200": {"steps": 100}},
    "edm": {"dpmpp_2m, 40": {}, "heun, 35": {"sampler": "heun", "steps": 18}, "dpmpp_2m, 10": {"steps": 10}},
    "consistency, distilled": {"1": {"steps": 1}, "2": {"steps": 2}},
    "consistency": {"1": {"steps": 1}, "2": {"steps": 2}},
}
"""What is walked, by method; the numbers are evaluations of the network."""


def main() -> None:
    """Run the seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", default="swiss_roll,eight_gaussians")
    parser.add_argument("--methods", default=";".join(WALKS), help="with semicolons between them")
    parser.add_argument("--samples", type=int, default=20_000)
    arguments = parser.parse_args()
    ratios: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for data in arguments.data.split(","):
        draw = TOYS[data].draw
        for seed in range(arguments.seeds):
            points = draw(5000, torch.Generator().manual_seed(1000 + seed))
            held_out = draw(50_000, torch.Generator().manual_seed(20_000 + seed))

            def distance(values: torch.Tensor, held_out: torch.Tensor = held_out) -> float:
                return sliced_wasserstein2(values, held_out, generator=torch.Generator().manual_seed(0))

            floor = distance(points)
            teacher: NCSN | None = None
            for name in arguments.methods.split(";"):
                start = perf_counter()
                if name == "consistency, distilled":
                    teacher = teacher or NCSN(random_state=seed).fit(points)
                    model = NCSN(method="consistency", random_state=seed).fit(points, teacher=teacher)
                else:
                    model = NCSN(method=name, random_state=seed).fit(points)
                seconds = perf_counter() - start
                teacher = model if name == "edm" else teacher
                for walk, options in WALKS[name].items():
                    if name == "ncsn":
                        options = options | {"n_steps_per_sigma": LANGEVIN_BUDGET // model.plan_.n_sigmas}
                    drawn = model.sample(arguments.samples, random_state=seed, **options)
                    ratio = distance(drawn) / floor
                    ratios[data, name, walk].append(ratio)
                    strays = 100 * stray_fraction(drawn, points, 0.1)
                    print(
                        f"{data} {seed} {name}: {walk}: {ratio:.2f} x, strays {strays:.2f}%, fit {seconds:.0f} s",
                        flush=True,
                    )
    print("\n| data | method and sampler | sliced W2 / training set's own | range |\n|---|---|---|---|")
    for (data, name, walk), values in ratios.items():
        print(f"| {data} | `{name}` {walk} | {statistics.median(values):.2f} | {min(values):.2f}–{max(values):.2f} |")


if __name__ == "__main__":
    main()
