"""Samplers on exact scores: convergence orders, distributions in closed form, published experiments, and the driver."""

import itertools
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor, nn

from ncsn.errors import DivergenceError
from ncsn.exact import EmpiricalScore, GaussianMixtureScore
from ncsn.networks import NCSNScoreNetwork
from ncsn.samplers import SAMPLERS, CountedModel, Noise, State, annealed_langevin_dynamics, sample, trajectory
from ncsn.noise import create_noise_schedule
from ncsn.noise import langevin_step_size

OPTIONS: dict[str, dict[str, Any]] = {
    "langevin": {"n_steps": 6},
    "annealed_langevin": {"n_steps_per_sigma": 3, "step_size": 1e-3},
    "consistent_annealed": {},
    "predictor_corrector": {},
    "ancestral": {},
    "ddim": {},
    "reverse_sde": {},
    "heun": {},
    "dpmpp_2m": {},
}
"""Options under which each sampler walks few steps: the driver's part in them is tested here, the family's own numbers
in `test_samplers_family`."""

VARIANTS = [
    *OPTIONS.items(),
    ("annealed_langevin", {"n_steps_per_sigma": 3, "step_size": 1e-3, "step_rule": "score"}),
    ("heun", {"churn": 2.0}),
    ("dpmpp_2m", {"spread": 1.5, "churn": 2.0}),
]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def levels(low: float, high: float, count: int, kind: str = "geometric") -> Tensor:
    return create_noise_schedule(low, high, count, kind, dtype=torch.float64)


def gaussian(mean: list[float], variances: list[float]) -> GaussianMixtureScore:
    return GaussianMixtureScore([1.0], np.array([mean]), np.array([variances]))


def at_origin(dim: int) -> GaussianMixtureScore:
    """Return the score of noise around one point, -x / sigma^2."""
    return gaussian([0.0] * dim, [0.0] * dim)


def variance_is(x: Tensor, expected: float, share: float = 0.0) -> bool:
    """Whether the variance of all entries is as expected, within 4 standard errors and a share of it."""
    return abs(float(x.square().mean()) / expected - 1) < 4 * math.sqrt(2 / x.numel()) + share


def test_every_sampler_is_tested() -> None:
    # one chooses its own steps, the other takes no score model
    assert set(OPTIONS) | {"ode", "consistency"} == set(SAMPLERS)


# Convergence of the deterministic samplers


