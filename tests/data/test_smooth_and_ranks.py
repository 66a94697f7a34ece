"""The maps of numbers: monotone, smooth, exact inverses, with the right slopes and shares, for any numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ncsn.data.columns import Column, Ranks, Smooth, WithAtoms, choose_number

from .common import seeded


def drawn() -> np.random.Generator:
    return np.random.default_rng(0)


SHAPES: dict[str, Callable[[np.random.Generator, int], np.typing.NDArray[Any]]] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "lognormal": lambda rng, n: np.exp(2 * rng.standard_normal(n)),
    "Cauchy": lambda rng, n: rng.standard_cauchy(n),
    "Pareto": lambda rng, n: rng.pareto(0.7, n),
    "uniform": lambda rng, n: rng.random(n),
    "two modes": lambda rng, n: np.where(rng.random(n) < 0.5, -9.0, 9.0) + rng.standard_normal(n),
    "far away": lambda rng, n: 1e9 + 1e-3 * rng.standard_normal(n),
    "large": lambda rng, n: 1e300 * rng.standard_normal(n),
    "small": lambda rng, n: 1e-300 * rng.standard_normal(n),
    "all scales": lambda rng, n: rng.choice([-1, 1], n) * 10.0 ** rng.uniform(-300, 300, n),
    "ties": lambda rng, n: np.where(rng.random(n) < 0.5, 0.0, rng.standard_normal(n)),
    "ties at the ends": lambda rng, n: np.clip(rng.standard_normal(n), -0.5, 0.8),
    "few values": lambda rng, n: rng.integers(0, 3, n) * 1.0,
}
"""Data of many shapes, by the source of randomness and the number of rows."""


def smooth(shape: str, n: int) -> tuple[Smooth, np.typing.NDArray[Any]]:
    x = SHAPES[shape](drawn(), n)
    x[:2] = [x.min(), x.max() if x.max() > x.min() else x.max() + 1]
    return Smooth.of(x), x


def encode(column: Column, values: Tensor) -> Tensor:
    return column.encode(values, values.new_zeros(len(values), 1))[:, 0]


@pytest.mark.parametrize("n", [2, 3, 5, 12, 30, 2000])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_smooth_map_rises_and_comes_back(shape: str, n: int) -> None:
    column, x = smooth(shape, n)
    knots, scores = np.array(column.knots), np.array(column.scores)
    assert (np.diff(knots) > 0).all() and (np.diff(scores) > 0).all() and min(column.slopes) > 0
    assert np.isfinite([column.knots, column.scores, column.slopes]).all()
    assert knots[0] == x.min() and knots[-1] == x.max()
    values = torch.from_numpy(np.unique(x))
    z = encode(column, values)
    assert (z.diff() >= 0).all() and float(z.abs().max()) < 4.5
    back = column.decode(z.unsqueeze(1))
    # as exact as the part of a row can be: what lies between two knots that are far apart has their scale, and where the
    # slope is next to 0 at one of them, the root of the rounding
    piece = np.diff(knots)[np.clip(np.searchsorted(knots, values.numpy(), side="right") - 1, 0, len(knots) - 2)]
    apart = (back - values).abs().numpy()
    assert (apart <= (3e-8 if shape == "all scales" else 1e-9) * np.maximum(np.abs(values.numpy()), piece)).all()
    assert column.log_gain(values, z.unsqueeze(1)).isfinite().all()


@pytest.mark.parametrize("shape", ["normal", "lognormal", "Cauchy", "Pareto", "uniform", "two modes", "ties"])
def test_the_slopes_of_a_smooth_map_are_those_of_autograd_and_have_no_jumps(shape: str) -> None:
    column, x = smooth(shape, 2000)
    values = torch.from_numpy(np.concatenate([x, x + 0.1, [x.min() - 5, x.max() + 5]])).requires_grad_()
    (expected,) = torch.autograd.grad(encode(column, values).sum(), values)
    # at a knot autograd's clamp has either side
    between = ~np.isin(values.detach().numpy(), column.knots)
    torch.testing.assert_close(column.slope(values.detach())[between, 0], expected[between], rtol=1e-7, atol=0.0)
    knots = torch.tensor(column.knots, dtype=torch.float64)
    size = torch.minimum(knots.diff()[:-1], knots.diff()[1:])
    for side in (-1e-9, 0.0, 1e-9):
        slopes = column.slope(knots[1:-1] + side * size)[:, 0]
        np.testing.assert_allclose(slopes, column.slopes[1:-1], rtol=1e-6)


@pytest.mark.parametrize("shape", ["normal", "lognormal", "Cauchy", "few values"])
def test_the_tails_of_a_smooth_map_are_straight_with_the_slope_at_the_ends(shape: str) -> None:
    column, x = smooth(shape, 500)
    # of the first and the last piece, which have a row between their ends
    ends = [(column.scores[i + 1] - column.scores[i]) / (column.knots[i + 1] - column.knots[i]) for i in (0, -2)]
    assert (column.slopes[0], column.slopes[-1]) == pytest.approx(ends)
    span = x.max() - x.min()
    for end, score, slope, way in ((x.min(), column.scores[0], ends[0], -1), (x.max(), column.scores[-1], ends[1], 1)):
        out = torch.tensor([end + way * step * span for step in (0.5, 1.0, 10.0)], dtype=torch.float64)
        z = encode(column, out)
        np.testing.assert_allclose(z - score, slope * (out - end), rtol=1e-9)
        np.testing.assert_allclose(column.decode(z.unsqueeze(1)), out, rtol=1e-9)
        np.testing.assert_allclose(column.slope(out)[:, 0], slope)


@pytest.mark.parametrize("shape", SHAPES)
def test_numbers_of_any_shape_are_encoded_near_a_normal_one(shape: str) -> None:
    x = SHAPES[shape](drawn(), 3000)
    column, rule = choose_number(x)
    values = torch.from_numpy(x)
    noise = torch.randn(len(x), column.width, dtype=torch.float64, generator=seeded())
    part = column.encode(values, noise)
    assert rule and part.isfinite().all() and float(part.abs().max()) < 5
    if shape != "all scales":
        np.testing.assert_allclose(column.decode(part), x, rtol=1e-9, atol=1e-9 * np.median(np.abs(x)))
    assert column.log_gain(values, part).isfinite().all()


# Ranks


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_atoms_have_their_shares_under_a_standard_normal_part(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.concatenate([np.zeros(300), rng.poisson(4.0, 500), rng.normal(20, 3, 199), [99.0]])
    column = Ranks.of(x)
    n = 300_000
    z = torch.randn(n, 1, dtype=torch.float64, generator=seeded(seed))
    decoded = column.decode(z).numpy()
    values, counts = np.unique(x, return_counts=True)
    for value, count in zip(values[counts > 1], counts[counts > 1], strict=True):
        share = count / len(x)
        assert (decoded == value).mean() == pytest.approx(share, abs=4.5 * np.sqrt(share * (1 - share) / n))
    # what does not repeat has its share as a stretch
    rest = ~np.isin(decoded, values[counts > 1])
    share = (counts == 1).sum() / len(x)
    assert rest.mean() == pytest.approx(share, abs=4.5 * np.sqrt(share / n))
    assert decoded[rest].min() > 7 and decoded.max() < 2 * 99


def test_stretches_end_before_the_atoms_beside_them() -> None:
    x = np.array([0.0, 0.0, 1.0, 2.0, 4.0, 4.0, 9.0, 10.0, 10.0])
    column = Ranks.of(x)
    grid = torch.linspace(-4, 4, 100_001, dtype=torch.float64).unsqueeze(1)
    decoded = column.decode(grid)
    assert (decoded.diff() >= 0).all()
    held = decoded[(decoded != 0) & (decoded != 4) & (decoded != 10)]
    # the 9 alone between two atoms is one itself
    assert set(held[held > 4].tolist()) == {9.0}
    stretch = held[held < 4]
    assert float(stretch.min()) == pytest.approx(0.5, abs=1e-3) and float(stretch.max()) == pytest.approx(2.5, abs=1e-3)


@pytest.mark.parametrize("n", [2, 3, 7, 30, 3000])
@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e307])
def test_ranks_of_few_rows_and_of_any_scale(n: int, scale: float) -> None:
    rng = drawn()
    x = scale * np.concatenate(
        [[0.0, 5.0], np.where(rng.random(n - 2) < 0.5, rng.integers(0, 6, n - 2), 5 * rng.random(n - 2))]
    )
    column = Ranks.of(x)
    assert column.edges[0] == 0 and column.edges[-1] == 1 and (np.diff(column.edges) > 0).all()
    values = torch.from_numpy(x)
    for seed in range(3):
        part = column.encode(values, torch.randn(n, 1, dtype=torch.float64, generator=seeded(seed)))
        np.testing.assert_allclose(column.decode(part), x, rtol=1e-12, atol=1e-12 * scale)
        assert column.log_gain(values, part).isfinite().all()


def test_the_atoms_of_numbers_that_do_not_repeat_are_drawn_apart() -> None:
    rng = drawn()
    x = np.concatenate([np.zeros(220), np.full(90, -7.0), rng.gamma(2.0, 3.0, 690)])
    column, rule = choose_number(x)
    assert isinstance(column, WithAtoms) and column.atoms == (0.0, -7.0) and rule == "0 in 22%, -7 in 9%"
    noise = torch.randn(1000, column.width, dtype=torch.float64, generator=seeded())
    decoded = column.decode(column.encode(torch.from_numpy(x), noise))
    np.testing.assert_allclose(decoded, x, rtol=1e-9)
