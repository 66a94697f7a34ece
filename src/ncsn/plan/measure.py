"""What is measured of the data: how far they reach, and how thin they are."""

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from torch import Tensor

from ncsn.errors import DataError

ALL_EQUAL = "all rows are equal (but for one in a thousand at most): there is nothing to learn from them"

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


def as_rows(x: npt.ArrayLike | Tensor) -> Tensor:
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
    rows = as_rows(x)
    size = min(5_000, max(100, 10_000_000 // rows.shape[1]))
    if len(rows) > size:
        index = np.sort(np.random.default_rng(0).choice(len(rows), size, replace=False))
        rows = rows[torch.from_numpy(index).to(rows.device)]
    return np.asarray(rows.cpu().double().numpy())


REGRESSION_ROWS = 20_000


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
        raise DataError(ALL_EQUAL)
    return largest


def _grid_steps(rows: Array) -> Array:
    """Return each column's smallest gap between distinct values where values repeat (integers, pixels), else 0."""
    steps = np.zeros(rows.shape[1])
    for column, values in enumerate(rows.T):
        distinct = np.unique(values)
        if 1 < len(distinct) <= len(values) / 2:
            steps[column] = np.diff(distinct).min()
    return steps


GREY_SAMPLE = 2_000_000
"""Values that are looked at for it."""

GREY_VALUES = 4096
"""Distinct values up to which images are taken to have steps of grey."""


def grey_step(x: npt.ArrayLike | Tensor) -> float | None:
    """Measure the smallest difference between two values that pixels of images have: one step of grey.

    Args:
        x: Images of shape ``(N, *shape)``; the first ones are looked at, of two million values.

    Returns:
        The step, in the units of ``x``, whatever the order of the axes; None where values hardly ever repeat.

    >>> grey_step(np.array([[[0.0, 2.0], [3.0, 6.0]], [[2.0, 0.0], [6.0, 3.0]]]))
    1.0
    """
    rows = as_rows(x)
    # a few hundred images have all values that there are, but for rare ones
    few = rows[: max(2, GREY_SAMPLE // rows.shape[1])]
    distinct = np.unique(few.cpu().double().numpy())
    if not 1 < len(distinct) <= min(GREY_VALUES, few.numel() // 2):
        return None
    return float(np.diff(distinct).min())


def finest_scale(x: npt.ArrayLike | Tensor, contexts: npt.ArrayLike | Tensor | None = None) -> float:
    """Measure how thin the data are: the standard deviation across them where they are locally narrowest.

    At up to 200 places, the covariance of the nearest rows (a hundredth of all, at least 20 and four per column) gives
    the spread by direction. The narrowest direction counts, or, in ten dimensions and more, the narrowest once the
    thinnest tenth is set aside, so that one redundant column does not decide; the median over the places is the result.
    On the Swiss roll it is the roll's thickness. Values on a grid (integers, pixels) count as no finer than their step,
    whose square is added to their column's variance, and equal rows count once. Beyond 64 columns, or an eighth of the
    rows, evenly spaced columns stand for all.

    Given contexts it is the spread that is left where these are known: about the regression on them in each neighbourhood of
    both together.

    Args:
        x: Data of shape ``(N, *shape)``; 5,000 rows at most are looked at.
        contexts: What is known of each row, ``(N, C)``; None for nothing.

    Returns:
        A standard deviation in the units of ``x``; 0 if the data are flat (an exact line in the plane, for instance).

    Raises:
        DataError: Fewer than two rows, values that are not finite, or rows that are all equal.

    >>> rng = np.random.default_rng(0)
    >>> band = np.stack([rng.uniform(-10, 10, 5000), 0.02 * rng.standard_normal(5000)], 1)
    >>> round(finest_scale(band), 2)
    0.02
    """
    own = as_rows(x)
    told = own[:, :0] if contexts is None else as_rows(contexts).to(own)
    rows = _some_rows(torch.cat([own, told], dim=1))
    width = own.shape[1]
    steps = _grid_steps(rows[:, :width])
    rows = np.unique(rows, axis=0)
    if len(np.unique(rows[:, :width], axis=0)) == 1:
        raise DataError(ALL_EQUAL)
    columns, known = (_every(n, min(64, max(1, len(rows) // 8))) for n in (width, told.shape[1]))
    rows = rows[:, np.concatenate([columns, width + known])]
    dim = len(columns)
    n_near = min(len(rows), max(20, 4 * rows.shape[1], len(rows) // 100) + 1)
    places = rows[_every(len(rows), 200)]
    near = rows[KDTree(rows).query(places, n_near)[1]]
    near -= near.mean(axis=1, keepdims=True)
    covariance = near.transpose(0, 2, 1) @ near / (n_near - 1)
    across, between = covariance[:, :dim, dim:], covariance[:, dim:, dim:]
    covariance = covariance[:, :dim, :dim] - across @ np.linalg.pinv(between, hermitian=True) @ across.transpose(
        0, 2, 1
    )
    covariance += np.diag(steps[columns] ** 2)
    variance = np.linalg.eigvalsh(covariance)[:, dim // 10]
    return float(np.median(np.sqrt(variance.clip(min=0.0))))


def regression(x: npt.ArrayLike | Tensor, contexts: npt.ArrayLike | Tensor) -> tuple[Tensor, Tensor]:
    """Return the linear regression of rows on their contexts, with the ridge that leaves the least to single rows left out.

    Args:
        x: Data of shape ``(N, *shape)``; 20,000 rows at most are looked at.
        contexts: What is known of each row, ``(N, C)``.

    Returns:
        Slopes ``(C, D)`` and intercepts ``(D,)``, float64.

    >>> rng = np.random.default_rng(0)
    >>> c = rng.standard_normal((5000, 1))
    >>> slope, intercept = regression(3 + np.hstack([2 * c, 0 * c]) + 0.1 * rng.standard_normal((5000, 2)), c)
    >>> slope.round(decimals=1), intercept.round(decimals=1)
    (tensor([[2., 0.]], dtype=torch.float64), tensor([3., 3.], dtype=torch.float64))
    """
    own, told = as_rows(x), as_rows(contexts)
    places = _every(len(own), REGRESSION_ROWS)
    # a second to load, and few data have contexts
    from sklearn.linear_model import RidgeCV

    ridge = RidgeCV(alphas=np.logspace(-2, 6, 17), alpha_per_target=True)
    ridge.fit(told[places].double().cpu().numpy(), own[places].double().cpu().numpy())
    # of one column it returns vectors
    slopes = np.reshape(ridge.coef_, (own.shape[1], told.shape[1])).T
    return torch.from_numpy(slopes.copy()), torch.from_numpy(np.reshape(ridge.intercept_, own.shape[1]).copy())