def uneven(low: float, high: float, count: int) -> Tensor:
    """Return levels whose steps of log sigma are in turns long and a third as long."""
    steps = torch.tensor([3.0, 1.0], dtype=torch.float64).repeat(count // 2)[: count - 1]
    way = torch.cat([torch.zeros(1, dtype=torch.float64), steps.cumsum(0) / steps.sum()])
    return high * (low / high) ** way


GRIDS: dict[str, Callable[[int], Tensor]] = {
    "geometric": lambda count: levels(0.05, 10.0, count),
    "karras": lambda count: levels(0.05, 10.0, count, "karras"),
    "uneven": lambda count: uneven(0.05, 10.0, count),
}


def observed_order(
    sampler: str, options: dict[str, Any], model: Callable[..., Tensor], x: Tensor, end: Tensor, grid: str
) -> float:
    """Return the order at which the error falls between 80 and 160 steps."""
    errors = [
        float((sample(model, GRIDS[grid](count), len(x), 2, sampler, x, False, **options) - end).norm())
        for count in (81, 161)
    ]
    return math.log2(errors[0] / errors[1])


ORDERS: list[tuple[str, dict[str, Any], int]] = [
    ("ddim", {}, 1),
    ("heun", {}, 2),
    ("dpmpp_2m", {}, 2),
    ("dpmpp_2m", {"spread": 1.2}, 2),
]


@pytest.mark.parametrize(("sampler", "options", "order"), ORDERS)
@pytest.mark.parametrize("grid", GRIDS)
def test_order_on_a_gaussian(sampler: str, options: dict[str, Any], order: int, grid: str) -> None:
    mean, variances = torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([0.5, 2.0], dtype=torch.float64)
    x = 10 * points(20, 2)
    # the flow scales each axis by the standard deviations at its ends
    end = mean + (x - mean) * ((variances + 0.05**2) / (variances + 10**2)).sqrt()
    model = gaussian(mean.tolist(), variances.tolist())
    assert observed_order(sampler, options, model, x, end, grid) == pytest.approx(order, abs=0.15)


@pytest.fixture(scope="module")
def mixture_flow() -> tuple[GaussianMixtureScore, Tensor, Tensor]:
    """Return a mixture, starts at sigma 10, and where scipy's solver carries them at 0.05."""
    model = GaussianMixtureScore(
        [1.0, 2.0], np.array([[-1.0, 0.5], [1.5, 0.0]]), np.array([[[0.4, 0.2], [0.2, 0.3]]] * 2)
    )
    x = 10 * points(8, 2)

    def slope(sigma: float, flat: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return (-sigma * model(torch.from_numpy(flat).reshape(-1, 2), sigma)).flatten().numpy()

    solution = solve_ivp(slope, (10.0, 0.05), x.flatten().numpy(), rtol=1e-10, atol=1e-10, method="DOP853")
    return model, x, torch.from_numpy(solution.y[:, -1]).reshape(-1, 2)


@pytest.mark.parametrize(("sampler", "options", "order"), ORDERS)
def test_order_on_a_mixture(
    sampler: str, options: dict[str, Any], order: int, mixture_flow: tuple[GaussianMixtureScore, Tensor, Tensor]
) -> None:
    assert observed_order(sampler, options, *mixture_flow, "karras") == pytest.approx(order, abs=0.25)


def test_the_spread_of_the_data_lessens_the_error(mixture_flow: tuple[GaussianMixtureScore, Tensor, Tensor]) -> None:
    model, x, end = mixture_flow
    spread = float(model.covariance.diagonal().mean().sqrt())

    def error(count: int, spread: float) -> float:
        sigmas = levels(0.05, 10.0, count, "karras")
        return float((sample(model, sigmas, 8, 2, "dpmpp_2m", x, False, spread=spread) - end).norm())

    for count in (6, 11, 21, 41):
        assert error(count, spread) < 0.8 * error(count, 0.0)


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m"])
def test_first_order_exponential_steps_are_exact_around_a_point(sampler: str) -> None:
    centre = torch.tensor([3.0, -1.0], dtype=torch.float64)
    x = 10 * points(5, 2)
    end = sample(gaussian(centre.tolist(), [0.0, 0.0]), levels(0.1, 10.0, 3), 5, 2, sampler, x, False)
    torch.testing.assert_close(end, centre + (x - centre) / 100, rtol=1e-12, atol=1e-12)


def test_dpmpp_2m_looks_ahead_to_the_middle_of_each_step() -> None:
    # where the denoised point moves in a line with log sigma, so that two of them tell where it is in between
    start, way = points(5, 2), points(5, 2, seed=1)

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return (start + way * sigma.log() - x) / sigma**2

    sigmas, x = uneven(0.05, 10.0, 7), 10 * points(5, 2, seed=2)
    expected = x
    for i, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        middle = sigma if i == 0 else (sigma * following).sqrt()
        denoised = start + way * middle.log()
        expected = denoised + following / sigma * (expected - denoised)
    torch.testing.assert_close(sample(model, sigmas, 5, 2, "dpmpp_2m", x, False), expected)


def test_dpmpp_2m_with_a_spread_follows_a_gaussian_of_it_exactly() -> None:
    x = 10 * points(5, 2)
    end = sample(gaussian([0.0, 0.0], [1.44] * 2), levels(0.1, 10.0, 3), 5, 2, "dpmpp_2m", x, False, spread=1.2)
    torch.testing.assert_close(end, x * math.sqrt((1.44 + 0.01) / (1.44 + 100)), rtol=1e-12, atol=1e-12)


def test_dpmpp_2m_with_a_spread_turns_by_the_velocity_ahead() -> None:
    # where EDM's network answers F in a line with log sigma: x / hypot(sigma, spread) turns by F a unit of angle
    start, way, spread = points(5, 2), points(5, 2, seed=1), 0.7

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        total = sigma**2 + spread**2
        denoised = spread**2 / total * x + sigma * spread / total.sqrt() * (start + way * sigma.log())
        return (denoised - x) / sigma**2

    sigmas, x = uneven(0.05, 10.0, 7), 10 * points(5, 2, seed=2)
    turned = x / math.hypot(10.0, spread)
    for i, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        middle = sigma if i == 0 else (sigma * following).sqrt()
        angle = (sigma / spread).arctan() - (following / spread).arctan()
        turned = turned + angle * (start + way * middle.log())
    reached = sample(model, sigmas, 5, 2, "dpmpp_2m", x, False, spread=spread)
    torch.testing.assert_close(reached, turned * math.hypot(0.05, spread))


def test_dpmpp_2m_is_the_published_one_in_the_limit_of_no_spread() -> None:
    model, x = GaussianMixtureScore([1.0, 2.0], np.array([[-1.0, 0.5], [1.5, 0.0]]), 0.1), 10 * points(5, 2)
    published, nearly = (
        sample(model, levels(0.1, 10.0, 9), 5, 2, "dpmpp_2m", x, False, spread=spread) for spread in (0.0, 1e-6)
    )
    torch.testing.assert_close(nearly, published, rtol=1e-9, atol=1e-9)


# Distributions


@pytest.mark.parametrize(
    ("sampler", "options"),
    [
        ("ddim", {}),
        ("heun", {}),
        ("heun", {"churn": 10}),
        ("dpmpp_2m", {}),
        ("dpmpp_2m", {"spread": 1.2, "churn": 10}),
    ],
)
def test_a_gaussian_is_sampled_in_mean_and_variance(sampler: str, options: dict[str, Any]) -> None:
    n, mean, variances = 8000, [1.0, -2.0], [0.3, 2.0]
    sigmas = levels(0.05, 30.0, 150)
    x = sample(gaussian(mean, variances), sigmas, n, 2, sampler, None, False, generator(), **options)
    for axis in range(2):
        variance = variances[axis] + 0.05**2
        # the start lacks the data's own mean, of which the flow leaves this share
        missing = 0 if "churn" in options else math.sqrt(variance / (variances[axis] + 30**2))
        assert abs(x[:, axis].mean() - mean[axis] * (1 - missing)) < 4 * math.sqrt(variance / n)
        assert variance_is(x[:, axis] - x[:, axis].mean(), variance, 0.02)


def test_the_weights_and_widths_of_a_mixture() -> None:
    n = 10_000
    model = GaussianMixtureScore(
        [0.2, 0.5, 0.3], np.array([[-3.0, 0.0], [0.0, 3.0], [3.0, -1.0]]), np.array([0.1, 0.2, 0.05])
    )
    sigmas = levels(0.02, 40.0, 40, "karras")
    x = sample(model, sigmas, n, 2, "heun", model.sample(n, generator(), sigmas[0]))
    nearest = torch.cdist(x, model.means).argmin(dim=1)
    for k, (weight, variance) in enumerate(zip([0.2, 0.5, 0.3], [0.1, 0.2, 0.05], strict=True)):
        members = x[nearest == k]
        assert abs(len(members) / n - weight) < 4 * math.sqrt(weight * (1 - weight) / n)
        assert variance_is(members - model.means[k], variance, 0.01)


@pytest.mark.parametrize("relative", [0.1, 0.5, 2.0, 3.5])
def test_langevin_s_stationary_variance(relative: float) -> None:
    sigma, n = 0.3, 4000
    steps = 120 if relative == 0.1 else 40
    sigmas = torch.tensor([sigma], dtype=torch.float64)
    expected = 4 / (4 - relative) * sigma**2
    annealed = sample(
        at_origin(5), sigmas, n, 5, "annealed_langevin", None, False, generator(),
        n_steps_per_sigma=steps, step_size=relative * sigma**2,
    )  # fmt: skip
    assert variance_is(annealed, expected)
    plain = sample(
        at_origin(5), sigmas, n, 5, "langevin", None, False, generator(1), n_steps=steps, step_size=relative * sigma**2
    )
    assert variance_is(plain, expected)


def test_annealed_langevin_s_variance_from_level_to_level() -> None:
    relative, steps, sigmas = 0.4, 3, levels(0.1, 2.0, 4)
    # x' = (1 - a/2) x + sqrt(a) sigma z, by hand for each level in turn
    variance = float(sigmas[0]) ** 2
    for level in sigmas.tolist():
        for _ in range(steps):
            variance = (1 - relative / 2) ** 2 * variance + relative * level**2
    x = sample(
        at_origin(5), sigmas, 8000, 5, "annealed_langevin", None, False, generator(),
        n_steps_per_sigma=steps, step_size=relative * 0.1**2,
    )  # fmt: skip
    assert variance_is(x, variance)
    assert abs(variance / 0.1**2 - 4 / (4 - relative)) > 0.5


def test_langevin_in_the_data_s_own_units() -> None:
    # the chain moves by alpha/2 times the score, so that a Gaussian of variance v + sigma^2 has a = alpha / (v + sigma^2)
    variance, alpha = 2.0, 1.5
    sigmas = torch.tensor([0.5], dtype=torch.float64)
    x = sample(
        gaussian([0.0] * 5, [variance] * 5),
        sigmas,
        4000,
        5,
        "langevin",
        None,
        False,
        generator(),
        n_steps=60,
        step_size=alpha,
    )
    total = variance + 0.25
    assert variance_is(x, total * 4 / (4 - alpha / total))


@pytest.mark.parametrize("sampler", ["langevin", "annealed_langevin"])
def test_the_default_step_at_one_level_is_a_tenth_of_its_variance(sampler: str) -> None:
    options: dict[str, Any] = {"n_steps" if sampler == "langevin" else "n_steps_per_sigma": 120}
    sigmas = torch.tensor([0.01], dtype=torch.float64)
    x = sample(at_origin(5), sigmas, 4000, 5, sampler, None, False, generator(), **options)
    assert variance_is(x, 4 / 3.9 * 0.01**2)


def test_the_default_step_is_technique_4_s_for_the_last_two_levels() -> None:
    sigmas = levels(0.1, 2.0, 6, "karras")
    step_size = langevin_step_size(0.1, float(sigmas[-2]) / 0.1, 7)
    given, chosen = (
        sample(
            at_origin(2),
            sigmas,
            10,
            2,
            "annealed_langevin",
            None,
            False,
            generator(),
            n_steps_per_sigma=7,
            step_size=size,
        )
        for size in (step_size, None)
    )
    assert given.abs().min() > 1e-4
    torch.testing.assert_close(given, chosen, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("variance", [0.0, 1.5])
@pytest.mark.parametrize("relative", [0.2, 1.0])
def test_the_score_rule_s_stationary_variance(variance: float, relative: float) -> None:
    sigma, n = 0.5, 4000
    # with W the variance and V = v + sigma^2, mean |s|^2 / D is W / V^2, so alpha is relative V^2 / W, and Langevin's
    # W = V / (1 - alpha / 4V) gives W = V (1 + relative / 4)
    expected = (variance + sigma**2) * (1 + relative / 4)
    x = sample(
        gaussian([0.0] * 5, [variance] * 5), torch.tensor([sigma], dtype=torch.float64), n, 5, "annealed_langevin", None,
        False, generator(), n_steps_per_sigma=100, step_size=relative * sigma**2, step_rule="score",
    )  # fmt: skip
    assert variance_is(x, expected, 0.002)


def test_both_step_rules_agree_in_equilibrium_and_the_score_rule_walks_on_from_afar() -> None:
    sigma, relative, n = 0.2, 0.1, 2048
    sigmas = torch.tensor([sigma], dtype=torch.float64)

    def one_step(x: Tensor, rule: str) -> Tensor:
        return sample(
            at_origin(2), sigmas, n, 2, "annealed_langevin", x, False, generator(),
            n_steps_per_sigma=1, step_size=relative * sigma**2, step_rule=rule,
        )  # fmt: skip

    # rows whose scores have exactly the size of the noise's
    typical = sigma * points(n, 2, seed=1).sign()
    torch.testing.assert_close(one_step(typical, "score"), one_step(typical, "sigma"), rtol=1e-12, atol=0)
    equilibrium = sigma * points(n, 2, seed=1)
    moves = [one_step(equilibrium, rule) - equilibrium for rule in ("sigma", "score")]
    # the same noise, and a step that differs by the standard error of mean |s|^2 among 2,048 rows
    assert (moves[0] - moves[1]).abs().max() < 0.1 * moves[0].abs().max()
    afar = 100 * equilibrium
    long, short = ((one_step(afar, rule) - afar).norm() for rule in ("sigma", "score"))
    assert short < 0.1 * long


def test_the_score_rule_does_not_leap_with_a_single_chain() -> None:
    sigma = 0.5
    states = trajectory(
        at_origin(1), torch.tensor([sigma], dtype=torch.float64), 1, 1, "annealed_langevin", None, False, generator(),
        n_steps_per_sigma=1000, step_size=0.5 * sigma**2, step_rule="score",
    )  # fmt: skip
    assert max(float(state.x.abs()) for state in states) < 6 * sigma


def test_the_toy_experiment_of_song_and_ermon_2019() -> None:
    n = 1280
    model = GaussianMixtureScore([0.8, 0.2], np.array([[5.0, 5.0], [-5.0, -5.0]]), 1.0)
    start = 16 * torch.rand(n, 2, generator=generator(), dtype=torch.float64) - 8

    def large_mode(x: Tensor) -> float:
        return float((x.sum(dim=1) > 0).double().mean())

    # their step 0.1, of x + a s + sqrt(2 a) z, is a step of 0.2 here
    plain = sample(
        model,
        torch.tensor([20.0, 1e-3]).double(),
        n,
        2,
        "langevin",
        start,
        False,
        generator(1),
        n_steps=1000,
        step_size=0.2,
    )
    annealed = sample(
        model, levels(1.0, 20.0, 10), n, 2, "annealed_langevin", start, False, generator(2),
        n_steps_per_sigma=100, step_size=0.2,
    )  # fmt: skip
    standard_error = 0.5 / math.sqrt(n)
    assert large_mode(plain) == pytest.approx(0.51, abs=4 * standard_error)
    assert large_mode(annealed) == pytest.approx(0.79, abs=4 * 0.8 * standard_error)


@pytest.mark.parametrize("sampler", ["heun", "dpmpp_2m"])
def test_churn_makes_good_a_start_without_variance(sampler: str) -> None:
    n, variance = 5000, 0.5
    model, sigmas, x = (
        gaussian([0.0, 0.0], [variance] * 2),
        levels(0.02, 10.0, 100),
        torch.zeros(n, 2, dtype=torch.float64),
    )
    assert sample(model, sigmas, n, 2, sampler, x, False).abs().max() == 0
    churned = sample(model, sigmas, n, 2, sampler, x, False, generator(), churn=40)
    assert variance_is(churned, variance + 0.02**2, 0.02)


@pytest.mark.parametrize(("sampler", "evaluations"), [("heun", 2), ("dpmpp_2m", 1)])
def test_churn_is_bounded_cut_and_scaled(sampler: str, evaluations: int) -> None:
    sigmas, x = levels(0.1, 8.0, 5), points(4, 2)

    def walked(**options: Any) -> tuple[list[float], list[Tensor]]:
        """Return the levels at which the score is asked for first in each step, and the states."""
        asked: list[float] = []
        seen: list[Tensor] = []

        def model(x: Tensor, sigma: Tensor) -> Tensor:
            asked.append(float(sigma))
            seen.append(x)
            return torch.zeros_like(x)

        sample(model, sigmas, 4, 2, sampler, x, False, generator(), **options)
        return asked[::evaluations], seen[::evaluations]

    before = sigmas[:-1].tolist()
    # Karras et al. 2022, algorithm 2: sigma rises by min(S_churn / N, sqrt(2) - 1), N counting all levels above zero
    assert walked(churn=1.0)[0] == pytest.approx([level * 1.2 for level in before])
    assert walked(churn=100.0)[0] == pytest.approx([level * math.sqrt(2) for level in before])
    some = walked(churn=1.0, churn_min=before[2], churn_max=before[1])[0]
    assert some == pytest.approx([before[0], before[1] * 1.2, before[2] * 1.2, before[3]])
    plain, doubled = (walked(churn=1.0, churn_noise=size)[1][0] - x for size in (1.0, 2.0))
    torch.testing.assert_close(doubled, 2 * plain)
    assert abs(plain.square().mean().sqrt() / (8 * math.sqrt(1.2**2 - 1)) - 1) < 0.7


# Evaluations and states


EVALUATIONS: dict[str, Callable[[int], int]] = {
    "langevin": lambda count: 6,
    "annealed_langevin": lambda count: 3 * count,
    "consistent_annealed": lambda count: count - 1,
    "predictor_corrector": lambda count: 2 * count - 1,
    "ancestral": lambda count: count - 1,
    "ddim": lambda count: count - 1,
    "reverse_sde": lambda count: count - 1,
    "heun": lambda count: 2 * (count - 1),
    "dpmpp_2m": lambda count: count - 1,
}
"""Calls of the score model on so many levels, without the last denoising."""


@pytest.mark.parametrize("sampler", OPTIONS)
@pytest.mark.parametrize("denoise_last", [True, False])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_evaluations_are_counted(sampler: str, denoise_last: bool, count: int) -> None:
    asked: list[Tensor] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        asked.append(sigma)
        return -x / (1 + sigma**2)

    options = OPTIONS[sampler]
    states = list(trajectory(model, levels(0.1, 8.0, count), 4, 2, sampler, None, denoise_last, generator(), **options))
    assert states[-1].evaluations == len(asked) == EVALUATIONS[sampler](count) + denoise_last
    assert all(sigma.ndim == 0 and sigma.dtype == torch.float64 for sigma in asked)
    assert [state.step for state in states] == list(range(len(states)))
    assert [state.evaluations for state in states] == sorted(state.evaluations for state in states)
    assert states[0].evaluations == 0


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "reverse_sde", "heun", "dpmpp_2m"])
def test_exactly_the_levels_given_are_walked(sampler: str) -> None:
    sigmas = torch.tensor([9.0, 3.0, 2.5, 0.1])
    states = list(trajectory(at_origin(2), sigmas, 4, 2, sampler))
    assert [state.sigma for state in states] == [*sigmas.tolist(), 0.0]


def test_annealed_langevin_s_levels() -> None:
    sigmas = torch.tensor([9.0, 3.0, 0.1])
    states = list(trajectory(at_origin(2), sigmas, 4, 2, "annealed_langevin", **OPTIONS["annealed_langevin"]))
    assert [state.sigma for state in states] == [9.0, *np.repeat(sigmas.numpy(), 3).tolist(), 0.0]


@pytest.mark.parametrize(("sampler", "options"), VARIANTS)
def test_the_last_step_is_the_posterior_mean(sampler: str, options: dict[str, Any]) -> None:
    model, sigmas = gaussian([1.0, -2.0], [0.5, 2.0]), levels(0.1, 8.0, 5)
    *_, before, last = trajectory(model, sigmas, 6, 2, sampler, generator=generator(), **options)
    variances, mean = torch.tensor([0.5, 2.0]).double(), torch.tensor([1.0, -2.0]).double()
    torch.testing.assert_close(last.x, mean + (before.x - mean) * variances / (variances + 0.01))
    assert last.denoised is last.x
    assert last.sigma == 0
    without = sample(model, sigmas, 6, 2, sampler, None, False, generator(), **options)
    assert torch.equal(without, before.x)


@pytest.mark.parametrize(("sampler", "options"), VARIANTS)
def test_states_carry_the_posterior_mean_and_do_not_change(sampler: str, options: dict[str, Any]) -> None:
    centre = [1.0, -2.0]
    kept = []
    for state in trajectory(gaussian(centre, [0.0, 0.0]), levels(0.1, 8.0, 5), 6, 2, sampler, **options):
        kept.append((state, state.x.clone()))
        if state.denoised is not None:
            torch.testing.assert_close(state.denoised, torch.tensor([centre] * 6).double())
    assert kept[0][0].denoised is None
    for state, copy in kept:
        assert torch.equal(state.x, copy)


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "reverse_sde", "heun", "dpmpp_2m"])
def test_one_level_is_denoised_alone(sampler: str) -> None:
    model, sigmas, x = gaussian([1.0, -2.0], [0.5, 2.0]), torch.tensor([3.0]).double(), points(4, 2)
    assert torch.equal(sample(model, sigmas, 4, 2, sampler, x, False), x)
    torch.testing.assert_close(sample(model, sigmas, 4, 2, sampler, x), model.denoise(x, 3.0))


