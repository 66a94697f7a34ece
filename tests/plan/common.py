"""Data whose geometry is known, for the tests of what is chosen from data."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def standardised(x: Array) -> Array:
    return (x - x.mean(0)) / x.std(0)


def swiss_roll(n: int, seed: int = 0) -> tuple[Array, float]:
    """Return the page's roll, and the standard deviation of its noise in the same units."""
    rng = np.random.default_rng(seed)
    t = 1.5 * np.pi * (1 + 2 * rng.random(n))
    x = np.stack([t * np.cos(t), t * np.sin(t)], axis=1) + 0.1 * rng.standard_normal((n, 2))
    return standardised(x), 0.1 / x.std()


def normal(n: int, dim: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((n, dim))
