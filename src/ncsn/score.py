"""The contract of a score model, and the conversions between score, denoised and noise.

A score model is anything callable as ``score_model(x, sigma, **condition) -> score`` that approximates the gradient of
log p_sigma at x, where p_sigma is the data's distribution convolved with N(0, sigma^2 I). ``x`` has the shape
``(N, *shape)``, ``sigma`` is a scalar tensor or ``(N,)``, the score has the shape of ``x``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ncsn.errors import SettingError

__all__ = [
    "ScoreModel",
    "condition_rows",
    "denoised_from_score",
    "evaluate",
    "evaluation_mode",
    "expand_sigma",
    "noise_from_score",
    "score_from_denoised",
    "score_from_noise",
    "weight_dtype",
]


NO_LABEL = -1
"""The label that stands for all classes."""

NO_CONTEXT = float("nan")
"""The number of which a context that stands for none is made."""


def is_no_context(context: Tensor) -> Tensor:
    """Return which of contexts ``(N, *shape)`` stand for none, ``(N,)``: those with a NaN."""
    return context.flatten(1).isnan().any(1)


class ScoreModel(Protocol):
    """Anything that returns grad_x log p_sigma(x): a network, an exact mixture, a guided model."""

    def __call__(self, x: Tensor, sigma: Tensor, /, *args: Any, **condition: Any) -> Tensor:
        """Return the score of shape ``(N, *shape)`` at ``x`` of that shape; ``sigma`` is a scalar or ``(N,)``."""
        ...


def expand_sigma(sigma: Tensor | float, x: Tensor) -> Tensor:
    """Give ``sigma`` the device and dtype of ``x`` and trailing axes, so that it broadcasts over a batch.

    Args:
        sigma: Noise level, a scalar or one per row, ``(N,)``.
        x: Batch of shape ``(N, *shape)``.

    Returns:
        A scalar tensor, or ``(N, 1, ..., 1)``.

    Raises:
        SettingError: ``sigma`` is neither a scalar nor one value per row.

    >>> expand_sigma(torch.ones(3), torch.zeros(3, 2, 2)).shape
    torch.Size([3, 1, 1])
    """
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    if sigma.ndim == 0:
        return sigma
    if sigma.shape != x.shape[:1]:
        raise SettingError(f"sigma must be a scalar or one per row, ({len(x)},), not of shape {tuple(sigma.shape)}")
    return sigma.reshape(-1, *[1] * (x.ndim - 1))


def evaluate(score_model: ScoreModel, x: Tensor, sigma: Tensor, condition: Mapping[str, Any] | None = None) -> Tensor:
    """Call a score model in the type of its weights, and return the score in that of ``x``.

    Args:
        score_model: Any score model. What has weights of another type than ``x`` is given ``x`` in theirs, but for models
            that say ``any_dtype``, such as the preconditioned ones, which cast no more than they must.
        x: Points, ``(N, *shape)``.
        sigma: Noise level, a scalar or ``(N,)``.
        condition: Keyword arguments of the call.

    Returns:
        The score, of the shape and type of ``x``.
    """
    dtype = x.dtype if getattr(score_model, "any_dtype", False) else weight_dtype(score_model, x.dtype)
    return score_model(x.to(dtype), sigma.to(dtype), **(condition or {})).to(x.dtype)


def weight_dtype(model: object, otherwise: torch.dtype) -> torch.dtype:
    """Return the floating-point type of a module's first weight, or ``otherwise`` where it has none."""
    weight = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return weight.dtype if weight is not None and weight.is_floating_point() else otherwise


@contextmanager
def evaluation_mode(score_model: object) -> Iterator[None]:
    """Put a module into evaluation mode, and each of its parts back as it was in the end."""
    training = (
        [module for module in score_model.modules() if module.training] if isinstance(score_model, nn.Module) else []
    )
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def condition_rows(condition: Mapping[str, Any] | None, n: int, rows: slice | Tensor) -> dict[str, Any]:
    """Select what a condition says of some rows: of a tensor with one entry a row these, of anything else all.

    Args:
        condition: Keyword arguments of a score model, or None for none.
        n: Number of rows that it is about.
        rows: The rows wanted, a slice or indices.

    Returns:
        Keyword arguments for these rows.

    Raises:
        SettingError: A tensor has neither one entry a row nor a single value.

    >>> condition_rows({"label": torch.tensor([4, 5, 6]), "weight": 2.0}, 3, slice(1, 3))
    {'label': tensor([5, 6]), 'weight': 2.0}
    """
    selected = dict(condition or {})
    for name, value in selected.items():
        if isinstance(value, Tensor) and value.ndim:
            if len(value) != n:
                raise SettingError(f"condition {name!r} must have one entry a row, {n}, not {len(value)}")
            selected[name] = value[rows]
    return selected


def denoised_from_score(x: Tensor, sigma: Tensor | float, score: Tensor) -> Tensor:
    """Return the posterior mean E[x0 | x] = x + sigma^2 score (Tweedie's formula; Efron 2011).

    >>> denoised_from_score(torch.tensor([[2.0]]), 1.0, torch.tensor([[-1.0]]))
    tensor([[1.]])
    """
    return torch.addcmul(x, expand_sigma(sigma, x).square(), score)


def score_from_denoised(x: Tensor, sigma: Tensor | float, denoised: Tensor) -> Tensor:
    """Return the score (denoised - x) / sigma^2, the inverse of `denoised_from_score`."""
    return (denoised - x) / expand_sigma(sigma, x).square()


def noise_from_score(sigma: Tensor | float, score: Tensor) -> Tensor:
    """Return the expected noise E[eps | x] = -sigma score, what DDPM's network predicts (Ho et al. 2020, eq. 12)."""
    return -expand_sigma(sigma, score) * score


def score_from_noise(sigma: Tensor | float, noise: Tensor) -> Tensor:
    """Return the score -noise / sigma, the inverse of `noise_from_score`."""
    return -noise / expand_sigma(sigma, noise)