# The driver: start, noise, chunks


@pytest.mark.parametrize(("sampler", "options"), VARIANTS)
@pytest.mark.parametrize("shape", [(64,), (3, 8, 8)])
def test_chunks_do_not_change_the_samples(sampler: str, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return -x / (0.5 + sigma**2)

    n = 150
    results = [
        sample(model, levels(0.1, 8.0, 4), n, shape, sampler, generator=generator(), chunk_size=size, **options)
        for size in (None, 1, 100)
    ]
    for result in results[1:]:
        assert torch.equal(result, results[0])
    *_, last = trajectory(model, levels(0.1, 8.0, 4), n, shape, sampler, generator=generator(), **options)
    assert torch.equal(last.x, results[0])


def test_chunks_do_not_change_the_samples_of_a_network() -> None:
    torch.manual_seed(0)
    network = NCSNScoreNetwork(2, [64, 64])
    nn.init.normal_(network.network.output.weight, std=0.1)  # type: ignore[union-attr, arg-type]
    whole, parts = (
        sample(network, create_noise_schedule(0.1, 8.0, 4), 5000, 2, generator=generator(), chunk_size=size)
        for size in (5000, None)
    )
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)


def test_chunks_are_as_large_as_asked_for() -> None:
    sizes: list[int] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        sizes.append(len(x))
        return torch.zeros_like(x)

    def chunks(n: int, dim: int, chunk_size: int | None) -> list[int]:
        sizes.clear()
        sample(model, torch.tensor([1.0]), n, dim, chunk_size=chunk_size)
        return sizes.copy()

    # whole blocks of 4,096 values
    assert chunks(150, 64, 100) == [128, 22]
    assert chunks(150, 64, 64) == [64, 64, 22]
    assert chunks(150, 64, 1) == [64, 64, 22]
    assert chunks(3, 5000, 1) == [1, 1, 1]
    assert chunks(5000, 2, None) == [2048, 2048, 904]
    assert chunks(6, 2**21, None) == [2, 2, 2]


