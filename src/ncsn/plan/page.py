"""The page's settings, for a loop of one's own, which has no data to choose from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ncsn.noise import create_noise_schedule


@dataclass(frozen=True)
class PageSettings:
    """The page's settings, where there was no `fit`, so no data to choose from.

    Args:
        sigma_min: Smallest noise level.
        sigma_max: Largest noise level.
        n_sigmas: Number of noise levels.
        learning_rate: Learning rate.
        n_steps_per_sigma: Langevin steps at each level.
        sampling_steps: Levels that samplers walk which do not say how many.
        multipliers: No resolutions of a UNet.
        mixed_precision: Single precision.
    """

    sigma_min: float = 0.01
    sigma_max: float = 10.0
    n_sigmas: int = 10
    learning_rate: float = 1e-3
    n_steps_per_sigma: int = 100
    sampling_steps: int = 40
    multipliers: tuple[int, ...] = ()
    mixed_precision: str = "no"

    @classmethod
    def of(cls, **given: Any) -> PageSettings:
        """Return the settings given, and the page's where one is None."""
        return cls(**{name: value for name, value in given.items() if value is not None})

    @property
    def sigmas(self) -> Tensor:
        """The discrete noise levels, descending, ``(n_sigmas,)``."""
        return create_noise_schedule(self.sigma_min, self.sigma_max, self.n_sigmas)
