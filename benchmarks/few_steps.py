"""Few evaluations of `NCSN().fit`: the solver fitted to the model beside the usual one and Adams and Bashforth's.

Sliced W2 of the samples to held-out data, as a multiple of the training set's own, and of points in the plane the share of
strays, farther than 0.1 from every training point. 5,000 independent draws of each two-dimensional set; scikit-learn's
handwritten digits, 80/20. ``usual`` is the method's own sampler (`dpmpp_2m` with ``sigma_data``), ``ipndm`` has
``sigma_data`` too, ``slope`` is `ipndm` as published, on the slope of x; ``fitted`` is what ``sample(steps=5)`` takes.
Run: ``python benchmarks/few_steps.py [--seeds 3] [--first-seed 0] [--data swiss_roll,eight_gaussians,rings,digits]``.
"""

from __future__ import annotations

import argparse
import math
from time import perf_counter
from typing import Any

import common
import torch
from sklearn.model_selection import train_test_split

from ncsn import NCSN, load, sliced_wasserstein2, stray_fraction
from ncsn.data import TOYS

SOLVERS: dict[str, dict[str, Any]] = {
    "fitted": {},
    "usual": {"sampler": "dpmpp_2m", "levels": "softened"},
    "ipndm": {"sampler": "ipndm", "levels": "softened"},
    "slope": {"sampler": "ipndm", "levels": "karras", "sigma_data": math.inf},
}
"""What walks; each is asked for the same number of evaluations."""


def data_of(name: str, seed: int) -> tuple[Any, Any]:
    """Return the rows to fit and those held out."""
    if name in TOYS:
        sizes = ((5000, 1000), (50_000, 20_000))
        training, held_out = (TOYS[name].draw(n, torch.Generator().manual_seed(first + seed)) for n, first in sizes)
        return training, held_out
    images = load(name)
    training, held_out, _, _ = train_test_split(
        images.values, images.labels, test_size=0.2, random_state=seed, stratify=images.labels
    )
    return training, held_out


def run(name: str, seed: int) -> common.Rows:
    """Fit and measure."""
    training, held_out = data_of(name, seed)
    model = NCSN(random_state=seed).fit(training)

    def rows(values: Any) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float64).flatten(1)

    def distance(values: Any) -> float:
        return sliced_wasserstein2(rows(values), rows(held_out), generator=torch.Generator().manual_seed(0))

    floor, table = distance(training), {}
    start = perf_counter()
    model.model_.few_steps(5)
    table["finding the solver of 5, s"] = {"x": perf_counter() - start}
    walks = {
        f"{solver} {steps}": options | {"steps": steps} for steps in (3, 5, 8) for solver, options in SOLVERS.items()
    }
    for walk, options in (walks | {"usual 10": {"steps": 10}, "usual 40": {}}).items():
        drawn = model.sample(20_000 if name in TOYS else 2000, random_state=seed, **options)
        table[walk] = {"x": distance(drawn) / floor}
        if name in TOYS:
            table[walk]["strays %"] = 100 * stray_fraction(drawn, training, 0.1)
    return table


def main() -> None:
    """Run the sets and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--data", default="swiss_roll,eight_gaussians,rings,digits")
    arguments = parser.parse_args()
    for name in arguments.data.split(","):
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        common.spread(name, [run(name, seed) for seed in seeds])


if __name__ == "__main__":
    main()