def test_a_trajectory_runs_chunk_by_chunk() -> None:
    states = list(trajectory(at_origin(64), levels(0.1, 8.0, 3), 150, 64, "ddim", chunk_size=100))
    assert [(state.step, len(state.x)) for state in states] == [(s, n) for n in (128, 22) for s in range(4)]


def test_the_callback_sees_every_state() -> None:
    seen: list[State] = []
    x = sample(at_origin(64), levels(0.1, 8.0, 3), 150, 64, "ddim", chunk_size=100, callback=seen.append)
    assert [(state.step, len(state.x)) for state in seen] == [(s, n) for n in (128, 22) for s in range(4)]
    assert torch.equal(torch.cat([state.x for state in seen if state.sigma == 0]), x)


@pytest.mark.parametrize(("sampler", "options"), VARIANTS)
def test_samples_follow_the_generator_alone(sampler: str, options: dict[str, Any]) -> None:
    def draw(random: torch.Generator | None) -> Tensor:
        return sample(at_origin(2), levels(0.1, 8.0, 4), 50, 2, sampler, None, False, random, **options)

    state = torch.get_rng_state()
    first, again, other = draw(generator(3)), draw(generator(3)), draw(generator(4))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert (first - other).abs().min() > 0
    torch.manual_seed(3)
    unseeded = draw(None)
    assert torch.equal(unseeded, first)
    assert not torch.equal(torch.get_rng_state(), state)
    torch.set_rng_state(state)


