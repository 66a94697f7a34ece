"""Exercises 2.3 and 2.4: what the mean of the denoising targets is, and the loss over many noise levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from ncsn.learn.declarations import Case, Exercise, Function, Mistake
from ncsn.learn.lessons.losses import DENOISING_MISTAKES, REDUCTION_MISTAKES, denoising_loss, loss_and_gradient
from ncsn.learn.lessons.shapes import telling_shapes
from ncsn.losses import denoising_score_matching
from ncsn.score import expand_sigma

__all__ = ["LOSS", "MEAN_TARGET"]


# 2.3


def mean_target_truth(x: Tensor, noisy: Tensor, sigma: float, edges: Tensor) -> Tensor:
    """Return each bin's mean of the conditional scores, by plain sums."""
    pairs = list(zip(x.tolist(), noisy.tolist(), strict=True))
    ends = edges.tolist()
    means = []
    for low, high in pairwise(ends):
        targets = [(clean - place) / sigma**2 for clean, place in pairs if low <= place < high]
        means.append(sum(targets) / len(targets))
    return torch.tensor(means, dtype=x.dtype)


def mean_target_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make pairs of clean and noisy points, with some of the noisy ones outside of all bins."""

    def case(name: str, n: int, bins: int, sigma: float, reach: float, dtype: torch.dtype = torch.float32) -> Case:
        x, noise = torch.randn(2, n, generator=generator, dtype=dtype)
        noisy = x + sigma * noise
        # bins of as many points each, so that none is empty
        share = torch.linspace(0.5 - reach, 0.5 + reach, bins + 1, dtype=dtype)
        return Case(name, (x, noisy, sigma, torch.quantile(noisy, share)), 1e-10 if dtype == torch.float64 else 1e-4)

    single = torch.tensor([0.7])
    yield Case("a batch of one", (single, single + 0.4, 0.5, torch.tensor([0.0, 2.0])))
    yield case("100 pairs in a single bin", 100, 1, 0.5, 0.35)
    yield case("1,000 pairs in 7 bins", 1000, 7, 2.0, 0.4)
    yield case("double precision", 501, 5, 0.3, 0.45, torch.float64)


def mean_target_reference(
    x: Tensor,
    noisy: Tensor,
    sigma: float,
    edges: Tensor,
    *,
    sign: float = 1,
    power: float = 2,
    ends: str = "arrow",
    sort_by: str = "noisy",
    average: Callable[[Tensor], Tensor] = torch.mean,
    share: bool = False,
    right: bool = False,
) -> Tensor:
    """Return the mean conditional score -(noisy - x) / sigma^2 of the noisy points in each bin; the switches do otherwise."""
    places = x if sort_by == "clean" else noisy
    means = []
    for low, high in pairwise(edges):
        inside = (places > low) & (places <= high) if right else (places >= low) & (places < high)
        start = {"arrow": noisy[inside], "middle": (low + high) / 2, "clean": torch.zeros_like(noisy[inside])}[ends]
        mean = average(sign * (x[inside] - start) / sigma**power)
        means.append(mean / len(x) if share else mean)
    return torch.stack(means)


MEAN_TARGET = Exercise(
    number="2.3",
    title="the mean of all arrows at a place",
    name="mean_target",
    cases=mean_target_cases,
    truth=mean_target_truth,
    reference=mean_target_reference,
    against="plain sums",
    tolerance=1e-4,
    mistakes=(
        Mistake("a turned sign: the arrow points from the noisy point back to the clean one.", {"sign": -1}),
        Mistake("sigma for sigma squared: you are off by exactly sigma.", {"power": 1}),
        Mistake("an arrow that is not divided by sigma squared.", {"power": 0}),
        Mistake(
            "bins of the clean points: the network sees the noisy one, so that is what to sort by.",
            {"sort_by": "clean"},
        ),
        Mistake(
            "the sum in each bin: it grows with the number of pairs, and the mean does not.",
            {"average": torch.sum},
        ),
        Mistake(
            "the sum in each bin, divided by the number of all pairs: divide by those in the bin.",
            {"average": torch.sum, "share": True},
        ),
        Mistake("the median in each bin: squared error finds means.", {"average": torch.median}),
        Mistake(
            "arrows that begin at the middle of the bin: each begins at its own noisy point.",
            {"ends": "middle"},
        ),
        Mistake("the mean of the clean points: where the arrows lead, not the arrows.", {"ends": "clean", "power": 0}),
        Mistake("bins with their right ends and without their left ones.", {"right": True}),
    ),
)


# 2.4


class LinearScore(nn.Module):
    """A score model with weights to train, that answers to each row's level.

    Args:
        dim: Dimension of the points.
        generator: Source of its weights.
        dtype: Their type.
    """

    def __init__(self, dim: int, generator: torch.Generator, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dim, dim, generator=generator, dtype=dtype))
        self.bias = nn.Parameter(torch.randn(dim, generator=generator, dtype=dtype))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the score ``(N, D)``; ``sigma`` is ``(N,)`` or one number."""
        return (x @ self.weight + self.bias) / (0.5 + expand_sigma(sigma, x))


