"""Distances between two sets of points.

Every function takes arrays, tensors or data frames with the rows first (images are flattened) and returns plain floats. It
raises a `DataError` where a set has fewer than two rows, rows that are not finite, or another width than the other. A
distance between two finite samples of one distribution is not zero: hold it against the distance that real data of the
same size have, as `compare` does.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import numpy as np
import ot
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.metrics import euclidean_distances
from torch import Generator

from ncsn.data import Values, as_float64
from ncsn.errors import DataError, SettingError

Points = NDArray[np.float64]

# Distances held at a time: 32 MiB in float64.
_BLOCK = 2**22

_WIDE = 64
"""Columns from which on distances are matrix products."""


def points(values: Values, what: str) -> Points:
    """Return values as rows ``(N, D)``, at least two and all finite."""
    # what is such already stays where it is
    ready = isinstance(values, np.ndarray) and values.dtype == np.float64
    x = cast(Points, values) if ready else cast(Points, as_float64(values).cpu().numpy())
    if x.ndim == 0 or len(x) < 2 or x.size == 0:
        raise DataError(f"{what}: values of shape {x.shape}; at least 2 rows of 1 column are needed")
    x = x.reshape(len(x), -1)
    bad = int((~np.isfinite(x).all(axis=1)).sum())
    if bad:
        raise DataError(f"{what}: {bad} of {len(x)} rows are not finite; leave them out, and report how many")
    return x


def pair(a: Values, b: Values, names: tuple[str, str] = ("a", "b")) -> tuple[Points, Points]:
    """Return two sets as rows of one width."""
    first, second = points(a, names[0]), points(b, names[1])
    if first.shape[1] != second.shape[1]:
        raise DataError(
            f"{names[0]} has {first.shape[1]} columns, {names[1]} has {second.shape[1]}; they must be the same"
        )
    return first, second


def some_of(n_rows: int, n: int, generator: Generator | None) -> NDArray[np.int64]:
    """Return the positions of at most ``n`` of the rows, at random."""
    return np.arange(n_rows) if n_rows <= n else torch.randperm(n_rows, generator=generator)[:n].numpy()


def subsample(x: Points, n: int, generator: Generator | None) -> Points:
    """Return at most ``n`` of the rows, at random."""
    return x[some_of(len(x), n, generator)]


def directions(n: int, dim: int, generator: Generator | None) -> Points:
    """Draw ``n`` unit vectors, ``(dim, n)``."""
    normal = torch.randn(dim, n, dtype=torch.float64, generator=generator)
    return cast(Points, (normal / normal.norm(dim=0)).numpy())


_kept: ContextVar[dict[Any, Any] | None] = ContextVar("kept", default=None)


@contextmanager
def kept_distances() -> Iterator[None]:
    """Compute the distances between two sets of wide rows once within it, and keep them, in single precision: 100 MB of 5,000."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def distances(a: Points, b: Points) -> Iterator[Points]:
    """Yield the Euclidean distances of a few rows of ``a`` at a time to all rows of ``b``; each block is the caller's own."""
    rows = max(1, _BLOCK // len(b))
    starts = range(0, len(a), rows)
    kept = _kept.get()
    if a.shape[1] < _WIDE:
        yield from (cdist(a[start : start + rows], b) for start in starts)
    elif kept is None:
        yield from (_of_wide(a[start : start + rows], b) for start in starts)
    else:
        place = tuple((x.ctypes.data, x.shape) for x in (a, b))
        if place not in kept and place[::-1] in kept:
            kept[place] = kept[place[::-1]][0].T, a, b
        elif place not in kept:
            blocks = [_of_wide(a[start : start + rows], b).astype(np.float32) for start in starts]
            # with the sets themselves, so that no others come to lie where they are
            kept[place] = np.concatenate(blocks), a, b
        yield from (kept[place][0][start : start + rows].astype(np.float64) for start in starts)


def _of_wide(some: Points, b: Points) -> Points:
    """Return distances by matrix products, several times faster on wide rows; their rounding must not hide that two are equal."""
    block = euclidean_distances(some, b)
    block[block <= 1e-7 * np.linalg.norm(some, axis=1, keepdims=True)] = 0
    return cast(Points, block)


def _mean(function: Callable[[Points], Points], a: Points, b: Points) -> float:
    return sum(float(function(block).sum()) for block in distances(a, b)) / (len(a) * len(b))


def sliced_wasserstein2(a: Values, b: Values, n_projections: int = 256, generator: Generator | None = None) -> float:
    """Return the sliced Wasserstein-2 distance: the root mean square of W2 along random directions.

    Along each direction the quantile functions of both sets are coupled exactly, whatever their sizes. A translation by v
    in D dimensions has the distance |v| / sqrt(D). Rabin et al. 2011; Bonneel et al. 2015.

    Args:
        a: Points ``(N, D)``.
        b: Points ``(M, D)``.
        n_projections: Number of directions; each is one more exact one-dimensional distance in the mean.
        generator: Source of the directions; torch's default generator when None.

    Returns:
        The distance, in the data's units.

    Raises:
        SettingError: ``n_projections`` is below 1.
    """
    if n_projections < 1:
        raise SettingError(f"n_projections must be at least 1, not {n_projections}")
    first, second = pair(a, b)
    return sliced(first, second, directions(n_projections, first.shape[1], generator))


def sliced(a: Points, b: Points, directions: Points) -> float:
    """Return the sliced Wasserstein-2 distance along the directions."""
    # Quantile levels in units of 1 / (n m), where both functions step; whole numbers keep the coupling exact.
    n, m = len(a), len(b)
    steps_a, steps_b = np.arange(1, n + 1) * m, np.arange(1, m + 1) * n
    levels = np.union1d(steps_a, steps_b)
    weights = np.diff(levels, prepend=0) / (n * m)
    rank_a, rank_b = np.searchsorted(steps_a, levels), np.searchsorted(steps_b, levels)
    squares = []
    for some in np.array_split(directions, -(-directions.shape[1] * len(levels) // _BLOCK), axis=1):
        gap = np.sort(a @ some, axis=0)[rank_a] - np.sort(b @ some, axis=0)[rank_b]
        squares.append(weights @ gap**2)
    return math.sqrt(np.concatenate(squares).mean())


def wasserstein2(a: Values, b: Values, max_rows: int = 2000, generator: Generator | None = None) -> float:
    """Return the Wasserstein-2 distance, exactly for the rows it takes (`ot.emd2`).

    Args:
        a: Points ``(N, D)``.
        b: Points ``(M, D)``.
        max_rows: Rows taken of each set, at random where there are more; time grows as their cube.
        generator: Source of that choice; torch's default generator when None.

    Returns:
        The distance, in the data's units. Its floor falls slowly, as n^(-1/D) above two dimensions.
    """
    first, second = (subsample(x, max_rows, generator) for x in pair(a, b))
    squares = np.concatenate([block**2 for block in distances(first, second)])
    return math.sqrt(ot.emd2([], [], squares, numItermax=10_000_000))


def energy_distance(a: Values, b: Values) -> float:
    """Return the energy distance, the root of 2 E|A - B| - E|A - A'| - E|B - B'| over all pairs of rows.

    It is zero only for equal sets, and is `scipy.stats.energy_distance` in any dimension. Székely & Rizzo 2013.

    Args:
        a: Points ``(N, D)``.
        b: Points ``(M, D)``.

    Returns:
        The distance, in the root of the data's units.

    >>> energy_distance(np.array([0.0, 0.0]), np.array([1.0, 1.0])) == math.sqrt(2)
    True
    """
    first, second = pair(a, b)
    cross, own_a, own_b = (_mean(lambda d: d, x, y) for x, y in ((first, second), (first, first), (second, second)))
    return math.sqrt(max(2 * cross - own_a - own_b, 0.0))


def mmd(a: Values, b: Values, bandwidths: tuple[float, ...] | None = None, *, unbiased: bool = True) -> float:
    """Return the squared maximum mean discrepancy under a mean of Gaussian kernels exp(-d^2 / (2 h^2)).

    Gretton et al. 2012, equation 3 (unbiased, about zero and possibly below it where the distributions agree) and
    equation 5 (all pairs, never negative).

    Args:
        a: Points ``(N, D)``.
        b: The reference, points ``(M, D)``.
        bandwidths: Values of h, in the data's units; 1/8, 1/4, 1/2, 1 and 2 times the median distance between (up to
            1,000) rows of ``b`` when None, so that they do not depend on ``a``.
        unbiased: Whether to leave out the pairs of a row with itself.

    Returns:
        The squared discrepancy, from about 0 to 2.

    Raises:
        DataError: A set has fewer than two rows, rows that are not finite, or another width than the other; or all rows
            of ``b`` are equal and ``bandwidths`` are not given.
        SettingError: A bandwidth is not positive.
    """
    first, second = pair(a, b)
    if bandwidths is None:
        some = second[:: -(-len(second) // 1000)]
        apart = np.concatenate(list(distances(some, some)))
        if not apart.any():
            raise DataError("all rows of b are equal, so they have no median distance; give bandwidths")
        bandwidths = tuple(float(np.median(apart[apart > 0])) * factor for factor in (0.125, 0.25, 0.5, 1.0, 2.0))
    if min(bandwidths) <= 0:
        raise SettingError(f"bandwidths must be positive, not {bandwidths}")
    rates = [-0.5 / h**2 for h in bandwidths]

    def kernel(distances: Points) -> Points:
        squares = distances**2
        return cast(Points, sum(np.exp(rate * squares) for rate in rates) / len(rates))

    def own(x: Points) -> float:
        mean = _mean(kernel, x, x)
        return (len(x) * mean - 1) / (len(x) - 1) if unbiased else mean

    return own(first) + own(second) - 2 * _mean(kernel, first, second)


def kernel_distance(a: Values, b: Values) -> float:
    """Return the kernel distance (KID): the squared discrepancy under the kernel (x · y / D + 1)^3.

    Bińkowski et al. 2018, there in Inception's features and a mean over blocks of rows. Unbiased, over all pairs of different
    rows: zero in the mean where the distributions agree, and as often below it as above, whatever the sizes.

    Args:
        a: Points ``(N, D)``.
        b: Points ``(M, D)``.

    Returns:
        The squared discrepancy, whose size depends on the features' own.
    """
    first, second = pair(a, b)

    def mean(x: Points, y: Points) -> float:
        blocks = np.array_split(x, -(-len(x) * len(y) // _BLOCK))
        total = sum(float(((block @ y.T / x.shape[1] + 1) ** 3).sum()) for block in blocks)
        return total / (len(x) * len(y))

    def own(x: Points) -> float:
        alike = float((((x**2).sum(axis=1) / x.shape[1] + 1) ** 3).mean())
        return (len(x) * mean(x, x) - alike) / (len(x) - 1)

    return own(first) + own(second) - 2 * mean(first, second)


def frechet_distance(a: Values, b: Values, n_components: int | None = None, reference: Values | None = None) -> float:
    """Return the Fréchet distance between Gaussians with the means and covariances of both sets.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), a squared distance as in FID (Dowson & Landau 1982; Heusel et al.
    2017), here in the data's own units, or in the reference's first principal components instead of a network's features.
    On scikit-learn's digits, pixels scaled to [-1, 1] and 40 components of the training part, training and held-out
    images of an 80/20 split are about 0.37 apart.

    Args:
        a: Points ``(N, D)``.
        b: Points ``(M, D)``.
        n_components: Number of principal components; all of the data's columns, as they are, when None.
        reference: Points that define the components, such as the training set; ``b`` when None.

    Returns:
        The squared distance, in the data's units squared. It is biased upwards by small sets.

    Raises:
        DataError: A set has fewer than two rows, rows that are not finite, or another width; or the reference has fewer
            rows or columns than ``n_components``.
    """
    first, second = pair(a, b)
    if n_components is not None:
        basis = pair(a, b if reference is None else reference, ("a", "reference"))[1]
        if not 1 <= n_components <= min(basis.shape):
            raise DataError(f"{len(basis)} rows of {basis.shape[1]} columns do not have {n_components} components")
        components = PCA(n_components, svd_solver="full").fit(basis).components_.T
        first, second = first @ components, second @ components
    mean_gap = first.mean(axis=0) - second.mean(axis=0)
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (first, second))
    # The root of C_a C_b has the trace of the symmetric root of C_a^(1/2) C_b C_a^(1/2), which is stable if singular.
    values, vectors = np.linalg.eigh(cov_a)
    half = vectors * np.sqrt(values.clip(min=0))
    shared = np.sqrt(np.linalg.eigvalsh(half.T @ cov_b @ half).clip(min=0)).sum()
    return max(float(mean_gap @ mean_gap + np.trace(cov_a) + np.trace(cov_b) - 2 * shared), 0.0)
