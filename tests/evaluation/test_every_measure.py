"""What every measure of two sets keeps: bad input is named, and every container is taken."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ncsn.errors import DataError
from ncsn.evaluation import (
    c2st,
    closest_record,
    copied_fraction,
    energy_distance,
    frechet_distance,
    mmd,
    precision_recall_density_coverage,
    sliced_wasserstein2,
    stray_fraction,
    wasserstein2,
)

from .common import normal

PAIRS: list[Callable[..., Any]] = [
    sliced_wasserstein2,
    wasserstein2,
    energy_distance,
    mmd,
    c2st,
    precision_recall_density_coverage,
    closest_record,
    copied_fraction,
    stray_fraction,
    frechet_distance,
]


@pytest.mark.parametrize("distance", PAIRS)
def test_bad_input_is_named(distance: Callable[..., Any]) -> None:
    good, bad = normal(20, 2), normal(20, 2)
    bad[3, 0], bad[7] = math.nan, math.inf
    with pytest.raises(DataError, match="2 of 20 rows are not finite; leave them out"):
        distance(bad, good)
    with pytest.raises(DataError, match="20 of 20 rows are not finite"):
        distance(good, np.full((20, 2), math.nan))
    with pytest.raises(DataError, match=r"has 3 columns, .* has 2; they must be the same"):
        distance(normal(20, 3), good)
    for few in (good[:1], good[:0], np.zeros((5, 0)), np.float64(3)):
        with pytest.raises(DataError, match="at least 2 rows of 1 column are needed"):
            distance(few, good)


@pytest.mark.parametrize("distance", [sliced_wasserstein2, wasserstein2, energy_distance, mmd, frechet_distance])
def test_arrays_tensors_frames_and_images_are_the_same(distance: Callable[..., Any]) -> None:
    def measure(a: Any, b: Any) -> float:
        torch.manual_seed(0)
        return float(distance(a, b))

    a, b = normal(30, 4), normal(25, 4, seed=1)
    expected = measure(a, b)
    assert measure(torch.from_numpy(a), pd.DataFrame(b)) == pytest.approx(expected)
    assert measure(a.reshape(30, 2, 2), b.reshape(25, 1, 2, 2)) == pytest.approx(expected)
    assert type(distance(a, b)) is float


@pytest.mark.parametrize("distance", [sliced_wasserstein2, wasserstein2, energy_distance, frechet_distance])
def test_distances_are_symmetric_and_zero_on_the_same_set(distance: Callable[..., Any]) -> None:
    a, b = normal(60, 3), 2 * normal(60, 3, seed=1)
    torch.manual_seed(0)
    forth = distance(a, b)
    torch.manual_seed(0)
    assert distance(b, a) == pytest.approx(forth)
    assert distance(a, a[::-1]) == pytest.approx(0, abs=1e-6)
