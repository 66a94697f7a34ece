"""The classifier two-sample test: what is one distribution, what is not, and how sure it is."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.ndimage import gaussian_filter
from sklearn.neighbors import KNeighborsClassifier

from ncsn.data import load, swiss_roll
from ncsn.errors import DataError, SettingError
from ncsn.evaluation import AUC, c2st

from .common import mixed_table, normal, seeded, shuffled


def test_the_ends_of_the_interval_are_the_areas_that_are_just_possible() -> None:
    for value, n in ((0.5, 100), (0.8, 30), (0.97, 50)):
        area = AUC.of(value, n, n)
        for end in area[1:]:
            # the variance of Hanley & McNeil 1982, equation 1, at that end
            q1, q2 = end / (2 - end), 2 * end**2 / (1 + end)
            variance = (end * (1 - end) + (n - 1) * (q1 + q2 - 2 * end**2)) / n**2
            assert abs(value - end) == pytest.approx(1.959964 * math.sqrt(variance), rel=1e-5)
        assert area.low < value < area.high
        assert AUC.of(1 - value, n, n) == pytest.approx((1 - value, 1 - area.high, 1 - area.low))
    low, high = AUC.of(1.0, 20, 20)[1:]
    assert 0.8 < low < 0.95 and high == 1
    assert AUC.of(0.0, 20, 20) == pytest.approx((0, 0, 1 - low))


def test_the_area_is_that_of_the_best_classifier() -> None:
    # N(0, 1) and N(2, 1) differ by N(2, 2), which is positive with probability Phi(2^(1/2)).
    best = c2st(normal(2000), normal(2000, seed=1) + 2, generator=seeded())
    assert best.value == pytest.approx(stats.norm.cdf(math.sqrt(2)), abs=0.02) and best.low < best.value < best.high
    own = c2st(normal(2000), normal(2000, seed=1) + 2, KNeighborsClassifier(100), generator=seeded())
    assert own.value == pytest.approx(stats.norm.cdf(math.sqrt(2)), abs=0.02)
    assert c2st(normal(400, 2), normal(600, 2, seed=1) + 20, generator=seeded()).value == 1
    a, b = normal(100, 2), normal(100, 2, seed=1)
    assert c2st(a, b, generator=seeded(3)) == c2st(a, b, generator=seeded(3))


def test_of_one_distribution_it_is_a_half_whichever_classifier_seems_the_stronger() -> None:
    areas = [c2st(normal(80, 2, seed=2 * s), normal(80, 2, seed=2 * s + 1), generator=seeded(s)) for s in range(16)]
    # four standard errors of the mean
    assert np.mean([area.value for area in areas]) == pytest.approx(0.5, abs=4 * 0.06 / math.sqrt(16))
    assert np.mean([area.low <= 0.5 <= area.high for area in areas]) > 0.8


def test_what_only_one_of_both_classifiers_sees() -> None:
    # means, deviations and every single column alike: only products tell
    tilted = normal(500, 2) @ np.linalg.cholesky([[1, 0.7], [0.7, 1]]).T
    assert c2st(tilted, normal(500, 2, seed=1), generator=seeded()).low > 0.65
    # mean and covariance alike: only trees tell
    roll = swiss_roll(800, seeded()).numpy()
    gaussian = np.random.default_rng(0).multivariate_normal(roll.mean(0), np.cov(roll.T), 800)
    assert c2st(gaussian, roll, generator=seeded()).low > 0.9


DIGITS = np.asarray(load("digits").values, dtype=np.float64)[np.random.default_rng(0).permutation(1797)]


@pytest.mark.parametrize(
    ("images", "low"),
    [
        (gaussian_filter(DIGITS[900:], (0, 0.5, 0.5)), 0.9),
        ((DIGITS[900:] + 3 * normal(897, 8, 8)).clip(0, 16), 0.9),
        (DIGITS.mean(0) + 0.01 * normal(897, 8, 8), 0.99),
        ((DIGITS[898:] + DIGITS[897:-1]) / 2, 0.9),
    ],
    ids=["blurred", "noisy", "mean", "mixed"],
)
def test_bad_images_are_told_apart(images: NDArray[Any], low: float) -> None:
    assert c2st(images[:450], DIGITS[:450], generator=seeded()).low > low


def test_images_of_one_distribution_are_not_told_apart_by_their_rounding() -> None:
    unrounded = DIGITS[900:] + np.random.default_rng(0).uniform(-0.5, 0.5, (897, 8, 8))
    for images in (DIGITS[900:], unrounded):
        area = c2st(images, DIGITS[:897], generator=seeded())
        assert area.low < 0.55


def test_mixed_tables() -> None:
    real = mixed_table(400)
    fresh = c2st(mixed_table(400, 1), real, generator=seeded())
    assert fresh.low < 0.5 < fresh.high
    bad = {
        "a shuffled column": shuffled(mixed_table(400, 1), "income"),
        "a category less": mixed_table(800, 1).query("city != 'Bern'"),
        "no missing cells": mixed_table(1000, 1).dropna(),
        "too many missing cells": mixed_table(400, 1).assign(income=np.nan),
    }
    for what, samples in bad.items():
        assert c2st(samples, mixed_table(800), generator=seeded()).low > 0.5, what


def test_rare_categories_give_no_set_away() -> None:
    # more categories than are told apart, each in one row or two
    numbers = np.random.default_rng(0).integers(0, 400, 400)
    table = pd.DataFrame({"name": [f"name {i}" for i in numbers]})
    area = c2st(table[:200], table[200:], generator=seeded())
    assert area.low < 0.5 < area.high


def test_bad_input_is_refused() -> None:
    a, b = normal(20, 2), normal(20, 2)
    with pytest.raises(DataError, match="4 rows do not make 5 folds"):
        c2st(a[:4], b)
    with pytest.raises(SettingError, match="n_folds must be at least 2"):
        c2st(a, b, n_folds=1)
    with pytest.raises(DataError, match=r"a has images of shape \(1, 6, 6\), b of \(1, 8, 8\); they must be the same"):
        c2st(normal(20, 6, 6), normal(20, 8, 8))
    with pytest.raises(DataError, match=r"the columns \['city'\] are missing"):
        c2st(mixed_table(20).drop(columns="city"), mixed_table(20))


def test_trees_find_the_one_of_many_columns_that_tells() -> None:
    generator = np.random.default_rng(0)
    real, made = generator.standard_normal((2, 600, 200))
    chance = c2st(made, real, generator=seeded(0))
    assert abs(chance.value - 0.5) < 0.07
    # the best area that one column whose means are d apart allows is Phi(d / sqrt(2)): 0.92
    made[:, 137] += 2.0
    told = c2st(made, real, generator=seeded(0))
    assert 0.85 < told.value < 0.92 + 0.03
    # four of five values are equal, which leaves means and covariances as they are
    made[:, 137] = np.where(generator.random(600) < 0.8, 0.0, real[generator.permutation(600), 137] * 5**0.5)
    assert c2st(made, real, generator=seeded(0)).value > 0.85
