"""A mixture of three correlated Gaussians, and levels, that the tests of guidance share."""

import torch
from torch import Tensor

from ncsn.exact import GaussianMixtureScore
from ncsn.noise import create_noise_schedule


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def levels(count: int, sigma_max: float = 10.0) -> Tensor:
    return create_noise_schedule(0.01, sigma_max, count, "karras", dtype=torch.float64)


def covariance(deviations: list[float], correlations: tuple[float, float, float]) -> Tensor:
    """Return a covariance of three columns from the correlations of columns 0 and 1, 0 and 2, 1 and 2."""
    scale = torch.tensor(deviations, dtype=torch.float64)
    a, b, c = correlations
    return scale[:, None] * torch.tensor([[1, a, b], [a, 1, c], [b, c, 1]], dtype=torch.float64) * scale


WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
MEANS = torch.tensor([[-1.5, -1.0, 0.5], [0.5, 1.5, -1.0], [1.5, -1.5, -0.5]], dtype=torch.float64)
COVARIANCES = torch.stack(
    [
        covariance([1.0, 0.6, 0.8], (0.9, -0.5, -0.5)),
        covariance([0.7, 1.0, 0.5], (-0.8, -0.6, 0.7)),
        covariance([0.8, 0.5, 1.0], (0.3, 0.9, 0.3)),
    ]
)


def mixture(labels: list[int] | None = None) -> GaussianMixtureScore:
    return GaussianMixtureScore(WEIGHTS, MEANS, COVARIANCES, labels=labels)
