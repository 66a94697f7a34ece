"""Distances between sets of points against closed forms, scipy's and POT's."""

import math
from typing import Any

import numpy as np
import ot
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from ncsn.data import load, split
from ncsn.errors import DataError, SettingError
from ncsn.evaluation import (
    energy_distance,
    frechet_distance,
    mmd,
    precision_recall_density_coverage,
    sliced_wasserstein2,
    wasserstein2,
)
from ncsn.evaluation.distances import distances, kept_distances

from .common import normal, seeded

# Wasserstein distances


def test_sliced_wasserstein_of_a_translation() -> None:
    a, shift = normal(200, 3), np.array([3.0, -4.0, 12.0])
    assert sliced_wasserstein2(a, a + shift, 5000, seeded()) == pytest.approx(13 / math.sqrt(3), rel=0.02)
    # In one dimension there is one direction and no sampling: also for different sizes of equal content.
    assert sliced_wasserstein2(a[:, 0], np.tile(a[:, 0], 3) + 2, 2) == pytest.approx(2)


def test_sliced_wasserstein_couples_unequal_sizes_exactly() -> None:
    a, b = normal(37), normal(90, seed=1) + 0.5
    assert sliced_wasserstein2(a, b, 3) == pytest.approx(math.sqrt(ot.wasserstein_1d(a, b, p=2)))
    x, y = normal(300, 5), 1.3 * normal(170, 5, seed=1)
    directions = torch.randn(5, 64, dtype=torch.float64, generator=seeded())
    directions = directions / directions.norm(dim=0)
    expected = ot.sliced_wasserstein_distance(x, y, projections=directions.numpy(), p=2)
    assert sliced_wasserstein2(x, y, 64, seeded()) == pytest.approx(expected)


def test_sliced_wasserstein_in_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(300, 5), 1.3 * normal(170, 5, seed=1)
    whole = sliced_wasserstein2(x, y, 64, seeded()), energy_distance(x, y), mmd(x, y)
    monkeypatch.setattr("ncsn.evaluation.distances._BLOCK", 1000)
    assert (sliced_wasserstein2(x, y, 64, seeded()), energy_distance(x, y), mmd(x, y)) == pytest.approx(whole)


def test_sliced_wasserstein_of_gaussians() -> None:
    # W2 between N(0, s^2 I) and N(0, I) is |s - 1| along every direction.
    a, b = normal(20_000, 2), 1.5 * normal(20_000, 2, seed=1)
    assert sliced_wasserstein2(a, b, 64, seeded()) == pytest.approx(0.5, rel=0.05)
    with pytest.raises(SettingError, match="n_projections must be at least 1, not 0"):
        sliced_wasserstein2(a, b, 0)


def test_wasserstein_is_exact() -> None:
    a = normal(100, 3)
    assert wasserstein2(a, a + np.array([3.0, -4.0, 12.0])) == pytest.approx(13)
    b = normal(100, 3, seed=1)
    costs = cdist(a, b, "sqeuclidean")
    rows, columns = linear_sum_assignment(costs)
    assert wasserstein2(a, b) == pytest.approx(math.sqrt(costs[rows, columns].mean()))
    assert wasserstein2(a[:60, 0], b[:, 0]) == pytest.approx(math.sqrt(ot.wasserstein_1d(a[:60, 0], b[:, 0], p=2)))


def test_wasserstein_cuts_large_sets_by_its_generator() -> None:
    a, b = normal(500, 2), normal(400, 2, seed=1) + 3
    cut = wasserstein2(a, b, 100, seeded())
    assert cut == wasserstein2(a, b, 100, seeded()) != wasserstein2(a, b, 100, seeded(1))
    assert cut == pytest.approx(3 * math.sqrt(2), rel=0.1)


# Energy distance and MMD


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_energy_distance_of_normals(shift: float) -> None:
    apart = stats.foldnorm(shift / math.sqrt(2), scale=math.sqrt(2)).mean()
    expected = math.sqrt(2 * apart - 4 / math.sqrt(math.pi))
    assert energy_distance(normal(4000), normal(4000, seed=1) + shift) == pytest.approx(expected, rel=0.06)


def test_energy_distance_is_scipys_in_one_dimension() -> None:
    a, b = normal(70), 2 * normal(110, seed=1)
    assert energy_distance(a, b) == pytest.approx(stats.energy_distance(a, b))


