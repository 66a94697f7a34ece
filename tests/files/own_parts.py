"""Parts of one's own, as one would write them in a module: networks, levels, a sampler, a loss, a method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from ncsn.losses import Batch, denoising_score_matching
from ncsn.methods import Method
from ncsn.networks import Coefficients, Preconditioning
from ncsn.noise import Levels
from ncsn.plan import Plan
from ncsn.samplers import CountedModel, Noise, Sampler, State
from ncsn.score import ScoreModel


class LabelledNetwork(nn.Module):
    """A score network that takes labels, with -1 for none."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.input_dim = 2
        self.embedding = nn.Embedding(3, 2)
        self.first, self.last = nn.Linear(5, width), nn.Linear(width, 2)

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
        codes = torch.full((len(x),), -1) if label is None else label
        level = sigma.log().expand(len(x))
        inputs = torch.cat([x, level[:, None], self.embedding(codes % 3)], dim=1)
        score: Tensor = self.last(nn.functional.silu(self.first(inputs))) / level.exp()[:, None]
        return score


class F(nn.Module):
    """A network F that takes labels, with -1 for none."""

    def __init__(self, dim: int = 2, width: int = 32, n_classes: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_classes + 1, width)
        self.first, self.last = nn.Linear(dim + 1, width), nn.Linear(width, dim)

    def forward(self, x: Tensor, c_noise: Tensor, label: Tensor | None = None) -> Tensor:
        hidden = self.first(torch.cat([x, c_noise.expand(len(x))[:, None]], dim=1))
        if label is not None:
            hidden = hidden + self.embedding(label + 1)
        answer: Tensor = self.last(nn.functional.silu(hidden))
        return answer


def make_network(shape: Sequence[int], plan: Plan, n_classes: int) -> nn.Module:
    """Make a network for rows of a shape."""
    return F(shape[0], plan.width, n_classes)


@dataclass(frozen=True)
class Factory:
    """Makes a network of a width of its own: a plain dataclass."""

    width: int = 32

    def __call__(self, shape: Sequence[int], plan: Plan, n_classes: int) -> nn.Module:
        """Make the network."""
        if self.width < 1:
            raise ValueError("no width")
        return F(shape[0], self.width, n_classes)


@dataclass(frozen=True, repr=False)
class Quadratic(Levels):
    """Even in the square root of sigma."""

    def quantile(self, u: Tensor) -> Tensor:
        low, high = self.ends
        return (low**0.5 + u * (high**0.5 - low**0.5)) ** 2


@dataclass(frozen=True, repr=False)
class Euler(Sampler):
    """Euler's steps along the flow, with a share of the noise put back."""

    share: float = 0.0

    def step(
        self, model: CountedModel, x: Tensor, sigma: float, following: float, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        denoised = model.denoise(x, sigma)
        x = torch.lerp(denoised, x, following / sigma)
        return x + self.share * following * noise.like(x), denoised


def euler_steps(model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise, share: float = 0.0) -> Iterator[State]:
    """Walk as `Euler` does, as a generator function."""
    for count, (sigma, following) in enumerate(pairwise(sigmas.tolist()), 1):
        denoised = model.denoise(x, sigma)
        x = torch.lerp(denoised, x, following / sigma)
        x = x + share * following * noise.like(x)
        yield State(count, following, x, denoised, model.evaluations)


@dataclass(frozen=True, repr=False)
class HalfGain(Preconditioning):
    """EDM's row with half of its output."""

    def coefficients(self, sigma: Tensor) -> Coefficients:
        sigma_data, _ = self._known
        total = sigma.square() + sigma_data**2
        gain = 0.5 * sigma * sigma_data * total.rsqrt()
        return Coefficients(-sigma.square() / total, gain, total.rsqrt(), sigma.log())


def weighted_error(model: ScoreModel, batch: Batch) -> Tensor:
    """Return the loss of each row under EDM's weights."""
    samples, sigma, noise = batch.samples, batch.sigma, batch.noise
    return denoising_score_matching(model, samples, sigma, noise, "edm", **batch.condition)


OWN = Method(HalfGain(), Quadratic(), weighted_error, Euler(), Quadratic(), 20, "a method of one's own")
