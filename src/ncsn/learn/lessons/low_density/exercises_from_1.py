"""Exercises 1.1 and 1.2: the scores of a Gaussian and of a mixture, against autograd of `torch.distributions`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.nn.functional import one_hot

from ncsn.exact import GaussianMixtureScore
from ncsn.learn.declarations import Case, Exercise, Function, Mistake
from ncsn.learn.lessons.truths import gradient_of_log_density

__all__ = ["GAUSSIAN", "MIXTURE"]


# 1.1


def gaussian_truth(x: Tensor, mean: Tensor, std: float) -> Tensor:
    """Return the score of N(mean, std^2 I) by autograd."""
    return gradient_of_log_density(Independent(Normal(mean, torch.full_like(mean, std)), 1), x)


def gaussian_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make points of 1 to 10 dimensions, near and far."""
    for name, n, dim, std in (
        ("a batch of one", 1, 1, 0.5),
        ("7 points in the plane", 7, 2, 2.0),
        ("1,000 points in 10 dimensions", 1000, 10, 0.3),
    ):
        mean = torch.randn(dim, generator=generator)
        yield Case(name, (mean + 2 * std * torch.randn(n, dim, generator=generator), mean, std))
    yield Case("a point far away, x = 50", (torch.tensor([[50.0]]), torch.tensor([3.0]), 0.5))
    wide = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    yield Case("double precision", (wide, wide[0] - 1, 1.5), tolerance=1e-12)


def gaussian_reference(x: Tensor, mean: Tensor, std: float) -> Tensor:
    """Return the score of N(mean, std^2 I)."""
    return (mean - x) / std**2


GAUSSIAN = Exercise(
    number="1.1",
    title="the score of a Gaussian",
    name="gaussian_score",
    cases=gaussian_cases,
    truth=gaussian_truth,
    reference=gaussian_reference,
    against="autograd of the Gaussian's log-density",
    mistakes=(
        Mistake(
            "a turned sign: your arrows point away from the mean, and the density grows towards it.",
            lambda x, mean, std: (x - mean) / std**2,
        ),
        Mistake(
            "the standard deviation where the variance belongs: you are off by exactly std. The log-density has the square.",
            lambda x, mean, std: (mean - x) / std,
        ),
        Mistake(
            "the Gaussian about 0: the mean is left out.",
            lambda x, mean, std: -x / std**2,
        ),
        Mistake(
            "a left-over factor 1/2: the derivative of a square brings a 2 that cancels it.",
            lambda x, mean, std: (mean - x) / (2 * std**2),
        ),
        Mistake(
            "the gradient of the density instead of its logarithm: the density itself is still a factor of your answer.",
            lambda x, mean, std: (
                (mean - x)
                / std**2
                * torch.exp(Normal(mean, torch.full_like(mean, std)).log_prob(x).sum(-1, keepdim=True))
            ),
        ),
    ),
)


# 1.2


def mixture_truth(x: Tensor, weights: Tensor, means: Tensor, std: float) -> Tensor:
    """Return the score of a mixture of N(means, std^2 I) by autograd."""
    parts = Independent(Normal(means, torch.full_like(means, std)), 1)
    return gradient_of_log_density(MixtureSameFamily(Categorical(weights), parts), x)


