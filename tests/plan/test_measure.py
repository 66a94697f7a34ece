"""How far data reach and how thin they are, against known geometry."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.datasets import load_digits

from ncsn.errors import DataError
from ncsn.plan import finest_scale, largest_distance, make_plan

from .common import Array, normal, standardised, swiss_roll

# Largest distance


@pytest.mark.parametrize(
    "x", [swiss_roll(2000)[0], normal(1000, 10), load_digits().data], ids=["roll", "normal", "digits"]
)
def test_largest_distance_is_near_the_true_diameter(x: Array) -> None:
    assert 0.9 * pdist(x).max() < largest_distance(x) <= pdist(x).max() * (1 + 1e-12)


def test_largest_distance_of_a_circle_is_its_diameter() -> None:
    angle = np.linspace(0, 2 * np.pi, 1000, endpoint=False)
    assert largest_distance(np.stack([np.cos(angle), np.sin(angle)], axis=1)) == pytest.approx(2.0, abs=1e-4)


@pytest.mark.parametrize("n", [100, 5000, 100_000])
def test_one_wild_row_does_not_change_the_largest_distance(n: int) -> None:
    x = swiss_roll(n)[0]
    wild = x.copy()
    wild[n // 3] = 1e4
    assert largest_distance(wild) == pytest.approx(largest_distance(x), rel=0.05)


# Finest scale


@pytest.mark.parametrize("n", [500, 2000, 5000, 50_000])
def test_finest_scale_of_the_roll_is_its_thickness(n: int) -> None:
    x, noise = swiss_roll(n)
    assert 0.75 * noise < finest_scale(x) < 1.2 * noise


def test_finest_scale_sees_a_thin_band_in_any_direction() -> None:
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    band = rng.uniform(-10, 10, (5000, 4)) * [1, 1, 1, 0] + 0.05 * rng.standard_normal((5000, 4)) * [0, 0, 0, 1]
    assert finest_scale(band @ rotation) == pytest.approx(0.05, rel=0.1)


def test_equal_rows_count_once() -> None:
    x = swiss_roll(500)[0]
    assert finest_scale(np.repeat(x, 10, axis=0)) == pytest.approx(finest_scale(x), rel=0.02)


def test_grid_counts_as_no_finer_than_its_step() -> None:
    pixels = load_digits().data
    assert finest_scale(pixels) == pytest.approx(1.0, rel=0.01)
    x = swiss_roll(5000)[0]
    coin = np.random.default_rng(0).integers(0, 2, 5000)
    assert finest_scale(np.column_stack([x, coin])) == pytest.approx(finest_scale(x), rel=0.1)
    assert finest_scale(np.round(x, 3)) == pytest.approx(finest_scale(x), rel=0.05)


def test_one_redundant_column_does_not_decide_in_many_dimensions() -> None:
    x = normal(2000, 12)
    doubled = np.column_stack([x, x[:, 0]])
    assert finest_scale(doubled) > 0.5 * finest_scale(x)


def test_flat_data_have_no_thickness_but_a_plan() -> None:
    line = np.linspace(-1, 1, 1000)
    x = standardised(np.stack([line, line], axis=1))
    assert finest_scale(x) < 1e-6
    assert make_plan(x).sigma_min == pytest.approx(0.002)


@pytest.mark.parametrize("rule", [largest_distance, finest_scale])
def test_rules_refuse_constant_data(rule: Callable[[Array], float]) -> None:
    with pytest.raises(DataError, match="all rows are equal"):
        rule(np.ones((50, 3)))
