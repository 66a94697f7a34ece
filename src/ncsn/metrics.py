"""Distances between two sets of points, and the table that sets each beside its floor.

Every function takes arrays, tensors or data frames with the rows first (images are flattened) and returns plain floats. A
distance between two finite samples of one distribution is not zero: hold it against the distance that real data of the
same size have, as `compare` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import ot
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import euclidean_distances
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from torch import Generator, Tensor

from ncsn.data import Standardizer, Values, as_float64
from ncsn.errors import DataError, unknown_name

__all__ = [
    "PRDC",
    "Comparison",
    "Measure",
    "c2st",
    "compare",
    "copied_fraction",
    "energy_distance",
    "frechet_distance",
    "mmd",
    "precision_recall_density_coverage",
    "sliced_wasserstein2",
    "stray_fraction",
    "wasserstein2",
]

Points = NDArray[np.float64]

# Distances held at a time: 32 MiB in float64.
_BLOCK = 2**22


def _points(values: Values, what: str) -> Points:
    x = as_float64(values).cpu()
    if x.ndim == 0 or len(x) < 2 or x.numel() == 0:
        raise DataError(f"{what}: values of shape {tuple(x.shape)}; at least 2 rows of 1 column are needed")
    x = x.reshape(len(x), -1)
    bad = int((~x.isfinite().all(1)).sum())
    if bad:
        raise DataError(f"{what}: {bad} of {len(x)} rows are not finite; leave them out, and report how many")
    return cast(Points, x.numpy())


def _pair(a: Values, b: Values, names: tuple[str, str] = ("a", "b")) -> tuple[Points, Points]:
    first, second = _points(a, names[0]), _points(b, names[1])
    if first.shape[1] != second.shape[1]:
        raise DataError(
            f"{names[0]} has {first.shape[1]} columns, {names[1]} has {second.shape[1]}; they must be the same"
        )
    return first, second


def _subsample(x: Points, n: int, generator: Generator | None) -> Points:
    return x if len(x) <= n else x[torch.randperm(len(x), generator=generator)[:n].numpy()]


def _directions(n: int, dim: int, generator: Generator | None) -> Points:
    normal = torch.randn(dim, n, dtype=torch.float64, generator=generator)
    return cast(Points, (normal / normal.norm(dim=0)).numpy())


def _seed(generator: Generator | None) -> int:
    return int(torch.randint(2**31 - 1, (), generator=generator))


def _distances(a: Points, b: Points) -> Iterator[Points]:
    """Yield the Euclidean distances of a few rows of ``a`` at a time to all rows of ``b``."""
    rows = max(1, _BLOCK // len(b))
    wide = a.shape[1] > 64
    for start in range(0, len(a), rows):
        some = a[start : start + rows]
        # Matrix products are several times faster on wide rows; their rounding must not hide that two rows are equal.
        block = euclidean_distances(some, b) if wide else cdist(some, b)
        if wide:
            block[block <= 1e-7 * np.linalg.norm(some, axis=1, keepdims=True)] = 0
        yield block


def _mean(function: Callable[[Points], Points], a: Points, b: Points) -> float:
    return sum(float(function(block).sum()) for block in _distances(a, b)) / (len(a) * len(b))


def _neighbour_distances(a: Points, b: Points, k: int) -> Points:
    """Return for each row of ``a`` the distance to its ``k``-th nearest row of ``b``; a row itself counts as one."""
    return np.concatenate([np.partition(block, k - 1, axis=1)[:, k - 1] for block in _distances(a, b)])


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
        DataError: A set has fewer than two rows, rows that are not finite, or another width than the other.
        ValueError: ``n_projections`` is below 1.
    """
    if n_projections < 1:
        raise ValueError(f"n_projections must be at least 1, not {n_projections}")
    first, second = _pair(a, b)
    return _sliced(first, second, _directions(n_projections, first.shape[1], generator))