def mixture_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make points of mixtures of 1 to 40 components, near, in between and far."""

    def mixture(components: int, dim: int, spread: float, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        weights = torch.rand(components, generator=generator, dtype=dtype) + 0.2
        return weights / weights.sum(), spread * torch.randn(components, dim, generator=generator, dtype=dtype)

    two = torch.tensor([0.2, 0.8]), torch.tensor([[-3.0], [3.0]])
    yield Case("the middle of the gap, x = 0", (torch.zeros(1, 1), *two, 0.5))
    for name, n, components, dim, std in (
        ("a batch of one", 1, 2, 1, 1.0),
        ("7 points between three overlapping modes in the plane", 7, 3, 2, 1.5),
        ("1,000 points and 40 components in 3 dimensions", 1000, 40, 3, 0.7),
        ("a single component", 5, 1, 2, 0.4),
    ):
        weights, means = mixture(components, dim, 1.5)
        yield Case(name, (1.5 * torch.randn(n, dim, generator=generator), weights, means, std))
    yield Case("a point far away, x = 50", (torch.tensor([[50.0]]), *two, 0.5))
    weights, means = mixture(4, 2, 2.0, torch.float64)
    wide = 2 * torch.randn(9, 2, generator=generator, dtype=torch.float64)
    yield Case("double precision", (wide, weights, means, 0.8), tolerance=1e-12)


def mixture_reference(x: Tensor, weights: Tensor, means: Tensor, std: float) -> Tensor:
    """Return the score of a mixture of N(means, std^2 I), as the library computes it."""
    return GaussianMixtureScore(weights, means, std**2)(x, torch.zeros((), dtype=x.dtype))


def _offsets(x: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
    """Return means - x, ``(N, K, D)``, and squared distances, ``(N, K)``."""
    offsets = means - x[:, None, :]
    return offsets, offsets.square().sum(-1)


def _blend(shares: Tensor, offsets: Tensor, std: float) -> Tensor:
    return (shares[..., None] * offsets).sum(1) / std**2


def _mixture_with(shares_of: Callable[[Tensor, Tensor, float], Tensor]) -> Function:
    """Return a mixture score that takes other shares than it should.

    Args:
        shares_of: Called with the weights ``(K,)``, the squared distances ``(N, K)`` and std, it returns ``(N, K)``.
    """

    def score(x: Tensor, weights: Tensor, means: Tensor, std: float) -> Tensor:
        offsets, squares = _offsets(x, means)
        return _blend(shares_of(weights, squares, std), offsets, std)

    return score


def _joint(weights: Tensor, squares: Tensor, std: float) -> Tensor:
    return weights * torch.exp(-squares / (2 * std**2))


def _vanishes(yours: Tensor, truth: Tensor, *arguments: object) -> bool:
    """Return whether each row that is wrong is next to nothing where there should be much."""
    size, right = yours.norm(dim=-1), truth.norm(dim=-1)
    wrong = ~torch.isclose(size.double(), right, rtol=1e-3, atol=1e-4)
    return bool((size[wrong] < 0.05 * right[wrong]).all())


MIXTURE = Exercise(
    number="1.2",
    title="the score of a mixture",
    name="mixture_score",
    cases=mixture_cases,
    truth=mixture_truth,
    reference=mixture_reference,
    against="autograd of the mixture's log-density",
    mistakes=(
        Mistake(
            "a turned sign: the arrows point away from the modes.",
            lambda *a: -mixture_truth(*a),
        ),
        Mistake(
            "the standard deviation where the variance belongs: you are off by exactly std.",
            lambda x, weights, means, std: std * mixture_truth(x, weights, means, std),
        ),
        Mistake(
            "component scores blended by the mixture's weights: how much a component has to say depends on x, too.",
            _mixture_with(lambda w, squares, std: w.expand_as(squares)),
        ),
        Mistake(
            "responsibilities without the mixture's weights: Bayes' rule has a prior.",
            _mixture_with(lambda w, squares, std: torch.softmax(-squares / (2 * std**2), 1)),
        ),
        Mistake(
            "a missing 1/2 in the exponent of the component densities.",
            _mixture_with(lambda w, squares, std: torch.softmax(w.log() - squares / std**2, 1)),
        ),
        Mistake(
            "component densities with std in the exponent where std squared belongs.",
            _mixture_with(lambda w, squares, std: torch.softmax(w.log() - squares / (2 * std), 1)),
        ),
        Mistake(
            "the score of the nearest component alone: between the modes several have a say.",
            _mixture_with(lambda w, squares, std: one_hot(squares.argmin(1), len(w)).to(w)),
        ),
        Mistake(
            "a softmax of densities: softmax exponentiates, so give it their logarithms.",
            _mixture_with(lambda *a: torch.softmax(_joint(*a), 1)),
        ),
        Mistake(
            "densities that underflow: far away every exp(...) is 0, and 0/0 is NaN. Stay with logarithms until the end.",
            _mixture_with(lambda *a: _joint(*a) / _joint(*a).sum(1, keepdim=True)),
        ),
        Mistake(
            "a guard against dividing by 0, which answers 0 far away, where the pull is strongest. "
            "Stay with logarithms until the end, and nothing needs guarding.",
            _mixture_with(lambda *a: _joint(*a) / _joint(*a).sum(1, keepdim=True).clamp(min=1e-12)),
            sign=_vanishes,
        ),
    ),
)
