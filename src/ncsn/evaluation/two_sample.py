"""The classifier two-sample test: how well a classifier tells samples from data, of vectors, images and tables."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from threadpoolctl import threadpool_limits
from torch import Generator, Tensor

from ncsn.data import Values
from ncsn.errors import DataError, SettingError
from ncsn.evaluation.distances import Points, pair, some_of, subsample
from ncsn.evaluation.encoded import TableEncoding
from ncsn.evaluation.features import as_images, components_of, pixels
from ncsn.evaluation.tables import Kinds

_Z = 1.959963984540054
_N_COMPONENTS = 30

_MOST_COLUMNS, _STEPS = 64, 255
"""Most columns of points that trees are given, which take hours for thousands; and the steps that their values are counted in."""


class AUC(NamedTuple):
    """Area under a classifier's ROC curve: the chance that it ranks a row of one set above one of the other.

    0.5 cannot tell them apart, 1 always can; ``low`` and ``high`` are the ends of the 95% interval.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, n: int, m: int) -> AUC:
        """Add the interval of an area measured on ``n`` and ``m`` rows.

        Its ends are the areas whose standard error, by Hanley & McNeil 1982, would make ``value`` 1.96 of them off (Newcombe
        2006, method 5): unlike value ± 1.96 standard errors it stays within 0 and 1, and has a length where ``value`` is 1.
        """
        return cls(value, _lower_end(value, n, m), 1 - _lower_end(1 - value, n, m))


def _lower_end(value: float, n: int, m: int) -> float:
    def inside(area: float) -> float:
        more = (n + m) / 2 - 1
        shape = 1 + more * ((1 - area) / (2 - area) + area / (1 + area))
        return value - area - _Z * math.sqrt(area * (1 - area) * shape / (n * m))

    below = value * (1 - 1e-9)
    return float(brentq(inside, 0.0, below)) if inside(below) < 0 < value else value


def c2st(
    a: Values,
    b: Values,
    classifier: Any = None,
    *,
    n_folds: int = 5,
    categorical: Collection[Hashable] | None = None,
    leave_out: Collection[Hashable] | None = None,
    generator: Generator | None = None,
) -> AUC:
    """Return how well a classifier tells both sets apart on rows it was not trained on: 0.5 cannot, 1 always can.

    Classifier two-sample test (Lopez-Paz & Oquab 2017), cross-validated, its figure the area under the ROC curve instead of
    the accuracy. The stronger of two classifiers counts: boosted trees, which see single values, and a logistic regression
    on principal components, their squares and products, which sees how values go together. Which one is
    chosen on a quarter of the rows that a fold trains on, so that the choice does not flatter it. The larger set is cut, at
    random, to the size of the smaller.

    Of points of more than 64 columns the trees are given those 64 whose values differ most between the sets, each by itself
    (the largest Kolmogorov-Smirnov distances on the rows that they are trained on); the regression sees the components of all.

    Of images both see the first components and how far the image lies from them, not the pixels: those are whole numbers in
    the data only, and trees would see that rounding alone.

    Args:
        a: Points ``(N, D)``, images ``(N, *shape)`` or a data frame, of numbers, categories, dates and missing cells.
        b: The same of real data, ``M`` of them.
        classifier: Any classifier of scikit-learn with probabilities, to ask instead of both; it is given rows of numbers.
        n_folds: Number of folds.
        categorical: Columns of a frame that are categories, `Kinds.of`; by the types of ``b`` when None.
        leave_out: Columns of a frame that are left out; when None text that is different in each row of ``b``.
        generator: Source of the cut and the folds; torch's default generator when None.

    Returns:
        The mean area over the folds and its 95% interval (`AUC.of`), that of half as many rows: rows that train each other's
        classifiers are not independent, and where the sets are of one distribution the mean varies up to 1.3 times as much as
        that of independent rows. The area is below 0.5 by chance, or where a set is held against its own copies.

    Raises:
        DataError: A set has fewer rows than folds, rows that are not finite, or other columns than the other.
        SettingError: ``n_folds`` is below 2.
    """
    if n_folds < 2:
        raise SettingError(f"n_folds must be at least 2, not {n_folds}")
    if isinstance(a, pd.DataFrame) and isinstance(b, pd.DataFrame):
        n = _rows_of_each(len(a), len(b), n_folds)
        some_a, some_b = (x.iloc[some_of(len(x), n, generator)] for x in (a, b))
        views = _of_tables(some_a, some_b, Kinds.of(b, categorical, leave_out))
    else:
        points = None if b.ndim > 2 else pair(a, b)
        n = _rows_of_each(len(a), len(b), n_folds)
        if points is None:
            views = _of_images(*(as_images(x)[some_of(len(x), n, generator)] for x in (a, b)))
        else:
            views = _of_points(np.concatenate([subsample(x, n, generator) for x in points]))
    if classifier is not None:
        views = [(classifier, views[-1][1])]
    return _told_apart(views, n, n_folds, generator)