def loss_truth(score_model: nn.Module, x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Return the weighted denoising loss, the conditional score being autograd of the noise's log-density."""
    level = sigma[:, None]
    noisy = (x + level * noise).requires_grad_()
    target = torch.autograd.grad(Normal(x, level.expand_as(x)).log_prob(noisy).sum(), noisy)[0]
    gap = score_model(noisy.detach(), sigma) - target
    return (level**2 * gap**2).sum() / gap.numel()


def loss_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make score models, points, one level for each, and noise."""
    for name, n, dim, dtype in (
        ("a batch of one", 1, 1, torch.float32),
        ("7 points in the plane", 7, 2, torch.float32),
        ("4 points in 4 dimensions, where a wrong broadcast goes unnoticed", 4, 4, torch.float32),
        ("1,000 points in 5 dimensions", 1000, 5, torch.float32),
        ("double precision", 6, 3, torch.float64),
    ):
        x, noise = torch.randn(2, n, dim, generator=generator, dtype=dtype)
        sigma = 0.1 + 2 * torch.rand(n, generator=generator, dtype=dtype)
        model = LinearScore(dim, generator, dtype)
        yield Case(name, (model, x, sigma, noise), 1e-11 if dtype == torch.float64 else None)


def loss_reference(score_model: Callable[[Tensor, Tensor], Tensor], x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Return the denoising score matching loss, each row at its own level and weighted by its square."""
    return denoising_score_matching(score_model, x, sigma, noise).mean()


def loss_written(
    score_model: Function,
    x: Tensor,
    sigma: Tensor,
    noise: Tensor,
    *,
    weight: float = 2,
    hears: Callable[[Tensor], Tensor] = torch.clone,
    **switches: Any,
) -> Tensor:
    """Return the loss, with the switches of `denoising_loss` and one for what the model hears."""
    level = sigma[:, None]
    return denoising_loss(lambda points: score_model(points, hears(sigma)), x, noise, level, weight=weight, **switches)


def _all_pairs(score_model: nn.Module, x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    gap = score_model(x + sigma[:, None] * noise, sigma) + noise / sigma[:, None]
    return (sigma.square()[:, None] * gap.square().mean(1)).mean()


LOSS = Exercise(
    number="2.4",
    title="denoising score matching over many levels",
    name="dsm_loss",
    cases=loss_cases,
    truth=loss_truth,
    reference=loss_reference,
    against="a loss whose target is autograd of the noise's log-density, in value and gradient",
    tolerance=1e-4,
    observe=telling_shapes(
        "the levels (N,) go with the rows of (N, D), so they need a second axis of length 1", loss_and_gradient
    ),
    written=loss_written,
    mistakes=(
        *DENOISING_MISTAKES,
        Mistake(
            "a loss without its weight: small levels, with their long arrows, then drown out all others.",
            {"weight": 0},
        ),
        Mistake("a weight of sigma: the loss is a square, so its weight is sigma squared.", {"weight": 1}),
        Mistake(
            "a weight of sigma to the fourth power: where the error is weighted before it is squared, its weight is sigma.",
            {"weight": 4},
        ),
        Mistake("a weight of one over sigma squared: it makes the small levels louder still.", {"weight": -2}),
        # weighted before the absolute value is taken
        Mistake(REDUCTION_MISTAKES[-1].message, {"residual": torch.abs, "weight": 1}),
        Mistake(
            "weights and errors broadcast to all pairs: (N, 1) times (N,) is (N, N), so each error meets every row's weight.",
            _all_pairs,
        ),
        Mistake(
            "one level told for the whole batch: the network has to hear each row's own.",
            {"hears": torch.mean},
        ),
        Mistake(
            "a network that is told the logarithm of the level: it takes sigma, and makes of it what it needs.",
            {"hears": torch.log},
        ),
    ),
)