def test_noise_is_standard_normal_and_new_in_every_block_and_draw() -> None:
    noise = Noise([1, 2, 3], 1000, torch.device("cpu"))
    x = torch.empty(2500, 4, dtype=torch.float64)
    draws = [noise.like(x), noise.like(x)]
    for draw in draws:
        assert draw.dtype == torch.float64
        assert abs(draw.mean()) < 4 / math.sqrt(draw.numel())
        assert variance_is(draw, 1.0)
    parts = [part for draw in draws for part in (draw[:500], draw[1000:1500], draw[2000:])]
    for a, b in itertools.combinations(parts, 2):
        assert abs((a * b).mean()) < 4 / math.sqrt(a.numel())


def test_noise_does_not_depend_on_the_layout() -> None:
    rows, columns = torch.empty(2500, 4), torch.empty(4, 2500).T
    first, second = (Noise([1, 2, 3], 1000, torch.device("cpu")).like(x) for x in (rows, columns))
    assert torch.equal(first, second)


def test_the_start_is_noise_at_the_first_level() -> None:
    first = next(trajectory(at_origin(2), levels(0.1, 8.0, 4), 10_000, 2, generator=generator()))
    assert variance_is(first.x, 64.0)
    assert first.sigma == 8.0


def test_a_start_is_used_as_given() -> None:
    x = points(300, 64)
    kept = x.clone()
    first, *_, last = trajectory(at_origin(64), levels(0.1, 8.0, 4), 300, 64, "heun", x)
    assert torch.equal(first.x, x)
    assert torch.equal(x, kept)
    assert not torch.equal(last.x, x)
    seen: list[State] = []
    sample(at_origin(64), levels(0.1, 8.0, 4), 300, 64, "ddim", x, chunk_size=64, callback=seen.append)
    assert torch.equal(torch.cat([state.x for state in seen if state.step == 0]), x)


