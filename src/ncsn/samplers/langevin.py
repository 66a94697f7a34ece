"""Langevin dynamics: plain, and annealed down the noise levels (Song & Ermon 2019, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ncsn.errors import check_count, unknown_name
from ncsn.samplers.base import CountedModel, Noise, State
from ncsn.score import denoised_from_score
from ncsn.tuning import langevin_step_size

__all__ = ["STEP_RULES", "annealed_langevin", "langevin"]

STEP_RULES = ("sigma", "score")
"""What annealed Langevin's step follows: the noise level, or the magnitude of the score."""

_SINGLE_LEVEL_STEP = 0.1
"""alpha / sigma^2 of the default step at a single level: chains end with 4/(4 - 0.1), so 1.03 times, their variance."""


def langevin(
    model: CountedModel,
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    n_steps: int = 1000,
    step_size: float | None = None,
) -> Iterator[State]:
    """Walk at the last level alone: x + (alpha/2) s + sqrt(alpha) z, the one that misplaces the modes' weights.

    Args:
        model: The score model.
        x: Start, ``(N, *shape)``.
        sigmas: Levels; only the last is used.
        noise: Source of noise.
        n_steps: Number of steps.
        step_size: alpha, the same at every step; a tenth of sigma^2 when None.

    Yields:
        The state after each step.

    Raises:
        ValueError: The count or the step size is not positive.
    """
    level = float(sigmas[-1])
    alpha = _SINGLE_LEVEL_STEP * level**2 if step_size is None else step_size
    _check_steps(n_steps, alpha)
    for step in range(1, n_steps + 1):
        score = model.score(x, sigmas[-1])
        denoised = denoised_from_score(x, sigmas[-1], score)
        x = _move(x, score, alpha, noise)
        yield State(step, level, x, denoised, model.evaluations)


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
            Song & Ermon 2020. When None chosen by their technique 4 from the last two levels (`langevin_step_size`), or
            a tenth of sigma^2 where there is but one.
        step_rule: ``sigma`` (the formula above) or ``score``: alpha = step_size / sigma_min^2 * D / mean |s|^2, with the
            mean over blocks of samples (the rule by signal-to-noise ratio r of Song et al. 2021, algorithm 4, with 4 r^2 =
            step_size / sigma_min^2). In equilibrium around points both take nearly the same steps; ``score`` takes
            larger ones where the data are wider than the noise, and smaller ones where scores are larger, as far out.

    Yields:
        The state after each step.

    Raises:
        ValueError: A count or a step size is not positive, or the rule is unknown.
    """
    if step_rule not in STEP_RULES:
        raise unknown_name("step rule", step_rule, STEP_RULES)
    levels = sigmas.tolist()
    if step_size is None:
        step_size = (
            langevin_step_size(levels[-1], levels[-2] / levels[-1], n_steps_per_sigma)
            if len(levels) > 1
            else _SINGLE_LEVEL_STEP * levels[-1] ** 2
        )
    _check_steps(n_steps_per_sigma, step_size)
    relative = step_size / levels[-1] ** 2
    step = 0
    for sigma, level in zip(sigmas, levels, strict=True):
        for _ in range(n_steps_per_sigma):
            step += 1
            score = model.score(x, sigma)
            denoised = denoised_from_score(x, sigma, score)
            alpha = relative * level**2 if step_rule == "sigma" else relative * _inverse_square(score, level, noise)
            x = _move(x, score, alpha, noise)
            yield State(step, level, x, denoised, model.evaluations)


def _inverse_square(score: Tensor, level: float, noise: Noise) -> Tensor:
    """Return D / mean |s|^2 of each row's block, broadcastable to the rows.

    One more row is counted, with the score of noise around a point, so that few chains with next to no score do not leap.
    """
    one = score[0].numel()
    blocks = [
        ((rows.numel() + one) / (rows.square().sum() + one / level**2)).expand(len(rows))
        for rows in score.split(noise.block)
    ]
    return torch.cat(blocks).reshape(-1, *[1] * (score.ndim - 1))


def _move(x: Tensor, score: Tensor, alpha: float | Tensor, noise: Noise) -> Tensor:
    """Return x + (alpha/2) score + sqrt(alpha) z."""
    if isinstance(alpha, Tensor):
        return torch.addcmul(x, alpha / 2, score).addcmul_(alpha.sqrt(), noise.like(x))
    return torch.add(x, score, alpha=alpha / 2).add_(noise.like(x), alpha=alpha**0.5)


def _check_steps(n_steps: int, step_size: float) -> None:
    check_count("the number of steps", n_steps)
    if not 0 < step_size < float("inf"):
        raise ValueError(f"step_size must be positive and finite, not {step_size}")
