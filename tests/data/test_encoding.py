"""The encoding: data in their own units <-> rows of mean 0 and standard deviation 1, and back."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from ncsn.data import Constant, Encoding, Number, Pixels, as_float64
from ncsn.data.columns import Category
from ncsn.errors import DataError, SettingError


def test_a_table_becomes_rows_of_mean_0_and_deviation_1_and_comes_back() -> None:
    x = np.random.default_rng(0).normal([3, -1e6, 1e-9], [1e-3, 1e3, 1e-12], size=(500, 3))
    x = np.column_stack([x, np.full(500, 0.1)])
    encoding = Encoding.fit(x)
    z = encoding.encode(x)
    assert z.dtype == torch.float64
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(z.std(0, correction=0), 1, rtol=1e-9)
    # what never varies is no part of a row
    assert [isinstance(column, Constant) for column in encoding.columns] == [False, False, False, True]
    assert encoding.shape == (3,) and encoding.data_shape == (4,) and z.shape == (500, 3)
    back = encoding.decode(z)
    np.testing.assert_allclose(back, x, rtol=1e-14)
    assert np.array_equal(back[:, 3], x[:, 3])
    jacobian: Tensor = torch.autograd.functional.jacobian(lambda v: encoding.rows(v[None])[0], torch.zeros(4).double())
    log_gain = encoding.log_gain(encoding.values(x), z)
    assert log_gain.tolist() == pytest.approx([jacobian[:, :3].diag().log().sum().item()] * 500)


def test_images_have_one_scale() -> None:
    x = np.random.default_rng(0).uniform(0, 16, size=(20, 3, 4))
    x[:, 0, 0] = 0
    encoding = Encoding.fit(x)
    (pixels,) = encoding.columns
    assert isinstance(pixels, Pixels) and pixels.mean == pytest.approx(x.mean())
    assert pixels.scale == pytest.approx(x.std()) and encoding.shape == encoding.data_shape == (3, 4)
    assert encoding.log_gain(as_float64(x), encoding.encode(x)).tolist() == pytest.approx(
        [-12 * math.log(x.std())] * 20
    )
    np.testing.assert_allclose(encoding.decode(encoding.encode(x)), x, atol=1e-13)
    with pytest.raises(DataError, match="every column is constant: there is nothing to learn"):
        Encoding.fit(np.full((4, 2, 2), 7.0))


@pytest.mark.parametrize("shape", [(9, 3), (9, 3, 2)], ids=["rows", "images"])
@pytest.mark.parametrize("y", [None, ["b", "a", "c"] * 3, [3, 1, 2] * 3], ids=["none", "text", "whole"])
def test_it_survives_json_exactly(shape: tuple[int, ...], y: Any) -> None:
    x = np.random.default_rng(1).normal(size=shape) / 3
    encoding = Encoding.fit(x, y)
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict())))
    assert torch.equal(again.encode(x), encoding.encode(x)) and again.shape == encoding.shape
    assert again.columns == encoding.columns
    values, rows = as_float64(x), encoding.encode(x)
    assert torch.equal(again.log_gain(values, rows), encoding.log_gain(values, rows))
    np.testing.assert_array_equal(again.decode(again.encode(x)), encoding.decode(encoding.encode(x)))
    assert again.fits(encoding)
    if y is None:
        assert again.classes is None
    else:
        assert again.classes is not None and encoding.classes is not None
        assert again.classes.tolist() == encoding.classes.tolist()
        codes, expected = again.codes(y, 9), encoding.codes(y, 9)
        assert codes is not None and expected is not None and torch.equal(codes, expected)


def test_frames_whole_numbers_and_extreme_ones() -> None:
    frame = pd.DataFrame({"n": [1, 2, 3], "b": [True, False, True]})
    encoding = Encoding.fit(frame)
    (number, flags) = encoding.columns
    assert isinstance(number, Number) and flags == Category(2)
    assert (number.mean, number.scale) == pytest.approx((2, math.sqrt(2 / 3)))
    pd.testing.assert_frame_equal(encoding.decode(encoding.encode(frame)), frame)
    for size in (1e200, 1e-200):
        (column,) = Encoding.fit(np.array([[size], [3 * size]])).columns
        assert isinstance(column, Number)
        assert (column.mean, column.scale) == pytest.approx((2 * size, size))


def test_gaps_stay_gaps() -> None:
    encoding = Encoding.fit(np.array([[0.0, 0.0], [2.0, 2.0]]))
    gap = np.array([[math.nan, 1.0]])
    assert encoding.encode(gap, gaps=True).isnan().tolist() == [[True, False]]
    with pytest.raises(DataError, match="missing or infinite cell in row 1, column 1"):
        encoding.encode(gap)
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [4, 4, 4], "c": [1.0, 2.0, 4.0]})
    gaps = frame.astype({"a": "Int64"})
    gaps.loc[1, "a"] = pd.NA
    encoding = Encoding.fit(frame)
    assert encoding.encode(gaps, gaps=True).isnan().tolist() == [[False, False], [True, False], [False, False]]
    # of a constant there is nothing to know in a row
    known = ~encoding.values(gaps, gaps=True).isnan()
    assert encoding.known(known).tolist() == [[True, True], [False, True], [True, True]]


def test_other_shapes_and_what_is_no_data_are_refused() -> None:
    encoding = Encoding.fit(np.array([[0.0, 0.0], [2.0, 2.0]]))
    for ask in (encoding.encode, encoding.values):
        with pytest.raises(DataError, match=r"rows of shape \(3,\) given; the model was fitted on \(2,\)"):
            ask(np.zeros((3, 3)))
    for other in (encoding, Encoding.fit(np.arange(8.0).reshape(2, 2, 2))):
        with pytest.raises(DataError, match=r"rows of shape \(3,\) given; those of the model have \(2,"):
            other.decode(torch.zeros(3, 3))
    for values, message in (
        (np.array([[1.0], [math.nan]]), "X: a missing or infinite cell in row 2, column 1"),
        (np.array([[1.0], [math.inf]]), "X: a missing or infinite cell in row 2, column 1"),
        (np.array([[-1e308], [1e308]]), "not finite, or too large"),
        (np.zeros((0, 2)), "X: 0 rows; at least 1 is needed"),
        (np.zeros((2, 0)), "X: no numeric column"),
        (np.zeros(3), r"expected rows, \(N, D\) or \(N, \*shape\), not 1 axes"),
        (np.array([["a"]]), "not all values are numbers"),
        (pd.DataFrame({"x": ["a"]}), r"every column is constant: there is nothing to learn: x \(text; always a\)"),
        (
            pd.DataFrame({"x": [1j]}),
            "column 'x' holds complex128, which is neither numbers, text, categories nor dates",
        ),
        (pd.DataFrame({"x": []}), "X: 0 rows; at least 1 is needed"),
        (pd.DataFrame(index=range(3)), "X: no column"),
    ):
        with pytest.raises(DataError, match=message):
            Encoding.fit(values)
    with pytest.raises(DataError, match="2 labels for 3 rows"):
        Encoding.fit(np.arange(3.0)[:, None], [0, 1])


def test_gradients_are_carried_back_by_the_chain_rule() -> None:
    x = np.column_stack([np.random.default_rng(0).normal(5, [0.1, 30], (20, 2)), np.full(20, 4.0)])
    for data in (x, x[:, :2].reshape(20, 2, 1)):
        encoding = Encoding.fit(data)
        values = as_float64(data).requires_grad_()
        rows = encoding.rows(values)
        scores = torch.randn(rows.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        (expected,) = torch.autograd.grad((rows * scores).sum(), values)
        torch.testing.assert_close(encoding.gradient(values.detach(), scores), expected)


def test_a_value_that_a_constant_never_had_has_no_density() -> None:
    encoding = Encoding.fit(np.array([[0.0, 0.1], [2.0, 0.1]]))
    values = torch.tensor([[0.0, 0.1], [5.0, 0.1], [0.0, 0.1001]], dtype=torch.float64)
    assert encoding.log_gain(values, encoding.rows(values)).tolist() == [0.0, 0.0, -math.inf]


def test_the_identity_passes_rows_through() -> None:
    x = torch.randn(5, 3)
    encoding = Encoding.identity((3,))
    assert torch.equal(encoding.encode(x), x.double())
    assert torch.equal(encoding.decode(x), x)
    assert encoding.log_gain(x.double(), x).tolist() == [0.0] * 5


def test_what_is_of_the_same_data_is_known_again_however_sums_were_taken() -> None:
    x = np.random.default_rng(0).random((200, 3))
    one = Encoding.fit(x, [0, 1] * 100)
    # another order of rows sums to other last digits
    other = Encoding.fit(np.asfortranarray(x[::-1]), [0, 1] * 100)
    assert one.fits(other) and one.same_data(other)
    assert one.same_data(Encoding.fit(x)) and not one.fits(Encoding.fit(x))
    assert not one.fits(Encoding.fit(x, ["a", "b"] * 100))
    assert not one.same_data(Encoding.fit(x[:-1]))
    assert not one.same_data(Encoding.fit(np.column_stack([x[:, :2], np.ones(200)])))
    assert not one.same_data(Encoding.fit(x[:, :2]))


def test_other_categories_are_other_data() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 4.0] * 4, "b": ["x", "y", "y"] * 4, "c": np.arange(12) + 0.25})
    one = Encoding.fit(frame)
    assert one.same_data(Encoding.fit(frame[::-1])) and one.fits(Encoding.fit(frame))
    assert not one.same_data(Encoding.fit(frame.replace({"x": "z"})))


def test_labels_by_their_text() -> None:
    encoding = Encoding.fit(np.arange(4.0)[:, None], [7, 5, 7, 5])
    assert encoding.label_of("7") == 7
    with pytest.raises(SettingError, match="unknown label '6'; known: 5, 7"):
        encoding.label_of("6")
    with pytest.raises(SettingError, match="trained without --label, so it has no classes to draw"):
        Encoding.fit(np.arange(4.0)[:, None]).label_of("7")
