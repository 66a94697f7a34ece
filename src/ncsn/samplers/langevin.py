"""Langevin dynamics: plain, and annealed down the noise levels (Song & Ermon 2019, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ncsn.errors import unknown_name
from ncsn.samplers.driver import CountedModel, Noise, State, sample
from ncsn.score import ScoreModel, denoised_from_score
from ncsn.tuning import langevin_step_size

__all__ = ["annealed_langevin", "annealed_langevin_dynamics", "langevin"]

STEP_RULES = ("sigma", "score")


def langevin(
    model: CountedModel,
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    n_steps: int = 1000,
    step_size: float = 1e-2,
) -> Iterator[State]:
    """Walk at the last level alone: x + (alpha/2) s + sqrt(alpha) z, the one that misplaces the modes' weights.

    Args:
        model: The score model.
        x: Start, ``(N, *shape)``.
        sigmas: Levels; only the last is used.
        noise: Source of noise.
        n_steps: Number of steps.
        step_size: alpha, the same at every step.

    Yields:
        The state after each step.
    """
    _check_steps(n_steps, step_size)
    sigma = sigmas[-1]
    for step in range(1, n_steps + 1):
        x, denoised = _langevin_step(model, x, sigma, step_size, noise)
        yield State(step, float(sigma), x, denoised, model.evaluations)


def annealed_langevin(
    model: CountedModel,
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    n_steps_per_sigma: int = 100,
    step_size: float | None = None,
    step_rule: str = "sigma",
) -> Iterator[State]:
    """Walk at each level in turn, with steps alpha_i = step_size (sigma_i / sigma_min)^2.

    Args:
        model: The score model.
        x: Start, ``(N, *shape)``.
        sigmas: Levels, descending.
        noise: Source of noise.
        n_steps_per_sigma: Steps T at each level.
        step_size: epsilon, the step alpha at the last level, of x + (alpha/2) s + sqrt(alpha) z: twice the alpha of
            Song & Ermon 2020. Chosen by their technique 4 when None (`langevin_step_size`).
        step_rule: ``sigma`` (the formula above) or ``score``: alpha = step_size / sigma_min^2 * D / mean |s|^2, the same in
            equilibrium and smaller where the score is larger.

    Yields:
        The state after each step.

    Raises:
        ValueError: A count or a step size is not positive, or the rule is unknown.
    """
    if step_rule not in STEP_RULES:
        raise unknown_name("step rule", step_rule, STEP_RULES)
    if step_size is None:
        ratio = float(sigmas[-2] / sigmas[-1]) if len(sigmas) > 1 else 1.0
        step_size = langevin_step_size(float(sigmas[-1]), ratio, n_steps_per_sigma)
    _check_steps(n_steps_per_sigma, step_size)
    relative = step_size / float(sigmas[-1]) ** 2
    step = 0
    for sigma in sigmas:
        level = float(sigma)
        for _ in range(n_steps_per_sigma):
            step += 1
            alpha = relative * level**2 if step_rule == "sigma" else None
            x, denoised = _langevin_step(model, x, sigma, alpha, noise, relative)
            yield State(step, level, x, denoised, model.evaluations)


def _langevin_step(
    model: CountedModel, x: Tensor, sigma: Tensor, alpha: float | None, noise: Noise, relative: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Take one step; without ``alpha`` the step follows the score's magnitude."""
    score = model.score(x, sigma)
    if alpha is None:
        alpha = relative / max(float(score.square().mean()), 1e-30)
    denoised = denoised_from_score(x, sigma, score)
    return torch.add(x, score, alpha=alpha / 2).add_(noise.like(x), alpha=alpha**0.5), denoised


def _check_steps(n_steps: int, step_size: float) -> None:
    if n_steps < 1:
        raise ValueError(f"the number of steps must be at least 1, not {n_steps}")
    if not 0 < step_size < float("inf"):
        raise ValueError(f"step_size must be positive and finite, not {step_size}")


def annealed_langevin_dynamics(
    score_model: ScoreModel,
    sigmas: Tensor,
    n_samples: int,
    data_dim: int,
    n_steps_per_sigma: int = 100,
    step_size: float | None = None,
    device: torch.device | str = "cpu",
    *,
    denoise_last: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw samples by annealed Langevin dynamics: the page's call of ``sample(..., sampler="annealed_langevin")``.

    Args:
        score_model: Any score model.
        sigmas: Noise levels, descending, ``(L,)``.
        n_samples: Number of samples.
        data_dim: Dimension of the data.
        n_steps_per_sigma: Steps at each level.
        step_size: epsilon of alpha_i = epsilon (sigma_i / sigma_min)^2; by technique 4 when None.
        device: Where to sample.
        denoise_last: Whether to end with the posterior mean at the last level.
        generator: Source of randomness; torch's default when None.

    Returns:
        Samples of shape ``(n_samples, data_dim)``.

    References:
        Song & Ermon 2019, algorithm 1.
    """
    return sample(
        score_model,
        sigmas,
        n_samples,
        data_dim,
        "annealed_langevin",
        denoise_last=denoise_last,
        generator=generator,
        device=device,
        n_steps_per_sigma=n_steps_per_sigma,
        step_size=step_size,
    )