def test_unbiased_mmd_is_zero_on_average() -> None:
    values = [mmd(normal(80, 2, seed=s), normal(60, 2, seed=1000 + s)) for s in range(60)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(60) and min(values) < 0


def test_mmd_of_gaussians() -> None:
    # A Gaussian kernel of width h between N(0, 1) and N(m, 1) in one dimension has a closed form.
    m, h = 1.0, 0.7
    width = h**2 + 2
    expected = 2 * h / math.sqrt(width) * (1 - math.exp(-(m**2) / (2 * width)))
    assert mmd(normal(4000), normal(4000, seed=1) + m, (h,)) == pytest.approx(expected, rel=0.05)


def test_mmd_is_its_definition() -> None:
    a, b = normal(9, 2), normal(7, 2, seed=1)

    def kernel(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        squares = cdist(x, y) ** 2
        return np.asarray((np.exp(-squares / 2 / 0.5**2) + np.exp(-squares / 2 / 3**2)) / 2)

    biased = kernel(a, a).mean() + kernel(b, b).mean() - 2 * kernel(a, b).mean()
    assert mmd(a, b, (0.5, 3.0), unbiased=False) == pytest.approx(biased)
    own = [(kernel(x, x).sum() - len(x)) / (len(x) * (len(x) - 1)) for x in (a, b)]
    assert mmd(a, b, (0.5, 3.0)) == pytest.approx(sum(own) - 2 * kernel(a, b).mean())


def test_mmd_bandwidths_come_from_the_reference() -> None:
    b = normal(200, 2)
    median = float(np.median(cdist(b, b)[~np.eye(200, dtype=bool)]))
    widths = tuple(median * factor for factor in (0.125, 0.25, 0.5, 1, 2))
    for a in (normal(50, 2, seed=1), 100 * normal(50, 2, seed=1)):
        assert mmd(a, b) == pytest.approx(mmd(a, b, widths))
    with pytest.raises(DataError, match="all rows of b are equal"):
        mmd(b, np.ones((5, 2)))
    with pytest.raises(SettingError, match="bandwidths must be positive"):
        mmd(b, b, (1.0, 0.0))


# Fréchet distance


def with_moments(n: int, mean: Any, covariance: Any, seed: int = 0) -> NDArray[Any]:
    x = normal(n, len(mean), seed=seed)
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T)).T)
    return np.asarray(x @ np.linalg.cholesky(np.asarray(covariance)).T + mean)


def test_frechet_distance_closed_form() -> None:
    a = with_moments(50, [0, 0, 0], np.diag([1, 4, 9]))
    b = with_moments(80, [1, 2, 3], np.diag([4, 4, 1]), seed=1)
    assert frechet_distance(a, b) == pytest.approx(14 + 1 + 0 + 4)
    assert frechet_distance(a[:, 0], b[:, 0]) == pytest.approx(1 + 1)
    c, d = normal(50, 4), normal(60, 4, seed=1) @ normal(4, 4, seed=2)
    cov_c, cov_d = np.cov(c.T), np.cov(d.T)
    expected = ((c.mean(0) - d.mean(0)) ** 2).sum() + np.trace(cov_c + cov_d - 2 * np.real(sqrtm(cov_c @ cov_d)))
    assert frechet_distance(c, d) == pytest.approx(expected)


def test_frechet_distance_is_stable_on_singular_covariances() -> None:
    a = np.column_stack([normal(30, 2), np.zeros(30)])
    assert frechet_distance(a, a + np.array([0, 0, 2])) == pytest.approx(4)
    assert frechet_distance(normal(5, 40), normal(6, 40, seed=1)) > 0


def test_frechet_distance_in_principal_components() -> None:
    b = with_moments(200, [0, 0, 0], np.diag([9, 4, 1]))
    shift = np.array([1, 2, 3])
    for n_components, expected in ((1, 1), (2, 5), (3, 14)):
        assert frechet_distance(b + shift, b, n_components) == pytest.approx(expected)
    turned = b[:, ::-1]
    assert frechet_distance(b + shift, b, 1, reference=turned) == pytest.approx(9)
    for wrong in (0, 4):
        with pytest.raises(DataError, match=f"200 rows of 3 columns do not have {wrong} components"):
            frechet_distance(b, b, wrong)


def test_frechet_distance_of_digits() -> None:
    # findings/peer_measurements.md, B: training part against held-out part 0.368.
    data = load("digits")
    values = []
    for seed in range(3):
        train, held_out, *_ = split(data.values / 8 - 1, data.labels, 0.2, seed)
        values.append(frechet_distance(train, held_out, 40, reference=train))
    assert np.mean(values) == pytest.approx(0.368, abs=0.05)


def test_distances_of_wide_rows_are_kept_and_the_same_either_way() -> None:
    rows = np.random.default_rng(0).standard_normal((300, 100))
    a, b = rows[:200], rows[100:]
    once = energy_distance(a, b), mmd(a, b), precision_recall_density_coverage(a, b)
    exact = cdist(a, b)
    with kept_distances():
        assert np.allclose(np.concatenate(list(distances(a, b))), exact, rtol=1e-6)
        turned = np.concatenate(list(distances(b, a)))
        assert np.allclose(turned, exact.T, rtol=1e-6)
        # rows that both have are no way apart
        assert (np.diag(turned[:100, 100:]) == 0).all()
        # a block is the caller's, to change
        for block in distances(a, b):
            block[:] = -1
        assert np.allclose(np.concatenate(list(distances(a, b))), exact, rtol=1e-6)
        kept = energy_distance(a, b), mmd(a, b), precision_recall_density_coverage(a, b)
    assert np.allclose(np.hstack(once), np.hstack(kept), rtol=1e-5)
