"""Points and an exact mixture that are drawn from fixed seeds."""

import torch
from torch import Tensor

from ncsn.exact import GaussianMixtureScore


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def mixture(dim: int) -> GaussianMixtureScore:
    """Return three correlated components, as narrow as 0.15 in some directions."""
    factors = points(3, dim, dim, seed=1)
    covariances = factors @ factors.mT / dim + 0.02 * torch.eye(dim)
    return GaussianMixtureScore([1.0, 2.0, 3.0], 2 * points(3, dim, seed=2), covariances)
