"""Langevin dynamics, plain and annealed: stationary variances, step rules, and the published experiment."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ncsn.errors import DivergenceError
from ncsn.exact import GaussianMixtureScore
from ncsn.noise import langevin_step_size
from ncsn.samplers import AnnealedLangevin, CountedModel, Noise, sample, trajectory

from .common import at_origin, gaussian, generator, levels, points, refusal, variance_is


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
    sigma, relative, n, dim = 0.2, 0.1, 64, 64
    sigmas = torch.tensor([sigma], dtype=torch.float64)

    def one_step(x: Tensor, rule: str) -> Tensor:
        return sample(
            at_origin(dim), sigmas, n, dim, "annealed_langevin", x, False, generator(),
            n_steps_per_sigma=1, step_size=relative * sigma**2, step_rule=rule,
        )  # fmt: skip

    # rows whose scores have exactly the size of the noise's
    typical = sigma * points(n, dim, seed=1).sign()
    torch.testing.assert_close(one_step(typical, "score"), one_step(typical, "sigma"), rtol=1e-12, atol=0)
    equilibrium = sigma * points(n, dim, seed=1)
    moves = [one_step(equilibrium, rule) - equilibrium for rule in ("sigma", "score")]
    # the same noise, and a step that differs by the standard error of mean |s|^2 among the 4,096 values of a group
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


def test_the_score_rule_does_not_leap_with_a_chain_that_is_its_own_group() -> None:
    sigma, noise = 0.5, Noise(0, 0, 1, torch.device("cpu"))
    sampler = AnnealedLangevin(1000, 0.5 * sigma**2, step_rule="score")
    sigmas = torch.tensor([sigma], dtype=torch.float64)
    states = sampler.walk(CountedModel(at_origin(1)), sigma * points(1, 1), sigmas, noise)
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


def test_annealed_langevin_s_levels() -> None:
    sigmas = torch.tensor([9.0, 3.0, 0.1])
    states = list(trajectory(at_origin(2), sigmas, 4, 2, "annealed_langevin", n_steps_per_sigma=3, step_size=1e-3))
    assert [state.sigma for state in states] == [9.0, *np.repeat(sigmas.numpy(), 3).tolist(), 0.0]


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


@pytest.mark.parametrize(
    ("sampler", "options", "message"),
    [
        ("langevin", {"n_steps": 0}, "n_steps must be a whole number of at least 1, not 0"),
        ("langevin", {"step_size": 0.0}, "step_size must be a positive finite number, not 0.0"),
        (
            "annealed_langevin",
            {"n_steps_per_sigma": 0, "step_size": 1.0},
            "n_steps_per_sigma must be a whole number of at least 1, not 0",
        ),
        ("annealed_langevin", {"step_size": -1.0}, "step_size must be a positive finite number, not -1.0"),
        ("annealed_langevin", {"step_size": math.inf}, "step_size must be a positive finite number, not inf"),
        ("annealed_langevin", {"step_size": math.nan}, "step_size must be a positive finite number, not nan"),
        (
            "annealed_langevin",
            {"step_rule": "scor"},
            "unknown step rule 'scor'; did you mean 'score'? known: sigma, score",
        ),
    ],
)
def test_bad_options_are_refused_when_it_is_made(sampler: str, options: dict[str, Any], message: str) -> None:
    assert refusal(sampler, **options) == message