def _rows_of_each(n: int, m: int, n_folds: int) -> int:
    if min(n, m) < n_folds:
        raise DataError(f"{min(n, m)} rows do not make {n_folds} folds; give more rows or fewer folds")
    return min(n, m)


def _of_tables(a: pd.DataFrame, b: pd.DataFrame, kinds: Kinds) -> list[tuple[Any, Points]]:
    # by both alike: what is decided by one set tells it from the other
    encoding = TableEncoding.fit(kinds, pd.concat([a, b], ignore_index=True))
    features, rows = (np.concatenate([view(a), view(b)]) for view in (encoding.features, encoding.rows))
    return [(_trees(len(rows), encoding.categorical), features), (_products(), _components(rows))]


def _of_points(rows: Points) -> list[tuple[Any, Points]]:
    products = _products(), _components(StandardScaler().fit_transform(rows))
    if rows.shape[1] <= _MOST_COLUMNS:
        return [(_trees(len(rows)), rows), products]
    return [(make_pipeline(SelectKBest(_apart, k=_MOST_COLUMNS), _trees(len(rows))), _in_steps(rows)), products]


def _in_steps(rows: Points) -> Points:
    """Return each column's values as their place among its quantiles, which are all that trees see of them."""
    edges = np.sort(rows, axis=0)[np.linspace(0, len(rows) - 1, _STEPS).astype(np.int64)]
    places = [np.searchsorted(column, values) for column, values in zip(edges.T, rows.T, strict=True)]
    return np.stack(places, axis=1).astype(np.float64)


def _apart(places: Points, y: NDArray[np.int64]) -> Points:
    """Return the Kolmogorov-Smirnov distance of both classes in each column, of values in steps."""

    def shares(rows: Points) -> Points:
        counts = [np.bincount(column, minlength=_STEPS) for column in rows.astype(np.int64).T]
        summed: Points = np.cumsum(counts, axis=1) / len(rows)
        return summed

    gaps: Points = np.abs(shares(places[y == 0]) - shares(places[y == 1])).max(axis=1)
    return gaps


def _of_images(a: Tensor, b: Tensor) -> list[tuple[Any, Points]]:
    if a.shape[1:] != b.shape[1:]:
        raise DataError(f"a has images of shape {tuple(a.shape[1:])}, b of {tuple(b.shape[1:])}; they must be the same")
    # 8-bit pixels stay such until they are components
    images = torch.cat([a, b])
    components = _standardised(pixels(images, _N_COMPONENTS)(images))
    return [(_trees(len(images)), components), (_products(), components)]


def _trees(n_rows: int, categorical: list[bool] | None = None) -> Any:
    return HistGradientBoostingClassifier(
        max_iter=100,
        learning_rate=0.1,
        # few rows have no leaf of 20
        min_samples_leaf=min(20, max(1, n_rows // 20)),
        early_stopping=False,
        categorical_features=categorical,
        random_state=0,
    )


def _products() -> Any:
    return make_pipeline(
        PolynomialFeatures(2, include_bias=False), StandardScaler(), LogisticRegression(C=0.1, max_iter=300)
    )


def _components(rows: Points) -> Points:
    """Return the first principal components of unit variance and, where there are more, how far the row lies from them."""
    return _standardised(cast(Points, components_of(rows, _N_COMPONENTS)(torch.from_numpy(rows)).numpy()))


def _standardised(columns: Points) -> Points:
    """Return those of the columns that vary, with mean 0 and unit variance."""
    spreads = columns.std(axis=0)
    held = spreads > 1e-6 * max(spreads.max(), 1e-300)
    varying = columns[:, held]
    # squares of a few far values would be all that a straight line goes by
    return ((varying - varying.mean(axis=0)) / spreads[held]).clip(-5, 5)


def _told_apart(views: list[tuple[Any, Points]], n: int, n_folds: int, generator: Generator | None) -> AUC:
    """Return the area of the stronger classifier; each view is a classifier and the rows, ``n`` of either set."""
    y = np.repeat([0, 1], n)
    seed = int(torch.randint(2**31 - 1, (), generator=generator))

    def area(view: tuple[Any, Points], seen: NDArray[np.int64], unseen: NDArray[np.int64]) -> float:
        classifier, x = view
        # trees of a few thousand rows wait for threads more than they gain; minutes, where another process has the cores
        with threadpool_limits(1, "openmp"):
            scores = clone(classifier).fit(x[seen], y[seen]).predict_proba(x[unseen])[:, 1]
        return float(roc_auc_score(y[unseen], scores))

    areas = []
    for seen, unseen in StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(y[:, None], y):
        view = views[0]
        if len(views) > 1:
            fitted, asked = train_test_split(seen, test_size=0.25, stratify=y[seen], random_state=seed)
            view = max(views, key=lambda each: area(each, fitted, asked))
        areas.append(area(view, seen, unseen))
    return AUC.of(sum(areas) / n_folds, n // 2, n // 2)
