import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import ot
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.neighbors import KNeighborsClassifier

from ncsn.data import load, moons, split, swiss_roll
from ncsn.errors import DataError
from ncsn.evaluation import (
    PRDC,
    Measure,
    c2st,
    compare,
    copied_fraction,
    energy_distance,
    frechet_distance,
    mmd,
    precision_recall_density_coverage,
    sliced_wasserstein2,
    stray_fraction,
    wasserstein2,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).normal(size=shape)


PAIRS: list[Callable[..., Any]] = [
    sliced_wasserstein2,
    wasserstein2,
    energy_distance,
    mmd,
    c2st,
    precision_recall_density_coverage,
    copied_fraction,
    stray_fraction,
    frechet_distance,
]


# Input


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
    monkeypatch.setattr("ncsn.evaluation._BLOCK", 1000)
    assert (sliced_wasserstein2(x, y, 64, seeded()), energy_distance(x, y), mmd(x, y)) == pytest.approx(whole)


def test_sliced_wasserstein_of_gaussians() -> None:
    # W2 between N(0, s^2 I) and N(0, I) is |s - 1| along every direction.
    a, b = normal(20_000, 2), 1.5 * normal(20_000, 2, seed=1)
    assert sliced_wasserstein2(a, b, 64, seeded()) == pytest.approx(0.5, rel=0.05)
    with pytest.raises(ValueError, match="n_projections must be at least 1, not 0"):
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
    with pytest.raises(ValueError, match="bandwidths must be positive"):
        mmd(b, b, (1.0, 0.0))


# Classifier, coverage, copies, strays


def test_c2st() -> None:
    a, b = normal(400, 2), normal(600, 2, seed=1)
    assert c2st(a, b, generator=seeded()) == pytest.approx(0.5, abs=0.07)
    assert c2st(a, b + 20, generator=seeded()) == 1
    # The best classifier of N(0, 1) and N(2, 1) is right with probability Phi(1).
    best = c2st(normal(2000), normal(2000, seed=1) + 2, KNeighborsClassifier(100), generator=seeded())
    assert best == pytest.approx(stats.norm.cdf(1), abs=0.02)
    assert c2st(a, b, generator=seeded(3)) == c2st(a, b, generator=seeded(3))
    with pytest.raises(DataError, match="4 rows do not make 5 folds"):
        c2st(a[:4], b)


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
    with pytest.raises(ValueError, match="k must be at least 1"):
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


# The table


def test_ratio_is_one_for_fresh_real_data_and_grows_with_error() -> None:
    training, held_out = swiss_roll(800, seeded(1)), swiss_roll(800, seeded(2))
    ratios = []
    for seed in range(3, 6):
        table = compare(swiss_roll(800, seeded(seed)), held_out, training, generator=seeded(), max_rows=500)
        ratios.append(table["sliced_wasserstein2"].ratio or 0)
        assert table["c2st"].value == pytest.approx(0.5, abs=0.05)
        assert table["copied_fraction"].value < 0.04 and table["stray_fraction"].value < 0.04
    assert 0.6 < np.median(ratios) < 1.6
    worse = compare(swiss_roll(800, seeded(3)) * 1.5, held_out, training, generator=seeded(), max_rows=500)
    for name in ("sliced_wasserstein2", "wasserstein2", "energy_distance", "mmd", "frechet_distance", "c2st"):
        assert (worse[name].ratio or 0) > 1.3
    copies = compare(training, held_out, training, generator=seeded(), max_rows=500)
    assert copies["copied_fraction"].value == 1 and copies["sliced_wasserstein2"].ratio == pytest.approx(1)


