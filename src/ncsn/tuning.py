"""Settings from the data, each with its rule and its reason.

The rules are those of Song & Ermon 2020, "Improved techniques for training score-based generative models"
(techniques 1, 2 and 4), with what they lack: few dimensions, outliers, and a smallest noise level that follows the
data. Lengths (noise levels, distances) are in the units of the rows given, which are meant to be standardised.

Step sizes are in this library's convention, x + (alpha/2) score + sqrt(alpha) z with alpha_i = step_size
(sigma_i / sigma_min)^2. The paper writes x + alpha score + sqrt(2 alpha) z: its alpha is half of this one.

To let the data choose one more setting, write its rule and add its field to `Plan`; nothing else changes.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from ncsn.errors import DataError, RunError, check_count, unknown_name

__all__ = [
    "MAX_LEVEL_RATIO",
    "Choice",
    "Plan",
    "finest_scale",
    "langevin_step_size",
    "largest_distance",
    "level_ratio",
    "make_plan",
    "num_levels",
    "variance_ratio",
]

MAX_LEVEL_RATIO = 1.5
"""Largest ratio of neighbouring noise levels. Technique 2 allows any ratio below five dimensions; with the exact score
of a Swiss roll, annealed Langevin of 100, 300 and 1,000 steps is near its best from 1.5 down, and thickens the roll
from 2 up."""

_FINEST_TO_SIGMA_MIN = 5.0
_SIGMA_MIN_BOUNDS = (0.002, 0.1)
_LANGEVIN_BUDGET = 300
_LOW_DIMENSION = 3
_STEPS_BOUNDS = (5, 100)
_ALL_EQUAL = "all rows are equal (but for one in a thousand at most): there is nothing to learn from them"

Array = npt.NDArray[np.float64]


def _as_tensor(x: npt.ArrayLike | Tensor) -> Tensor:
    """Return the data as a tensor of single or double precision, from an array in a copy that torch can own."""
    if isinstance(x, Tensor):
        if x.is_complex():
            raise DataError(f"expected real numbers, got {x.dtype}")
        return x.detach() if x.dtype in (torch.float32, torch.float64) else x.detach().double()
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise DataError(f"expected real numbers, got values of type {array.dtype}: convert or drop them first")
    single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return torch.from_numpy(array.astype(np.float32 if single else np.float64, order="C"))


def _as_rows(x: npt.ArrayLike | Tensor) -> Tensor:
    """Return the data as rows (N, D), or raise `DataError` where no rule could use them."""
    data = _as_tensor(x)
    if data.ndim == 2 and len(data) and not data.shape[1]:
        raise DataError("there is no column, or every column is constant: there is nothing to learn from them")
    if data.ndim == 0 or data.numel() == 0:
        raise DataError(f"expected rows of shape (N, ...), got an empty or single value of shape {tuple(data.shape)}")
    if len(data) < 2:
        raise DataError("one row is not enough to choose settings from: give at least two")
    rows = data.reshape(len(data), -1)
    finite = torch.isfinite(rows)
    if not finite.all():
        row, column = (~finite).nonzero()[0].tolist()
        raise DataError(f"row {row}, column {column} is not finite: drop or fill NaN and infinite values first")
    return rows


def _some_rows(x: npt.ArrayLike | Tensor) -> Array:
    """Return at most 5,000 rows (fewer when they are long), drawn without replacement by a fixed seed, as float64."""
    rows = _as_rows(x)
    size = min(5_000, max(100, 10_000_000 // rows.shape[1]))
    if len(rows) > size:
        index = np.sort(np.random.default_rng(0).choice(len(rows), size, replace=False))
        rows = rows[torch.from_numpy(index).to(rows.device)]
    return np.asarray(rows.cpu().double().numpy())


def _every(n: int, size: int) -> npt.NDArray[np.int64]:
    """Return ``size`` evenly spaced indices out of ``n``, or all of them when there are fewer."""
    return np.linspace(0, n - 1, min(n, size)).astype(np.int64)


def largest_distance(x: npt.ArrayLike | Tensor) -> float:
    """Measure the largest distance between two rows, the scale that the highest noise has to bridge.

    The farthest row in a thousand from the median row (at least one, from ten rows on) is left out, so that a stray
    outlier does not count. Of 5,000 rows at most, the 100 that are then farthest from the median are compared with all.

    Args:
        x: Data of shape ``(N, *shape)``.

    Returns:
        The distance, in the units of ``x``.

    Raises:
        DataError: Fewer than two rows, values that are not finite, or rows that are all equal but for those left out.

    Song & Ermon 2020, technique 1.

    >>> square = np.array([[0.0, 0.0], [0.0, 3.0], [4.0, 0.0], [4.0, 3.0]])
    >>> largest_distance(square), largest_distance(np.concatenate([square, square, [[2.0, 2.0], [1e6, 0.0]]]))
    (5.0, 5.0)
    """
    rows = _some_rows(x)
    from_median = np.linalg.norm(rows - np.median(rows, axis=0), axis=1)
    order = np.argsort(from_median, kind="stable")
    stray = max(1, len(rows) // 1000) if len(rows) >= 10 else 0
    kept = rows[order[: len(rows) - stray]]
    largest = float(cdist(kept[-100:], kept).max())
    if largest == 0.0:
        raise DataError(_ALL_EQUAL)
    return largest


def _grid_steps(rows: Array) -> Array:
    """Return each column's smallest gap between distinct values where values repeat (integers, pixels), else 0."""
    steps = np.zeros(rows.shape[1])
    for column, values in enumerate(rows.T):
        distinct = np.unique(values)
        if 1 < len(distinct) <= len(values) / 2:
            steps[column] = np.diff(distinct).min()
    return steps


