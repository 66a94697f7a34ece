"""Every kind of column, by one harness: there and back, its slopes and gains, its files, and a model of data that have it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from ncsn import NCSN
from ncsn.data import COLUMNS, Column, Constant, Encoding, Number, Pixels
from ncsn.data.columns import Category, Ranks, Smooth, WithAtoms, WithGaps, column_from
from ncsn.data.columns.ranks import SHARE

RANKS = Ranks.of(np.array([0.0, 0.0, 0.0, 0.0, 10.0, 20.0, 40.0, 99.0, 99.0]))
SMOOTH = Smooth.of(np.exp(np.random.default_rng(1).normal(size=400)))
COLUMN: dict[str, Column] = {
    "number": Number(mean=-3.0, scale=250.0),
    "constant": Constant(0.1),
    "pixels": Pixels(mean=120.0, scale=40.0, shape=(2, 3)),
    "smooth": SMOOTH,
    "ranks": RANKS,
    "category": Category(5),
    "with_atoms": WithAtoms((0.0, 7.5), SMOOTH),
    "with_gaps": WithGaps(Number(mean=-3.0, scale=250.0)),
}
"""One column of each kind."""

HELD: dict[str, list[float]] = {
    "smooth": [0.001, 0.2, 1.0, 5.0, 500.0, -3.0],
    "ranks": [0.0, 0.0, 12.0, 20.0, 43.5, 99.0],
    "category": [0.0, 4.0, 2.0, 1.0, 3.0, 0.0],
    "with_atoms": [0.0, 7.5, 1.0, 0.2, 7.5, 0.0],
    "with_gaps": [5.0, math.nan, 2.0, math.nan, 1.0, 300.0],
}
"""Values that such columns hold."""


def values_of(kind: str, n: int = 6) -> Tensor:
    """Return values that such a column holds."""
    drawn = torch.randn(n, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    column = COLUMN[kind]
    if isinstance(column, Constant):
        return torch.full((n,), column.value, dtype=torch.float64)
    if kind in HELD:
        return torch.tensor(HELD[kind], dtype=torch.float64)
    return 100 * drawn.reshape(n, 2, 3) if kind == "pixels" else 100 * drawn[:, 0]


def noise_for(column: Column, n: int, seed: int | None = 0) -> Tensor:
    """Return noise for ``n`` values; none without a seed."""
    if seed is None:
        return torch.zeros(n, column.width, dtype=torch.float64)
    return torch.randn(n, column.width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def data_of(kind: str, n: int = 200) -> Any:
    """Return data for which such a column is chosen."""
    rng = np.random.default_rng(0)
    if kind == "pixels":
        return np.round(rng.normal(100.0, 20.0, (n, 3, 1)))
    frame = pd.DataFrame(rng.normal(100.0, 20.0, (n, 3)), columns=["a", "b", "c"])
    cells: dict[str, Any] = {
        "number": frame["b"],
        "constant": 0.1,
        "smooth": np.exp(2 * rng.standard_normal(n)),
        "ranks": rng.poisson(12.0, n),
        "category": rng.choice(["x", "y", "z"], n),
        "with_atoms": np.where(rng.random(n) < 0.4, 0.0, rng.normal(5.0, 1.0, n)),
        "with_gaps": frame["b"].where(rng.random(n) < 0.7),
    }
    frame["b"] = cells[kind]
    return frame


def test_every_kind_is_tested() -> None:
    assert COLUMN.keys() == COLUMNS.keys()
    assert {kind: type(column) for kind, column in COLUMN.items()} == COLUMNS
    assert all(column.kind == kind for kind, column in COLUMN.items())


@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize("kind", COLUMNS)
def test_it_is_as_wide_as_it_says_and_comes_back_whatever_is_drawn(kind: str, seed: int | None) -> None:
    column, values = COLUMN[kind], values_of(kind).repeat_interleave(50, 0)
    part = column.encode(values, noise_for(column, len(values), seed))
    assert part.dtype == torch.float64
    assert part[0].numel() == column.width and len(part) == len(values)
    back = column.decode(part)
    assert back.dtype == torch.float64
    torch.testing.assert_close(back, values, rtol=1e-12, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("kind", [kind for kind, column in COLUMN.items() if not column.draws])
def test_its_slopes_are_those_of_its_encoding(kind: str) -> None:
    column, values = COLUMN[kind], values_of(kind)
    part = column.encode(values, noise_for(column, len(values), None))
    slope, gain = column.slope(values), column.log_gain(values, part)
    assert slope.shape == part.shape and gain.shape == (len(values),)
    if not column.width:
        assert not gain.any()
        return
    for row, value in enumerate(values):
        # all of a row's part by all that it comes from
        jacobian = torch.autograd.functional.jacobian(
            lambda v: column.encode(v[None], noise_for(column, 1, None))[0].reshape(-1), value
        )
        square = jacobian.reshape(column.width, column.width)
        torch.testing.assert_close(square, slope[row].reshape(-1).diag())
        assert gain[row].item() == pytest.approx(float(torch.linalg.slogdet(square).logabsdet))


@pytest.mark.parametrize(
    ("kind", "value", "share"),
    [
        # what a standard normal model gives to all parts of an atom: the ranks that it is drawn from
        ("ranks", 0.0, SHARE * 4 / 9),
        ("ranks", 99.0, SHARE * 2 / 9),
        # and to the whole line, where its part is drawn from a normal density
        ("category", 3.0, 1.0),
        ("with_atoms", 7.5, 1.0),
        ("with_gaps", math.nan, 1.0),
    ],
)
def test_the_density_of_what_is_drawn_is_the_one_that_is_taken_off(kind: str, value: float, share: float) -> None:
    column, n = COLUMN[kind], 400_000
    values = torch.full((n,), value, dtype=torch.float64)
    # wide noise would need a model as wide: the parts are held against the density that they are drawn from by themselves
    part = column.encode(values, noise_for(column, n))
    log_model = -0.5 * part.square().sum(1) - 0.5 * column.width * math.log(2 * math.pi)
    weights = (log_model + column.log_gain(values, part)).exp()
    if share == 1.0:
        # mean of p / q over q is 1 for any normalised p: here one of the same centre, a little narrower than q
        centre, spread = part.mean(0), 0.9 * part.std(0)
        log_model = (-0.5 * ((part - centre) / spread).square() - spread.log() - 0.5 * math.log(2 * math.pi)).sum(1)
        weights = (log_model + column.log_gain(values, part)).exp()
    assert float(weights.mean()) == pytest.approx(share, abs=5 * float(weights.std()) / math.sqrt(n) + 1e-3)


@pytest.mark.parametrize("kind", [kind for kind in COLUMNS if kind != "with_gaps"])
def test_what_is_missing_stays_missing(kind: str) -> None:
    column, values = COLUMN[kind], values_of(kind)
    values[2] = torch.nan
    part = column.encode(values, noise_for(column, len(values)))
    assert part.isnan().flatten(1).all(1).tolist() == [not column.width or row == 2 for row in range(len(values))]
    assert part.isnan().sum() == column.width


@pytest.mark.parametrize("kind", COLUMNS)
def test_it_survives_json(kind: str) -> None:
    saved = json.loads(json.dumps(COLUMN[kind].to_dict()))
    assert saved["kind"] == kind
    assert column_from(saved) == COLUMN[kind]


@pytest.mark.parametrize("kind", COLUMNS)
def test_it_is_chosen_for_its_data_which_come_back(kind: str) -> None:
    x = data_of(kind)
    encoding = Encoding.fit(x)
    assert COLUMNS[kind] in map(type, encoding.columns)
    assert encoding.draws == any(column.draws for column in encoding.columns) == COLUMN[kind].draws
    for seed in range(3):
        rows = encoding.encode(x, generator=torch.Generator().manual_seed(seed))
        assert tuple(rows.shape[1:]) == encoding.shape and encoding.data_shape == x.shape[1:]
        back = encoding.decode(rows)
        if isinstance(x, pd.DataFrame):
            pd.testing.assert_frame_equal(back, x, check_exact=False, rtol=1e-12)
        else:
            np.testing.assert_allclose(back, x, rtol=1e-13)
    values = encoding.values(x)
    assert encoding.log_gain(values, rows).isfinite().all() and len(values) == len(x)
    assert encoding.gradient(values, rows).shape == x.shape
    assert encoding.known(torch.ones(x.shape, dtype=torch.bool)).shape == rows.shape


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_model_of_its_data_samples_judges_fills_and_is_saved(kind: str, tmp_path: Path) -> None:
    x = data_of(kind)
    model = NCSN(training_steps=2, width=8, n_blocks=1, sigma_min=0.3, sigma_max=3.0, random_state=0).fit(x)
    samples = model.sample(5)
    assert samples.shape == (5, *x.shape[1:])
    assert np.isfinite(model.score_samples(x[:3])).all() and model.model_.is_bound == COLUMN[kind].draws
    assert model.score_function(x[:3], 0.5).shape == x[:3].shape
    gaps = x[:3].copy()
    if isinstance(x, pd.DataFrame):
        assert (samples.dtypes == x.dtypes).all() and samples[["a", "c"]].notna().all(axis=None)
        gaps["b"] = pd.Series([None] * 3, dtype=object)
        filled = model.impute(gaps, steps=3, n_sweeps=1)
        pd.testing.assert_frame_equal(filled[["a", "c"]], x[:3][["a", "c"]])
        assert filled["b"].notna().all() and filled["b"].dtype == x["b"].dtype
    else:
        gaps[:, 1] = np.nan
        filled = model.impute(gaps, steps=3, n_sweeps=1)
        np.testing.assert_array_equal(filled[:, [0, 2]], x[:3][:, [0, 2]])
        assert np.isfinite(filled).all() and np.isfinite(samples).all()
    if kind == "constant":
        assert (samples["b"] == 0.1).all() and (filled["b"] == 0.1).all()
    model.save(tmp_path)
    loaded = NCSN.load(tmp_path)
    assert loaded.encoding_.columns == model.encoding_.columns
    again = loaded.sample(5)
    assert again.equals(samples) if isinstance(x, pd.DataFrame) else np.array_equal(again, samples)
