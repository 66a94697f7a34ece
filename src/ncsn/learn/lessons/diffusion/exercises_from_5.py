"""Exercises 4.5 to 4.7: DDPM's loss, its ancestral step, and the reverse step of the Score SDE."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from ncsn.learn.declarations import Case, Exercise, Function, Mistake
from ncsn.learn.lessons.diffusion.exercises_from_1 import betas_of, chain_moments, ddpm_betas
from ncsn.learn.lessons.diffusion.exercises_from_3 import NOISING_MISTAKES, add_noise_reference, add_noise_truth
from ncsn.learn.lessons.losses import REDUCTION_MISTAKES, REDUCTIONS, loss_and_gradient
from ncsn.learn.lessons.truths import gradient_of_log_density
from ncsn.losses import denoising_score_matching

__all__ = ["ANCESTRAL_STEP", "DDPM_LOSS", "REVERSE_STEP", "alpha_bar_before"]


# 4.5


class StepNetwork(nn.Module):
    """A network of x and the step, small enough to see through."""

    def __init__(self, dim: int, generator: torch.Generator, dtype: torch.dtype) -> None:
        super().__init__()
        self.linear = nn.Linear(dim + 1, dim, dtype=dtype)
        with torch.no_grad():
            for weight in self.linear.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator, dtype=dtype))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the predicted noise."""
        return self.linear(torch.cat([x, (t / 1000).to(x)[:, None]], dim=1))


