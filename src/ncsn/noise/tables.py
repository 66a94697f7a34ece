"""Fixed sets of noise levels: those given by hand, a number of another family's, and DDPM's own."""

import abc
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ncsn.errors import SettingError, check_count, check_number
from ncsn.noise.levels import Geometric, Levels
from ncsn.parts import filled


@dataclass(frozen=True, repr=False)
class _Table(Levels):
    """A fixed set of levels, each as likely."""

    fixed: ClassVar[bool] = True

    @cached_property
    def table(self) -> Tensor:
        """The levels, descending, float64."""
        return self._made()

    @abc.abstractmethod
    def _made(self) -> Tensor: ...

    @property
    def count(self) -> int:
        """How many levels there are."""
        return len(self.table)

    def quantile(self, u: Tensor) -> Tensor:
        """Return the level whose share of the draws ``u`` falls into."""
        ascending = self.table.flip(0).to(u)
        return ascending[(u * len(ascending)).long().clamp_(max=len(ascending) - 1)]

    def grid(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return ``n`` of the levels, descending, evenly picked.

        Raises:
            SettingError: There are not as many.
        """
        check_count("the number of levels", n)
        if n > self.count:
            raise SettingError(
                f"{type(self).__name__} has {self.count:,} levels; steps must not be above, but is {n:,}"
            )
        return self.table[torch.linspace(self._first(n), self.count - 1, n).round().long()].to(dtype)

    def _first(self, n: int) -> int:
        """Return the place of the largest level of a grid of ``n``."""
        return 0


@dataclass(frozen=True, repr=False)
class Given(_Table):
    """Levels given by hand, each as likely.

    Args:
        sigmas: The levels, in any order, a tensor or a sequence.

    Raises:
        SettingError: There is no level, one is not positive and finite, or two are the same.

    >>> Given(torch.tensor([0.5, 2.0])).table
    tensor([2.0000, 0.5000], dtype=torch.float64)
    """

    sigmas: Any = ()

    def __post_init__(self) -> None:
        given = self.sigmas.tolist() if isinstance(self.sigmas, Tensor) else self.sigmas
        values = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
        for value in values:
            check_number("a level", value, above=0)
        levels = tuple(sorted(map(float, values), reverse=True))
        if not levels or not all(0 < sigma < math.inf for sigma in levels) or len(set(levels)) < len(levels):
            raise SettingError(f"the levels must be positive, finite and distinct, not {values}")
        object.__setattr__(self, "sigmas", levels)
        super().__post_init__()

    def _made(self) -> Tensor:
        return torch.tensor(self.sigmas, dtype=torch.float64)


@dataclass(frozen=True, repr=False)
class Discrete(_Table):
    """A fixed number of another family's levels, each as likely (NCSN, NCSNv2).

    Args:
        of: The family.
        n_sigmas: Number of levels; from the plan when None.
        at_least: Fewest levels, whatever the plan says.
    """

    of: Levels = field(default_factory=Geometric)
    n_sigmas: int | None = None
    at_least: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.of, Levels):
            raise SettingError(f"of must be a family of noise levels, not {self.of!r}")
        for name, count in (("n_sigmas", self.n_sigmas), ("at_least", self.at_least)):
            if count is not None:
                check_count(name, count)
        super().__post_init__()
        # ends of its own go before those of a plan
        object.__setattr__(
            self, "of", filled(self.of, SimpleNamespace(sigma_min=self.sigma_min, sigma_max=self.sigma_max))
        )

    @property
    def count(self) -> int:
        """How many levels there are."""
        if self.n_sigmas is None:
            raise SettingError(f"{self!r} needs n_sigmas, or a plan")
        return max(self.n_sigmas, self.at_least)

    def _made(self) -> Tensor:
        return filled(self.of, self).grid(self.count, torch.float64)

    def grid(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return ``n`` levels of the family."""
        return filled(self.of, self).grid(n, dtype)


@dataclass(frozen=True, repr=False)
class DDPM(_Table):
    """DDPM's own levels (`ddpm_levels`), each as likely. Few steps are spent below ``sigma_max``, where it is given.

    Args:
        betas: ``linear`` (Ho et al. 2020) or ``cosine`` (Nichol & Dhariwal 2021).
        n_times: Number of levels T.
    """

    betas: str = "linear"
    n_times: int = 1000

    def __post_init__(self) -> None:
        ddpm_levels(self.n_times, self.betas)
        super().__post_init__()

    def _made(self) -> Tensor:
        return ddpm_levels(self.n_times, self.betas)

    def _first(self, n: int) -> int:
        above = 0 if self.sigma_max is None else int((self.table >= self.sigma_max).sum()) - 1
        return min(max(0, above), self.count - n)


def ddpm_levels(n_steps: int = 1000, kind: str = "linear") -> Tensor:
    """Return DDPM's discrete noise levels, descending, ``(n_steps,)``: sqrt((1 - alpha_bar) / alpha_bar).

    Args:
        n_steps: Number of levels T.
        kind: ``linear``: beta from 1e-4 to 0.02 (Ho et al. 2020), scaled by 1000 / T; or ``cosine``: Nichol & Dhariwal
            2021, eq. 17, beta at most 0.999.

    Raises:
        SettingError: The kind is unknown, or linear betas are asked for with 20 steps or fewer.

    >>> [round(sigma, 4) for sigma in ddpm_levels()[[0, -1]].tolist()]
    [157.4073, 0.01]
    """
    check_count("the number of levels", n_steps)
    if kind == "linear":
        if n_steps <= 20:
            raise SettingError(
                f"linear betas need more than 20 steps, of which each takes less than all; not {n_steps}"
            )
        beta = torch.linspace(1e-4, 2e-2, n_steps, dtype=torch.float64) * 1000 / n_steps
    elif kind == "cosine":
        time = torch.arange(n_steps + 1, dtype=torch.float64) / n_steps
        alpha_bar = torch.cos((time + 0.008) / 1.008 * torch.pi / 2).square()
        beta = (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)
    else:
        raise SettingError(f"the betas must be 'linear' or 'cosine', not {kind!r}")
    log_alpha_bar = torch.log1p(-beta).cumsum(0)
    return torch.expm1(-log_alpha_bar).sqrt().flip(0)
