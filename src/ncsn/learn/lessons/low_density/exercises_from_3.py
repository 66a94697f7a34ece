"""Exercises 1.3 and 1.4: the empty space, and denoising score matching."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from ncsn.learn.declarations import Case, Exercise, Function, Mistake
from ncsn.learn.lessons.losses import DENOISING_MISTAKES, denoising_loss, loss_and_gradient
from ncsn.learn.lessons.truths import gradient_of_log_density

__all__ = ["LOSS", "OCCUPIED"]


# 1.3


def occupied_truth(points: Tensor, bins: int) -> float:
    """Return the share of cells that hold a point, by a set of cells."""
    cells = {tuple(math.floor(bins * value) for value in row) for row in points.tolist()}
    return float(len(cells) / bins ** points.shape[1])


def occupied_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make points in cubes of 1 to 20 dimensions."""
    for name, n, dim, bins in (
        ("a batch of one", 1, 2, 4),
        ("5,000 points in a square of 10 by 10 cells", 5000, 2, 10),
        ("301 points in 3 dimensions, 7 cells an axis", 301, 3, 7),
        ("20 dimensions, where the cells outnumber what a 64-bit integer can count", 200, 20, 10),
    ):
        yield Case(name, (torch.rand(n, dim, generator=generator), bins))
    yield Case("many points in few cells", (torch.tensor([[0.1, 0.9], [0.15, 0.95], [0.1, 0.9], [0.6, 0.1]]), 2))
    yield Case("double precision", (torch.rand(99, 4, generator=generator, dtype=torch.float64), 3))


def _all_cells(bins: int, n: int, dim: int) -> float:
    return float(bins) ** dim


def occupied_reference(
    points: Tensor,
    bins: int,
    *,
    cells: Callable[[Tensor], Tensor] = lambda places: torch.unique(places, dim=0),
    rounding: Callable[[Tensor], Tensor] = torch.floor,
    total: Callable[[int, int, int], float] = _all_cells,
    empty: bool = False,
) -> float:
    """Return the share of the bins^D cells of the unit cube that hold at least one point; the switches count otherwise."""
    share = len(cells(rounding(points * bins))) / total(bins, *points.shape)
    return 1 - share if empty else share


def count_cells(function: Function, points: Tensor, bins: int) -> dict[str, float]:
    """Return the number of cells that the share amounts to: shares of very many cells all look like 0."""
    return {
        "the number of occupied cells (share times all cells)": float(function(points, bins)) * bins ** points.shape[1]
    }


OCCUPIED = Exercise(
    number="1.3",
    title="how much of space is occupied",
    name="occupied_share",
    cases=occupied_cases,
    truth=occupied_truth,
    reference=occupied_reference,
    against="a count with a Python set",
    mistakes=(
        Mistake(
            "every point counted as a cell of its own: points that share a cell occupy one.",
            {"cells": lambda places: places},
        ),
        Mistake("cells counted axis by axis: a cell is one combination over all axes.", {"cells": torch.unique}),
        Mistake(
            "rounding to the nearest edge instead of down: that makes bins + 1 places on each axis.",
            {"rounding": torch.round},
        ),
        Mistake(
            "no rounding: which piece of its axis a coordinate lies in is a whole number.", {"rounding": torch.clone}
        ),
        Mistake(
            "a share of the points instead of a share of the cells.",
            {"total": lambda bins, n, dim: n},
        ),
        Mistake(
            "a share of bins times D cells: the number of cells grows as a power of the dimension.",
            {"total": lambda bins, n, dim: bins * dim},
        ),
        Mistake(
            "a power taken the wrong way round: each further axis makes bins times as many cells.",
            {"total": lambda bins, n, dim: float(dim) ** bins},
        ),
        Mistake(
            "a share of (bins + 1)^D cells: an axis is cut into bins pieces.",
            {"total": lambda bins, n, dim: float(bins + 1) ** dim},
        ),
        Mistake("the share of the empty cells: the occupied ones are asked for.", {"empty": True}),
    ),
)


# 1.4


def loss_truth(score: nn.Module, x: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """Return the denoising loss, the conditional score being autograd of the kernel's log-density."""
    noisy = x + sigma * noise
    target = gradient_of_log_density(Independent(Normal(x, sigma), 1), noisy)
    return torch.nn.functional.mse_loss(score(noisy), target)


def loss_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make a small score model, data and noise, at levels other than 1."""

    def case(name: str, n: int, dim: int, sigma: float, dtype: torch.dtype, tolerance: float | None = None) -> Case:
        score = nn.Linear(dim, dim, dtype=dtype)
        with torch.no_grad():
            for weight in score.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator, dtype=dtype))
        x, noise = torch.randn(2, n, dim, generator=generator, dtype=dtype)
        return Case(name, (score, x, noise, sigma), tolerance)

    yield case("a batch of one", 1, 1, 0.5, torch.float32)
    yield case("7 points in the plane", 7, 2, 0.3, torch.float32)
    yield case("1,000 points in 5 dimensions", 1000, 5, 2.0, torch.float32)
    yield case("double precision", 6, 3, 0.1, torch.float64, 1e-12)


def loss_reference(score: Function, x: Tensor, noise: Tensor, sigma: float, **switches: Any) -> Tensor:
    """Return the denoising score matching loss at one noise level, the mean over all entries."""
    return denoising_loss(score, x, noise, sigma, **switches)


LOSS = Exercise(
    number="1.4",
    title="denoising score matching at one noise level",
    name="dsm_loss",
    cases=loss_cases,
    truth=loss_truth,
    reference=loss_reference,
    against="a loss whose target is autograd of the noise's log-density, in value and gradient",
    tolerance=1e-4,
    observe=loss_and_gradient,
    mistakes=(
        *DENOISING_MISTAKES,
        Mistake(
            "a loss that is multiplied by sigma squared: a good weighting where several levels are trained; here is one.",
            {"weight": 2},
        ),
    ),
)
