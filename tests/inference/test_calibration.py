"""Checks of posteriors: a right one is accepted as often as the checks say, and a narrow one is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ncsn.errors import DataError, SettingError
from ncsn.inference import (
    RankCheck,
    calibrate,
    expected_coverage,
    posterior_predictive,
    simulation_based_calibration,
    tarp,
)

Array = NDArray[np.float64]

SIMULATIONS, DRAWS, TIMES = 500, 100, 200


def pairs(rng: np.random.Generator, spread: float = 1.0) -> tuple[Array, Array]:
    """Return theta of a standard normal prior, and draws of its posterior given x = theta + e of variance 1, N(x / 2, 1/2)."""
    theta = rng.standard_normal((SIMULATIONS, 2))
    x = theta + rng.standard_normal(theta.shape)
    return theta, x / 2 + spread * np.sqrt(0.5) * rng.standard_normal((DRAWS, *theta.shape))


CHECKS: list[Callable[..., RankCheck]] = [simulation_based_calibration, expected_coverage, tarp]


@pytest.mark.parametrize("check", CHECKS)
def test_the_exact_posterior_is_rejected_as_rarely_as_said(check: Callable[..., RankCheck]) -> None:
    rng = np.random.default_rng(0)
    rejected = np.mean([not check(*pairs(rng), seed=i).accepted for i in range(TIMES)])
    # 5% of 200 times: within 3 standard errors of .015
    assert 0.005 < rejected < 0.097


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("spread", [0.8, 1.25])
def test_a_wrong_spread_is_rejected(check: Callable[..., RankCheck], spread: float) -> None:
    rng = np.random.default_rng(1)
    assert np.mean([check(*pairs(rng, spread), seed=i).accepted for i in range(20)]) == 0


def test_coverage_by_densities_is_exact_too_and_says_which_way_it_is_off() -> None:
    rng = np.random.default_rng(2)

    def checked(spread: float) -> RankCheck:
        theta = rng.standard_normal((SIMULATIONS, 1))
        mean = (theta + rng.standard_normal(theta.shape)) / 2
        draws = mean + spread * np.sqrt(0.5) * rng.standard_normal((DRAWS, *theta.shape))
        densities = -((theta - mean) ** 2)[..., 0], -((draws - mean) ** 2)[..., 0]
        return expected_coverage(theta, draws, log_prob=densities)

    rejected = np.mean([not checked(1.0).accepted for _ in range(TIMES)])
    assert 0.005 < rejected < 0.097
    narrow, wide = checked(0.8), checked(1.25)
    assert "REJECTED" in str(narrow) and "too narrow" in str(narrow)
    assert "REJECTED" in str(wide) and "too wide" in str(wide)
    # of one name there is no worst
    assert "worst" not in str(wide)


def test_coverage_is_that_of_the_intervals() -> None:
    """Of draws of N(0, 0.8) for truths of N(0, 1), the central share c holds P(|z| < 0.8 z_c) of the truths."""
    rng = np.random.default_rng(3)
    truth, draws = rng.standard_normal((20_000, 1)), 0.8 * rng.standard_normal((199, 20_000, 1))
    check = expected_coverage(truth, draws)
    normal = torch.distributions.Normal(0.0, 1.0)
    places = torch.tensor(check.places)
    expected = 2 * normal.cdf(0.8 * normal.icdf((1 + places) / 2)) - 1
    # standard error .0035 at most, and that of 199 draws in place of the posterior
    assert np.abs(check.shares[:, 0] - expected.numpy()).max() < 0.015


def test_the_band_holds_all_places_of_all_names_at_once() -> None:
    rng = np.random.default_rng(4)
    inside, accepted = [], []
    for _ in range(300):
        check = RankCheck("ranks", tuple("abcd"), rng.integers(0, 51, size=(200, 4)), 50)
        low, high = check.band
        inside.append(bool(((check.shares >= low[:, None]) & (check.shares <= high[:, None])).all()))
        accepted.append(check.accepted)
    assert 0.91 < np.mean(inside) < 0.99
    # what is within the band is what is accepted, but for the last digit of a quantile
    assert np.mean(np.array(inside) != np.array(accepted)) < 0.02


def test_equal_numbers_are_ranked_by_chance() -> None:
    rng = np.random.default_rng(5)
    theta, draws = rng.integers(0, 3, (2000, 1)), rng.integers(0, 3, (50, 2000, 1))
    assert simulation_based_calibration(theta, draws).accepted


def test_all_checks_take_any_sampler() -> None:
    rng = np.random.default_rng(8)
    theta = torch.from_numpy(rng.standard_normal((400, 2)))
    x = theta + torch.from_numpy(rng.standard_normal((400, 2)))

    def draw(n: int, given: torch.Tensor) -> torch.Tensor:
        return given / 2 + 0.5**0.5 * torch.from_numpy(rng.standard_normal((n, *given.shape)))

    right = calibrate(draw, theta, x, names=["a", "b"])
    assert right.accepted
    assert str(right).count("accepted") == 3
    shifted = calibrate(lambda n, given: draw(n, given) + torch.tensor([0.0, 0.3]), theta, x, names=["a", "b"])
    assert not shifted.accepted
    assert "worst b;" in str(shifted.checks[0])


def test_what_is_observed_lies_in_what_the_posterior_foretells() -> None:
    """x given draws of N(x / 2, 1/2) is N(x / 2, 3/2): an x of 2 is foretold to be 1 +- 1.22, and 8 to be 4 +- 1.22."""
    rng = np.random.default_rng(7)
    for x, accepted in ((2.0, True), (8.0, False)):
        made = x / 2 + np.sqrt(1.5) * rng.standard_normal((4000, 1))
        check = posterior_predictive(np.array([x]), made, names=["count"])
        assert check.accepted == accepted
        low, high = check.band
        # 4 standard errors of a 2.5% quantile of 4,000 numbers
        assert (low[0], high[0]) == pytest.approx((x / 2 - 2.4, x / 2 + 2.4), abs=0.2)
        assert ("count is 8, foretold are" in str(check)) != accepted


def test_a_right_posterior_predictive_is_accepted_at_least_as_often_as_said() -> None:
    rng = np.random.default_rng(8)
    accepted = []
    for _ in range(300):
        x = np.sqrt(2) * rng.standard_normal(3)
        accepted.append(posterior_predictive(x, x / 2 + np.sqrt(1.5) * rng.standard_normal((200, 3))).accepted)
    assert np.mean(accepted) > 0.94


def test_what_is_compared_may_be_a_summary() -> None:
    x, made = torch.zeros(4, 3), torch.randn(100, 4, 3, generator=torch.Generator().manual_seed(0))
    check = posterior_predictive(x, made, summary=lambda rows: rows.std((1, 2), keepdim=True)[:, 0])
    assert not check.accepted
    assert check.names == ("x 0",)


def test_what_does_not_go_together_is_refused() -> None:
    theta, draws = np.zeros((5, 2)), np.zeros((10, 5, 2))
    with pytest.raises(DataError, match=r"draws \(n, M, D\), not \(5, 2\) and \(10, 5, 1\)"):
        tarp(theta, draws[..., :1])
    with pytest.raises(DataError, match="draws must be finite"):
        tarp(theta, draws + np.nan)
    with pytest.raises(SettingError, match="1 names for 2 parameters"):
        simulation_based_calibration(theta, draws, names=["a"])
    with pytest.raises(DataError, match="3 draws of 2 parameters: 5 are needed"):
        expected_coverage(theta, draws[:3])
    with pytest.raises(DataError, match="log_prob must be of shapes"):
        expected_coverage(theta, draws, log_prob=(np.zeros(5), np.zeros((5, 10))))
    with pytest.raises(DataError, match="references must be of shape"):
        tarp(theta, draws, references=np.zeros(2))
    with pytest.raises(DataError, match=r"x has shape \(2,\)"):
        posterior_predictive(np.zeros(2), np.zeros((10, 3)))
    with pytest.raises(DataError, match=r"10 simulations cannot tell of 2 values .*: give 80"):
        posterior_predictive(np.zeros(2), np.zeros((10, 2)))
    with pytest.raises(SettingError, match="3 names for 2 values"):
        posterior_predictive(np.zeros(2), np.zeros((100, 2)), names=tuple("abc"))
    for check in (simulation_based_calibration, expected_coverage, tarp):
        with pytest.raises(SettingError, match=r"confidence must be below 1, not 1\.0"):
            check(theta, draws, confidence=1.0)
    with pytest.raises(SettingError, match=r"confidence must be below 1, not 1\.0"):
        posterior_predictive(np.zeros(2), np.zeros((100, 2)), confidence=1.0)
    with pytest.raises(
        SettingError, match=r"70 names at confidence 0\.9833 would be accepted whatever .*: check 66 at most"
    ):
        simulation_based_calibration(np.zeros((5, 70)), np.zeros((10, 5, 70)), confidence=1 - 0.05 / 3)