def ddpm_loss_truth(network: nn.Module, x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return the loss as denoising score matching, the conditional score being autograd of the chain's log-density."""
    signal, variance = chain_moments(betas_of(alpha_bar))
    std = variance[t][:, None].sqrt()
    x = add_noise_truth(x0, t, noise, alpha_bar)
    score = gradient_of_log_density(Independent(Normal(signal[t][:, None] * x0, std), 1), x)
    return torch.nn.functional.mse_loss(network(x, t), -std * score)


def ddpm_loss_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make networks, data, steps and noise."""

    def case(name: str, n: int, dim: int, dtype: torch.dtype = torch.float32, tolerance: float | None = None) -> Case:
        alpha_bar = torch.cumprod(1 - ddpm_betas(1000, torch.float64), 0).to(dtype)
        x0, noise = torch.randn(2, n, dim, generator=generator, dtype=dtype)
        t = torch.randint(200, 1000, (n,), generator=generator)
        return Case(name, (StepNetwork(dim, generator, dtype), x0, t, noise, alpha_bar), tolerance)

    yield case("a batch of one", 1, 2)
    yield case("7 points in the plane", 7, 2)
    yield case("1,000 points in 5 dimensions", 1000, 5)
    yield case("double precision", 6, 3, torch.float64, 1e-10)


def ddpm_loss_reference(network: nn.Module, x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return DDPM's loss as the library has it: NCSN's, of a network that is read in sigma."""
    left = alpha_bar[t]
    sigma = ((1 - left) / left).sqrt()

    def score(x: Tensor, sigma: Tensor) -> Tensor:
        return -network(left.sqrt()[:, None] * x, t) / sigma[:, None]

    return denoising_score_matching(score, x0, sigma, noise).mean()


def _scores(noise: Tensor, x0: Tensor, left: Tensor) -> Tensor:
    return -noise / (1 - left).sqrt()


def ddpm_loss_written(
    network: Function,
    x0: Tensor,
    t: Tensor,
    noise: Tensor,
    alpha_bar: Tensor,
    *,
    clean: bool = False,
    target: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda noise, x0, left: noise,
    turned: float = 1,
    weight: Callable[[Tensor], Tensor] = torch.ones_like,
    own: bool = False,
    residual: Callable[[Tensor], Tensor] = torch.square,
    reduce: str = "mean",
    **noising: Any,
) -> Tensor:
    """Return DDPM's loss, with switches for what the network sees and says, and those of `add_noise_reference`."""
    noise = torch.randn_like(noise) if own else noise
    prediction = network(x0 if clean else add_noise_reference(x0, t, noise, alpha_bar, **noising), t)
    left = alpha_bar[t][:, None]
    return REDUCTIONS[reduce](weight(left) * residual(prediction - turned * target(noise, x0, left)))


DDPM_LOSS = Exercise(
    number="4.5",
    title="DDPM's loss",
    name="ddpm_loss",
    cases=ddpm_loss_cases,
    truth=ddpm_loss_truth,
    reference=ddpm_loss_reference,
    against="denoising score matching by autograd, in value and gradient",
    observe=loss_and_gradient,
    written=ddpm_loss_written,
    mistakes=(
        Mistake("a network that sees the clean data: it has to find the noise in what is noisy.", {"clean": True}),
        Mistake(
            "a network that is to predict the clean data: DDPM's predicts the noise.",
            {"target": lambda noise, x0, left: x0},
        ),
        Mistake(
            "a network that is to predict the score: its target is the noise itself, without sign and scale.",
            {"target": _scores},
        ),
        Mistake("a turned sign: the network is to equal the noise, so subtract the two.", {"turned": -1}),
        Mistake(
            "a weight that DDPM's loss does not have: every step counts the same.",
            {"weight": lambda left: 1 - left},
        ),
        Mistake("a weight that DDPM's loss does not have: every step counts the same.", {"weight": lambda left: left}),
        Mistake("noise that is subtracted: the network is to find the noise as it was added.", {"sign": -1}),
        Mistake(
            "noise of its own: take the noise that is given, because the network is held against it.", {"own": True}
        ),
        *REDUCTION_MISTAKES,
        *NOISING_MISTAKES,
    ),
)


# 4.6


def ancestral_step_truth(x: Tensor, noise: Tensor, t: int, betas: Tensor, alpha_bar: Tensor, z: Tensor) -> Tensor:
    """Return a draw of x_(t-1) given x_t and the clean data that the noise implies, by conditioning Gaussians."""
    signal, variance = chain_moments(betas)
    clean = (x - variance[t].sqrt() * noise) / signal[t]
    # before the step: its mean and variance given the clean data
    mean, spread = (signal[t - 1] * clean, variance[t - 1]) if t > 0 else (clean, torch.zeros_like(betas[0]))
    kept = (1 - betas[t]).sqrt()
    gain = spread * kept / (kept**2 * spread + betas[t])
    return mean + gain * (x - kept * mean) + (spread - gain * kept * spread).sqrt() * z


def ancestral_step_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make steps: the first, the last, and in between."""

    def case(
        name: str, n: int, dim: int, t: int, dtype: torch.dtype = torch.float32, tolerance: float | None = None
    ) -> Case:
        betas = ddpm_betas(20 if t < 20 else 1000, torch.float64)
        alpha_bar = torch.cumprod(1 - betas, 0)
        x, noise, z = torch.randn(3, n, dim, generator=generator, dtype=dtype)
        return Case(name, (x, noise, t, betas.to(dtype), alpha_bar.to(dtype), z), tolerance)

    yield case("a batch of one, half-way", 1, 1, 10)
    yield case("7 points in the plane, near the end", 7, 2, 3)
    yield case("1,000 points in 10 dimensions, the first step down, t = 999", 1000, 10, 999)
    yield case("the last step, t = 0", 5, 2, 0)
    yield case("double precision", 4, 3, 12, torch.float64, 1e-10)


def alpha_bar_before(alpha_bar: Tensor, t: int) -> Tensor:
    """Return alpha-bar one step earlier; 1 before the first."""
    return alpha_bar[t - 1] if t > 0 else torch.ones_like(alpha_bar[0])


def _posterior_variance(t: int, betas: Tensor, alpha_bar: Tensor) -> Tensor:
    return betas[t] * (1 - alpha_bar_before(alpha_bar, t)) / (1 - alpha_bar[t])


def ancestral_step_reference(
    x: Tensor,
    noise: Tensor,
    t: int,
    betas: Tensor,
    alpha_bar: Tensor,
    z: Tensor,
    *,
    sign: float = 1,
    share: float = 0.5,
    grow: float = 0.5,
    bar: bool = False,
    clean: bool = False,
    variance: Callable[[int, Tensor, Tensor], Tensor] = _posterior_variance,
    root: float = 0.5,
    kick: float = 1,
    own: bool = False,
) -> Tensor:
    """Return x one step earlier (Ho et al. 2020, algorithm 2, with the posterior's variance); the switches do otherwise."""
    taken = (1 - alpha_bar[t]) ** 0.5 if clean else betas[t] / (1 - alpha_bar[t]) ** share
    grown = alpha_bar[t] if clean or bar else 1 - betas[t]
    z = torch.randn_like(z) if own else z
    return (x - sign * taken * noise) / grown**grow + kick * variance(t, betas, alpha_bar) ** root * z


ANCESTRAL_STEP = Exercise(
    number="4.6",
    title="DDPM's step back",
    name="ancestral_step",
    cases=ancestral_step_cases,
    truth=ancestral_step_truth,
    reference=ancestral_step_reference,
    against="Gaussians conditioned on each other",
    mistakes=(
        Mistake(
            "the last step reading alpha_bar[-1], the end of the list: before the first step nothing is lost, so alpha-bar "
            "is 1 there, and no noise is added.",
            {"variance": lambda t, betas, ab: betas[t] * (1 - ab[t - 1]) / (1 - ab[t])},
        ),
        Mistake(
            "beta as the variance: the paper tries it, too, and it is right for data as wide as the noise. Here we take the "
            "smaller one, the posterior's, which adds nothing at the last step.",
            {"variance": lambda t, betas, ab: betas[t]},
        ),
        Mistake(
            "beta as the variance, but none at the last step: here we take the smaller one of the paper's two, the "
            "posterior's, which ends at 0 by itself.",
            {"variance": lambda t, betas, ab: betas[t] * (t > 0)},
        ),
        Mistake("a variance where a standard deviation belongs: the noise wants the root.", {"root": 1}),
        Mistake("a step without noise: its mean alone.", {"kick": 0}),
        Mistake("a missing root of 1 − alpha-bar before the predicted noise.", {"share": 1}),
        Mistake(
            "beta where its ratio to the root of 1 − alpha-bar belongs, before the predicted noise.",
            {"share": 0},
        ),
        Mistake("all of the noise taken away at once: a step takes only its own share.", {"clean": True}),
        Mistake("a turned sign: what the network calls noise is to be taken away.", {"sign": -1}),
        Mistake(
            "x left in its size: a step forward shrinks by the root of 1 − beta, so a step back grows by it.",
            {"grow": 0},
        ),
        Mistake(
            "x shrunk once more instead of grown: a step back divides by the root of 1 − beta.",
            {"grow": -0.5},
        ),
        Mistake("x divided by 1 − beta itself: a step forward shrinks by its root.", {"grow": 1}),
        Mistake(
            "alpha-bar where alpha = 1 − beta belongs, in the division: a single step back, not all of them.",
            {"bar": True},
        ),
        Mistake("noise of its own: take the noise that is given.", {"own": True}),
    ),
)


# 4.7


def reverse_step_truth(
    x: Tensor, score: Tensor, f: Tensor, g: Tensor, dt: float, z: Tensor, stochastic: bool
) -> Tensor:
    """Return a step back along the flow, followed in the stochastic case by a step of Langevin dynamics of size g^2 dt."""
    back = x - dt * (f - g * (g * score) / 2)
    size = g * g * dt
    return back + (size / 2 * score + size.sqrt() * z if stochastic else 0)


def reverse_step_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make steps of either kind, of drifts and diffusions other than 1."""
    for name, n, dim, stochastic in (
        ("a batch of one, with noise", 1, 2, True),
        ("a batch of one, without", 1, 2, False),
        ("7 points in the plane, with noise", 7, 2, True),
        ("1,000 points in 10 dimensions, without", 1000, 10, False),
        ("double precision, with noise", 5, 3, True),
    ):
        wide = name.startswith("double")
        dtype = torch.float64 if wide else torch.float32
        x, score, f, z = torch.randn(4, n, dim, generator=generator, dtype=dtype)
        g = 1.5 + torch.rand((), generator=generator, dtype=dtype)
        yield Case(name, (x, score, f, g, 0.04, z, stochastic), 1e-12 if wide else None)


def reverse_step_reference(
    x: Tensor,
    score: Tensor,
    f: Tensor,
    g: Tensor,
    dt: float,
    z: Tensor,
    stochastic: bool,
    *,
    forward: bool = False,
    drift: float = 1,
    sign: float = 1,
    sde: float = 1,
    ode: float = 0.5,
    g_power: float = 2,
    kick_g: float = 1,
    kick_dt: float = 0.5,
    shaken: tuple[float, float] = (0, 1),
) -> Tensor:
    """Return x a time dt earlier, by the reverse SDE or the probability-flow ODE (Song et al. 2021, eq. 6 and 13).

    The switches change the direction, the terms, the powers of g and dt, and which of (ODE, SDE) has noise.
    """
    pull = drift * f - sign * (sde if stochastic else ode) * g**g_power * score
    return x + (dt if forward else -dt) * pull + shaken[stochastic] * g**kick_g * dt**kick_dt * z


REVERSE_STEP = Exercise(
    number="4.7",
    title="a step back in time",
    name="reverse_step",
    cases=reverse_step_cases,
    truth=reverse_step_truth,
    reference=reverse_step_reference,
    against="the flow's step, followed by a Langevin step where there is noise",
    mistakes=(
        Mistake(
            "a step forward in time: dt is the length of a step back, so the drift is subtracted.",
            {"forward": True},
        ),
        Mistake(
            "the ODE with the SDE's full score: without fresh noise, half of it keeps the balance.",
            {"ode": 1},
        ),
        Mistake(
            "the SDE with the ODE's half score: the fresh noise wants the other half to balance it.",
            {"sde": 0.5},
        ),
        Mistake("the half in the wrong one of the two: the ODE has it, the SDE has not.", {"ode": 1, "sde": 0.5}),
        Mistake("g where its square belongs, before the score.", {"g_power": 1}),
        Mistake("a score without g: its square is the score's weight.", {"g_power": 0}),
        Mistake("noise that grows as dt: its variance does, so its size goes as the root.", {"kick_dt": 1}),
        Mistake("noise without dt: its size goes as the root of dt.", {"kick_dt": 0}),
        Mistake("noise without g.", {"kick_g": 0}),
        Mistake("noise with the square of g: that is its variance.", {"kick_g": 2}),
        Mistake("noise in both: the ODE has none.", {"shaken": (1, 1)}),
        Mistake("noise in neither: the SDE has some.", {"shaken": (0, 0)}),
        Mistake("noise in the wrong one of the two: the SDE has it, the ODE has none.", {"shaken": (1, 0)}),
        Mistake(
            "noise that is subtracted: as likely, but the noise that is handed in is to be added.", {"shaken": (0, -1)}
        ),
        Mistake("a turned sign before the score: backwards in time, the score pulls towards the data.", {"sign": -1}),
        Mistake("a drift f that goes on shrinking: run backwards, it grows what it shrank.", {"drift": -1}),
        Mistake("the drift f left out: NCSN has none, DDPM has.", {"drift": 0}),
    ),
)