@pytest.mark.parametrize(("sampler", "options"), VARIANTS)
def test_double_precision_throughout(sampler: str, options: dict[str, Any]) -> None:
    sigmas, x = levels(0.1, 8.0, 4), points(4, 2)
    changes: list[dict[str, Any]] = [
        {},
        {"sigmas": sigmas.float(), "x_init": x},
        {"sigmas": sigmas.float(), "dtype": x.dtype},
    ]
    for change in changes:
        arguments: dict[str, Any] = {"sigmas": sigmas, "sampler": sampler, "generator": generator()} | options | change
        for state in trajectory(at_origin(2), n_samples=4, data_dim=2, **arguments):
            assert state.x.dtype == torch.float64
            assert state.denoised is None or state.denoised.dtype == torch.float64
    assert sample(at_origin(2), sigmas.float(), 4, 2, sampler, **options).dtype == torch.float32


def test_double_precision_is_precise() -> None:
    x = points(4, 2)
    end = sample(at_origin(2), levels(1e-4, 8.0, 1000), 4, 2, "ddim", x, False)
    torch.testing.assert_close(end, x * (1e-4 / 8), rtol=1e-11, atol=0)


@pytest.mark.parametrize(("sampler", "options"), VARIANTS)
def test_one_sample_and_whole_numbers_as_levels(sampler: str, options: dict[str, Any]) -> None:
    model = gaussian([1.0], [0.0])
    x = sample(model, torch.tensor([9, 3, 1]), 1, 1, sampler, generator=generator(), **options)
    assert x.dtype == torch.get_default_dtype()
    torch.testing.assert_close(x, torch.tensor([[1.0]]))


