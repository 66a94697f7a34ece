"""Mean and standard deviation of images in parts, against NumPy's over the whole and exact fractions."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from ncsn.data import Encoding, Pixels
from ncsn.data.columns import pixel_scale
from ncsn.errors import DataError


def in_parts(values: Any) -> Any:
    return lambda: (values[i : i + 7] for i in range(0, len(values), 7))


@pytest.mark.parametrize("kind", ["uint8", "int16", "int64", "bool"])
def test_sums_of_whole_numbers_are_exact(kind: str) -> None:
    values = np.random.default_rng(0).integers(0, 2 if kind == "bool" else 200, (60, 3, 4)).astype(kind)
    mean, scale = pixel_scale(in_parts(values))
    numbers = [int(value) for value in values.ravel()]
    exact = Fraction(sum(numbers), len(numbers))
    variance = Fraction(sum(number**2 for number in numbers), len(numbers)) - exact**2
    assert mean == pytest.approx(float(exact), rel=2e-16) and scale == pytest.approx(math.sqrt(variance), rel=4e-16)
    # so they do not depend on the order or the parts
    assert pixel_scale(lambda: [values[::-1]]) == (mean, scale)


@pytest.mark.parametrize(
    ("centre", "spread"), [(0.5, 0.1), (1e8, 1.0), (-1e12, 1e-2), (0.0, 1e200), (0.0, 1e-200), (3e5, 1e5)]
)
def test_sums_of_floats_keep_their_digits(centre: float, spread: float) -> None:
    values = centre + spread * np.random.default_rng(0).standard_normal((60, 3, 4))
    mean, scale = pixel_scale(in_parts(values))
    shares = (values - values.min()) / np.ptp(values)
    assert mean == pytest.approx(values.min() + np.ptp(values) * shares.mean(), rel=1e-13)
    assert scale == pytest.approx(np.ptp(values) * shares.std(), rel=1e-12)


def test_what_never_varies_or_is_too_large() -> None:
    assert pixel_scale(in_parts(np.full((20, 2, 2), 7, np.uint8))) == (7.0, 0.0)
    with pytest.raises(DataError, match="the values are not finite, or too large"):
        pixel_scale(in_parts(np.array([[-1.7e308, 1.7e308]])))


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.bool, torch.int32, torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
def test_a_batch_of_images_becomes_rows_of_any_type(dtype: torch.dtype) -> None:
    images = torch.randint(0, 2, (8, 3, 4, 5), generator=torch.Generator().manual_seed(0)).to(dtype)
    encoding = Encoding.fit(images)
    rows = encoding.image_rows(images[:4])
    assert rows.dtype == torch.float32
    expected = (images[:4].double() - images.double().mean()) / images.double().std(correction=0)
    torch.testing.assert_close(rows.double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(encoding.rows(encoding.values(images[:4])), expected)


def test_doubles_are_scaled_before_they_lose_their_digits() -> None:
    images = 1e9 + torch.rand(50, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = Encoding.fit(images).image_rows(images)
    assert abs(rows.mean()) < 1e-6 and rows.std(correction=0) == pytest.approx(1, abs=1e-6)


def test_rows_of_a_table_are_not_made_so() -> None:
    with pytest.raises(DataError, match="rows of a table are not made a batch at a time"):
        Encoding.fit(np.eye(3)).image_rows(torch.eye(3))


def test_pixels_saved_before_there_was_a_layout_have_channels_first() -> None:
    assert Pixels(1.0, 2.0, (3, 4, 5)).data_shape == (3, 4, 5)
    assert Pixels(1.0, 2.0, (3, 4, 5), channels_last=True).data_shape == (4, 5, 3)
