"""Gaps filled by draws from their distribution given what is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from small_models import GAUSSIAN, table

from ncsn import NCSN
from ncsn.data import Number


@pytest.fixture(scope="module")
def correlated() -> NCSN:
    """Return a model trained on a narrow line with a slope, in units of its own."""
    rng = np.random.default_rng(0)
    along = rng.standard_normal(2000)
    x = np.stack([100 + 5 * along, 0.1 * (0.9 * along + np.sqrt(1 - 0.81) * rng.standard_normal(2000))], axis=1)
    return NCSN(width=32, n_blocks=1, training_steps=800, random_state=0).fit(x)


def test_missing_values_are_drawn_given_the_known_ones(correlated: NCSN) -> None:
    x = np.tile([107.5, np.nan], (1500, 1))
    filled = correlated.impute(x, random_state=1)
    np.testing.assert_array_equal(filled[:, 0], 107.5)
    # the conditional of a Gaussian: mean 0.9 z, standard deviation sqrt(1 - 0.81), of the training rows' own moments
    column = correlated.encoding_.columns[0]
    assert isinstance(column, Number)
    z = (107.5 - column.mean) / column.scale
    assert filled[:, 1].mean() == pytest.approx(0.1 * 0.9 * z, abs=0.012)
    assert filled[:, 1].std() == pytest.approx(0.1 * np.sqrt(0.19), rel=0.15)


def test_known_values_return_bit_for_bit_and_gaps_in_their_own_units(of_table: NCSN) -> None:
    x = table(300)
    gaps = np.random.default_rng(1).random(x.shape) < 0.4
    filled = of_table.impute(np.where(gaps, np.nan, x), random_state=0, steps=20, n_sweeps=2)
    np.testing.assert_array_equal(filled[~gaps], x[~gaps])
    for column, spread in enumerate([5.0, 0.1, 1.0]):
        drawn = filled[gaps[:, column], column]
        centre = [100.0, 0.0, -3.0][column]
        # four standard errors of mean and deviation, and the share that twenty levels leave
        assert drawn.mean() == pytest.approx(centre, abs=4.5 * spread / len(drawn) ** 0.5)
        assert drawn.std() == pytest.approx(spread, rel=4 / (2 * len(drawn)) ** 0.5 + 0.1)


def test_what_a_mask_hides_is_not_read(of_table: NCSN) -> None:
    x = table(5)
    wild = x.copy()
    wild[:, 1] = 1e300
    options: dict[str, Any] = {"mask": [True, False, True], "random_state": 0, "steps": 5, "n_sweeps": 1}
    np.testing.assert_array_equal(of_table.impute(x, **options), of_table.impute(wild, **options))


def test_frames_come_back_with_their_columns_and_types() -> None:
    frame = pd.DataFrame({"size": table(50)[:, 0], "count": np.arange(50) % 7, "constant": 4})
    model = NCSN(**GAUSSIAN).fit(frame)
    gaps = frame.iloc[10:14].astype({"count": "Int64", "constant": "Int64"})
    gaps.loc[11, "count"] = pd.NA
    gaps.loc[12, "constant"] = pd.NA
    gaps.loc[13, "size"] = np.nan
    filled = model.impute(gaps, random_state=0, steps=5)
    assert list(filled.dtypes) == list(frame.dtypes)
    # the rows keep their names, so that columns can be assigned back
    assert list(filled.index) == [10, 11, 12, 13]
    assert (filled["constant"] == 4).all()
    pd.testing.assert_series_equal(filled["size"].iloc[:3], frame["size"].iloc[10:13])
    assert list(filled["count"].loc[[10, 12, 13]]) == [3, 5, 6]


def test_gaps_of_nullable_booleans_are_filled() -> None:
    frame = pd.DataFrame({"size": table(50)[:, 0], "sold": np.arange(50) % 2 == 0})
    model = NCSN(**GAUSSIAN).fit(frame)
    gaps = frame.head(3).astype({"sold": "boolean"})
    gaps.loc[1, "sold"] = pd.NA
    filled = model.impute(gaps, random_state=0, steps=5)
    assert list(filled.dtypes) == list(frame.dtypes)
    assert list(filled["sold"].iloc[[0, 2]]) == [True, True]


def test_text_dates_and_categories_are_filled_and_what_is_known_stays() -> None:
    days = pd.Series(pd.date_range("2021-05-01", periods=50)).sample(frac=1, random_state=0, ignore_index=True)
    frame = pd.DataFrame(
        {
            "size": table(50)[:, 0],
            "town": np.where(np.arange(50) % 3, "Ulm", "Bonn"),
            "kind": pd.Categorical(np.where(np.arange(50) % 2, "new", "old"), ["new", "old", "broken"]),
            "sold": days,
            "paid": days.dt.strftime("%d.%m.%Y"),
        }
    )
    model = NCSN(**GAUSSIAN).fit(frame)
    gaps = frame.iloc[5:9].copy()
    for row, name in enumerate(["town", "kind", "sold", "paid"]):
        gaps.loc[5 + row, name] = None
    filled = model.impute(gaps, random_state=0, steps=5)
    assert filled.dtypes.equals(frame.dtypes) and filled.notna().all(axis=None)
    pd.testing.assert_frame_equal(filled.where(gaps.notna()), gaps.where(gaps.notna()), check_dtype=False)
    assert filled["town"].isin(["Ulm", "Bonn"]).all() and filled["kind"].isin(["new", "old"]).all()
    assert filled["sold"].between(days.min(), days.max()).all()
    assert filled["paid"].isin(frame["paid"]).all()


def test_tensors_and_images_come_back_as_they_are() -> None:
    images = torch.randn(60, 4, 4, generator=torch.Generator().manual_seed(0))
    model = NCSN(**GAUSSIAN).fit(images)
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[2:] = False
    filled = model.impute(images[:3], mask=mask, random_state=0, steps=5, n_sweeps=1)
    assert filled.dtype == images.dtype
    assert torch.equal(filled[:, :2], images[:3, :2])
    assert not torch.equal(filled[:, 2:], images[:3, 2:])


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (np.full((2, 3), np.inf), {}, "missing or infinite"),
        (np.full((2, 2), np.nan), {}, "features"),
        (np.full((2, 3), np.nan), {"mask": [True, False]}, "mask must be booleans of shape"),
        (np.full((2, 3), np.nan), {"mask": [0.5, 1, 0]}, "mask must be booleans of shape"),
        (np.full((2, 3), np.nan), {"steps": 0}, "steps must be a whole number of at least 1, not 0"),
        (np.full((2, 3), np.nan), {"n_particles": 1}, "two particles"),
        (np.full((2, 3), np.nan), {"label": 1}, "the model was fitted without labels"),
    ],
)
def test_rows_that_cannot_be_filled(of_table: NCSN, x: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        of_table.impute(x, **options)


def test_only_fitted_models_fill_gaps() -> None:
    with pytest.raises(NotFittedError):
        NCSN().impute(np.full((2, 3), np.nan))
