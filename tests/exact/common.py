"""Mixtures and data sets, with and without classes, for the tests of exact scores."""

import torch
from torch import Tensor

from ncsn.exact import EmpiricalScore, GaussianMixtureScore

Model = EmpiricalScore | GaussianMixtureScore


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def parameters(components: int, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    factors = normal(components, dim, dim, seed=1)
    weights = torch.arange(1, components + 1, dtype=torch.float64)
    return weights, 3 * normal(components, dim, seed=2), factors @ factors.mT / dim + 0.05 * torch.eye(dim)


def close(actual: Tensor, expected: Tensor, relative: float = 1e-9) -> bool:
    return bool((actual - expected).abs().max() <= relative * expected.abs().max())


def labelled_models() -> list[tuple[Model, dict[int, Model]]]:
    labels = torch.tensor([0, 2, 0, 2, 2, 5])
    weights, means, covariances = parameters(6, 2)
    mixture = GaussianMixtureScore(weights, means, covariances, labels=labels)
    parts = {
        c: GaussianMixtureScore(weights[labels == c], means[labels == c], covariances[labels == c]) for c in (0, 2, 5)
    }
    data = normal(60, 2)
    data_set = EmpiricalScore(data, labels.repeat(10).numpy())
    subsets = {c: EmpiricalScore(data[labels.repeat(10) == c]) for c in (0, 2, 5)}
    return [(mixture, {**parts, -1: mixture}), (data_set, {**subsets, -1: data_set})]
