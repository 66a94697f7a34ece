"""Exercises 4.3 and 4.4: DDPM's noising, and the change of scale between NCSN and DDPM.

The truth of each is another road to the same place: the moments of DDPM's chain step by step, or autograd of a log-density.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from ncsn.exact import GaussianMixtureScore
from ncsn.learn.declarations import Case, Exercise, Function, Mistake
from ncsn.learn.lessons.diffusion.exercises_from_1 import betas_of, chain_moments, ddpm_betas
from ncsn.learn.lessons.truths import gradient_of_log_density
from ncsn.score import ScoreModel

__all__ = ["ADD_NOISE", "VP_SCORE"]


# 4.3


def add_noise_truth(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return x_t from the moments of the chain."""
    signal, variance = chain_moments(betas_of(alpha_bar))
    return signal[t][:, None] * x0 + variance[t][:, None].sqrt() * noise


def add_noise_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make points and steps, early and late."""

    def case(name: str, n: int, dim: int, dtype: torch.dtype = torch.float32, tolerance: float | None = None) -> Case:
        alpha_bar = torch.cumprod(1 - ddpm_betas(1000, torch.float64), 0).to(dtype)
        x0, noise = torch.randn(2, n, dim, generator=generator, dtype=dtype)
        t = torch.randint(1000, (n,), generator=generator)
        t[0] = 0
        t[-1] = 400
        return Case(name, (x0, t, noise, alpha_bar), tolerance)

    yield case("a batch of one", 1, 3)
    yield case("2 points in the plane, where a wrong axis does not show in the shape", 2, 2)
    yield case("7 points on a line", 7, 1)
    yield case("1,000 points in 10 dimensions", 1000, 10)
    yield case("double precision", 5, 2, torch.float64, 1e-10)


def add_noise_reference(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) noise."""
    left = alpha_bar[t].reshape(-1, *[1] * (x0.ndim - 1))
    return left.sqrt() * x0 + (1 - left).sqrt() * noise


ADD_NOISE = Exercise(
    number="4.3",
    title="DDPM's noising in one leap",
    name="add_noise",
    cases=add_noise_cases,
    truth=add_noise_truth,
    reference=add_noise_reference,
    against="the moments of the chain, step by step",
    mistakes=(
        Mistake(
            "alpha-bar where its square root belongs, before the data: alpha-bar is the factor of the variance.",
            lambda x0, t, noise, ab: ab[t][:, None] * x0 + (1 - ab[t][:, None]).sqrt() * noise,
        ),
        Mistake(
            "a variance where a standard deviation belongs, before the noise: take the root of 1 − alpha-bar.",
            lambda x0, t, noise, ab: ab[t][:, None].sqrt() * x0 + (1 - ab[t][:, None]) * noise,
        ),
        Mistake(
            "a mixture without roots: the two factors are to keep the variance at 1, so their squares add up to 1.",
            lambda x0, t, noise, ab: ab[t][:, None] * x0 + (1 - ab[t][:, None]) * noise,
        ),
        Mistake(
            "beta where alpha-bar belongs: one single step from clean data, instead of all steps up to t.",
            lambda x0, t, noise, ab: (
                (1 - betas_of(ab)[t][:, None]).sqrt() * x0 + betas_of(ab)[t][:, None].sqrt() * noise
            ),
        ),
        Mistake(
            "the factors of data and noise the wrong way round: in the beginning alpha-bar is near 1, and so are the data.",
            lambda x0, t, noise, ab: (1 - ab[t][:, None]).sqrt() * x0 + ab[t][:, None].sqrt() * noise,
        ),
        Mistake(
            "NCSN's noising, which leaves the data as they are: DDPM shrinks them, too.",
            lambda x0, t, noise, ab: x0 + (1 - ab[t][:, None]).sqrt() * noise,
        ),
        Mistake(
            "NCSN's noising, in NCSN's scale: right, but not divided by the scale that the two have between them.",
            lambda x0, t, noise, ab: x0 + ((1 - ab[t][:, None]) / ab[t][:, None]).sqrt() * noise,
        ),
        Mistake(
            "one step behind: steps are counted from 0 here, and alpha_bar[t] already holds step t.",
            lambda x0, t, noise, ab: add_noise_reference(x0, t - 1, noise, ab),
        ),
        Mistake(
            "a turned sign before the noise: as likely, but the network is to learn this very noise.",
            lambda x0, t, noise, ab: add_noise_reference(x0, t, -noise, ab),
        ),
    ),
)


