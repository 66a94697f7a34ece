"""Noise levels to walk down, levels to train on, and the time maps of the variance-exploding and -preserving processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.special import ndtr
from torch import Tensor

from ncsn.errors import unknown_name

__all__ = [
    "SCHEDULES",
    "DiscreteLevels",
    "LogNormalLevels",
    "LogUniformLevels",
    "TrainingLevels",
    "create_noise_schedule",
]


def _geometric(u: Tensor, sigma_min: float, sigma_max: float, rho: float) -> Tensor:
    return torch.exp(math.log(sigma_max) + u * (math.log(sigma_min) - math.log(sigma_max)))


def _linear(u: Tensor, sigma_min: float, sigma_max: float, rho: float) -> Tensor:
    return sigma_max + u * (sigma_min - sigma_max)


def _cosine(u: Tensor, sigma_min: float, sigma_max: float, rho: float) -> Tensor:
    # alpha_bar = cos^2(angle) means sigma = sqrt((1 - alpha_bar) / alpha_bar) = tan(angle)
    return torch.tan(math.atan(sigma_max) + u * (math.atan(sigma_min) - math.atan(sigma_max)))


def _karras(u: Tensor, sigma_min: float, sigma_max: float, rho: float) -> Tensor:
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return (high + u * (low - high)) ** rho


SCHEDULES: dict[str, Callable[[Tensor, float, float, float], Tensor]] = {
    "geometric": _geometric,
    "linear": _linear,
    "cosine": _cosine,
    "karras": _karras,
}


def create_noise_schedule(
    sigma_min: float = 0.01,
    sigma_max: float = 50.0,
    num_levels: int = 10,
    kind: str = "geometric",
    *,
    rho: float = 7.0,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Create noise levels, descending from ``sigma_max`` to ``sigma_min``, both included exactly.

    Args:
        sigma_min: Smallest level, > 0.
        sigma_max: Largest level, > ``sigma_min``.
        num_levels: Number of levels, >= 1; one level is ``sigma_max`` alone.
        kind: ``geometric`` (constant ratio; Song & Ermon 2019), ``linear`` (constant difference), ``cosine`` (the cosine
            schedule of Nichol & Dhariwal 2021 read in sigma: constant steps of arctan sigma) or ``karras`` (constant
            steps of sigma^(1/rho); Karras et al. 2022, eq. 5).
        rho: The exponent of ``karras``; 7 samples well, 3 spreads the error evenly.
        dtype: Type of the result.

    Returns:
        Levels of shape ``(num_levels,)``.

    Raises:
        ValueError: A level is not positive and finite, the levels are out of order, or the kind is unknown.

    >>> create_noise_schedule(0.01, 1.0, 3)
    tensor([1.0000, 0.1000, 0.0100])
    """
    if kind not in SCHEDULES:
        raise unknown_name("schedule", kind, SCHEDULES)
    check_levels(sigma_min, sigma_max, num_levels)
    u = torch.linspace(0, 1, num_levels, dtype=torch.float64)
    levels = SCHEDULES[kind](u, float(sigma_min), float(sigma_max), rho)
    levels[-1], levels[0] = sigma_min, sigma_max
    return levels.to(dtype)


def check_levels(sigma_min: float, sigma_max: float, num_levels: int) -> None:
    """Refuse levels that are not positive, finite and in order.

    Raises:
        ValueError: What is wrong and what to do.
    """
    for name, value in (("sigma_min", sigma_min), ("sigma_max", sigma_max)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, not {value}")
    if sigma_min >= sigma_max:
        raise ValueError(f"sigma_min must be below sigma_max, but {sigma_min:g} >= {sigma_max:g}")
    if num_levels < 1:
        raise ValueError(f"the number of noise levels must be at least 1, not {num_levels}")


@dataclass(frozen=True)
class TrainingLevels:
    """The noise levels that training draws from, as a quantile function, so that they can be stratified.

    Args:
        sigma_min: Smallest level.
        sigma_max: Largest level.
    """

    sigma_min: float
    sigma_max: float

    def quantile(self, u: Tensor) -> Tensor:
        """Return the level below which the share ``u`` (in [0, 1)) of the draws lies."""
        raise TypeError(f"{type(self).__name__} has no quantile function")

    def draw(self, n: int, generator: torch.Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Draw ``n`` levels, one from each of ``n`` equally likely strata (less variance than independent draws).

        Returns:
            Levels of shape ``(n,)``, ascending.
        """
        offset = torch.rand(n, generator=generator, device=device)
        return self.quantile((torch.arange(n, device=device) + offset) / n)


@dataclass(frozen=True)
class DiscreteLevels(TrainingLevels):
    """A fixed set of levels, each as likely (NCSN, NCSNv2, DDPM).

    Args:
        sigma_min: Smallest level.
        sigma_max: Largest level.
        sigmas: All the levels, descending.
    """

    sigmas: tuple[float, ...] = ()

    @classmethod
    def of(cls, sigmas: Tensor) -> DiscreteLevels:
        """Build from a descending tensor of levels."""
        values = tuple(float(sigma) for sigma in sigmas)
        return cls(min(values), max(values), values)

    def quantile(self, u: Tensor) -> Tensor:
        """Return the level below which the share ``u`` of the draws lies."""
        ascending = torch.tensor(self.sigmas[::-1], device=u.device)
        return ascending[(u * len(ascending)).long().clamp_(max=len(ascending) - 1)]


@dataclass(frozen=True)
class LogUniformLevels(TrainingLevels):
    """Log-uniform between the ends: with weight sigma^2 this is maximum likelihood (Song et al. 2021b)."""

    def quantile(self, u: Tensor) -> Tensor:
        """Return the level below which the share ``u`` of the draws lies."""
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** u


@dataclass(frozen=True)
class LogNormalLevels(TrainingLevels):
    """Log-normal, cut at the ends (Karras et al. 2022, table 1).

    Args:
        sigma_min: Smallest level.
        sigma_max: Largest level.
        log_mean: Mean of log sigma.
        log_std: Standard deviation of log sigma.
    """

    log_mean: float = -1.2
    log_std: float = 1.2

    def quantile(self, u: Tensor) -> Tensor:
        """Return the level below which the share ``u`` of the draws lies."""
        low, high = (ndtr((math.log(s) - self.log_mean) / self.log_std) for s in (self.sigma_min, self.sigma_max))
        normal = torch.special.ndtri((low + u * (high - low)).double())
        log_sigma = (self.log_mean + self.log_std * normal).to(u.dtype)
        return log_sigma.exp().clamp(self.sigma_min, self.sigma_max)
