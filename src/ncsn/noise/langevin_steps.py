"""The noise levels and step sizes of annealed Langevin dynamics: techniques 2 and 4 of Song & Ermon 2020.

Step sizes are in this library's convention, x + (alpha/2) score + sqrt(alpha) z with alpha_i = step_size
(sigma_i / sigma_min)^2. The paper writes x + alpha score + sqrt(2 alpha) z: its alpha is half of this one.
"""

import math

from scipy.optimize import minimize_scalar

from ncsn.errors import SettingError

MAX_LEVEL_RATIO = 1.5
"""Largest ratio of neighbouring noise levels. Technique 2 allows any ratio below five dimensions; with the exact score
of a Swiss roll, annealed Langevin of 100, 300 and 1,000 steps is near its best from 1.5 down, and thickens the roll
from 2 up."""


def level_ratio(dim: int) -> float:
    """Return the ratio of neighbouring noise levels, sigma_{i-1} / sigma_i.

    Technique 2 lets half of one level's radii fall within three standard deviations of the next level's:
    Phi(sqrt(2D) (g - 1) + 3 g) - Phi(sqrt(2D) (g - 1) - 3 g) = 0.5. The first term is 1 to nine digits for g > 1, which
    leaves g = sqrt(2D) / (sqrt(2D) - 3). Below five dimensions every ratio satisfies it, at five it allows 19, so that
    `MAX_LEVEL_RATIO` takes over up to 40 dimensions.

    Args:
        dim: Number of features, D.

    Returns:
        The ratio, above 1 and at most `MAX_LEVEL_RATIO`.

    Raises:
        SettingError: ``dim`` is below 1.

    Song & Ermon 2020, technique 2.

    >>> round(level_ratio(3072), 4), level_ratio(2)
    (1.0398, 1.5)
    """
    if dim < 1:
        raise SettingError(f"dim must be at least 1, not {dim}")
    root = math.sqrt(2 * dim)
    return min(MAX_LEVEL_RATIO, root / (root - 3)) if root > 3 else MAX_LEVEL_RATIO


def num_levels(sigma_min: float, sigma_max: float, dim: int) -> int:
    """Return how many geometric noise levels come nearest to `level_ratio`, both ends included.

    Args:
        sigma_min: Smallest noise level.
        sigma_max: Largest noise level.
        dim: Number of features, D.

    Returns:
        The number of levels, at least 2.

    Raises:
        SettingError: Not 0 < sigma_min < sigma_max, or ``dim`` is below 1.

    >>> num_levels(0.01, 50.0, 3072)  # CIFAR-10
    219
    """
    if not 0 < sigma_min < sigma_max:
        raise SettingError(f"need 0 < sigma_min < sigma_max, not {sigma_min:g} and {sigma_max:g}")
    return max(2, 1 + round(math.log(sigma_max / sigma_min) / math.log(level_ratio(dim))))


def _variance_ratio(a: float, ratio: float, n_steps: int) -> float:
    """Evaluate the closed form of `variance_ratio` at the paper's a = alpha / sigma^2."""
    stationary = 2 / (2 - a)
    return (1 - a) ** (2 * n_steps) * (ratio**2 - stationary) + stationary


def variance_ratio(step_size: float, sigma_min: float, ratio: float, n_steps: int) -> float:
    """Return the variance of the chains over their level's sigma^2, after Langevin steps that began one level above.

    The closed form is exact for data at one point (score -x / sigma^2), and the same at every level: with
    a = step_size / (2 sigma_min^2), it is (1 - a)^(2T) (ratio^2 - 2 / (2 - a)) + 2 / (2 - a).

    Args:
        step_size: The step at sigma_min, in this library's convention (twice the paper's alpha).
        sigma_min: Smallest noise level.
        ratio: Ratio of neighbouring levels; 1 for chains that start at their own level's variance.
        n_steps: Steps per level, T.

    Returns:
        The ratio; 1 is perfect, and it is above 1 for every step size when ``ratio`` is.

    Raises:
        SettingError: A value is out of range; ``step_size`` must be below 4 sigma_min^2, where the chains diverge.

    Song & Ermon 2020, proposition 3 and technique 4.

    >>> round(variance_ratio(0.5, 1.0, ratio=1.0, n_steps=1000), 6)  # stationary variance 2 / (2 - 0.25)
    1.142857
    """
    if sigma_min <= 0 or ratio < 1 or n_steps < 1:
        raise SettingError(f"need sigma_min > 0, ratio >= 1, n_steps >= 1, not {sigma_min:g}, {ratio:g}, {n_steps}")
    check_stable(step_size, sigma_min)
    return _variance_ratio(step_size / (2 * sigma_min**2), ratio, n_steps)


def check_stable(step_size: float, sigma_min: float) -> None:
    """Refuse a step at which Langevin dynamics on a Gaussian diverges."""
    if not 0 < step_size < 4 * sigma_min**2:
        raise SettingError(
            f"step_size must be above 0 and below 4 sigma_min^2 = {4 * sigma_min**2:.3g}, where Langevin dynamics "
            f"diverges, not {step_size:g}"
        )


def langevin_step_size(sigma_min: float, ratio: float, n_steps: int) -> float:
    """Return the step size whose variance ratio after ``n_steps`` steps is nearest to 1.

    The ratio is always above 1, and its one minimum lies at a step below 2 sigma_min^2, half of where the chains would
    diverge. With few levels or few steps even the minimum stays well above 1; `variance_ratio` tells how far.

    Args:
        sigma_min: Smallest noise level.
        ratio: Ratio of neighbouring levels, above 1.
        n_steps: Steps per level.

    Returns:
        The step at sigma_min, in this library's convention (twice the paper's alpha).

    Raises:
        SettingError: A value is out of range.

    Song & Ermon 2020, technique 4.

    >>> step = langevin_step_size(0.01, ratio=(50 / 0.01) ** (1 / 231), n_steps=5)  # CIFAR-10, 232 levels
    >>> f"{step / 2:.1e}"  # in the paper's convention
    '6.2e-06'
    """
    if sigma_min <= 0 or ratio <= 1 or n_steps < 1:
        raise SettingError(f"need sigma_min > 0, ratio > 1, n_steps >= 1, not {sigma_min:g}, {ratio:g}, {n_steps}")
    # On a log scale, the minimum is found to the same relative accuracy for 1 step and for 1e6.
    best = minimize_scalar(
        lambda log_a: _variance_ratio(math.exp(log_a), ratio, n_steps),
        bounds=(math.log(1e-12), 0.0),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return 2 * sigma_min**2 * math.exp(best.x)
