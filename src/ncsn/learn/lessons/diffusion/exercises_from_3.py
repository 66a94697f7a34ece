"""Exercises 4.3 and 4.4: DDPM's noising, and the change of scale between NCSN and DDPM.

The truth of each is another road to the same place: the moments of DDPM's chain step by step, or autograd of a log-density.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from ncsn.exact import GaussianMixtureScore
from ncsn.learn.declarations import Case, Exercise, Mistake
from ncsn.learn.lessons.diffusion.exercises_from_1 import betas_of, chain_moments, ddpm_betas
from ncsn.learn.lessons.truths import gradient_of_log_density
from ncsn.score import ScoreModel

__all__ = ["ADD_NOISE", "NOISING_MISTAKES", "VP_SCORE"]


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


def add_noise_reference(
    x0: Tensor,
    t: Tensor,
    noise: Tensor,
    alpha_bar: Tensor,
    *,
    left_of: Callable[[Tensor], Tensor] = torch.clone,
    shift: int = 0,
    data: float = 0.5,
    fog: float = 0.5,
    divided: float = 0,
    swapped: bool = False,
    sign: float = 1,
    own: bool = False,
) -> Tensor:
    """Return sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) noise; the switches change powers, signs and places."""
    left = left_of(alpha_bar)[t + shift].reshape(-1, *[1] * (x0.ndim - 1))
    first, second = (1 - left, left) if swapped else (left, 1 - left)
    noise = torch.randn_like(noise) if own else noise
    return first**data * x0 + sign * second**fog / left**divided * noise


NOISING_MISTAKES = (
    Mistake(
        "alpha-bar where its square root belongs, before the data: alpha-bar is the factor of the variance.",
        {"data": 1},
    ),
    Mistake(
        "a variance where a standard deviation belongs, before the noise: take the root of 1 − alpha-bar.",
        {"fog": 1},
    ),
    Mistake(
        "a mixture without roots: the two factors are to keep the variance at 1, so their squares add up to 1.",
        {"data": 1, "fog": 1},
    ),
    Mistake(
        "beta where alpha-bar belongs: one single step from clean data, instead of all steps up to t.",
        {"left_of": lambda alpha_bar: 1 - betas_of(alpha_bar)},
    ),
    Mistake(
        "the square of alpha-bar in place of alpha-bar: alpha-bar is a variance's factor already.",
        {"left_of": torch.square},
    ),
    Mistake(
        "the factors of data and noise the wrong way round: in the beginning alpha-bar is near 1, and so are the data.",
        {"swapped": True},
    ),
    Mistake("NCSN's noising, which leaves the data as they are: DDPM shrinks them, too.", {"data": 0}),
    Mistake(
        "NCSN's noising, in NCSN's scale: right, but not divided by the scale that the two have between them.",
        {"data": 0, "divided": 0.5},
    ),
    Mistake("one step behind: steps are counted from 0 here, and alpha_bar[t] already holds step t.", {"shift": -1}),
)
"""What goes wrong in `add_noise_reference`, wherever noise is added."""


ADD_NOISE = Exercise(
    number="4.3",
    title="DDPM's noising in one leap",
    name="add_noise",
    cases=add_noise_cases,
    truth=add_noise_truth,
    reference=add_noise_reference,
    against="the moments of the chain, step by step",
    mistakes=(
        *NOISING_MISTAKES,
        Mistake(
            "a turned sign before the noise: as likely, but the network is to learn this very noise.",
            {"sign": -1},
        ),
        Mistake("noise of its own: take the noise that is given.", {"own": True}),
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


def vp_score_reference(
    ve_score: ScoreModel,
    x: Tensor,
    alpha_bar: Tensor,
    *,
    sign: float = 1,
    inside: float = 0.5,
    outside: float = 0.5,
    below: float = 1,
    root: float = 0.5,
) -> Tensor:
    """Return the score of NCSN's scale, read in DDPM's; the switches change the powers of alpha-bar and of sigma."""
    sigma = ((1 - alpha_bar) / alpha_bar**below) ** root
    return sign * ve_score(x / alpha_bar**inside, sigma) / alpha_bar**outside


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
            {"outside": 0},
        ),
        Mistake(
            "a missing division of x: NCSN knows the data in their own size, and DDPM's x has shrunk.",
            {"inside": 0},
        ),
        Mistake("only sigma changed: x and the score have another scale in DDPM, too.", {"inside": 0, "outside": 0}),
        Mistake("alpha-bar where its square root belongs, both times.", {"inside": 1, "outside": 1}),
        Mistake("alpha-bar where its square root belongs, in the division of x.", {"inside": 1}),
        Mistake("alpha-bar where its square root belongs, in the division at the end.", {"outside": 1}),
        Mistake(
            "a multiplication at the end instead of a division: shrunk data have steeper hills, hence longer arrows.",
            {"outside": -0.5},
        ),
        Mistake(
            "a multiplication of x instead of a division: NCSN knows the data before they shrank.", {"inside": -0.5}
        ),
        Mistake(
            "a variance where a standard deviation belongs: sigma lacks its square root.",
            {"root": 1},
        ),
        Mistake("a ratio upside down in sigma: where little is left of the data, there is much noise.", {"root": -0.5}),
        Mistake(
            "the noise as DDPM sees it, the root of 1 − alpha-bar: once x is divided, its noise is, too.",
            {"below": 0},
        ),
        Mistake("a turned sign.", {"sign": -1}),
    ),
)