def test_samples_and_training_set_are_cut_to_one_size() -> None:
    # Unmatched, a few samples would look worse than many training rows of the same distribution.
    training, held_out = moons(2000, seeded(1)), moons(2000, seeded(2))
    few = [
        compare(moons(100, seeded(s)), held_out, training, generator=seeded(1000 + s), max_rows=300) for s in range(9)
    ]
    assert all(table.n_rows == 100 and table.n_held_out == 2000 for table in few)
    for name in ("sliced_wasserstein2", "wasserstein2", "frechet_distance"):
        assert 0.6 < np.median([table[name].ratio or 0 for table in few]) < 1.7
    many = compare(moons(3000, seeded(5)), held_out, training[:300], generator=seeded(), max_rows=200)
    assert many.n_rows == 300


def test_the_same_generator_gives_the_same_table() -> None:
    sets = [moons(300, seeded(s)) for s in range(3)]
    assert compare(*sets, generator=seeded()).to_dict() == compare(*sets, generator=seeded()).to_dict()
    assert compare(*sets, generator=seeded()).to_dict() != compare(*sets, generator=seeded(1)).to_dict()


def test_non_finite_samples_are_counted_and_left_out() -> None:
    samples, held_out, training = (moons(100, seeded(s)) for s in range(3))
    samples[:7] = math.nan
    table = compare(samples, held_out, training, generator=seeded())
    assert table.n_non_finite == 7 and table.n_rows == 93
    assert "7 samples are not finite and are left out." in str(table)
    for n_bad in (99, 100):
        samples[:n_bad] = math.inf
        with pytest.raises(DataError, match=f"samples: {n_bad} of 100 are not finite, too few are left"):
            compare(samples, held_out, training)
    with pytest.raises(DataError, match="held-out: 100 of 100 rows are not finite"):
        compare(training, samples, training)
    with pytest.raises(DataError, match="points of shape"):
        compare(normal(50, 3), held_out, training)


def test_scaling() -> None:
    samples, held_out, training = (moons(200, seeded(s)).double() for s in range(3))
    units = torch.tensor([1000.0, 0.01])
    plain, standard = (
        compare(samples, held_out, training, generator=seeded(), scaling=s) for s in ("none", "standard")
    )
    assert plain.scaling == "none" and standard.scaling == "standard"
    rescaled = compare(samples * units, held_out * units, training * units, generator=seeded())
    for row, other in zip(standard.measures, rescaled.measures, strict=True):
        assert row.value == pytest.approx(other.value, rel=1e-6)
    expected = sliced_wasserstein2(samples, held_out, 2000, seeded())
    assert plain["sliced_wasserstein2"].value == pytest.approx(expected, rel=0.1)
    with pytest.raises(ValueError, match=r"unknown scaling 'rage'; did you mean 'range'\?"):
        compare(samples, held_out, training, scaling="rage")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="values are all equal"):
        compare(samples, held_out, torch.ones(20, 2), scaling="range")


def test_images_are_scaled_by_their_range() -> None:
    data = load("digits")
    train, held_out, *_ = split(data.values, data.labels, 0.2)
    table = compare(train + 0.01 * normal(*train.shape), held_out, train, generator=seeded())
    assert table.scaling == "range"
    expected = frechet_distance(train / 8 - 1, held_out / 8 - 1, 40, train / 8 - 1)
    assert table["frechet_distance"].floor == pytest.approx(expected)
    assert table["copied_fraction"].value == 1
    # Nearest neighbours do not see that noise, as trees would.
    assert table["c2st"].value < 0.6


def test_the_table_prints_and_serialises() -> None:
    table = compare(*(pd.DataFrame(moons(100, seeded(s)).numpy()) for s in range(3)), generator=seeded())
    text = str(table)
    assert text.splitlines()[0].split() == ["measure", "samples", "real", "data", "ratio"]
    assert "sliced_wasserstein2" in text and "100 samples, and as many training rows, against 100 held-out rows" in text
    saved = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert saved["measures"]["mmd"]["value"] == table["mmd"].value and saved["n_rows"] == 100
    assert Measure("copied_fraction", 0.1, 0.0).ratio is None
    with pytest.raises(ValueError, match=r"unknown measure 'mdm'; did you mean 'mmd'\?"):
        table["mdm"]
