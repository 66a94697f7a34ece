"""How columns are chosen for data, and the means and scales that they are given, against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from ncsn.data import Constant, Number, as_float64
from ncsn.data.columns import Smooth, columns_of, scales_of
from ncsn.errors import DataError


def test_scales_are_those_of_numpy_at_any_size_and_shift() -> None:
    x = np.random.default_rng(0).normal([3, -1e6, 1e-9], [1e-3, 1e3, 1e-12], size=(500, 3))
    means, scales = scales_of(torch.from_numpy(x))
    assert means.dtype == scales.dtype == torch.float64
    np.testing.assert_allclose(means, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(scales, x.std(0), rtol=1e-9)
    means, scales = scales_of(torch.full((500, 1), 0.1, dtype=torch.float64))
    # exactly: the constant is given back
    assert means.tolist() == [0.1] and scales.tolist() == [0.0]


def test_scales_of_whole_numbers_and_of_extreme_ones() -> None:
    frame = pd.DataFrame({"n": [1, 2, 3], "b": [True, False, True]})
    assert scales_of(as_float64(frame))[0].tolist() == pytest.approx([2, 2 / 3])
    for size in (1e200, 1e-200):
        mean, scale = scales_of(torch.tensor([[size], [3 * size]], dtype=torch.float64))
        assert mean.item() == pytest.approx(2 * size) and scale.item() == pytest.approx(size)


def test_a_table_has_a_number_for_what_varies_and_a_constant_for_what_does_not() -> None:
    x = torch.tensor([[1.0, 0.1, -5.0], [3.0, 0.1, -5.0]], dtype=torch.float64)
    assert columns_of(x) == (Number(mean=2.0, scale=1.0), Constant(0.1), Constant(-5.0))


def test_arrays_have_a_smooth_map_for_a_heavy_tail_alone() -> None:
    rng = np.random.default_rng(0)
    normal, whole, zeros = rng.normal(size=500), rng.poisson(3.0, 500), np.where(rng.random(500) < 0.5, 0, 1)
    x = np.column_stack([normal, whole, zeros, rng.random(500), np.exp(2 * normal), rng.standard_cauchy(500)])
    kinds = [type(column) for column in columns_of(torch.from_numpy(x))]
    assert kinds == [Number] * 4 + [Smooth] * 2


def test_columns_that_cannot_be_chosen() -> None:
    for values in ([[1.0], [math.nan]], [[1.0], [math.inf]], [[-1e308], [1e308]]):
        for choose in (scales_of, columns_of):
            with pytest.raises(DataError, match="the values are not finite, or too large; fill missing cells"):
                choose(torch.tensor(values, dtype=torch.float64))
    flat = torch.ones(2, 2).double()
    assert not scales_of(flat)[1].any()
    with pytest.raises(DataError, match="every column is constant: there is nothing to learn"):
        columns_of(flat)


def test_text_has_no_scale() -> None:
    for text in (np.array([["a"]]), pd.DataFrame({"x": ["a"]})):
        with pytest.raises(DataError, match="not all values are numbers"):
            as_float64(text)