def _sliced(a: Points, b: Points, directions: Points) -> float:
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

    Raises:
        DataError: A set has fewer than two rows, rows that are not finite, or another width than the other.
    """
    first, second = (_subsample(x, max_rows, generator) for x in _pair(a, b))
    return math.sqrt(ot.emd2([], [], cdist(first, second, "sqeuclidean"), numItermax=10_000_000))


def energy_distance(a: Values, b: Values) -> float:
    """Return the energy distance, the root of 2 E|A - B| - E|A - A'| - E|B - B'| over all pairs of rows.

    It is zero only for equal sets, and is `scipy.stats.energy_distance` in any dimension. Székely & Rizzo 2013.

    Args:
        a: Points ``(N, D)``.
        b: Points ``(M, D)``.

    Returns:
        The distance, in the root of the data's units.

    Raises:
        DataError: A set has fewer than two rows, rows that are not finite, or another width than the other.

    >>> energy_distance(np.array([0.0, 0.0]), np.array([1.0, 1.0])) == math.sqrt(2)
    True
    """
    first, second = _pair(a, b)
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
        ValueError: A bandwidth is not positive.
    """
    first, second = _pair(a, b)
    if bandwidths is None:
        some = second[:: -(-len(second) // 1000)]
        apart = cdist(some, some)
        if not apart.any():
            raise DataError("all rows of b are equal, so they have no median distance; give bandwidths")
        bandwidths = tuple(float(np.median(apart[apart > 0])) * factor for factor in (0.125, 0.25, 0.5, 1.0, 2.0))
    if min(bandwidths) <= 0:
        raise ValueError(f"bandwidths must be positive, not {bandwidths}")
    rates = [-0.5 / h**2 for h in bandwidths]

    def kernel(distances: Points) -> Points:
        squares = distances**2
        return cast(Points, sum(np.exp(rate * squares) for rate in rates) / len(rates))

    def own(x: Points) -> float:
        mean = _mean(kernel, x, x)
        return (len(x) * mean - 1) / (len(x) - 1) if unbiased else mean

    return own(first) + own(second) - 2 * _mean(kernel, first, second)


def c2st(
    a: Values, b: Values, classifier: Any = None, *, n_folds: int = 5, generator: Generator | None = None
) -> float:
    """Return how often a classifier tells both sets apart on rows it was not trained on: 0.5 cannot, 1 always can.

    Classifier two-sample test (Lopez-Paz & Oquab 2017), cross-validated. The larger set is cut, at random, to the size of
    the smaller.

    Args:
        a: Points ``(N, D)``.
        b: Points ``(M, D)``.
        classifier: Any classifier of scikit-learn; gradient-boosted trees when None. Trees see the rounding of data: where
            one set has whole numbers and the other has not, take nearest neighbours.
        n_folds: Number of folds.
        generator: Source of the cut and the folds; torch's default generator when None.

    Returns:
        The mean accuracy over the folds.

    Raises:
        DataError: A set has fewer rows than folds, rows that are not finite, or another width than the other.
        ValueError: ``n_folds`` is below 2.
    """
    first, second = _pair(a, b)
    n = min(len(first), len(second))
    if n < n_folds:
        raise DataError(f"{n} rows do not make {n_folds} folds; give more rows or fewer folds")
    x = np.concatenate([_subsample(first, n, generator), _subsample(second, n, generator)])
    y = np.repeat([0, 1], n)
    if classifier is None:
        classifier = HistGradientBoostingClassifier(max_iter=50, early_stopping=False, random_state=0)
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=_seed(generator))
    return float(cross_val_score(classifier, x, y, cv=folds, scoring="accuracy").mean())


class PRDC(NamedTuple):
    """Shares that say how well two sets cover each other; `precision_recall_density_coverage` defines them."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall_density_coverage(real: Values, fake: Values, k: int = 5) -> PRDC:
    """Return what share of the fakes look real (precision, density) and of the real are matched (recall, coverage).

    Each set stands for the union of the balls about its rows that reach to their k-th nearest neighbour in the set.
    Precision: fakes inside the real balls. Recall: real rows inside the fake balls (Kynkäänniemi et al. 2019). Density: in
    how many real balls a fake lies, over k; it can pass 1. Coverage: real balls with a fake inside (Naeem et al. 2020).
    Only two sets of one size can be held against two others of that size.

    Args:
        real: Points ``(N, D)``.
        fake: Points ``(M, D)``.
        k: Which neighbour sets the size of a ball, the row itself not counted.

    Returns:
        Precision, recall, density and coverage.

    Raises:
        DataError: A set has no more than ``k`` rows, rows that are not finite, or another width than the other.
        ValueError: ``k`` is below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    genuine, made = _pair(real, fake, ("real", "fake"))
    if min(len(genuine), len(made)) <= k:
        raise DataError(f"{min(len(genuine), len(made))} rows have no {k}th neighbour; give more rows or a smaller k")
    real_radii = _neighbour_distances(genuine, genuine, k + 1)
    fake_radii = _neighbour_distances(made, made, k + 1)
    precise = recalled = inside = 0
    covered = np.zeros(len(genuine), dtype=bool)
    for block in _distances(made, genuine):
        in_real = block <= real_radii
        precise += int(in_real.any(axis=1).sum())
        inside += int(in_real.sum())
        covered |= in_real.any(axis=0)
    for block in _distances(genuine, made):
        recalled += int((block <= fake_radii).any(axis=1).sum())
    return PRDC(precise / len(made), recalled / len(genuine), inside / (k * len(made)), float(covered.mean()))


def _own_quantile(points: Points, quantile: float) -> float:
    """Return a quantile of the distances from (about 5,000 of the) points to their nearest other point."""
    return float(np.quantile(_neighbour_distances(points[:: -(-len(points) // 5000)], points, 2), quantile))


def copied_fraction(samples: Values, training: Values, threshold: float | None = None) -> float:
    """Return the share of samples that lie no farther than a threshold from a training row, and so count as copies.

    Args:
        samples: Points ``(N, D)``.
        training: Points ``(M, D)``.
        threshold: A distance in the data's units; when None the 1% quantile of the training rows' own nearest-neighbour
            distances, which new points of the same distribution stay within in about one case of a hundred.

    Returns:
        A share from 0 to 1. Hold it against the held-out rows' own: close neighbours come in pairs, so that in small
        training sets the quantile, and this floor with it, varies by half its size.

    Raises:
        DataError: A set has fewer than two rows, rows that are not finite, or another width than the other.
    """
    made, known = _pair(samples, training, ("samples", "training"))
    if threshold is None:
        threshold = _own_quantile(known, 0.01)
    return float((_neighbour_distances(made, known, 1) <= threshold).mean())


def stray_fraction(samples: Values, training: Values, threshold: float | None = None) -> float:
    """Return the share of samples that lie farther than a threshold from every training row.

    Args:
        samples: Points ``(N, D)``.
        training: Points ``(M, D)``.
        threshold: A distance in the data's units; when None the 99% quantile of the training rows' own nearest-neighbour
            distances, which new points of the same distribution pass in about one case of a hundred.

    Returns:
        A share from 0 to 1.

    Raises:
        DataError: A set has fewer than two rows, rows that are not finite, or another width than the other.
    """
    made, known = _pair(samples, training, ("samples", "training"))
    if threshold is None:
        threshold = _own_quantile(known, 0.99)
    return float((_neighbour_distances(made, known, 1) > threshold).mean())


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
    first, second = _pair(a, b)
    if n_components is not None:
        basis = _pair(a, b if reference is None else reference, ("a", "reference"))[1]
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


@dataclass(frozen=True)
class Measure:
    """One measure of samples beside its floor.

    Args:
        name: What is measured, by its function's or share's name.
        value: What the samples reach.
        floor: What real data reach.
    """

    name: str
    value: float
    floor: float

    @property
    def ratio(self) -> float | None:
        """Value over floor: 1 where samples are as good as real data; None where the floor is 0."""
        return self.value / self.floor if self.floor > 0 else None


@dataclass(frozen=True)
class Comparison:
    """Samples held against held-out data, each measure beside what real data reach; `compare` builds it.

    Args:
        measures: The rows of the table.
        n_rows: Rows taken of the samples and of the training set.
        n_held_out: Rows of held-out data.
        n_non_finite: Samples that were not finite, and left out.
        scaling: How the data were scaled: ``standard``, ``range`` or ``none``.
    """

    measures: tuple[Measure, ...]
    n_rows: int
    n_held_out: int
    n_non_finite: int
    scaling: str

    def __getitem__(self, name: str) -> Measure:
        """Return a measure by name.

        Raises:
            ValueError: There is no measure of that name.
        """
        known = {measure.name: measure for measure in self.measures}
        if name not in known:
            raise unknown_name("measure", name, known)
        return known[name]

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers that JSON keeps; measures by name, each with its value, floor and ratio."""
        rows = {row.name: {"value": row.value, "floor": row.floor, "ratio": row.ratio} for row in self.measures}
        return asdict(self) | {"measures": rows}

    def __str__(self) -> str:
        """Return the table."""
        lines = [f"{'measure':<22}{'samples':>12}{'real data':>12}{'ratio':>8}"]
        for row in self.measures:
            ratio = "–" if row.ratio is None else f"{row.ratio:.2f}"
            lines.append(f"{row.name:<22}{row.value:>12.4g}{row.floor:>12.4g}{ratio:>8}")
        lines.append(
            f"{self.n_rows:,} samples, and as many training rows, against {self.n_held_out:,} held-out rows "
            f"(scaling: {self.scaling}); ratio 1.00: as close to the held-out data as the training data are."
        )
        if self.n_non_finite:
            lines.append(f"{self.n_non_finite:,} samples are not finite and are left out.")
        return "\n".join(lines)


def compare(
    samples: Values,
    held_out: Values,
    training: Values,
    *,
    generator: Generator | None = None,
    scaling: Literal["standard", "range", "none"] | None = None,
    max_rows: int = 5000,
) -> Comparison:
    """Measure samples against held-out data, and beside each measure what real data reach.

    For the distances and for precision to coverage the floor is the training set's own figure against the same held-out
    rows. Such figures depend on the number of rows, so samples and training set are cut, at random, to one size; only then
    is the ratio fair. For the copied and the stray fraction, where samples are held against the whole training set, the
    floor is the held-out rows' own. The discrepancy (MMD) is over all pairs, so that its floor is positive.

    Args:
        samples: Generated points ``(N, *shape)``; those that are not finite are left out and counted.
        held_out: Real points that training did not see, ``(M, *shape)``.
        training: The points that were trained on, ``(L, *shape)``.
        generator: Source of every choice; torch's default generator when None.
        scaling: ``standard`` (by the training set's means and deviations), ``range`` (its values from -1 to 1), or ``none``.
            When None, ``standard`` for vectors and ``range`` for images.
        max_rows: Rows of each set taken, at random, for the measures that look at all pairs; sliced W2 and the Fréchet
            distance take all, and exact W2 at most 2,000.

    Returns:
        The table. The Fréchet distance is in the training set's first 40 principal components, fewer if it has not as
        many; C2ST is by nearest neighbours on images, whose pixels are whole numbers in the data only.

    Raises:
        DataError: Fewer than 6 samples are finite, or rows of any set; the sets differ in width; or data are not finite.

    >>> from ncsn.data import moons
    >>> g = torch.Generator().manual_seed(0)
    >>> table = compare(moons(500, g), moons(500, g), moons(500, g), generator=g)
    >>> 0.5 < table["sliced_wasserstein2"].ratio < 2
    True
    """
    known = as_float64(training)
    made = as_float64(samples)
    made, known, kept = (x.reshape(-1, 1) if x.ndim < 2 else x for x in (made, known, as_float64(held_out)))
    scaling = scaling or ("standard" if known.ndim == 2 else "range")
    finite = made.flatten(1).isfinite().all(1)
    n_non_finite = int((~finite).sum())
    if n_non_finite > len(made) - 2:
        raise DataError(
            f"samples: {n_non_finite} of {len(made)} are not finite, too few are left; did sampling diverge?"
        )
    scale = _scale(known, scaling)
    made_all, kept_all, known_all = (
        _points(scale(x), name) for x, name in ((made[finite], "samples"), (kept, "held-out"), (known, "training"))
    )
    n = min(len(made_all), len(known_all))
    kept_some = _subsample(kept_all, max_rows, generator)
    kept_few = _subsample(kept_some, 2000, generator)
    directions = _directions(512, kept_all.shape[1], generator)
    neighbours = KNeighborsClassifier(max(1, math.isqrt(min(n, len(kept_some))))) if known.ndim > 2 else None
    n_components = min(40, *known_all.shape)

    def measure(points: Points) -> dict[str, float]:
        x = _subsample(points, n, generator)
        some = _subsample(x, max_rows, generator)
        return {
            "sliced_wasserstein2": _sliced(x, kept_all, directions),
            "wasserstein2": wasserstein2(some, kept_few, generator=generator),
            "energy_distance": energy_distance(some, kept_some),
            "mmd": mmd(some, kept_some, unbiased=False),
            "frechet_distance": frechet_distance(x, kept_all, n_components, known_all),
            "c2st": c2st(some, kept_some, neighbours, generator=generator),
            **precision_recall_density_coverage(kept_some, some)._asdict(),
        }

    values, floors = measure(made_all), measure(known_all)
    for name, share in (("copied_fraction", copied_fraction), ("stray_fraction", stray_fraction)):
        values[name] = share(_subsample(made_all, max_rows, generator), known_all)
        floors[name] = share(kept_some, known_all)
    rows = tuple(Measure(name, value, floors[name]) for name, value in values.items())
    return Comparison(rows, n, len(kept_all), n_non_finite, scaling)


def _scale(training: Tensor, scaling: str) -> Callable[[Tensor], Tensor]:
    if scaling == "standard":
        return Standardizer.fit(training).transform
    if scaling == "none":
        return lambda x: x
    if scaling != "range":
        raise unknown_name("scaling", scaling, ["standard", "range", "none"])
    low, high = training.min(), training.max()
    if not low < high:
        raise DataError("training: the values are all equal or not finite, and have no range")
    return lambda x: 2 * (x - low) / (high - low) - 1
