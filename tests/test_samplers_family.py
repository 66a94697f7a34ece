"""The family of samplers against closed forms: exact variances, orders of convergence, exact flows.

Where the score is linear a sampler is a linear map of its start and its noise. `variances` reads that map off, one draw
of noise a row, so that the variance of its samples is known without sampling.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from ncsn.errors import DivergenceError
from ncsn.exact import GaussianMixtureScore
from ncsn.samplers import SAMPLERS, CountedModel, sample, trajectory
from ncsn.samplers.base import Noise, State
from ncsn.noise import create_noise_schedule

SIGMA_MIN, SIGMA_MAX = 0.1, 10.0


def levels(count: int, kind: str = "geometric") -> Tensor:
    return create_noise_schedule(SIGMA_MIN, SIGMA_MAX, count, kind, dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(variance: float) -> Callable[..., Tensor]:
    """The score of N(0, variance), and of a point at 0 where the variance is 0."""
    return lambda x, sigma: -x / (variance + sigma**2)


def mixture() -> GaussianMixtureScore:
    return GaussianMixtureScore([0.7, 0.3], torch.tensor([[-1.5], [1.5]], dtype=torch.float64), 0.16)


class Impulses(Noise):
    """Noise whose k-th draw is 1 in row k and 0 elsewhere."""

    def __init__(self) -> None:
        super().__init__([], 1, torch.device("cpu"))
        self.draws = 0

    def like(self, x: Tensor) -> Tensor:
        self.draws += 1
        return torch.zeros_like(x).index_fill_(0, torch.tensor(self.draws), 1.0)


def walk(name: str, model: Any, x: Tensor, sigmas: Tensor, noise: Noise, **options: Any) -> list[State]:
    return list(SAMPLERS[name](CountedModel(model), x, sigmas, noise, **options))


def variances(name: str, variance: float, sigmas: Tensor, **options: Any) -> list[float]:
    """The exact variance of the samples at each level of a Gaussian, the start first."""
    x = torch.zeros(len(sigmas) * options.get("n_steps_per_sigma", 1) + 1, 1, dtype=sigmas.dtype)
    x[0] = (variance + sigmas[0] ** 2).sqrt()
    states = walk(name, gaussian(variance), x, sigmas, Impulses(), **options)
    return [float(rows.square().sum()) for rows in [x, *(state.x for state in states)]]


def flow(model: GaussianMixtureScore, x: Tensor, sigmas: Tensor) -> Tensor:
    """The end of the probability-flow ODE by SciPy."""

    def velocity(log_sigma: float, y: np.ndarray) -> np.ndarray:
        sigma = math.exp(log_sigma)
        return -(sigma**2) * model(torch.as_tensor(y)[:, None], sigma)[:, 0].numpy()

    ends = sigmas[[0, -1]].log().tolist()
    solved = solve_ivp(velocity, ends, x[:, 0].numpy(), method="DOP853", rtol=1e-11, atol=1e-11)
    return torch.as_tensor(solved.y[:, -1:])


# --- rows of one form -------------------------------------------------------------------------------------------------


def test_samplers_that_share_coefficients_are_equal() -> None:
    sigmas, x = levels(9), 10 * torch.randn(50, 1, generator=generator(), dtype=torch.float64)
    ratio = float(sigmas[1] / sigmas[0])

    def last(name: str, **options: Any) -> Tensor:
        return walk(name, mixture(), x, sigmas, Noise([1], 50, x.device), **options)[-1].x

    torch.testing.assert_close(last("ancestral", eta=0.0), last("ddim"))
    least = 2 * SIGMA_MIN**2 * (1 - ratio + 1e-14)
    torch.testing.assert_close(last("consistent_annealed", step_size=least), last("ddim"), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        last("consistent_annealed", step_size=2 * SIGMA_MIN**2 * (1 - ratio**2)), last("ancestral")
    )
    torch.testing.assert_close(last("predictor_corrector", n_corrector_steps=0), last("reverse_sde"))


@pytest.mark.parametrize("name", ["ancestral", "consistent_annealed", "ddim", "predictor_corrector", "reverse_sde"])
def test_samples_do_not_depend_on_the_chunks(name: str) -> None:
    whole, parts = (
        sample(mixture(), levels(5), 5000, 1, name, generator=generator(), chunk_size=size) for size in (5000, 1)
    )
    torch.testing.assert_close(whole, parts, rtol=1e-12, atol=1e-12)


# --- consistent annealed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["geometric", "karras"])
@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("step_size", [None, 0.012, 0.02, 0.025])
def test_consistent_annealing_keeps_the_variance_of_every_level_around_a_point(
    kind: str, n_steps: int, step_size: float | None
) -> None:
    sigmas = levels(30, kind)
    found = variances("consistent_annealed", 0.0, sigmas, n_steps_per_sigma=n_steps, step_size=step_size)
    expected = sigmas.repeat_interleave(n_steps).square().tolist()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("step_size", [None, 0.01])
def test_consistent_annealing_loses_the_variance_of_wide_data_that_its_docstring_says(step_size: float | None) -> None:
    sigmas, variance = levels(12), 0.8
    eta = 1.2 * (1 - float(sigmas[1] / sigmas[0])) if step_size is None else step_size / (2 * SIGMA_MIN**2)
    first, second = sigmas[:2].tolist()
    found = variances("consistent_annealed", variance, sigmas, step_size=step_size)[1]
    lost = eta**2 * first**2 * variance / (variance + first**2)
    assert found == pytest.approx(variance + second**2 - lost, rel=1e-12)


def test_consistent_annealing_takes_as_many_evaluations_as_steps() -> None:
    states = list(trajectory(mixture(), levels(8), 3, 1, "consistent_annealed", n_steps_per_sigma=4))
    assert states[-1].evaluations == states[-1].step == 32
    first, second, third = levels(8)[:3].tolist()
    assert [state.sigma for state in states[:9]] == [first] * 4 + [second] * 4 + [third]


# --- ancestral, ddim, reverse SDE -------------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ancestral_follows_the_recursion_of_the_posterior(eta: float) -> None:
    """DDIM's eq. 12 divided by alpha': D + sqrt(sigma'^2 - s^2) (x - D) / sigma + s z."""
    sigmas, variance = levels(15, "karras"), 0.5
    expected = [variance + SIGMA_MAX**2]
    for sigma, following in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        shrink = variance / (variance + sigma**2)
        drawn = eta**2 * following**2 * (sigma**2 - following**2) / sigma**2
        slope = shrink + math.sqrt(following**2 - drawn) / sigma * (1 - shrink)
        expected.append(slope**2 * expected[-1] + drawn)
    np.testing.assert_allclose(variances("ancestral", variance, sigmas, eta=eta), expected, rtol=1e-12)


def test_reverse_sde_follows_the_recursion_of_euler_and_maruyama() -> None:
    sigmas, variance = levels(15, "karras"), 0.5
    expected = [variance + SIGMA_MAX**2]
    for sigma, following in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        time = sigma**2 - following**2
        expected.append((1 - time / (variance + sigma**2)) ** 2 * expected[-1] + time)
    np.testing.assert_allclose(variances("reverse_sde", variance, sigmas), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["ancestral", "consistent_annealed", "ddim", "reverse_sde"])
@pytest.mark.parametrize("variance", [0.3, 2.0])
def test_variance_of_a_gaussian_converges_with_order_one(name: str, variance: float) -> None:
    errors = [
        abs(variances(name, variance, levels(steps + 1))[-1] - variance - SIGMA_MIN**2) for steps in (200, 400, 800)
    ]
    assert errors[-1] < 0.03 * variance
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 1.0, atol=0.06)


