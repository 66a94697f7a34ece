"""What the benchmarks share: the roll's thickness and the printing of results."""

from __future__ import annotations

import statistics
from functools import cache

import torch
from torch import Tensor

from ncsn import swiss_roll, toy_mixture


def distance_to_roll(points: Tensor) -> Tensor:
    """Return each point's distance to the roll without noise, ``(N,)``."""
    curve = toy_mixture("swiss_roll", 4000).means
    return torch.cat([torch.cdist(part.double(), curve).amin(dim=1) for part in points.split(2000)])


@cache
def _real_thickness() -> float:
    return float(distance_to_roll(swiss_roll(20_000, torch.Generator().manual_seed(123_456))).median())


def thickness(points: Tensor) -> float:
    """Return the median distance to the roll without noise, as a multiple of fresh real points'."""
    return float(distance_to_roll(points[:20_000]).median()) / _real_thickness()


def report(name: str, runs: list[dict[str, float]]) -> None:
    """Print each run as a row, and the median and range of the column below."""
    columns = list(runs[0])
    print(f"\n{name}")
    print(" seed  " + "  ".join(f"{column:>16}" for column in columns))
    for seed, run in enumerate(runs):
        print(f"{seed:>5}  " + "  ".join(f"{run[column]:>16.4g}" for column in columns))
    print(
        "  med  " + "  ".join(f"{statistics.median(run[column] for run in runs):>16.4g}" for column in columns),
        flush=True,
    )
