"""The forward processes of the lineage, read in sigma: time to noise level and back.

A process with kernel N(alpha_t x0, s_t^2 I) is, after dividing by alpha_t, data with noise of sigma = s_t / alpha_t. So a
process is a map between its time and sigma, and alpha as a function of sigma says how its network's input is scaled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ncsn.schedules import TrainingLevels, check_levels

__all__ = ["PROCESSES", "Process", "ProcessLevels", "SubVariancePreserving", "VariancePreserving", "ddpm_levels"]


@dataclass(frozen=True)
class Process(ABC):
    """A process with linear beta(t) = beta_min + t (beta_max - beta_min), t in [0, 1].

    Args:
        beta_min: beta at time 0.
        beta_max: beta at time 1.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    @abstractmethod
    def sigma_of(self, integral: Tensor) -> Tensor:
        """Return the noise level once the integral of beta is ``integral``."""

    @abstractmethod
    def integral_of(self, sigma: Tensor) -> Tensor:
        """Return the integral of beta at which the noise level is ``sigma``, the inverse of `sigma_of`."""

    def alpha(self, sigma: Tensor) -> Tensor:
        """Return the factor of the data in the kernel, at the noise level ``sigma``."""
        return torch.exp(-self.integral_of(sigma) / 2)

    def sigma(self, time: Tensor) -> Tensor:
        """Return the noise level at a time in (0, 1]."""
        return self.sigma_of(self.beta_min * time + (self.beta_max - self.beta_min) / 2 * time.square())

    def time(self, sigma: Tensor) -> Tensor:
        """Return the time at which the noise level is ``sigma``, the inverse of `sigma`.

        >>> process = VariancePreserving()
        >>> round(float(process.time(process.sigma(torch.tensor(0.25)))), 6)
        0.25
        """
        integral = self.integral_of(sigma)
        slope = self.beta_max - self.beta_min
        # the root of slope/2 t^2 + beta_min t = integral, without cancellation at small t
        return 2 * integral / (self.beta_min + (self.beta_min**2 + 2 * slope * integral).sqrt())


class VariancePreserving(Process):
    """The VP SDE, the continuous time of DDPM: s^2 = 1 - alpha^2 (Song et al. 2021, eq. 11)."""

    def sigma_of(self, integral: Tensor) -> Tensor:
        """Return sqrt(e^B - 1)."""
        return torch.expm1(integral).sqrt()

    def integral_of(self, sigma: Tensor) -> Tensor:
        """Return log(1 + sigma^2), so that alpha is 1 / sqrt(1 + sigma^2)."""
        return torch.log1p(sigma.square())


class SubVariancePreserving(Process):
    """The sub-VP SDE: s = 1 - alpha^2 (Song et al. 2021, eq. 12)."""

    def sigma_of(self, integral: Tensor) -> Tensor:
        """Return 1 / alpha - alpha = 2 sinh(B / 2)."""
        return 2 * torch.sinh(integral / 2)

    def integral_of(self, sigma: Tensor) -> Tensor:
        """Return 2 asinh(sigma / 2), so that alpha is (sqrt(sigma^2 + 4) - sigma) / 2."""
        return 2 * torch.asinh(sigma / 2)


PROCESSES: dict[str, Process] = {"vp": VariancePreserving(), "sub_vp": SubVariancePreserving()}
"""The processes with the beta of Song et al. 2021."""


@dataclass(frozen=True)
class ProcessLevels(TrainingLevels):
    """Levels at times that are uniform between those of ``sigma_min`` and ``sigma_max`` (Song et al. 2021, eq. 7).

    Args:
        process: The process.
        sigma_min: Smallest level.
        sigma_max: Largest level.

    Raises:
        ValueError: A level is not positive and finite, or they are out of order.
    """

    process: Process
    sigma_min: float
    sigma_max: float

    def __post_init__(self) -> None:
        check_levels(self.sigma_min, self.sigma_max)

    def quantile(self, u: Tensor) -> Tensor:
        """Return the level below which the share ``u``, in [0, 1], of the draws lies."""
        ends = torch.tensor([self.sigma_min, self.sigma_max], dtype=torch.float64)
        start, end = self.process.time(ends).tolist()
        return self.process.sigma(start + u * (end - start)).clamp(self.sigma_min, self.sigma_max)


def ddpm_levels(n_steps: int = 1000, kind: str = "linear") -> Tensor:
    """Return DDPM's discrete noise levels, descending, ``(n_steps,)``: sqrt((1 - alpha_bar) / alpha_bar).

    Args:
        n_steps: Number of levels T.
        kind: ``linear``: beta from 1e-4 to 0.02 (Ho et al. 2020), scaled by 1000 / T; or ``cosine``: Nichol & Dhariwal
            2021, eq. 17, beta at most 0.999.

    Raises:
        ValueError: The kind is unknown, or linear betas are asked for with 20 steps or fewer.

    >>> [round(sigma, 4) for sigma in ddpm_levels()[[0, -1]].tolist()]
    [157.4073, 0.01]
    """
    if kind == "linear":
        if n_steps <= 20:
            raise ValueError(f"linear betas need more than 20 steps, of which each takes less than all; not {n_steps}")
        beta = torch.linspace(1e-4, 2e-2, n_steps, dtype=torch.float64) * 1000 / n_steps
    elif kind == "cosine":
        time = torch.arange(n_steps + 1, dtype=torch.float64) / n_steps
        alpha_bar = torch.cos((time + 0.008) / 1.008 * torch.pi / 2).square()
        beta = (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)
    else:
        raise ValueError(f"the betas must be 'linear' or 'cosine', not {kind!r}")
    log_alpha_bar = torch.log1p(-beta).cumsum(0)
    return torch.expm1(-log_alpha_bar).sqrt().flip(0)