@pytest.mark.parametrize("name", ["ancestral", "reverse_sde"])
def test_a_mixture_converges_in_distribution_with_order_one(name: str) -> None:
    """Half the step halves the errors of mean and variance, to a quarter and four standard errors."""
    truth, n = mixture(), 200_000
    start, end = truth.sample(n, generator(1), SIGMA_MAX), truth.sample(n, generator(2), SIGMA_MIN) - truth.mean
    moments = np.array([float(truth.mean), float(truth.covariance) + SIGMA_MIN**2])
    standard_errors = np.array([float(end.std()), float(end.square().std())]) / math.sqrt(n)
    errors = []
    for steps in (10, 20, 40):
        options: dict[str, Any] = {"denoise_last": False, "generator": generator(steps)}
        x = sample(truth, levels(steps + 1), n, 1, name, start, **options)
        errors.append(np.array([float(x.mean()), float(x.var())]) - moments)
    assert (np.abs(errors[-1]) > 5 * standard_errors).all()
    for coarse, fine in itertools.pairwise(errors):
        assert (np.abs(coarse - 2 * fine) < 0.25 * np.abs(coarse) + 4 * math.sqrt(5) * standard_errors).all()


# --- deterministic samplers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("heun", 2), ("dpmpp_2m", 2)])
def test_order_on_a_mixture(name: str, order: int) -> None:
    """The median, because where the modes part errors grow until the steps are very small."""
    model, x = mixture(), mixture().sample(64, generator(), SIGMA_MAX)
    exact = flow(model, x, levels(2))
    errors = []
    for steps in (80, 160, 320):
        found = walk(name, model, x, levels(steps + 1), Impulses())[-1].x
        errors.append(float((found - exact).abs().median()))
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), order, atol=0.05)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("count", [2, 7])
def test_ode_is_within_its_tolerance(tolerance: float, count: int) -> None:
    variance, x = 0.5, SIGMA_MAX * torch.randn(100, 2, generator=generator(), dtype=torch.float64)
    states = walk("ode", gaussian(variance), x, levels(count), Impulses(), tolerance=tolerance)
    assert len(states) == count - 1
    for state in states:
        exact = x * math.sqrt((variance + state.sigma**2) / (variance + SIGMA_MAX**2))
        assert float((state.x - exact).abs().max()) < 20 * tolerance
        assert state.denoised is not None
        torch.testing.assert_close(
            state.denoised, exact * variance / (variance + state.sigma**2), rtol=0, atol=20 * tolerance
        )


