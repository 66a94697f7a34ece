"""The probability-flow ODE: rows carried from one noise level to another, and the way between two that are all noise."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchdiffeq import odeint

from ncsn.errors import DivergenceError, SettingError, check_count, check_number
from ncsn.samplers import rows_at_once
from ncsn.score import ScoreModel, condition_rows, evaluate, evaluation_mode
from ncsn.threads import threads_that_pay

__all__ = ["carry", "slerp"]


def carry(
    score_model: ScoreModel,
    x: Tensor,
    sigma: float,
    following: float,
    *,
    tolerance: float = 1e-5,
    chunk_size: int | None = None,
    condition: dict[str, Any] | None = None,
    gradients: bool = False,
) -> Tensor:
    """Carry rows from one noise level to another, up or down, by dx/dsigma = -sigma s(x, sigma).

    The flow takes p_sigma to the density at every other level, without chance: up and down again leads back.

    Args:
        score_model: Any score model; a module is in evaluation mode while it is asked.
        x: Rows at the level ``sigma``, ``(N, *shape)``.
        sigma: The level that they are at.
        following: The level that they are carried to.
        tolerance: Relative and absolute tolerance of the adaptive solver (Dormand-Prince 5), kept by every row.
        chunk_size: Rows solved together; `samplers.rows_at_once` when None.
        condition: Keyword arguments for the model, such as ``{"label": labels}``; a tensor has one entry a row.
        gradients: Whether the outcome can be differentiated by the rows, the condition and the model's weights, for which every
            step is kept.

    Returns:
        The rows at the level ``following``.

    Raises:
        SettingError: Levels, counts, shapes or the tolerance do not fit.
        DivergenceError: The score is not finite, or too steep to follow.

    References:
        Song et al. 2021, section 4.3 and appendix D.4.

    >>> standard_normal = lambda x, sigma: -x / (1 + sigma**2)
    >>> carry(standard_normal, torch.ones(1, 2), 0.01, 7.0)  # by the ratio of the standard deviations
    tensor([[7.0707, 7.0707]])
    """
    check_number("sigma", sigma, above=0)
    check_number("following", following, above=0)
    check_number("tolerance", tolerance, above=0)
    if chunk_size is not None:
        check_count("chunk_size", chunk_size)
    if x.ndim < 2 or not x.numel():
        raise SettingError(f"x must hold rows of shape (N, *shape), not {tuple(x.shape)}")
    if sigma == following:
        return x.clone()
    size = chunk_size or rows_at_once(x.shape[1:], x.device)
    carried: list[Tensor] = []
    for start in range(0, len(x), size):
        told = condition_rows(condition, len(x), slice(start, start + size))

        def derivative(level: Tensor, state: tuple[Tensor, ...], told: dict[str, Any] = told) -> tuple[Tensor, ...]:
            return (-level.square() * evaluate(score_model, state[0], level, told),)

        rows = x[start : start + size]
        with torch.set_grad_enabled(gradients), evaluation_mode(score_model), threads_that_pay(score_model, len(rows)):
            carried += integrate(derivative, (rows,), sigma, following, tolerance)
    return torch.cat(carried)


def integrate(
    derivative: Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]],
    start: tuple[Tensor, ...],
    sigma: float,
    following: float,
    tolerance: float,
    *,
    of: str = "flow",
) -> tuple[Tensor, ...]:
    """Integrate the parts of a state over log sigma, from one level to another.

    Args:
        derivative: Called with a level and the state there; returns d/dlog sigma of its parts.
        start: The state at the level ``sigma``; its first part are rows.
        sigma: The first level.
        following: The last level.
        tolerance: Relative and absolute tolerance, kept by every value.
        of: What the message calls the outcome.

    Raises:
        DivergenceError: The state left the finite numbers, or has no end.
    """
    ends = start[0].new_tensor([math.log(sigma), math.log(following)])
    span = abs(float(ends[1] - ends[0]))
    options = {
        # a step over a quiet stretch, where all is noise or none, must not leap into the middle of the data's scales
        "first_step": span / 64,
        "max_step": span / 16,
        # without it the last step would leave the levels
        "step_t": ends,
        # torchdiffeq's own norm is a mean over the rows, in which the error of one row drowns
        "norm": lambda errors: torch.stack([error.abs().max() for error in errors]).max(),
    }

    def by_level(log_sigma: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return derivative(log_sigma.exp(), state)

    try:
        path = odeint(by_level, start, ends, method="dopri5", rtol=tolerance, atol=tolerance, options=options)
    except AssertionError as error:
        # torchdiffeq's own guard against steps of no length and states without number
        raise DivergenceError(f"the {of} is not finite: the score is not, or it is too steep to follow") from error
    return tuple(part[-1] for part in path)


def slerp(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Return points on the way from rows to others by the angle between them, which keeps the length that noise has.

    Where two rows have one direction, or opposite ones, the way is the straight line.

    Args:
        a: Rows, ``(N, *shape)``: weight 0.
        b: Rows of the same shape: weight 1.
        weights: Where on the way, ``(n,)``.

    Returns:
        Points of shape ``(N, n, *shape)``.

    Raises:
        SettingError: The shapes differ.

    References:
        Shoemake 1985; Song et al. 2021 (DDIM), section 5.3.

    >>> slerp(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]]), torch.tensor([0.0, 0.5]))
    tensor([[[2.0000, 0.0000],
             [1.4142, 1.4142]]])
    """
    if a.shape != b.shape or a.ndim < 2:
        raise SettingError(f"rows of one shape (N, *shape) are needed, not {tuple(a.shape)} and {tuple(b.shape)}")
    # in single precision the angle of nearly parallel rows has few digits
    first, second = a.flatten(1).double(), b.flatten(1).double()
    t = weights.to(first)[None, :, None]
    cosine = torch.nn.functional.cosine_similarity(first, second)[:, None, None].clamp(-1, 1)
    angle = cosine.acos()
    whole = angle.sin()
    straight = whole < 1e-6
    parts = [
        torch.where(straight, share, (share * angle).sin() / whole.masked_fill(straight, 1)) for share in (1 - t, t)
    ]
    return (parts[0] * first[:, None] + parts[1] * second[:, None]).unflatten(2, a.shape[1:]).to(a)
