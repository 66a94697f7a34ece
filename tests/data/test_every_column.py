"""Every kind of column, by one harness: there and back, its slopes, its files, and a model of data that have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncsn import NCSN
from ncsn.data import COLUMNS, Column, Constant, Encoding, Number, Pixels
from ncsn.data.columns import columns_from

COLUMN: dict[str, Column] = {
    "number": Number(mean=-3.0, scale=250.0),
    "constant": Constant(0.1),
    "pixels": Pixels(mean=120.0, scale=40.0, shape=(2, 3)),
}
"""One column of each kind."""


def values_of(kind: str, n: int = 6) -> Tensor:
    """Return values that such a column holds."""
    drawn = torch.randn(n, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    column = COLUMN[kind]
    if isinstance(column, Constant):
        return torch.full((n,), column.value, dtype=torch.float64)
    return 100 * drawn.reshape(n, 2, 3) if kind == "pixels" else 100 * drawn[:, 0]


def data_of(kind: str, n: int = 40) -> NDArray[Any]:
    """Return data for which such a column is chosen."""
    x = np.random.default_rng(0).normal(100.0, 20.0, (n, 3))
    if kind == "constant":
        x[:, 1] = 0.1
    return np.round(x).reshape(n, 3, 1) if kind == "pixels" else x


def test_every_kind_is_tested() -> None:
    assert COLUMN.keys() == COLUMNS.keys()
    assert {kind: type(column) for kind, column in COLUMN.items()} == COLUMNS
    assert all(column.kind == kind for kind, column in COLUMN.items())


@pytest.mark.parametrize("kind", COLUMNS)
def test_it_is_as_wide_as_it_says_and_comes_back(kind: str) -> None:
    column, values = COLUMN[kind], values_of(kind)
    part = column.encode(values)
    assert part.dtype == torch.float64
    assert part[0].numel() == column.width and len(part) == len(values)
    back = column.decode(part)
    assert back.dtype == torch.float64
    torch.testing.assert_close(back, values, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("kind", COLUMNS)
def test_its_slopes_are_those_of_its_encoding(kind: str) -> None:
    column, values = COLUMN[kind], values_of(kind)
    slope, log_slope = column.slope(values), column.log_slope(values)
    assert slope.shape == column.encode(values).shape and log_slope.shape == (len(values),)
    if not column.width:
        assert not log_slope.any()
        return
    for row, value in enumerate(values):
        # all of a row's part by all that it comes from
        jacobian = torch.autograd.functional.jacobian(lambda v: column.encode(v[None])[0].reshape(-1), value)
        square = jacobian.reshape(column.width, column.width)
        torch.testing.assert_close(square, slope[row].reshape(-1).diag())
        assert log_slope[row].item() == pytest.approx(float(torch.linalg.slogdet(square).logabsdet))


@pytest.mark.parametrize("kind", COLUMNS)
def test_what_is_missing_stays_missing(kind: str) -> None:
    column, values = COLUMN[kind], values_of(kind)
    values[2] = torch.nan
    part = column.encode(values)
    assert part.isnan().flatten(1).all(1).tolist() == [not column.width or row == 2 for row in range(len(values))]
    assert part.isnan().sum() == column.width


@pytest.mark.parametrize("kind", COLUMNS)
def test_it_survives_json(kind: str) -> None:
    saved = json.loads(json.dumps([COLUMN[kind].to_dict()]))
    assert saved[0]["kind"] == kind
    assert columns_from(saved) == (COLUMN[kind],)


@pytest.mark.parametrize("kind", COLUMNS)
def test_it_is_chosen_for_its_data_which_come_back(kind: str) -> None:
    x = data_of(kind)
    encoding = Encoding.fit(x)
    assert COLUMNS[kind] in map(type, encoding.columns)
    rows = encoding.encode(x)
    assert tuple(rows.shape[1:]) == encoding.shape and encoding.data_shape == x.shape[1:]
    np.testing.assert_allclose(encoding.decode(rows), x, rtol=1e-13)
    assert encoding.log_det(encoding.values(x)).shape == (len(x),)
    assert encoding.gradient(encoding.values(x), rows).shape == x.shape
    mask = torch.ones(x.shape, dtype=torch.bool)
    assert encoding.known(mask).shape == rows.shape


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_model_of_its_data_samples_judges_fills_and_is_saved(kind: str, tmp_path: Path) -> None:
    x = data_of(kind)
    model = NCSN(training_steps=2, width=8, n_blocks=1, sigma_min=0.3, sigma_max=3.0, random_state=0).fit(x)
    samples = model.sample(5)
    assert samples.shape == (5, *x.shape[1:]) and np.isfinite(samples).all()
    assert np.isfinite(model.score_samples(x[:3])).all()
    assert model.score_function(x[:3], 0.5).shape == x[:3].shape
    gaps = x[:3].copy()
    gaps[:, 1] = np.nan
    filled = model.impute(gaps, steps=3, n_sweeps=1)
    np.testing.assert_array_equal(filled[:, [0, 2]], x[:3][:, [0, 2]])
    assert np.isfinite(filled).all()
    if kind == "constant":
        assert (samples[:, 1] == 0.1).all() and (filled[:, 1] == 0.1).all()
    model.save(tmp_path)
    loaded = NCSN.load(tmp_path)
    assert loaded.encoding_.columns == model.encoding_.columns
    np.testing.assert_array_equal(loaded.sample(5), samples)
