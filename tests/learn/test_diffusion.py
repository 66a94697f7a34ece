"""Lesson 4: right answers written in other ways pass, wrong axes are told, and the truths agree with other truths."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ncsn.exact import GaussianMixtureScore
from ncsn.learn.checking import examine
from ncsn.learn.lessons import exercise_numbered
from ncsn.learn.lessons.diffusion.exercises_from_1 import chain_moments, ddpm_betas
from ncsn.learn.lessons.diffusion.exercises_from_3 import add_noise_truth, vp_score_truth
from ncsn.learn.lessons.diffusion.exercises_from_5 import ancestral_step_truth, reverse_step_truth
from ncsn.noise import ddpm_levels


def score_by_rows(noise: Tensor, sigma: Tensor) -> Tensor:
    return torch.stack([-row / level for row, level in zip(noise, sigma, strict=True)])


def score_by_einsum(noise: Tensor, sigma: Tensor) -> Tensor:
    return torch.einsum("nd,n->nd", noise, -1 / sigma)


def alpha_bars_by_loop(betas: Tensor) -> Tensor:
    left, all_left = 1.0, []
    for beta in betas.tolist():
        left *= 1 - beta
        all_left.append(left)
    return torch.tensor(all_left, dtype=betas.dtype)


def alpha_bars_by_logarithms(betas: Tensor) -> Tensor:
    return torch.log1p(-betas).cumsum(0).exp()


def add_noise_by_rows(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    rows = []
    for i in range(len(x0)):
        left = alpha_bar[t[i]]
        rows.append(left**0.5 * x0[i] + (1 - left) ** 0.5 * noise[i])
    return torch.stack(rows)


def vp_score_by_noise(ve_score: Any, x: Tensor, alpha_bar: Tensor) -> Tensor:
    std = torch.sqrt(1 - alpha_bar)
    sigma = std / torch.sqrt(alpha_bar)
    noise = -sigma * ve_score(x * alpha_bar**-0.5, sigma.expand(len(x)))[:, :]
    return -noise / std


def vp_score_row_by_row(ve_score: Any, x: Tensor, alpha_bar: Tensor) -> Tensor:
    root = math.sqrt(float(alpha_bar.double()))
    sigma = (1 / alpha_bar - 1).sqrt()
    return torch.cat([ve_score(row[None] / root, sigma) / root for row in x])


def loss_by_mse(network: Any, x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    left = alpha_bar[t].unsqueeze(1)
    return torch.nn.functional.mse_loss(network(left**0.5 * x0 + (1 - left) ** 0.5 * noise, t), noise)


def loss_row_by_row(network: Any, x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    losses = []
    for i in range(len(x0)):
        left = alpha_bar[t[i]]
        noisy = left.sqrt() * x0[i : i + 1] + (1 - left).sqrt() * noise[i : i + 1]
        losses.append((network(noisy, t[i : i + 1]) - noise[i : i + 1]).pow(2).mean())
    return torch.stack(losses).mean()


def step_by_clean_guess(x: Tensor, noise: Tensor, t: int, betas: Tensor, alpha_bar: Tensor, z: Tensor) -> Tensor:
    # Ho et al. 2020, equation 7
    before = float(alpha_bar[t - 1]) if t else 1.0
    left, beta = float(alpha_bar[t]), float(betas[t])
    clean = (x - (1 - left) ** 0.5 * noise) / left**0.5
    mean = before**0.5 * beta / (1 - left) * clean + (1 - beta) ** 0.5 * (1 - before) / (1 - left) * x
    return mean + (beta * (1 - before) / (1 - left)) ** 0.5 * z


def step_without_noise_at_the_end(
    x: Tensor, noise: Tensor, t: int, betas: Tensor, alpha_bar: Tensor, z: Tensor
) -> Tensor:
    alpha = 1 - betas
    mean = alpha[t] ** -0.5 * (x - (1 - alpha[t]) / torch.sqrt(1 - alpha_bar[t]) * noise)
    if t == 0:
        return mean
    return mean + torch.sqrt((1 - alpha_bar[t - 1]) / (1 - alpha_bar[t]) * betas[t]) * z


def reverse_in_one_formula(
    x: Tensor, score: Tensor, f: Tensor, g: Tensor, dt: float, z: Tensor, stochastic: bool
) -> Tensor:
    share = float(stochastic)
    return x + dt * ((1 + share) / 2 * g.square() * score - f) + share * g * math.sqrt(dt) * z


RIGHT = [
    ("4.1", score_by_rows),
    ("4.1", score_by_einsum),
    ("4.2", alpha_bars_by_loop),
    ("4.2", alpha_bars_by_logarithms),
    ("4.3", add_noise_by_rows),
    ("4.4", vp_score_by_noise),
    ("4.4", vp_score_row_by_row),
    ("4.5", loss_by_mse),
    ("4.5", loss_row_by_row),
    ("4.6", step_by_clean_guess),
    ("4.6", step_without_noise_at_the_end),
    ("4.7", reverse_in_one_formula),
]


@pytest.mark.parametrize(("number", "answer"), RIGHT, ids=[f"{number}-{f.__name__}" for number, f in RIGHT])
def test_right_answers_written_in_other_ways_pass(number: str, answer: Any) -> None:
    result = examine(exercise_numbered(number), answer)
    assert result.passed, str(result)


def score_without_axis(noise: Tensor, sigma: Tensor) -> Tensor:
    return -noise / sigma


def score_along_the_wrong_axis(noise: Tensor, sigma: Tensor) -> Tensor:
    # right in shape where there are as many rows as columns, and wrong in value
    return -noise / (sigma if noise.shape[1] == len(sigma) else sigma[:, None])


def leap_along_the_wrong_axis(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    left = alpha_bar[t] if x0.shape[1] == len(t) else alpha_bar[t][:, None]
    return left.sqrt() * x0 + (1 - left).sqrt() * noise


def loss_of_each_row(network: Any, x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    left = alpha_bar[t][:, None]
    return (network(left.sqrt() * x0 + (1 - left).sqrt() * noise, t) - noise).square().mean(1)


def loss_detached(network: Any, x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    return loss_by_mse(network, x0, t, noise, alpha_bar).detach()


def step_in_place(x: Tensor, noise: Tensor, t: int, betas: Tensor, alpha_bar: Tensor, z: Tensor) -> Tensor:
    right = step_by_clean_guess(x.clone(), noise, t, betas, alpha_bar, z)
    return x.copy_(right)


WRONG = [
    ("4.1", score_without_axis, "must match the size"),
    ("4.1", score_along_the_wrong_axis, "2 points in the plane"),
    ("4.3", leap_along_the_wrong_axis, "2 points in the plane"),
    ("4.5", loss_of_each_row, "one number for the whole batch"),
    ("4.5", loss_detached, "knows nothing of the network's weights"),
    ("4.6", step_in_place, "changes its input"),
]


@pytest.mark.parametrize(("number", "answer", "message"), WRONG, ids=[f"{n}-{f.__name__}" for n, f, _ in WRONG])
def test_wrong_axes_shapes_and_side_effects_are_told(number: str, answer: Any, message: str) -> None:
    result = examine(exercise_numbered(number), answer)
    assert result.attempted
    assert not result.passed
    assert message in str(result)


# the truths against other truths


def test_the_chain_has_the_levels_of_ddpm() -> None:
    signal, variance = chain_moments(ddpm_betas(1000, torch.float64))
    sigma = variance.sqrt() / signal
    torch.testing.assert_close(sigma.flip(0), ddpm_levels(), rtol=1e-9, atol=0)
    torch.testing.assert_close(signal.square() + variance, torch.ones(1000, dtype=torch.float64))


def test_one_leap_has_the_moments_of_a_walk_of_the_chain() -> None:
    generator = torch.Generator().manual_seed(0)
    betas = ddpm_betas(50, torch.float64)
    n = 100_000
    walked = torch.full((n, 1), 2.0, dtype=torch.float64)
    for beta in betas[:30]:
        fresh = torch.randn(walked.shape, generator=generator, dtype=torch.float64)
        walked = (1 - beta).sqrt() * walked + beta.sqrt() * fresh
    noise = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    start = torch.full((2, 1), 2.0, dtype=torch.float64)
    leapt = add_noise_truth(start, torch.tensor([29, 29]), noise, torch.cumprod(1 - betas, 0))
    std = float(leapt[1] - leapt[0])
    # five standard errors
    assert abs(float(walked.mean()) - float(leapt[0])) < 5 * std / n**0.5
    assert abs(float(walked.std()) / std - 1) < 5 / (2 * n) ** 0.5


def test_the_scaled_score_agrees_with_the_library() -> None:
    mixture = GaussianMixtureScore([0.3, 0.7], torch.tensor([[-1.0, 0.5], [2.0, 0.0]], dtype=torch.float64), 0.2)
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    left = torch.tensor(0.35, dtype=torch.float64)
    shrunk = GaussianMixtureScore(mixture.weights, left.sqrt() * mixture.means, left * 0.2)
    torch.testing.assert_close(vp_score_truth(mixture, x, left), shrunk(x, (1 - left).sqrt()))


@pytest.mark.parametrize("t", [1, 2, 500, 999])
def test_an_ancestral_step_is_exact_where_the_data_are_one_point(t: int) -> None:
    # of data at 0 the noise is known: x / sqrt(1 - alpha_bar); one step on, the variance is that of one step earlier
    betas = ddpm_betas(1000, torch.float64)
    alpha_bar = torch.cumprod(1 - betas, 0)
    one = torch.ones(1, 1, dtype=torch.float64)
    slope = float(ancestral_step_truth(one, one / (1 - alpha_bar[t]).sqrt(), t, betas, alpha_bar, 0 * one))
    fresh = float(ancestral_step_truth(0 * one, 0 * one, t, betas, alpha_bar, one))
    assert slope**2 * float(1 - alpha_bar[t]) + fresh**2 == pytest.approx(float(1 - alpha_bar[t - 1]), rel=1e-9)


@pytest.mark.parametrize("stochastic", [True, False])
def test_a_reverse_step_undoes_the_growth_of_the_variance(stochastic: bool) -> None:
    # forward, dv/dt = 2 a v + g^2 for dx = a x dt + g dw; x of N(0, v) has the score -x / v
    a, g, v, dt = -0.7, 1.3, 0.8, 1e-6
    one, nothing = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    diffusion = torch.tensor(g, dtype=torch.float64)
    slope = float(reverse_step_truth(one, -one / v, a * one, diffusion, dt, nothing, stochastic))
    fresh = float(reverse_step_truth(nothing, nothing, nothing, diffusion, dt, one, stochastic))
    growth = (slope**2 * v + fresh**2 - v) / dt
    assert growth == pytest.approx(-(2 * a * v + g**2), rel=1e-4)
