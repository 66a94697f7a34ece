"""Shares that nearest neighbours say, against counts by hand and published expectations."""

import numpy as np
import pytest

from ncsn.errors import DataError, SettingError
from ncsn.evaluation import (
    PRDC,
    ClosestRecord,
    closest_record,
    copied_fraction,
    precision_recall_density_coverage,
    stray_fraction,
)

from .common import normal


def test_precision_recall_density_coverage_by_hand() -> None:
    # Real balls reach 1, 1, 1 and 8; fake balls 2.5, 2.5, 1 and 1.
    real, fake = np.array([0.0, 1.0, 2.0, 10.0]), np.array([0.5, 3.0, 30.0, 31.0])
    assert precision_recall_density_coverage(real, fake, k=1) == PRDC(0.5, 0.75, 1.0, 1.0)
    assert precision_recall_density_coverage(fake, real, k=1) == PRDC(0.75, 0.5, 1.25, 0.5)
    assert precision_recall_density_coverage(real, real + 1000, k=2) == PRDC(0, 0, 0, 0)


def test_precision_recall_density_coverage_on_one_distribution() -> None:
    real, fake = normal(1000, 2), normal(1000, 2, seed=1)
    result = precision_recall_density_coverage(real, fake)
    assert result.density == pytest.approx(1, abs=0.05)
    # Naeem et al. 2020: for sets of one size the expected coverage is about 1 - 2^-k.
    assert result.coverage == pytest.approx(1 - 2**-5, abs=0.02)
    collapsed = precision_recall_density_coverage(real, 0.2 * fake)
    assert collapsed.precision > 0.99 and collapsed.recall < 0.4 and collapsed.coverage < 0.5
    same = precision_recall_density_coverage(real, real)
    assert same.precision == same.recall == same.coverage == 1
    with pytest.raises(DataError, match="5 rows have no 5th neighbour"):
        precision_recall_density_coverage(real, fake[:5])
    with pytest.raises(SettingError, match="k must be a whole number of at least 1"):
        precision_recall_density_coverage(real, fake, k=0)


@pytest.mark.parametrize("dim", [2, 30, 100])
def test_copied_and_stray_fractions(dim: int) -> None:
    training, fresh = normal(1500, dim), normal(1500, dim, seed=1)
    assert 0.002 < copied_fraction(fresh, training) < 0.03
    assert 0.002 < stray_fraction(fresh, training) < 0.03
    mixed = np.concatenate([training[:300], fresh[:700]])
    assert copied_fraction(mixed, training) == pytest.approx(0.3 + 0.7 * copied_fraction(fresh, training), abs=0.01)
    assert copied_fraction(training + 1e-6, training) == 1 and stray_fraction(training + 1e-6, training) == 0
    assert copied_fraction(fresh + 100, training) == 0 and stray_fraction(fresh + 100, training) == 1


@pytest.mark.parametrize("dim", [2, 100])
def test_copies_of_repeated_rows_are_seen(dim: int) -> None:
    training = np.repeat(normal(200, dim), 2, axis=0)
    assert copied_fraction(training, training) == 1
    assert copied_fraction(training + 1e-3, training) == 0


def test_thresholds_are_distances() -> None:
    training = np.array([[0.0, 0.0], [1.0, 0.0]])
    samples = np.array([[0.0, 0.3], [1.0, 0.05], [5.0, 0.0], [0.5, 0.0]])
    assert stray_fraction(samples, training, 0.1) == 0.75
    assert stray_fraction(samples, training, 0.5) == 0.25
    assert copied_fraction(samples, training, 0.1) == 0.25
    assert copied_fraction(samples, training, 0.5) == 0.75


def test_closest_record_by_hand() -> None:
    training = np.array([[0.0, 0.0], [1.0, 0.0]])
    samples = np.array([[0.0, 0.3], [1.0, 0.0], [5.0, 3.0]])
    assert closest_record(samples, training) == pytest.approx((0.3, 0.03))
    assert closest_record(training, training) == ClosestRecord(0, 0)
