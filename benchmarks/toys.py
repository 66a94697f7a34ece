"""`NCSN().fit` on 5,000 independent draws of each two-dimensional set, all defaults.

Sliced W2 of 50,000 samples against 50,000 held-out points, as a multiple of the training set's own.
Run: ``python benchmarks/toys.py [--seeds 3] [--first-seed 0]``.
"""

from __future__ import annotations

import argparse

import common
import torch

from ncsn import NCSN, load, sliced_wasserstein2

SETS = ("moons", "eight_gaussians", "checkerboard", "pinwheel", "rings")


def run(name: str, seed: int) -> dict[str, float]:
    """Fit and measure."""
    points = load(name, n=5000, seed=1000 + seed).values
    held_out = load(name, n=50_000, seed=20_000 + seed).values
    samples = NCSN(random_state=seed).fit(points).sample(50_000, random_state=seed)
    own, reached = (
        sliced_wasserstein2(x, held_out, generator=torch.Generator().manual_seed(0)) for x in (points, samples)
    )
    return {"training set SW2": own, "samples SW2": reached, "ratio": reached / own}


def main() -> None:
    """Run the sets and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for name in SETS:
        common.report(name, [run(name, seed) for seed in seeds])


if __name__ == "__main__":
    main()
