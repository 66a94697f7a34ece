"""Exercises 1.1 and 1.2: the scores of a Gaussian and of a mixture, against autograd of `torch.distributions`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.nn.functional import one_hot

from ncsn.exact import GaussianMixtureScore
from ncsn.learn.declarations import Case, Exercise, Mistake
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


def gaussian_reference(
    x: Tensor,
    mean: Tensor,
    std: float,
    *,
    sign: float = 1,
    power: float = 2,
    factor: float = 1,
    centred: float = 1,
    density: float = 0,
    direction: bool = False,
) -> Tensor:
    """Return the score of N(mean, std^2 I); the switches change a sign, a power of std, and so on."""
    way = sign * factor * (centred * mean - x) / std**power
    if direction:
        return torch.nn.functional.normalize(way, dim=-1)
    normal = Normal(mean, torch.full_like(mean, std))
    return way * torch.exp(density * normal.log_prob(x).sum(-1, keepdim=True))


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
            {"sign": -1},
        ),
        Mistake(
            "the standard deviation where the variance belongs: you are off by exactly std. The log-density has the square.",
            {"power": 1},
        ),
        Mistake("the way to the mean, not divided by the variance.", {"power": 0}),
        Mistake("the Gaussian about 0: the mean is left out.", {"centred": 0}),
        Mistake("a left-over factor 1/2: the derivative of a square brings a 2 that cancels it.", {"factor": 0.5}),
        Mistake("a left-over factor 2: the 1/2 before the square cancels it.", {"factor": 2}),
        Mistake(
            "the gradient of the density instead of its logarithm: the density itself is still a factor of your answer.",
            {"density": 1},
        ),
        Mistake("arrows of length 1: how far the mean is away belongs to the score.", {"direction": True}),
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


_SHARES: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda logits: torch.softmax(logits, dim=1),
    "over the points": lambda logits: torch.softmax(logits, dim=0),
    "of densities": lambda logits: torch.softmax(logits.exp(), dim=1),
    "nearest": lambda logits: one_hot(logits.argmax(1), logits.shape[1]).to(logits),
    "all": torch.ones_like,
    "joint": torch.exp,
    "quotient": lambda logits: logits.exp() / logits.exp().sum(1, keepdim=True),
    "guarded": lambda logits: logits.exp() / logits.exp().sum(1, keepdim=True).clamp(min=1e-12),
}


def mixture_written(
    x: Tensor,
    weights: Tensor,
    means: Tensor,
    std: float,
    *,
    sign: float = 1,
    power: float = 2,
    factor: float = 1,
    prior: Callable[[Tensor], Tensor] = torch.log,
    half: float = 0.5,
    spread: float = 2,
    length: float = 2,
    shares: str = "softmax",
    blend: Callable[..., Tensor] = torch.sum,
) -> Tensor:
    """Return the score of a mixture, with switches for its priors, its exponent, its shares and the blend of the parts."""
    ways = means - x[:, None, :]
    logits = prior(weights) - half * ways.norm(dim=-1) ** length / std**spread
    return factor * sign * blend(_SHARES[shares](logits)[..., None] * ways, dim=1) / std**power


def _shortens(wrong: list[tuple[Tensor, Tensor]]) -> bool:
    """Return whether all rows that are wrong point the right way and are too short, and one is next to nothing."""
    ratios = []
    for yours, truth in wrong:
        rows = ~torch.isclose(yours.double(), truth, rtol=1e-3, atol=1e-4).all(-1)
        size, right = yours[rows].double().norm(dim=-1), truth[rows].norm(dim=-1)
        aligned = (yours[rows].double() * truth[rows]).sum(-1) >= 0.999 * size * right
        if not bool(aligned.all()):
            return False
        ratios.append(size / right)
    ratio = torch.cat(ratios)
    return bool((ratio < 1).all() and (ratio < 0.01).any())


MIXTURE = Exercise(
    number="1.2",
    title="the score of a mixture",
    name="mixture_score",
    cases=mixture_cases,
    truth=mixture_truth,
    reference=mixture_reference,
    against="autograd of the mixture's log-density",
    written=mixture_written,
    mistakes=(
        Mistake("a turned sign: the arrows point away from the modes.", {"sign": -1}),
        Mistake(
            "the standard deviation where the variance belongs: you are off by exactly std.",
            {"power": 1},
        ),
        Mistake("component scores that are not divided by the variance.", {"power": 0}),
        Mistake(
            "component scores blended by the mixture's weights: how much a component has to say depends on x, too.",
            {"half": 0},
        ),
        Mistake(
            "responsibilities without the mixture's weights: Bayes' rule has a prior.",
            {"prior": torch.zeros_like},
        ),
        Mistake(
            "responsibilities with the weights as they are, beside logarithms of densities: take their logarithm, too.",
            {"prior": torch.clone},
        ),
        Mistake("a missing 1/2 in the exponent of the component densities.", {"half": 1}),
        Mistake(
            "a turned sign in the exponent: the farther away a component is, the less it has to say.",
            {"half": -0.5},
        ),
        Mistake("component densities with std in the exponent where std squared belongs.", {"spread": 1}),
        Mistake("component densities without std in the exponent.", {"spread": 0}),
        Mistake("a distance that is not squared in the exponent of the component densities.", {"length": 1}),
        Mistake(
            "the score of the nearest component alone: between the modes several have a say.",
            {"shares": "nearest", "prior": torch.zeros_like},
        ),
        Mistake(
            "the score of the likeliest component alone: between the modes several have a say.", {"shares": "nearest"}
        ),
        Mistake(
            "a softmax over the points: at each point, the components' shares add up to 1.",
            {"shares": "over the points"},
        ),
        Mistake("a sum over the components that does not ask how much each has to say.", {"shares": "all"}),
        Mistake("a mean over the components: their shares add up to 1 already, so sum.", {"blend": torch.mean}),
        Mistake(
            "a softmax of densities: softmax exponentiates, so give it their logarithms.",
            {"shares": "of densities"},
        ),
        Mistake(
            "weighted densities that are not divided by their sum: the shares of the components add up to 1.",
            {"shares": "joint"},
        ),
        Mistake(
            "densities that underflow: far away every exp(...) is 0, and 0/0 is NaN. Stay with logarithms until the end.",
            {"shares": "quotient"},
        ),
        Mistake(
            "a guard against dividing by 0, which answers too little far away, where the pull is strongest. "
            "Stay with logarithms until the end, and nothing needs guarding.",
            {"shares": "guarded"},
            sign=_shortens,
        ),
    ),
)