def test_ode_on_a_mixture_agrees_with_scipy() -> None:
    model, x = mixture(), mixture().sample(64, generator(), SIGMA_MAX)
    found = walk("ode", model, x, levels(4), Impulses(), tolerance=1e-9)[-1].x
    torch.testing.assert_close(found, flow(model, x, levels(2)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ode_counts_its_evaluations_and_stays_within_the_levels(dtype: torch.dtype) -> None:
    seen: list[float] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append(float(sigma))
        return -x / (0.01 + sigma**2)

    states = walk("ode", model, torch.ones(3, 2, dtype=dtype), levels(6).to(dtype), Impulses())
    assert states[-1].evaluations == len(seen)
    assert states[-1].x.dtype == dtype
    assert SIGMA_MIN * (1 - 1e-6) <= min(seen) <= max(seen) <= SIGMA_MAX * (1 + 1e-6)


def test_ode_takes_fewer_evaluations_for_less_accuracy() -> None:
    x = mixture().sample(64, generator(), SIGMA_MAX)
    counts = [walk("ode", mixture(), x, levels(2), Impulses(), tolerance=t)[-1].evaluations for t in (1e-2, 1e-5, 1e-8)]
    assert 30 < counts[0] < counts[1] < counts[2] < 400


def test_ode_says_at_which_level_the_score_is_not_finite() -> None:
    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return -x / sigma**2 if sigma > 1.001 else x * math.nan

    with pytest.raises(DivergenceError, match="not finite at noise level 1:"):
        walk("ode", model, torch.ones(2, 1), levels(3).float(), Impulses())


# --- predictor and corrector ------------------------------------------------------------------------------------------


def test_the_corrector_improves_on_the_predictor() -> None:
    truth, n = mixture(), 50_000
    expected = truth.sample(n, generator(5), SIGMA_MIN).sort(dim=0).values
    distances = []
    for corrections in (0, 1, 4):
        options: dict[str, Any] = {"denoise_last": False, "generator": generator(), "n_corrector_steps": corrections}
        found = sample(truth, levels(15), n, 1, "predictor_corrector", **options)
        distances.append(float((found.sort(dim=0).values - expected).abs().mean()))
    assert distances[1] < 0.9 * distances[0]
    assert distances[2] < 0.6 * distances[0]


def test_the_corrector_runs_at_every_level() -> None:
    states = list(trajectory(mixture(), levels(3), 2, 1, "predictor_corrector", n_corrector_steps=2))
    assert [round(state.sigma, 6) for state in states] == [10, 10, 10, 1, 1, 1, 0.1, 0.1, 0.1, 0]
    assert [state.evaluations for state in states] == [state.step for state in states] == list(range(10))


def test_the_corrector_keeps_the_noise_of_langevin_dynamics() -> None:
    """Around a point its alpha is 4 snr^2 sigma^2, with which chains end at 4 / (4 - 4 snr^2) times the variance."""
    sigma, snr, rows, dim = torch.tensor([2.0]), 0.3, 400, 100
    x = 2 * torch.randn(rows, dim, generator=generator())
    noise = Noise([0], rows, x.device)
    end = walk("predictor_corrector", gaussian(0.0), x, sigma, noise, snr=snr, n_corrector_steps=60)[-1].x
    assert float(end.var()) / 4 == pytest.approx(1 / (1 - snr**2), abs=4 * math.sqrt(2 / (rows * dim)))


# --- consistency ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 6])
def test_consistency_with_the_exact_flow_map_is_exact(count: int) -> None:
    sigmas, variance = levels(count), 0.7

    def end_of_flow(x: Tensor, sigma: Tensor) -> Tensor:
        return x * ((variance + SIGMA_MIN**2) / (variance + sigma**2)).sqrt()

    x = torch.zeros(count, 1, dtype=torch.float64)
    x[0] = (variance + sigmas[0] ** 2).sqrt()
    states = walk("consistency", end_of_flow, x, sigmas, Impulses())
    found = [float(state.x.square().sum()) for state in states]
    np.testing.assert_allclose(found, variance + sigmas[1:].numpy() ** 2, rtol=1e-12)
    assert states[-1].evaluations == count - 1


def test_nothing_is_denoised_after_the_end_of_the_flow() -> None:
    def end_of_flow(x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        return x / 10

    states = list(trajectory(end_of_flow, levels(2), 4, 2, "consistency", generator=generator()))
    assert [(state.sigma, state.evaluations) for state in states] == [(10.0, 0), (0.0, 1)]
    torch.testing.assert_close(states[1].x, states[0].x / 10)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ancestral", {"eta": 1.5}, "eta must lie between 0"),
        ("ancestral", {"eta": math.nan}, "eta must lie between 0"),
        ("consistent_annealed", {"n_steps_per_sigma": 0}, "n_steps_per_sigma must be a whole number"),
        ("consistent_annealed", {"step_size": 1e-4}, r"step_size must lie between 0.018 and 0.022"),
        ("consistent_annealed", {"step_size": math.nan}, "step_size must lie between"),
        ("predictor_corrector", {"snr": 0.0}, "snr must be positive"),
        ("predictor_corrector", {"n_corrector_steps": -1}, "n_corrector_steps must not be negative"),
        ("ode", {"tolerance": 0.0}, "tolerance must be positive"),
    ],
)
def test_options_out_of_range(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample(gaussian(1.0), levels(3), 2, 1, name, **options)


@pytest.mark.parametrize(("name", "options"), [("consistency", {}), ("consistent_annealed", {"n_steps_per_sigma": 2})])
def test_one_level_is_too_few(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="level"):
        sample(gaussian(1.0), levels(3)[:1], 2, 1, name, **options)


@pytest.mark.parametrize(
    "name", ["ancestral", "consistent_annealed", "ddim", "ode", "predictor_corrector", "reverse_sde"]
)
def test_shapes_and_types_are_kept(name: str) -> None:
    found = sample(gaussian(1.0), levels(4), 3, (2, 4, 4), name, generator=generator())
    assert (found.shape, found.dtype) == ((3, 2, 4, 4), torch.float64)
