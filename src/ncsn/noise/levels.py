"""Noise levels: one quantile function u -> sigma. Training draws u at random, a sampler walks u from 1 to 0.

A family says where its levels lie; how many are walked, and what it leaves None, the caller or the plan says.
"""

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from numbers import Real
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from scipy.special import ndtr
from torch import Tensor

from ncsn.errors import SettingError, check_count, check_number
from ncsn.noise.processes import Process, process_named
from ncsn.parts import Part, filled, named


@dataclass(frozen=True, repr=False)
class Levels(Part, abc.ABC):
    """A family of noise levels; one of your own is a frozen dataclass with `quantile`.

    Args:
        sigma_min: Smallest level; from the plan when None.
        sigma_max: Largest level; from the plan when None.

    Raises:
        SettingError: An end is not positive and finite, or they are out of order.

    >>> @dataclass(frozen=True, repr=False)
    ... class Quadratic(Levels):
    ...     def quantile(self, u):
    ...         return self.sigma_min + (self.sigma_max - self.sigma_min) * u**2
    >>> Quadratic(sigma_min=1.0, sigma_max=5.0).grid(3)
    tensor([5., 2., 1.])
    """

    fixed: ClassVar[bool] = False
    """Whether there is a fixed number of levels, `count`."""

    sigma_min: float | None = field(default=None, kw_only=True)
    sigma_max: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_levels(self.sigma_min, self.sigma_max)

    @abc.abstractmethod
    def quantile(self, u: Tensor) -> Tensor:
        """Return the level below which the share ``u``, in [0, 1], of the draws lies; of the type and device of ``u``."""

    @property
    def count(self) -> int | None:
        """How many levels there are, or None where they are a continuum."""
        return None

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends, ``sigma_min`` and ``sigma_max``.

        Raises:
            SettingError: One is not known yet.
        """
        if self.sigma_min is None or self.sigma_max is None:
            raise SettingError(
                f"{self!r} has no ends yet: give sigma_min and sigma_max, or a model, whose plan has them"
            )
        return self.sigma_min, self.sigma_max

    def grid(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return ``n`` levels, descending, with both ends where it has them; one level is the largest.

        Args:
            n: Number of levels.
            dtype: Type of the result.

        Returns:
            Levels of shape ``(n,)``.

        Raises:
            SettingError: ``n`` is not positive, or so large that levels are the same in the type.
        """
        check_count("the number of levels", n)
        levels = self.quantile(torch.linspace(1, 0, n, dtype=torch.float64))
        for place, end in ((-1, self.sigma_min), (0, self.sigma_max)):
            if end is not None:
                levels[place] = end
        return _distinct(levels, dtype)

    def draw(self, n: int, generator: torch.Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Draw ``n`` levels, one from each of ``n`` equally likely strata (less variance than independent draws).

        Args:
            n: Number of levels.
            generator: Source of randomness, on ``device``; torch's default when None.
            device: Where to draw.

        Returns:
            Levels of shape ``(n,)``, ascending.
        """
        offset = torch.rand(n, generator=generator, device=device, dtype=torch.float32)
        return self.quantile((torch.arange(n, device=device) + offset) / n)


@dataclass(frozen=True, repr=False)
class Geometric(Levels):
    """Even in log sigma: a constant ratio of neighbours (Song & Ermon 2019).

    Trained on with weight sigma^2 it is maximum likelihood (Song et al. 2021b).
    """

    def quantile(self, u: Tensor) -> Tensor:
        """Return sigma_min (sigma_max / sigma_min)^u."""
        low, high = self.ends
        return low * (high / low) ** u


@dataclass(frozen=True, repr=False)
class Linear(Levels):
    """Even in sigma."""

    def quantile(self, u: Tensor) -> Tensor:
        """Return sigma_min + u (sigma_max - sigma_min)."""
        low, high = self.ends
        return low + u * (high - low)


@dataclass(frozen=True, repr=False)
class Cosine(Levels):
    """Even in arctan sigma: the cosine schedule read in sigma (Nichol & Dhariwal 2021)."""

    def quantile(self, u: Tensor) -> Tensor:
        """Return the tangent of an even angle: alpha_bar = cos^2(angle) means sigma = tan(angle)."""
        low, high = map(math.atan, self.ends)
        return torch.tan(low + u * (high - low))


@dataclass(frozen=True, repr=False)
class Karras(Levels):
    """Even in sigma^(1/rho) (Karras et al. 2022, eq. 5).

    Args:
        rho: The exponent, > 0; 7 samples well, 3 spreads the error evenly.
    """

    rho: float = 7.0

    def __post_init__(self) -> None:
        check_number("rho", self.rho, above=0)
        super().__post_init__()

    def quantile(self, u: Tensor) -> Tensor:
        """Return the rho-th power of even steps."""
        low, high = (sigma ** (1 / self.rho) for sigma in self.ends)
        return (low + u * (high - low)) ** self.rho


@dataclass(frozen=True, repr=False)
class Softened(Levels):
    """Even in log(1 + sqrt(sigma / b)): geometric above b, where the flow chooses among places; wider below, where it narrows.

    Args:
        sigma_data: Standard deviation of the data; 1 when neither given nor filled.
        share: b as a share of it.
    """

    sigma_data: float | None = None
    share: float = 0.1

    def __post_init__(self) -> None:
        check_number("share", self.share, above=0)
        if self.sigma_data is not None:
            check_number("sigma_data", self.sigma_data, above=0)
        super().__post_init__()

    def quantile(self, u: Tensor) -> Tensor:
        """Return b (e^t - 1)^2 of even t."""
        bend = self.share * (1.0 if self.sigma_data is None else self.sigma_data)
        low, high = (math.log1p(math.sqrt(sigma / bend)) for sigma in self.ends)
        return bend * torch.expm1(low + u * (high - low)).square()


@dataclass(frozen=True, repr=False)
class LogNormal(Levels):
    """Log-normal, cut at the ends (Karras et al. 2022, table 1).

    Args:
        log_sigma_mean: Mean of log sigma, before the cut; -1.2 in the paper, from the plan when None.
        log_sigma_spread: Standard deviation of log sigma, before the cut; 1.2 in the paper, from the plan when None.

    Raises:
        SettingError: As in `Levels`, or next to no draw would lie between the ends.
    """

    log_sigma_mean: float | None = None
    log_sigma_spread: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.log_sigma_mean is not None:
            check_number("log_sigma_mean", self.log_sigma_mean)
        if self.log_sigma_spread is not None:
            check_number("log_sigma_spread", self.log_sigma_spread, above=0)
        if None not in (self.sigma_min, self.sigma_max, self.log_sigma_mean, self.log_sigma_spread):
            low, high = self._shares
            if not high - low > 1e-6:
                raise SettingError(
                    f"log-normal levels of log mean {self.log_sigma_mean:g} and log std {self.log_sigma_spread:g} hardly ever "
                    f"lie between {self.sigma_min:g} and {self.sigma_max:g}; choose a log mean between their logarithms"
                )

    @property
    def _moments(self) -> tuple[float, float]:
        if self.log_sigma_mean is None or self.log_sigma_spread is None:
            raise SettingError(f"{self!r} needs log_sigma_mean and log_sigma_spread, or a plan")
        return self.log_sigma_mean, self.log_sigma_spread

    @property
    def _shares(self) -> tuple[float, float]:
        """Shares of the uncut distribution below the ends."""
        mean, spread = self._moments
        low, high = (float(ndtr((math.log(sigma) - mean) / spread)) for sigma in self.ends)
        return low, high

    def quantile(self, u: Tensor) -> Tensor:
        """Return the quantile of the cut distribution."""
        (mean, spread), (low, high) = self._moments, self._shares
        # the tails need float64, which MPS lacks
        share = low + (u.cpu() if u.device.type == "mps" else u).double() * (high - low)
        return (mean + spread * torch.special.ndtri(share)).exp().clamp(*self.ends).to(u)


@dataclass(frozen=True, repr=False)
class UniformTime(Levels):
    """Even in the time of a forward process, between those of the ends (Song et al. 2021, eq. 7).

    Beyond sigma_max the data are next to a Gaussian that sampling starts from: the times above would teach nothing.

    Args:
        process: A name of `PROCESSES`, or a process.
    """

    process: Process | str = "vp"

    def __post_init__(self) -> None:
        object.__setattr__(self, "process", process_named(self.process))
        super().__post_init__()

    def quantile(self, u: Tensor) -> Tensor:
        """Return the levels of even times."""
        process = process_named(self.process)
        start, end = process.time(torch.tensor(self.ends, dtype=torch.float64)).tolist()
        return process.sigma(start + u * (end - start)).clamp(*self.ends)


SCHEDULES: dict[str, Callable[..., Levels]] = {
    "geometric": Geometric,
    "linear": Linear,
    "cosine": Cosine,
    "karras": Karras,
    "softened": Softened,
}
"""Each kind of schedule by its name."""


def create_noise_schedule(
    sigma_min: float = 0.01,
    sigma_max: float = 50.0,
    num_levels: int = 10,
    kind: str | Levels = "geometric",
    *,
    rho: float | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Create noise levels, descending from ``sigma_max`` to ``sigma_min``, both included exactly.

    Args:
        sigma_min: Smallest level, > 0.
        sigma_max: Largest level, > ``sigma_min``.
        num_levels: Number of levels, >= 1; one level is ``sigma_max`` alone.
        kind: ``geometric``, ``linear``, ``cosine``, ``karras`` or ``softened``, the families of those names; or a family,
            whose own ends go before.
        rho: The exponent of ``karras``, > 0; 7 when None.
        dtype: Type of the result.

    Returns:
        Levels of shape ``(num_levels,)``.

    Raises:
        SettingError: A level or ``rho`` is not positive and finite, the levels are out of order, too many for the type to
            tell apart, or of an unknown kind.

    >>> create_noise_schedule(0.01, 1.0, 3)
    tensor([1.0000, 0.1000, 0.0100])
    """
    check_count("num_levels", num_levels)
    check_levels(sigma_min, sigma_max)
    options = {"sigma_min": float(sigma_min), "sigma_max": float(sigma_max)}
    family = kind if isinstance(kind, Levels) else named("schedule", kind, SCHEDULES)()
    if rho is not None:
        if not isinstance(family, Karras):
            raise SettingError(f"rho is the exponent of 'karras'; {family!r} has none")
        family = replace(family, rho=rho)
    return filled(family, SimpleNamespace(**options)).grid(num_levels, dtype)


def check_levels(sigma_min: Any, sigma_max: Any) -> None:
    """Refuse ends that are not positive, finite and in order; None stands for one that is not known yet.

    Raises:
        SettingError: What is wrong.
    """
    for name, value in (("sigma_min", sigma_min), ("sigma_max", sigma_max)):
        number = isinstance(value, Real) and math.isfinite(value)
        if value is not None and not (number and value > 0):
            raise SettingError(f"{name} must be positive and finite, not {value}")
    if sigma_min is not None and sigma_max is not None and sigma_min >= sigma_max:
        raise SettingError(f"sigma_min must be below sigma_max, but {sigma_min:g} >= {sigma_max:g}")


def _distinct(levels: Tensor, dtype: torch.dtype) -> Tensor:
    """Return levels in a type, or refuse them where it cannot tell them apart."""
    cast = levels.to(dtype)
    if bool((cast.diff() >= 0).any()):
        raise SettingError(
            f"{len(levels)} levels from {levels[0]:g} to {levels[-1]:g} do not descend or are not distinct in {dtype}; take fewer"
        )
    return cast