def finest_scale(x: npt.ArrayLike | Tensor) -> float:
    """Measure how thin the data are: the standard deviation across them where they are locally narrowest.

    At up to 200 places, the covariance of the nearest rows (a hundredth of all, at least 20 and four per column) gives
    the spread by direction. The narrowest direction counts, or, in ten dimensions and more, the narrowest once the
    thinnest tenth is set aside, so that one redundant column does not decide; the median over the places is the result.
    On the Swiss roll it is the roll's thickness. Values on a grid (integers, pixels) count as no finer than their step,
    whose square is added to their column's variance, and equal rows count once. Beyond 64 columns, or an eighth of the
    rows, evenly spaced columns stand for all.

    Args:
        x: Data of shape ``(N, *shape)``; 5,000 rows at most are looked at.

    Returns:
        A standard deviation in the units of ``x``; 0 if the data are flat (an exact line in the plane, for instance).

    Raises:
        DataError: Fewer than two rows, values that are not finite, or rows that are all equal.

    >>> rng = np.random.default_rng(0)
    >>> band = np.stack([rng.uniform(-10, 10, 5000), 0.02 * rng.standard_normal(5000)], 1)
    >>> round(finest_scale(band), 2)
    0.02
    """
    rows = _some_rows(x)
    steps = _grid_steps(rows)
    rows = np.unique(rows, axis=0)
    if len(rows) == 1:
        raise DataError(_ALL_EQUAL)
    columns = _every(rows.shape[1], min(64, max(1, len(rows) // 8)))
    rows = rows[:, columns]
    dim = len(columns)
    n_near = min(len(rows), max(20, 4 * dim, len(rows) // 100) + 1)
    places = rows[_every(len(rows), 200)]
    near = rows[NearestNeighbors(n_neighbors=n_near).fit(rows).kneighbors(places, return_distance=False)]
    near -= near.mean(axis=1, keepdims=True)
    covariance = near.transpose(0, 2, 1) @ near / (n_near - 1) + np.diag(steps[columns] ** 2)
    variance = np.linalg.eigvalsh(covariance)[:, dim // 10]
    return float(np.median(np.sqrt(variance.clip(min=0.0))))


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
        ValueError: ``dim`` is below 1.

    Song & Ermon 2020, technique 2.

    >>> round(level_ratio(3072), 4), level_ratio(2)
    (1.0398, 1.5)
    """
    if dim < 1:
        raise ValueError(f"dim must be at least 1, not {dim}")
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
        ValueError: Not 0 < sigma_min < sigma_max, or ``dim`` is below 1.

    >>> num_levels(0.01, 50.0, 3072)  # CIFAR-10
    219
    """
    if not 0 < sigma_min < sigma_max:
        raise ValueError(f"need 0 < sigma_min < sigma_max, not {sigma_min:g} and {sigma_max:g}")
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
        ValueError: A value is out of range; ``step_size`` must be below 4 sigma_min^2, where the chains diverge.

    Song & Ermon 2020, proposition 3 and technique 4.

    >>> round(variance_ratio(0.5, 1.0, ratio=1.0, n_steps=1000), 6)  # stationary variance 2 / (2 - 0.25)
    1.142857
    """
    if sigma_min <= 0 or ratio < 1 or n_steps < 1:
        raise ValueError(f"need sigma_min > 0, ratio >= 1, n_steps >= 1, not {sigma_min:g}, {ratio:g}, {n_steps}")
    _check_stable(step_size, sigma_min)
    return _variance_ratio(step_size / (2 * sigma_min**2), ratio, n_steps)


def _check_stable(step_size: float, sigma_min: float) -> None:
    """Refuse a step at which Langevin dynamics on a Gaussian diverges."""
    if not 0 < step_size < 4 * sigma_min**2:
        raise ValueError(
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
        ValueError: A value is out of range.

    Song & Ermon 2020, technique 4.

    >>> step = langevin_step_size(0.01, ratio=(50 / 0.01) ** (1 / 231), n_steps=5)  # CIFAR-10, 232 levels
    >>> f"{step / 2:.1e}"  # in the paper's convention
    '6.2e-06'
    """
    if sigma_min <= 0 or ratio <= 1 or n_steps < 1:
        raise ValueError(f"need sigma_min > 0, ratio > 1, n_steps >= 1, not {sigma_min:g}, {ratio:g}, {n_steps}")
    # On a log scale, the minimum is found to the same relative accuracy for 1 step and for 1e6.
    best = minimize_scalar(
        lambda log_a: _variance_ratio(math.exp(log_a), ratio, n_steps),
        bounds=(math.log(1e-12), 0.0),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return 2 * sigma_min**2 * math.exp(best.x)


@dataclass(frozen=True)
class Choice:
    """One setting: what it is called, its value, the rule that chose it (``"given"`` if the caller did), and why."""

    name: str
    value: Any
    rule: str
    reason: str


@dataclass(frozen=True)
class _Facts:
    """What a rule may look at: the data, and the settings chosen before it."""

    rows: Tensor
    chosen: dict[str, Any]
    images: bool = False

    @property
    def ratio(self) -> float:
        """The ratio of neighbouring noise levels, as chosen."""
        whole = self.chosen["sigma_max"] / self.chosen["sigma_min"]
        return float(whole ** (1 / max(1, self.chosen["n_sigmas"] - 1)))


Rule = Callable[[_Facts], tuple[Any, str, str]]
Check = Callable[[str, Any, Mapping[str, Any]], Any]


def _rule_sigma_data(facts: _Facts) -> tuple[float, str, str]:
    value = float(facts.rows.std(correction=0))
    if value == 0.0:
        raise DataError(_ALL_EQUAL)
    return value, "standard deviation", "of all entries; 1 where the data are standardised"


def _rule_sigma_max(facts: _Facts) -> tuple[float, str, str]:
    value, spread = largest_distance(facts.rows), facts.chosen["sigma_data"]
    if value <= _SIGMA_MIN_BOUNDS[1] * spread:
        raise DataError(
            f"all but a few rows are nearly equal (largest distance {value:.3g}, standard deviation {spread:.3g}): "
            "remove the outlying rows, or give sigma_max and sigma_min"
        )
    return value, "largest distance (technique 1)", "noise must bridge the farthest rows; a stray row in 1,000 left out"


def _rule_sigma_min(facts: _Facts) -> tuple[float, str, str]:
    finest, spread = finest_scale(facts.rows), facts.chosen["sigma_data"]
    value = finest / _FINEST_TO_SIGMA_MIN
    low, high = (bound * spread for bound in _SIGMA_MIN_BOUNDS)
    thin = f"the data are {finest:.2g} thin where narrowest"
    if value < low:
        return low, f"{_SIGMA_MIN_BOUNDS[0]:g} sigma_data, at least", f"{thin}: finer noise teaches a network little"
    if value > high:
        return high, f"{_SIGMA_MIN_BOUNDS[1]:g} sigma_data, at most", f"{thin}: no need to go below 1% of the variance"
    return value, f"finest scale / {_FINEST_TO_SIGMA_MIN:g}", f"{thin}: noise adds 4% to that variance"


def _rule_n_sigmas(facts: _Facts) -> tuple[int, str, str]:
    dim = facts.rows.shape[1]
    value = num_levels(facts.chosen["sigma_min"], facts.chosen["sigma_max"], dim)
    ratio = level_ratio(dim)
    if ratio < MAX_LEVEL_RATIO:
        return value, "overlap of levels (technique 2)", f"ratio {ratio:.3g}: half of a level's radii reach the next"
    reason = f"technique 2 allows wider gaps at D = {dim}; samples are worse with them"
    return value, f"ratio {ratio:g} (technique 2, capped)", reason


def _rule_n_steps_per_sigma(facts: _Facts) -> tuple[int, str, str]:
    least, most = _STEPS_BOUNDS
    value = min(most, max(least, round(_LANGEVIN_BUDGET / facts.chosen["n_sigmas"])))
    rule = f"{_LANGEVIN_BUDGET} steps over all levels"
    return value, rule, f"more gain little; {least} to {most} a level, from NCSNv2's to NCSN's"


def _rule_step_size(facts: _Facts) -> tuple[float, str, str]:
    sigma_min, n_steps = facts.chosen["sigma_min"], facts.chosen["n_steps_per_sigma"]
    value = langevin_step_size(sigma_min, facts.ratio, n_steps)
    left = variance_ratio(value, sigma_min, facts.ratio, n_steps)
    reason = f"chains end at {left:.3g} x their level's variance, the nearest to 1 that a step reaches"
    return value, "variance ratio (technique 4)", reason


def _rule_sigma_init(facts: _Facts) -> tuple[float, str, str]:
    value = math.hypot(facts.chosen["sigma_max"], facts.chosen["sigma_data"])
    return value, "sqrt(sigma_max^2 + sigma_data^2)", "standard deviation of the data at the highest noise"


def _rule_log_sigma_mean(facts: _Facts) -> tuple[float, str, str]:
    middle = math.log(facts.chosen["sigma_min"] * facts.chosen["sigma_max"]) / 2
    if facts.rows.shape[1] <= _LOW_DIMENSION:
        return middle + 1.1, "1.1 above the middle", "few features: these levels decide where the mass goes"
    return middle, "the middle", "of the logarithms of the ends; where training draws levels most"


def _rule_log_sigma_spread(facts: _Facts) -> tuple[float, str, str]:
    width = math.log(facts.chosen["sigma_max"] / facts.chosen["sigma_min"])
    if facts.rows.shape[1] <= _LOW_DIMENSION:
        return width / 5, "a fifth of the range", "standard deviation of the log-normal levels"
    return width / 4, "a quarter of the range", "standard deviation of the log-normal levels"


def _rule_width(facts: _Facts) -> tuple[int, str, str]:
    dim = facts.rows.shape[1]
    value = int(2 ** min(9, max(7, round(math.log2(8 * dim)))))
    return value, "8 units a feature", "a power of 2 between 128 and 512, what a CPU trains in minutes"


def _rule_n_blocks(facts: _Facts) -> tuple[int, str, str]:
    if facts.rows.shape[1] <= _LOW_DIMENSION:
        return 2, f"2 up to {_LOW_DIMENSION} features", "a third block gains less than its time spent on more steps"
    return 3, f"3 above {_LOW_DIMENSION} features", "a fourth block gains less than its time spent on more steps"


def _rule_n_fourier(facts: _Facts) -> tuple[int, str, str]:
    if facts.rows.shape[1] <= _LOW_DIMENSION:
        return 64, f"64 up to {_LOW_DIMENSION} features", "sines of the input let a small network draw fine detail"
    return 0, f"none above {_LOW_DIMENSION} features", "random directions would miss the detail and add noise"


def _rule_dropout(facts: _Facts) -> tuple[float, str, str]:
    if facts.images:
        return 0.0, "none for images", "it would blur the samples"
    n = len(facts.rows)
    value = round(min(0.5, max(0.0, 0.5 * (3.5 - math.log10(n)) / 1.5)), 2)
    return value, "from the number of rows", "half of the units at 100 rows, none from 3,200 on: few rows overfit"


def _rule_training_steps(facts: _Facts) -> tuple[int, str, str]:
    n, dim = facts.rows.shape
    if dim <= _LOW_DIMENSION:
        return 2600, f"2,600 up to {_LOW_DIMENSION} features", "the score error falls little after"
    if facts.images:
        return 5000, "5,000 for images", "samples sharpen until then, and begin to copy after"
    value = int(min(4000, max(400, 3 * n)))
    return value, "3 a row, 400 to 4,000", "few rows overfit when trained long"


def _rule_sampling_steps(facts: _Facts) -> tuple[int, str, str]:
    return 40, "40 evaluations", "the sampler's error is then far below the network's"


def _rule_churn(facts: _Facts) -> tuple[float, str, str]:
    if facts.images:
        return 4.0, "4 for images", "fresh noise on the way corrects the network's errors, at the price of variety"
    return 0.0, "none below images", "the network is accurate enough for the deterministic flow"


def _rule_batch_size(facts: _Facts) -> tuple[int, str, str]:
    if facts.rows.shape[1] <= _LOW_DIMENSION:
        return 512, f"512 up to {_LOW_DIMENSION} features", "many noise levels a step"
    return 128, f"128 above {_LOW_DIMENSION} features", "more features teach more a row"


def _rule_learning_rate(facts: _Facts) -> tuple[float, str, str]:
    value = 2e-3 * 128 / facts.chosen["width"]
    return value, "0.002 at width 128", "wider layers take smaller steps"


def _rule_ema_decay(facts: _Facts) -> tuple[float, str, str]:
    value = max(0.0, 1 - 6 / facts.chosen["training_steps"])
    return value, "a sixth of the training", "moving average of the weights (technique 5)"


def _rule_target_from(facts: _Facts) -> tuple[float, str, str]:
    value = 0.2 * facts.chosen["sigma_data"]
    return value, "0.2 sigma_data", "from here on targets are averaged over the data (stable target field)"


def _rule_weight_from(facts: _Facts) -> tuple[float, str, str]:
    spread = facts.chosen["sigma_data"]
    if facts.rows.shape[1] <= _LOW_DIMENSION:
        return 0.5 * spread, "0.5 sigma_data", "from here on the levels count more that decide where the mass goes"
    return 0.2 * spread, "0.2 sigma_data", "from here on levels count more, as their targets are free of noise"


def _rule_target_rows(facts: _Facts) -> tuple[int, str, str]:
    if facts.rows.shape[1] <= _LOW_DIMENSION:
        return 512, f"512 up to {_LOW_DIMENSION} features", "the batch itself covers the plane well enough"
    return (
        1024,
        f"1,024 above {_LOW_DIMENSION} features",
        "rows that those targets are averaged over, drawn anew each step",
    )


def _check_finite(name: str, value: Any, chosen: Mapping[str, Any]) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(float(value)):
        raise ValueError(f"{name} must be a finite number, not {value!r}")
    return float(value)


def _check_share(name: str, value: Any, chosen: Mapping[str, Any]) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, not {value!r}")
    return float(value)


def _check_not_negative(name: str, value: Any, chosen: Mapping[str, Any]) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) < math.inf:
        raise ValueError(f"{name} must be a finite number of at least 0, not {value!r}")
    return float(value)


def _check_whole(name: str, value: Any, chosen: Mapping[str, Any]) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < 0:
        raise ValueError(f"{name} must be a whole number of at least 0, not {value!r}")
    return int(value)


def _check_positive(name: str, value: Any, chosen: Mapping[str, Any]) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < float(value) < math.inf:
        raise ValueError(f"{name} must be a positive finite number, not {value!r}")
    return float(value)


def _check_count(name: str, value: Any, chosen: Mapping[str, Any]) -> int:
    check_count(name, value)
    return int(value)


def _check_sigma_min(name: str, value: Any, chosen: Mapping[str, Any]) -> float:
    sigma_min, sigma_max = _check_positive(name, value, chosen), chosen["sigma_max"]
    if sigma_min >= sigma_max:
        raise ValueError(f"sigma_min must be below sigma_max, not {sigma_min:g} and {sigma_max:g}: change one of them")
    return sigma_min


def _check_step_size(name: str, value: Any, chosen: Mapping[str, Any]) -> float:
    step_size = _check_positive(name, value, chosen)
    _check_stable(step_size, chosen["sigma_min"])
    return step_size


@dataclass(frozen=True)
class Plan:
    """The settings for one data set; `make_plan` builds it, ``print`` shows it with the reasons.

    A field annotated with a rule and a check is a setting: the rule chooses it after the fields above it.

    Attributes:
        n_rows: Number of rows, N.
        n_features: Number of values in a row, D.
        sigma_data: Standard deviation of the data, over all entries.
        sigma_max: Largest noise level.
        sigma_min: Smallest noise level.
        n_sigmas: Number of geometric noise levels, both ends included.
        n_steps_per_sigma: Langevin steps per level.
        step_size: Langevin step at sigma_min, in this library's convention (twice the paper's alpha).
        sigma_init: Standard deviation that samplers start from.
        log_sigma_mean: Mean of the logarithm of the levels that training draws, where they are log-normal.
        log_sigma_spread: Its standard deviation.
        width: Width of the network.
        n_blocks: Number of its residual blocks.
        n_fourier: Number of random Fourier projections of its input.
        dropout: Share of hidden units that training leaves out.
        training_steps: Optimiser steps.
        batch_size: Rows a step.
        learning_rate: Highest learning rate.
        ema_decay: Decay of the moving average of the weights.
        sampling_steps: Number of noise levels that the default sampler walks.
        churn: Noise that it puts back on the way (Karras et al. 2022, S_churn).
        target_from: Noise level from which on the training target is averaged over the data.
        weight_from: Noise level at which such levels have half of their greater weight.
        target_rows: Most rows that it is averaged over in a step.
        choices: Each setting's value, rule and reason, in the order in which they were chosen.
    """

    n_rows: int
    n_features: int
    sigma_data: Annotated[float, _rule_sigma_data, _check_positive]
    sigma_max: Annotated[float, _rule_sigma_max, _check_positive]
    sigma_min: Annotated[float, _rule_sigma_min, _check_sigma_min]
    n_sigmas: Annotated[int, _rule_n_sigmas, _check_count]
    n_steps_per_sigma: Annotated[int, _rule_n_steps_per_sigma, _check_count]
    step_size: Annotated[float, _rule_step_size, _check_step_size]
    sigma_init: Annotated[float, _rule_sigma_init, _check_positive]
    log_sigma_mean: Annotated[float, _rule_log_sigma_mean, _check_finite]
    log_sigma_spread: Annotated[float, _rule_log_sigma_spread, _check_positive]
    width: Annotated[int, _rule_width, _check_count]
    n_blocks: Annotated[int, _rule_n_blocks, _check_count]
    n_fourier: Annotated[int, _rule_n_fourier, _check_whole]
    dropout: Annotated[float, _rule_dropout, _check_share]
    training_steps: Annotated[int, _rule_training_steps, _check_count]
    batch_size: Annotated[int, _rule_batch_size, _check_count]
    learning_rate: Annotated[float, _rule_learning_rate, _check_positive]
    ema_decay: Annotated[float, _rule_ema_decay, _check_share]
    target_from: Annotated[float, _rule_target_from, _check_positive]
    weight_from: Annotated[float, _rule_weight_from, _check_positive]
    target_rows: Annotated[int, _rule_target_rows, _check_count]
    sampling_steps: Annotated[int, _rule_sampling_steps, _check_count]
    churn: Annotated[float, _rule_churn, _check_not_negative]
    choices: tuple[Choice, ...]

    def __str__(self) -> str:
        table = [("name", "value", "rule", "reason")]
        for choice in self.choices:
            value = f"{choice.value:.4g}" if isinstance(choice.value, float) else str(choice.value)
            table.append((choice.name, value, choice.rule, choice.reason))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
        return "\n".join([f"{self.n_rows:,} rows x {self.n_features:,} features", *(line.rstrip() for line in lines)])

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain numbers, strings and lists, ready for JSON; `from_dict` reads it back."""
        choices = [{"name": c.name, "value": c.value, "rule": c.rule, "reason": c.reason} for c in self.choices]
        return {"n_rows": self.n_rows, "n_features": self.n_features, "choices": choices}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Plan:
        """Rebuild the plan that `to_dict` wrote.

        Args:
            saved: The dictionary, as it was or as JSON returns it.

        Raises:
            RunError: A setting is missing, unknown or malformed, as in a damaged file or another version's.
        """
        try:
            choices = tuple(Choice(**choice) for choice in saved["choices"])
            values = {choice.name: choice.value for choice in choices}
            for name, (_, check) in _settings().items():
                check(name, values[name], values)
            return cls(n_rows=saved["n_rows"], n_features=saved["n_features"], choices=choices, **values)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"the saved settings are damaged or another version's ({error!r}): train anew") from error


def _settings() -> dict[str, tuple[Rule, Check]]:
    """Return the settings of `Plan` in their order, each with its rule and its check."""
    hints = get_type_hints(Plan, include_extras=True)
    return {name: hint.__metadata__ for name, hint in hints.items() if get_origin(hint) is Annotated}


def make_plan(x: npt.ArrayLike | Tensor, **given: Any) -> Plan:
    """Choose the settings for a data set, each by its rule.

    Args:
        x: Standardised data of shape ``(N, *shape)``, an array or a tensor on any device.
        **given: Settings to take as they are, by their names in `Plan`; None means that the data choose.

    Returns:
        The plan. A million rows take no longer than a few thousand, but for a pass over the data.

    Raises:
        DataError: Fewer than two rows, values that are not finite, or rows that are all or nearly equal.
        ValueError: A given name is unknown, a value is out of range, sigma_min is not below sigma_max, or step_size is
            so large that Langevin dynamics diverges.

    >>> rng = np.random.default_rng(0)
    >>> plan = make_plan(rng.standard_normal((1000, 2)), sigma_max=5.0)
    >>> plan.sigma_max, plan.choices[1].rule
    (5.0, 'given')
    """
    settings = _settings()
    for name in given:
        if name not in settings:
            raise unknown_name("setting", name, settings)
    facts = _Facts(_as_rows(x), {}, images=np.ndim(x) > 2)
    choices = []
    for name, (choose, check) in settings.items():
        if given.get(name) is None:
            value, rule, reason = choose(facts)
        else:
            value, rule, reason = given[name], "given", "set by the caller"
        facts.chosen[name] = check(name, value, facts.chosen)
        choices.append(Choice(name, facts.chosen[name], rule, reason))
    return Plan(n_rows=len(facts.rows), n_features=facts.rows.shape[1], choices=tuple(choices), **facts.chosen)
