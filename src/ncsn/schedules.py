"""Noise levels to walk down, and distributions of noise levels to train on."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.special import ndtr
from torch import Tensor

from ncsn.errors import check_count, unknown_name

__all__ = [
    "SCHEDULES",
    "DiscreteLevels",
    "LogNormalLevels",
    "LogUniformLevels",
    "TrainingLevels",
    "check_levels",
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
"""Each kind of schedule by its name: a function of the share of the way, sigma_min, sigma_max and rho."""


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
        rho: The exponent of ``karras``, > 0; 7 samples well, 3 spreads the error evenly.
        dtype: Type of the result.

    Returns:
        Levels of shape ``(num_levels,)``.

    Raises:
        ValueError: A level or ``rho`` is not positive and finite, the levels are out of order, too many for the type to
            tell apart, or of an unknown kind.

    >>> create_noise_schedule(0.01, 1.0, 3)
    tensor([1.0000, 0.1000, 0.0100])
    """
    if kind not in SCHEDULES:
        raise unknown_name("schedule", kind, SCHEDULES)
    check_levels(sigma_min, sigma_max)
    check_count("num_levels", num_levels)
    if not (math.isfinite(rho) and rho > 0):
        raise ValueError(f"rho must be positive and finite, not {rho}")
    u = torch.linspace(0, 1, num_levels, dtype=torch.float64)
    levels = SCHEDULES[kind](u, float(sigma_min), float(sigma_max), rho)
    levels[-1], levels[0] = sigma_min, sigma_max
    levels = levels.to(dtype)
    if bool((levels.diff() >= 0).any()):
        raise ValueError(
            f"{num_levels} levels from {sigma_max:g} to {sigma_min:g} are not distinct in {dtype}; take fewer"
        )
    return levels


def check_levels(sigma_min: float, sigma_max: float) -> None:
    """Refuse ends of a schedule that are not positive, finite and in order.

    Raises:
        ValueError: What is wrong.
    """
    for name, value in (("sigma_min", sigma_min), ("sigma_max", sigma_max)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, not {value}")
    if sigma_min >= sigma_max:
        raise ValueError(f"sigma_min must be below sigma_max, but {sigma_min:g} >= {sigma_max:g}")


class TrainingLevels(abc.ABC):
    """The noise levels that training draws from, as a quantile function, so that they can be stratified."""

    @abc.abstractmethod
    def quantile(self, u: Tensor) -> Tensor:
        """Return the level below which the share ``u``, in [0, 1], of the draws lies."""

    def draw(self, n: int, generator: torch.Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Draw ``n`` levels, one from each of ``n`` equally likely strata (less variance than independent draws).

        Args:
            n: Number of levels.
            generator: Source of randomness, on ``device``; torch's default when None.
            device: Where to draw.

        Returns:
            Levels of shape ``(n,)``, ascending.
        """
        offset = torch.rand(n, generator=generator, device=device)
        return self.quantile((torch.arange(n, device=device) + offset) / n)


@dataclass(frozen=True)
class DiscreteLevels(TrainingLevels):
    """A fixed set of levels, each as likely (NCSN, NCSNv2, DDPM).

    Args:
        sigmas: The levels, ascending.

    Raises:
        ValueError: There is no level, one is not positive and finite, or they do not ascend.
    """

    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        levels = torch.tensor(self.sigmas, dtype=torch.float64)
        if not len(levels) or not bool(((levels > 0) & levels.isfinite()).all() and (levels.diff() > 0).all()):
            raise ValueError(f"the levels must be positive, finite and ascending, not {self.sigmas}")

    @classmethod
    def of(cls, sigmas: Tensor) -> DiscreteLevels:
        """Build from a tensor of levels in any order, ``(L,)``."""
        return cls(tuple(sorted(sigmas.tolist())))

    def quantile(self, u: Tensor) -> Tensor:
        """Return the level below which the share ``u``, in [0, 1], of the draws lies."""
        levels = torch.tensor(self.sigmas, dtype=u.dtype, device=u.device)
        return levels[(u * len(levels)).long().clamp_(max=len(levels) - 1)]


@dataclass(frozen=True)
class LogUniformLevels(TrainingLevels):
    """Log-uniform between the ends: with weight sigma^2 this is maximum likelihood (Song et al. 2021b).

    Args:
        sigma_min: Smallest level.
        sigma_max: Largest level.

    Raises:
        ValueError: A level is not positive and finite, or they are out of order.
    """

    sigma_min: float
    sigma_max: float

    def __post_init__(self) -> None:
        check_levels(self.sigma_min, self.sigma_max)

    def quantile(self, u: Tensor) -> Tensor:
        """Return the level below which the share ``u``, in [0, 1], of the draws lies."""
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** u


@dataclass(frozen=True)
class LogNormalLevels(TrainingLevels):
    """Log-normal, cut at the ends (Karras et al. 2022, table 1).

    Args:
        sigma_min: Smallest level.
        sigma_max: Largest level.
        log_mean: Mean of log sigma, before the cut.
        log_std: Standard deviation of log sigma, before the cut.

    Raises:
        ValueError: A level is not positive and finite, they are out of order, or next to no draw would lie between them.
    """

    sigma_min: float
    sigma_max: float
    log_mean: float = -1.2
    log_std: float = 1.2

    def __post_init__(self) -> None:
        check_levels(self.sigma_min, self.sigma_max)
        if not self.log_std > 0:
            raise ValueError(f"log_std must be positive, not {self.log_std}")
        low, high = self._shares
        if not high - low > 1e-6:
            raise ValueError(
                f"log-normal levels of log mean {self.log_mean:g} and log std {self.log_std:g} hardly ever lie between "
                f"{self.sigma_min:g} and {self.sigma_max:g}; choose a log mean between their logarithms"
            )

    @property
    def _shares(self) -> tuple[float, float]:
        """Shares of the uncut distribution below the ends."""
        low, high = (ndtr((math.log(s) - self.log_mean) / self.log_std) for s in (self.sigma_min, self.sigma_max))
        return float(low), float(high)

    def quantile(self, u: Tensor) -> Tensor:
        """Return the level below which the share ``u``, in [0, 1], of the draws lies."""
        low, high = self._shares
        # the tails need float64, which MPS lacks
        share = low + (u.cpu() if u.device.type == "mps" else u).double() * (high - low)
        log_sigma = self.log_mean + self.log_std * torch.special.ndtri(share)
        return log_sigma.exp().clamp(self.sigma_min, self.sigma_max).to(u)
