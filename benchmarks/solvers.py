"""How far few steps of a solver end from the flow's own end, on models of `NCSN().fit` and 5,000 points.

Root mean square distance of samples to those of Heun's method on 150 levels from the same starts, as a multiple of the
data's standard deviation. ``published`` is DPM-Solver++(2M) with ``sigma_data=0``; ``sigma_data`` is the same with that of
the data, so that its exact part is the flow of a Gaussian as wide as they are: the estimator's own.
Run: ``python benchmarks/solvers.py [--seeds 3] [--first-seed 0] [--data swiss_roll,rings,checkerboard]``.
"""

from __future__ import annotations

import argparse
from typing import Any

import common
import torch

from ncsn import NCSN
from ncsn.data import TOYS

SOLVERS: dict[str, dict[str, Any]] = {
    "heun": {"sampler": "heun"},
    "published": {"sampler": "dpmpp_2m", "sigma_data": 0.0},
    "sigma_data": {"sampler": "dpmpp_2m"},
}


def run(name: str, seed: int) -> dict[str, float]:
    """Fit and measure."""
    points = TOYS[name].draw(5000, torch.Generator().manual_seed(1000 + seed))
    model = NCSN(random_state=seed).fit(points)

    def drawn(steps: int, **options: Any) -> torch.Tensor:
        rows = model.sample(20_000, steps=steps, random_state=seed, **options)
        return model.encoding_.encode(rows)

    end = drawn(150, sampler="heun")
    row: dict[str, float] = {}
    for evaluations in (10, 20, 40):
        for solver, options in SOLVERS.items():
            steps = evaluations // 2 if solver == "heun" else evaluations
            row[f"{solver} {evaluations}"] = float((drawn(steps, **options) - end).square().sum(1).mean().sqrt())
    return row


def main() -> None:
    """Run the sets and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--data", default="swiss_roll,rings,checkerboard")
    arguments = parser.parse_args()
    for name in arguments.data.split(","):
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        common.report(name, [run(name, seed) for seed in seeds])


if __name__ == "__main__":
    main()
