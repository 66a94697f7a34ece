"""How good a score model is, level by level: its error against an exact score, and its denoising loss.

Both are in units in which a zero score has a loss of 1 and the levels compare. For rows of the distribution whose exact
score is known they are one and the same but for a constant, loss = floor + error, where the floor is the exact score's own
loss (Vincent 2011): no network can go below it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ncsn.errors import DataError, SettingError
from ncsn.randomness import standard_normal
from ncsn.score import ScoreModel, evaluate, evaluation_mode

# Rows that pass through a score model together.
_BLOCK = 2**14


def score_error(model: ScoreModel, exact: ScoreModel, x: Tensor, sigma: Tensor) -> Tensor:
    """Return each row's relative score error |s - s_exact|^2 sigma^2 / D.

    Args:
        model: The score model in question.
        exact: The exact score, of `ncsn.exact` for instance.
        x: Noisy points, ``(N, *shape)``.
        sigma: Their noise level, a scalar.

    Returns:
        Errors of shape ``(N,)``, without units: 0 is exact, and a zero score has about 1 at small levels.

    Raises:
        SettingError: A score has not the shape of ``x``.
    """
    gap = sigma * (score_of(model, x, sigma) - score_of(exact, x, sigma))
    return gap.flatten(1).square().mean(1)


def score_error_by_level(
    model: ScoreModel, exact: ScoreModel, samples: Tensor, sigmas: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Return the relative score error E|s - s_exact|^2 sigma^2 / D at each level, over x of p_sigma.

    Args:
        model: The score model in question.
        exact: The exact score of the distribution that ``samples`` are drawn from.
        samples: Clean rows, ``(N, *shape)``; each is used once a level, so repeat few rows for less variance.
        sigmas: Noise levels, ``(L,)``, in any order.
        generator: Source of the noise, the same at all levels; torch's default when None.

    Returns:
        Errors of shape ``(L,)``.

    Raises:
        DataError: The samples are empty or not finite.
        SettingError: The levels are not positive, or a score has not the shape of its input.

    >>> exact = lambda x, sigma: -x / (1 + sigma**2)
    >>> twice = lambda x, sigma: 2 * exact(x, sigma)
    >>> g = torch.Generator().manual_seed(0)
    >>> errors = score_error_by_level(twice, exact, torch.randn(100_000, 2, generator=g), torch.tensor([2.0, 1.0]), g)
    >>> [round(error, 2) for error in errors.tolist()]  # sigma^2 / (1 + sigma^2)
    [0.8, 0.5]
    """
    return _by_level(lambda x, noise, sigma: score_error(model, exact, x, sigma), samples, sigmas, generator)


def loss_by_level(
    model: ScoreModel, samples: Tensor, sigmas: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Return the denoising loss E|s + noise / sigma|^2 sigma^2 / D at each level.

    Called with the exact score of the samples' distribution it is the floor that no network can go below; with that of
    the training set itself (`EmpiricalScore`) and the training rows, the floor of the training loss. A generator of the
    same seed gives both the same noise, and their difference less variance.

    Args:
        model: Any score model.
        samples: Clean rows, ``(N, *shape)``; each is used once a level, so repeat few rows for less variance.
        sigmas: Noise levels, ``(L,)``, in any order.
        generator: Source of the noise, the same at all levels; torch's default when None.

    Returns:
        Losses of shape ``(L,)``: the loss of Song & Ermon 2019, eq. 5, times 2 sigma^2 / D.

    Raises:
        DataError: The samples are empty or not finite.
        SettingError: The levels are not positive, or the score has not the shape of its input.

    >>> exact = lambda x, sigma: -x / (1 + sigma**2)
    >>> g = torch.Generator().manual_seed(0)
    >>> losses = loss_by_level(exact, torch.randn(100_000, 2, generator=g), torch.tensor([2.0, 1.0]), g)
    >>> [round(loss, 2) for loss in losses.tolist()]  # 1 / (1 + sigma^2)
    [0.2, 0.5]
    """

    def loss(x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        return torch.addcmul(noise, sigma, score_of(model, x, sigma)).flatten(1).square().mean(1)

    return _by_level(loss, samples, sigmas, generator)


@torch.no_grad()
def _by_level(
    measure: Callable[[Tensor, Tensor, Tensor], Tensor],
    samples: Tensor,
    sigmas: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """Return the mean of ``measure(noisy, noise, sigma)`` over the rows, at each level."""
    if samples.ndim < 2 or samples.numel() == 0:
        raise DataError(f"samples must be rows of shape (N, *shape), not values of shape {tuple(samples.shape)}")
    if not bool(samples.isfinite().all()):
        raise DataError("samples hold NaN or infinite values; leave those rows out")
    sigmas = checked_levels(sigmas).to(samples)
    noise = standard_normal(samples, generator)
    blocks = list(zip(samples.split(_BLOCK), noise.split(_BLOCK), strict=True))
    return torch.stack(
        [torch.cat([measure(x + sigma * noise, noise, sigma) for x, noise in blocks]).mean() for sigma in sigmas]
    )


def checked_levels(sigmas: Tensor) -> Tensor:
    """Return the levels as a 1-D tensor of floating-point numbers.

    Raises:
        SettingError: They are none, or not positive and finite.
    """
    sigmas = torch.as_tensor(sigmas)
    sigmas = sigmas if sigmas.is_floating_point() else sigmas.to(torch.get_default_dtype())
    if sigmas.ndim != 1 or len(sigmas) == 0 or not bool((sigmas.isfinite() & (sigmas > 0)).all()):
        raise SettingError(f"sigmas must be a 1-D tensor of positive, finite noise levels, not {sigmas.tolist()}")
    return sigmas


def score_of(model: ScoreModel, x: Tensor, sigma: Tensor) -> Tensor:
    """Return the score of a model in evaluation mode.

    Raises:
        SettingError: It has not the shape of ``x``.
    """
    with evaluation_mode(model):
        score = evaluate(model, x, sigma)
    if score.shape != x.shape:
        raise SettingError(
            f"the score model returned the shape {tuple(score.shape)} for points of shape {tuple(x.shape)}"
        )
    return score