def test_conditions_are_cut_with_the_samples() -> None:
    n, centres = 150, 10 * torch.eye(64, dtype=torch.float64)[:3]
    model = EmpiricalScore(centres, labels=torch.arange(3))
    labels = torch.arange(n) % 3
    results = [
        sample(
            model, levels(0.01, 30.0, 10), n, 64, condition={"label": labels}, chunk_size=size, generator=generator()
        )
        for size in (64, 150)
    ]
    torch.testing.assert_close(results[0], centres[labels], atol=1e-6, rtol=0)
    assert torch.equal(results[0], results[1])
    one = sample(model, levels(0.01, 30.0, 10), 5, 64, condition={"label": 2}, generator=generator())
    torch.testing.assert_close(one, centres[[2] * 5], atol=1e-6, rtol=0)


def test_modules_sample_in_evaluation_mode_and_without_gradients() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            assert not self.training
            assert not torch.is_grad_enabled()
            return -self.scale * x / (1 + sigma**2)

    for state in trajectory(Noisy(), create_noise_schedule(0.1, 8.0, 4), 4, 2):
        assert not state.x.requires_grad
        assert torch.is_grad_enabled()


def test_a_counted_model_carries_its_condition() -> None:
    model = CountedModel(EmpiricalScore(torch.tensor([[0.0], [4.0]]), labels=[0, 1]), {"label": 1})
    torch.testing.assert_close(model.denoise(torch.zeros(3, 1), torch.tensor(2.0)), torch.full((3, 1), 4.0))
    assert model.evaluations == 1


def test_the_page_s_call_is_annealed_langevin() -> None:
    model, sigmas = gaussian([1.0, -2.0], [0.5, 2.0]), create_noise_schedule(0.1, 8.0, 4)
    page = annealed_langevin_dynamics(model, sigmas, 20, 2, 5, 1e-3, "cpu", generator=generator())
    own = sample(model, sigmas, 20, 2, "annealed_langevin", generator=generator(), n_steps_per_sigma=5, step_size=1e-3)
    assert torch.equal(page, own)
    undenoised = annealed_langevin_dynamics(model, sigmas, 20, 2, 5, 1e-3, denoise_last=False, generator=generator())
    assert (page - undenoised).abs().max() > 1e-3


# The guard against divergence


@pytest.mark.parametrize("sampler", ["annealed_langevin", "langevin"])
def test_too_large_a_step_is_named(sampler: str) -> None:
    # |1 - a/2| is 3/2: from 0.5 to 3.4e38, where float32 ends, takes about 219 steps
    options: dict[str, Any] = {"n_steps" if sampler == "langevin" else "n_steps_per_sigma": 1000, "step_size": 5 * 0.25}
    sigmas = torch.tensor([0.5])
    with pytest.raises(DivergenceError, match=r"noise level 0\.5: take a smaller step size") as caught:
        sample(at_origin(2), sigmas, 1000, 2, sampler, generator=generator(), **options)
    match = re.match(r"(\d+) of 1000 samples are not finite at step (\d+), ", str(caught.value))
    assert match is not None
    assert 1 <= int(match[1]) <= 1000
    assert 205 <= int(match[2]) <= 219


def test_a_step_below_the_bound_does_not_diverge() -> None:
    x = sample(
        at_origin(2), torch.tensor([0.5]), 1000, 2, "annealed_langevin", None, False, generator(),
        n_steps_per_sigma=1000, step_size=3.9 * 0.25,
    )  # fmt: skip
    assert variance_is(x, 0.25 * 4 / 0.1)


@pytest.mark.parametrize(("sampler", "step"), [("ddim", 3), ("dpmpp_2m", 3), ("heun", 2), ("annealed_langevin", 7)])
def test_the_first_step_without_numbers_is_named(sampler: str, step: int) -> None:
    sigmas = torch.tensor([8.0, 4.0, 2.0, 1.0])

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        score = -x / (1 + sigma**2)
        score[1:3] = torch.where(sigma > 2, score[1:3], torch.nan)
        return score

    level = {"annealed_langevin": 2, "heun": 2}.get(sampler, 1)
    seen: list[State] = []
    with pytest.raises(
        DivergenceError, match=f"^2 of 5 samples are not finite at step {step}, noise level {level}: take a"
    ):
        sample(model, sigmas, 5, 2, sampler, callback=seen.append, generator=generator(), **OPTIONS[sampler])
    assert len(seen) == step
    assert bool(seen[-1].x.isfinite().all())


def test_the_last_denoising_is_guarded() -> None:
    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return x / (sigma - 1)

    with pytest.raises(DivergenceError, match="5 of 5 samples are not finite at step 2, noise level 0"):
        sample(model, torch.tensor([2.0, 1.0]), 5, 2, "ddim")


def test_large_finite_samples_pass() -> None:
    x = torch.full((1000, 2), 1e36)
    assert torch.equal(sample(at_origin(2), torch.tensor([1.0]), 1000, 2, "ddim", x, False), x)
    walked = sample(lambda x, sigma: torch.zeros_like(x), torch.tensor([2.0, 1.0]), 1000, 2, "ddim", x, False)
    assert torch.equal(walked, x)


# Bad input


