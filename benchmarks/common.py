"""What the benchmarks share: the roll's thickness and the printing of results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ncsn import swiss_roll, toy_mixture

Figures = dict[str, float]
Rows = dict[str, Figures]


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


def medians(runs: Sequence[Mapping[str, Figures]], middle: Callable[[Any], Any] = statistics.median) -> Rows:
    """Return the median over the runs of each row's figures."""
    return {
        row: {figure: float(middle([run[row][figure] for run in runs])) for figure in runs[0][row]} for row in runs[0]
    }


def spread(name: str, runs: Sequence[Mapping[str, Figures]], beside: Mapping[str, Figures] | None = None) -> None:
    """Print a table of named rows of figures, the median of the runs and their range, and rows known from elsewhere."""
    columns = list(dict.fromkeys(figure for row in runs[0].values() for figure in row))
    cells = [["", *columns]]
    for row in runs[0]:
        cells.append([row, *(_cell([run[row].get(figure, math.nan) for run in runs]) for figure in columns)])
    for row, figures in (beside or {}).items():
        cells.append([row, *(_cell([figures.get(figure, math.nan)]) for figure in columns)])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{name}, {len(runs)} run{'s' * (len(runs) > 1)}: median (lowest to highest)")
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), flush=True)


def _cell(values: list[float]) -> str:
    if any(map(math.isnan, values)):
        return "-"
    low, middle, high = (f"{value:.4g}" for value in (min(values), statistics.median(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"