# 4.4


def vp_score_truth(ve_score: GaussianMixtureScore, x: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return the score of the shrunk, noised mixture by autograd of its log-density."""
    variances = alpha_bar * ve_score.variances + 1 - alpha_bar
    parts = Independent(Normal(alpha_bar.sqrt() * ve_score.means, variances.sqrt()), 1)
    return gradient_of_log_density(MixtureSameFamily(Categorical(ve_score.weights), parts), x)


def vp_score_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make mixtures, and points where they lie once shrunk and noised."""

    def case(
        name: str, n: int, dim: int, left: float, dtype: torch.dtype = torch.float32, tolerance: float | None = None
    ) -> Case:
        weights = torch.rand(3, generator=generator, dtype=dtype) + 0.2
        means = 2 * torch.randn(3, dim, generator=generator, dtype=dtype)
        mixture = GaussianMixtureScore(weights, means, 0.16)
        x = left**0.5 * mixture.sample(n, generator) + (1 - left) ** 0.5 * torch.randn(
            n, dim, generator=generator, dtype=dtype
        )
        return Case(name, (mixture, x, torch.tensor(left, dtype=dtype)), tolerance)

    yield case("a batch of one, half of the variance left", 1, 1, 0.5)
    yield case("7 points in the plane, after the first of DDPM's steps", 7, 2, 0.9999)
    yield case("1,000 points in 10 dimensions, nearly all noise", 1000, 10, 0.0001)
    yield case("100 points in the plane, a tenth left", 100, 2, 0.1)
    yield case("double precision", 9, 2, 0.3, torch.float64, 1e-12)


def vp_score_reference(ve_score: ScoreModel, x: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return the score of NCSN's scale, read in DDPM's."""
    return _read_at(ve_score, x, ((1 - alpha_bar) / alpha_bar).sqrt(), alpha_bar.sqrt(), alpha_bar.sqrt())


def _read_at(ve_score: ScoreModel, x: Tensor, sigma: Tensor, inside: Tensor | float, outside: Tensor | float) -> Tensor:
    return ve_score(x / inside, sigma) / outside


def _sigma_of(alpha_bar: Tensor) -> Tensor:
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def _vp_score_with(inside: float, outside: float) -> Function:
    """Return an answer that divides by other powers of alpha-bar than 1/2, within and without."""
    return lambda score, x, ab: _read_at(score, x, _sigma_of(ab), ab**inside, ab**outside)


VP_SCORE = Exercise(
    number="4.4",
    title="an NCSN's score in DDPM's scale",
    name="vp_score",
    cases=vp_score_cases,
    truth=vp_score_truth,
    reference=vp_score_reference,
    against="autograd of the shrunk mixture's log-density",
    mistakes=(
        Mistake(
            "a missing division at the end: arrows are per unit of length, and DDPM's unit is another than NCSN's.",
            _vp_score_with(0.5, 0.0),
        ),
        Mistake(
            "a missing division of x: NCSN knows the data in their own size, and DDPM's x has shrunk.",
            _vp_score_with(0.0, 0.5),
        ),
        Mistake(
            "only sigma changed: x and the score have another scale in DDPM, too.",
            _vp_score_with(0.0, 0.0),
        ),
        Mistake(
            "alpha-bar where its square root belongs, both times.",
            _vp_score_with(1.0, 1.0),
        ),
        Mistake(
            "alpha-bar where its square root belongs, in the division of x.",
            _vp_score_with(1.0, 0.5),
        ),
        Mistake(
            "alpha-bar where its square root belongs, in the division at the end.",
            _vp_score_with(0.5, 1.0),
        ),
        Mistake(
            "a multiplication at the end instead of a division: shrunk data have steeper hills, hence longer arrows.",
            _vp_score_with(0.5, -0.5),
        ),
        Mistake(
            "a variance where a standard deviation belongs: sigma lacks its square root.",
            lambda score, x, ab: _read_at(score, x, _sigma_of(ab) ** 2, ab.sqrt(), ab.sqrt()),
        ),
        Mistake(
            "the noise as DDPM sees it, the root of 1 − alpha-bar: once x is divided, its noise is, too.",
            lambda score, x, ab: _read_at(score, x, (1 - ab).sqrt(), ab.sqrt(), ab.sqrt()),
        ),
        Mistake("a turned sign.", lambda score, x, ab: -vp_score_reference(score, x, ab)),
    ),
)