BAD: list[tuple[dict[str, Any], str]] = [
    (
        {"sampler": "huen"},
        "unknown sampler 'huen'; did you mean 'heun'? known: langevin, annealed_langevin, ",
    ),
    ({"n_samples": 0}, "n_samples must be a whole number of at least 1, not 0"),
    ({"n_samples": 2.5}, "n_samples must be a whole number of at least 1, not 2.5"),
    ({"data_dim": 0}, "data_dim must be a whole number of at least 1, not 0"),
    ({"data_dim": 2.5}, "data_dim must be a whole number of at least 1, not 2.5"),
    ({"data_dim": (3, -1)}, "data_dim must be a whole number of at least 1, not -1"),
    ({"data_dim": ()}, "the number of axes in data_dim must be a whole number of at least 1, not 0"),
    ({"chunk_size": 0}, "chunk_size must be a whole number of at least 1, not 0"),
    ({"x_init": torch.zeros(5, 3)}, "x_init must have the shape (5, 2), not (5, 3)"),
    ({"x_init": torch.zeros(4, 2)}, "x_init must have the shape (5, 2), not (4, 2)"),
    ({"sigmas": torch.tensor([])}, "sigmas must be a 1-D tensor of positive, finite noise levels"),
    ({"sigmas": torch.tensor(1.0)}, "sigmas must be a 1-D tensor of positive, finite noise levels"),
    ({"sigmas": torch.ones(2, 1)}, "sigmas must be a 1-D tensor of positive, finite noise levels"),
    ({"sigmas": torch.tensor([1.0, 0.0])}, "sigmas must be a 1-D tensor of positive, finite noise levels"),
    ({"sigmas": torch.tensor([math.inf, 1.0])}, "sigmas must be a 1-D tensor of positive, finite noise levels"),
    ({"sigmas": torch.tensor([math.nan, 1.0])}, "sigmas must be a 1-D tensor of positive, finite noise levels"),
    ({"sigmas": torch.tensor([1.0, 2.0])}, "sigmas must descend; turn them round with sigmas.flip(0)"),
    ({"sigmas": torch.tensor([2.0, 2.0])}, "sigmas must descend; turn them round with sigmas.flip(0)"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_bad_input_is_refused_at_once(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"sigmas": torch.tensor([2.0, 1.0]), "n_samples": 5, "data_dim": 2} | changes
    with pytest.raises(ValueError) as caught:
        trajectory(at_origin(2), **arguments)
    assert str(caught.value).startswith(message)
    with pytest.raises(ValueError) as caught:
        sample(at_origin(2), **arguments)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("sampler", "options", "message"),
    [
        ("langevin", {"n_steps": 0}, "the number of steps must be a whole number of at least 1, not 0"),
        ("langevin", {"step_size": 0.0}, "step_size must be positive and finite, not 0.0"),
        (
            "annealed_langevin",
            {"n_steps_per_sigma": 0, "step_size": 1.0},
            "the number of steps must be a whole number of",
        ),
        ("annealed_langevin", {"step_size": -1.0}, "step_size must be positive and finite, not -1.0"),
        ("annealed_langevin", {"step_size": math.inf}, "step_size must be positive and finite, not inf"),
        ("annealed_langevin", {"step_size": math.nan}, "step_size must be positive and finite, not nan"),
        (
            "annealed_langevin",
            {"step_rule": "scor"},
            "unknown step rule 'scor'; did you mean 'score'? known: sigma, score",
        ),
        ("heun", {"churn": -1.0}, "churn and churn_noise must not be negative, but are -1.0 and 1.0"),
        ("heun", {"churn_noise": math.nan}, "churn and churn_noise must not be negative, but are 0.0 and nan"),
        ("dpmpp_2m", {"churn": math.nan}, "churn and churn_noise must not be negative, but are nan and 1.0"),
        ("dpmpp_2m", {"spread": -1.0}, "spread must be a finite number of at least 0, not -1.0"),
        ("dpmpp_2m", {"spread": math.inf}, "spread must be a finite number of at least 0, not inf"),
    ],
)
def test_bad_options(sampler: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        sample(at_origin(2), torch.tensor([2.0, 1.0]), 5, 2, sampler, **options)
    assert str(caught.value).startswith(message)


def test_options_that_a_sampler_lacks() -> None:
    with pytest.raises(
        TypeError, match="sampler 'heun' has no option 'chrun'; it has: churn, churn_min, churn_max, churn_"
    ):
        sample(at_origin(2), torch.tensor([2.0, 1.0]), 5, 2, chrun=1.0)
    with pytest.raises(TypeError, match="sampler 'ddim' has no option 'churn'; it has: none"):
        trajectory(at_origin(2), torch.tensor([2.0, 1.0]), 5, 2, "ddim", churn=1.0)


def test_a_condition_of_another_length() -> None:
    with pytest.raises(ValueError, match="condition 'label' must have one entry a row, 5, not 4"):
        sample(at_origin(2), torch.tensor([2.0, 1.0]), 5, 2, condition={"label": torch.zeros(4).long()})


def test_a_new_sampler_needs_its_function_and_its_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def jump(model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise, *, times: int = 1) -> Iterator[State]:
        """Go to the posterior mean at once, several times over."""
        for step in range(1, times + 1):
            x = model.denoise(x, sigmas[0])
            yield State(step, float(sigmas[0]), x, x, model.evaluations)

    monkeypatch.setitem(SAMPLERS, "jump", jump)
    x = sample(gaussian([1.0, 2.0], [0.0, 0.0]), torch.tensor([3.0]), 4, 2, "jump", None, False, times=2)
    torch.testing.assert_close(x, torch.tensor([[1.0, 2.0]] * 4))
    with pytest.raises(TypeError, match="sampler 'jump' has no option 'time'; it has: times"):
        sample(at_origin(2), torch.tensor([3.0]), 4, 2, "jump", time=2)
