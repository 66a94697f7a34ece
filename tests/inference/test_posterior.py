"""Posteriors of simulators whose posterior is known, with exact scores in the network's place where one suffices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from known_posterior import NOISE, PRIOR, ExactGivenObservation, exact_mean, exact_posterior, exact_spread
from sklearn.exceptions import NotFittedError
from torch import Tensor
from torch.distributions import MultivariateNormal, Uniform

from ncsn.errors import DataError, SettingError
from ncsn.inference import ObservationAtInput, Posterior, SeveralObservations


@pytest.fixture(scope="module")
def exact() -> Posterior:
    return exact_posterior()


def test_draws_and_densities_are_those_of_the_posterior(exact: Posterior) -> None:
    x = torch.tensor([1.0, -0.5])
    draws = exact.sample((50, 80), x=x)
    assert draws.shape == (50, 80, 2)
    assert draws.dtype == torch.float32
    rows, spread = draws.flatten(0, 1), exact_spread(1)
    # four standard errors
    torch.testing.assert_close(rows.mean(0), exact_mean(x[None]), rtol=0, atol=4 * spread / 4000**0.5)
    assert rows.std(0).numpy() == pytest.approx(spread, rel=4 / 8000**0.5)
    truth = MultivariateNormal(exact_mean(x[None]), spread**2 * torch.eye(2)).log_prob(rows[:50])
    torch.testing.assert_close(exact.log_prob(rows[:50], x=x), truth.double(), rtol=0, atol=5e-3)


@pytest.mark.parametrize("m", [2, 5, 30])
def test_several_observations_are_taken_together_as_bayes_says(exact: Posterior, m: int) -> None:
    x = torch.tensor([0.7, -0.4]) + NOISE * torch.randn(m, 2, generator=torch.Generator().manual_seed(1))
    draws = exact.sample(4000, x=x)
    spread = exact_spread(m)
    torch.testing.assert_close(draws.mean(0), exact_mean(x), rtol=0, atol=0.15 * spread)
    assert draws.std(0).numpy() == pytest.approx(spread, rel=0.05)
    given = exact.log_prob(draws[:20], x=x)
    truth = MultivariateNormal(exact_mean(x), spread**2 * torch.eye(2)).log_prob(draws[:20]).double()
    # up to a constant
    torch.testing.assert_close(given - given.mean(), truth - truth.mean(), rtol=0, atol=0.01 * m)


def test_scores_given_several_are_exact_for_gaussians_at_every_level() -> None:
    m, x = 7, torch.randn(7, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    single = NOISE**2 / (1 + NOISE**2)
    covariances = torch.stack([single * torch.eye(2)] * m + [torch.eye(2)])
    means = torch.cat([x / (1 + NOISE**2), torch.zeros(1, 2)])
    model = SeveralObservations(ExactGivenObservation(), x, covariances, means)
    points = torch.randn(50, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for sigma in (1e-2, 0.1, 1.0, 30.0):
        level = torch.tensor(sigma, dtype=torch.float64)
        truth = (exact_mean(x) - points) / (exact_spread(m) ** 2 + sigma**2)
        torch.testing.assert_close(model(points, level), truth, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(model(points, level.expand(50)), truth, rtol=1e-6, atol=1e-6)


def test_a_precision_below_the_prior_is_raised_to_it() -> None:
    """Draws of two posteriors that seem wider than the prior would have none together."""
    wide = torch.stack([1.5 * torch.eye(2), 1.5 * torch.eye(2), 0.5 * torch.eye(2)])
    model = SeveralObservations(ExactGivenObservation(), torch.zeros(2, 2), wide, torch.zeros(3, 2))
    torch.testing.assert_close(model.covariance, 0.5 * torch.eye(2, dtype=torch.float64))


def test_the_maximum_a_posteriori(exact: Posterior) -> None:
    x = torch.tensor([[1.0, -0.5], [0.4, 0.1]])
    torch.testing.assert_close(exact.map(x=x[0]), exact_mean(x[:1]), rtol=0, atol=0.01)
    torch.testing.assert_close(exact.map(x=x), exact_mean(x), rtol=0, atol=0.01)


def test_batches_of_observations_have_draws_of_their_own(exact: Posterior) -> None:
    x = torch.linspace(-2, 2, 10)[:, None].expand(-1, 2)
    draws = exact.sample_batched(1000, x=x)
    assert draws.shape == (1000, 10, 2)
    torch.testing.assert_close(draws.mean(0), x / (1 + NOISE**2), rtol=0, atol=4 * exact_spread(1) / 1000**0.5)


def test_the_seed_tells_the_draws(exact: Posterior) -> None:
    x = torch.zeros(2)
    assert torch.equal(exact.sample(5, x=x, random_state=3), exact.sample(5, x=x, random_state=3))
    assert not torch.equal(exact.sample(5, x=x, random_state=3), exact.sample(5, x=x, random_state=4))


def uniform_with_noise(theta: Tensor) -> Tensor:
    return theta + 0.3 * torch.randn(theta.shape)


@pytest.fixture(scope="module")
def bounded() -> Posterior:
    box = Uniform(torch.zeros(1), torch.ones(1))
    return Posterior(uniform_with_noise, box, training_steps=600, width=32, random_state=0).fit(3000)


def test_a_trained_posterior_keeps_to_a_bounded_prior(bounded: Posterior) -> None:
    """Given x = 0 it is half a normal distribution, cut off at 0 and at 1, whose mean is 0.3 sqrt(2 / pi) = .239."""
    draws = bounded.sample(4000, x=[0.0])
    assert ((draws > 0) & (draws < 1)).all()
    assert float(draws.mean()) == pytest.approx(0.2387, abs=0.02)
    assert float(draws.std()) == pytest.approx(0.1794, abs=0.02)
    theta = torch.tensor([[0.1], [0.4], [-0.01], [1.01]])
    density = bounded.log_prob(theta, x=[0.0])
    truth = -((theta[:2, 0] / 0.3) ** 2) / 2 - np.log(0.3 * np.sqrt(np.pi / 2) * 0.99914)
    torch.testing.assert_close(density[:2], truth.double(), rtol=0, atol=0.12)
    assert (density[2:] == -torch.inf).all()
    grid = torch.linspace(1e-3, 1 - 1e-3, 400)[:, None]
    assert float(torch.trapezoid(bounded.log_prob(grid, x=[0.3]).exp(), grid[:, 0].double())) == pytest.approx(
        1, abs=0.01
    )


def test_simulations_repeat_with_the_seed_and_leave_torch_alone(bounded: Posterior) -> None:
    before = torch.get_rng_state()
    first, again = (bounded.simulated(10, random_state=1) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[1].shape == (10, 1)


def quick(simulate: Any, **how: Any) -> Posterior:
    return Posterior(simulate, PRIOR, training_steps=2, width=8, random_state=0, **how)


def test_simulators_of_arrays_of_vectors_and_of_sets() -> None:
    kinds = []

    def of_arrays(theta: Any) -> Any:
        kinds.append((type(theta), theta.shape))
        return np.sin(theta)

    assert quick(of_arrays, numpy=True, simulation_batch_size=30).fit(50).shape_ == (2,)
    assert kinds == [(np.ndarray, (30, 2)), (np.ndarray, (20, 2))]
    # the training's own batch size is another
    assert quick(torch.sin, batch_size=7, simulation_batch_size=30).fit(50).estimator.plan_.batch_size == 7

    def of_one(theta: Tensor) -> float:
        return float(theta @ theta)

    posterior = quick(of_one, simulation_batch_size=1).fit(20)
    assert posterior.sample(3, x=[1.0]).shape == (3, 2)
    sets = quick(lambda theta: theta[:, None] + torch.randn(len(theta), 4, 2)).fit(20)
    assert sets.sample(3, x=torch.zeros(4, 2)).shape == (3, 2)
    assert sets.sample(3, x=torch.zeros(5, 4, 2)).shape == (3, 2)


def test_observations_may_be_sets() -> None:
    def spread_by_place(theta: Tensor) -> Tensor:
        return theta[:, None] + torch.randn(len(theta), 3, 2)

    posterior = quick(spread_by_place, exchangeable=True).fit(200)
    assert posterior.sample(3, x=torch.zeros(3, 2)).shape == (3, 2)
    with pytest.raises(DataError, match=r"exchangeable observations are sets, \(k, d\) each, not of shape \(2,\)"):
        quick(lambda theta: theta, exchangeable=True).fit(20)
    with pytest.raises(SettingError, match="leave out network"):
        quick(lambda theta: theta, exchangeable=True, network=ObservationAtInput)


def test_progress_is_shown_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    quick(lambda theta: theta).fit(20)
    assert capsys.readouterr() == ("", "")
    quick(lambda theta: theta).fit(20, progress=True)
    shown = capsys.readouterr().err
    assert "simulations" in shown and "20/20" in shown
    assert "training" in shown and "2/2" in shown


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SettingError, match="there is no simulator"):
        quick(None).fit(10)
    with pytest.raises(SettingError, match="simulate must be callable"):
        quick(3)
    with pytest.raises(SettingError, match="simulations must be a whole number of at least 2"):
        quick(lambda theta: theta).fit(1)
    with pytest.raises(DataError, match=r"returned shape \(5, 2\) for 10 rows"):
        quick(lambda theta: theta[:5]).fit(10)
    with pytest.raises(DataError, match="simulations are not finite"):
        quick(lambda theta: theta.log()).fit(10)
    with pytest.raises(DataError, match=r"10 rows of theta, and x of shape \(9, 2\)"):
        quick(None).fit((np.zeros((10, 2)), np.zeros((9, 2))))
    with pytest.raises(SettingError, match=r"a pair \(theta, x\), not 3 things"):
        quick(None).fit((0, 1, 2))  # type: ignore[arg-type]
    posterior = quick(lambda theta: theta)
    for use in (posterior.sample, posterior.sample_batched, posterior.map):
        with pytest.raises(
            NotFittedError, match=r"knows no simulations yet: call fit first, as posterior.fit\(10_000\)"
        ):
            use(x=torch.zeros(2), **({"n": 3} if use == posterior.sample_batched else {}))
    posterior.fit(20)
    with pytest.raises(DataError, match=r"x has shape \(3,\); one observation has \(2,\), several have \('m', 2\)"):
        posterior.sample(1, x=torch.zeros(3))
    with pytest.raises(DataError, match="theta: 1 of 2 rows hold a NaN; leave them out"):
        posterior.log_prob([[0.0, np.nan], [0.0, 0.0]], x=torch.zeros(2))
    with pytest.raises(DataError, match="x is not finite"):
        posterior.sample(1, x=torch.tensor([0.0, np.nan]))
    with pytest.raises(SettingError, match="give generator or random_state, not both"):
        posterior.sample(1, x=torch.zeros(2), generator=torch.Generator(), random_state=0)
