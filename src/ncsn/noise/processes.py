"""The forward processes of the lineage, read in sigma: time to noise level and back.

A process with kernel N(alpha_t x0, s_t^2 I) is, after dividing by alpha_t, data with noise of sigma = s_t / alpha_t. So a
process is a map between its time and sigma, and alpha as a function of sigma says how its network's input is scaled.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ncsn.errors import SettingError, check_number
from ncsn.parts import Part, named


@dataclass(frozen=True, repr=False)
class Process(Part, ABC):
    """A process with linear beta(t) = beta_min + t (beta_max - beta_min), t in [0, 1].

    One of your own states `sigma_of` and `integral_of`.

    Args:
        beta_min: beta at time 0.
        beta_max: beta at time 1.

    Raises:
        SettingError: They are not positive, or out of order.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        check_number("beta_min", self.beta_min, above=0)
        check_number("beta_max", self.beta_max, above=0)
        if self.beta_min >= self.beta_max:
            raise SettingError(f"beta_min must be below beta_max, but {self.beta_min:g} >= {self.beta_max:g}")

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


@dataclass(frozen=True, repr=False)
class VariancePreserving(Process):
    """The VP SDE, the continuous time of DDPM: s^2 = 1 - alpha^2 (Song et al. 2021, eq. 11)."""

    def sigma_of(self, integral: Tensor) -> Tensor:
        """Return sqrt(e^B - 1)."""
        return torch.expm1(integral).sqrt()

    def integral_of(self, sigma: Tensor) -> Tensor:
        """Return log(1 + sigma^2), so that alpha is 1 / sqrt(1 + sigma^2)."""
        return torch.log1p(sigma.square())


@dataclass(frozen=True, repr=False)
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


def process_named(process: Process | str) -> Process:
    """Return the process of a name, or the one given.

    Raises:
        SettingError: The name is unknown, or it is neither a name nor a process.
    """
    found = named("process", process, PROCESSES)
    if not isinstance(found, Process):
        raise SettingError(f"process must be a name or a Process, not {process!r}")
    return found
