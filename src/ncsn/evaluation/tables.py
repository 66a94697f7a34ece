"""How well samples of a table keep its columns and pairs of columns, each error beside what real rows reach.

A column is a number or a category. Its shape error and the trend error of a pair are those of SDMetrics' quality report, as
errors: 0 is right, 1 as wrong as can be (its scores are one minus them). Missing cells are compared on their own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from ncsn.errors import DataError

Name = Hashable
Array = NDArray[np.float64]
Codes = NDArray[np.int64]

_N_BINS = 10


@dataclass(frozen=True)
class Kinds:
    """Which columns of a table are compared as numbers, which as categories, and which not at all.

    Args:
        numbers: Numbers, whole ones included, and dates, in days since 1970.
        categories: Text, truth values, categories of pandas.
        left_out: What tells rows apart and means nothing else.
    """

    numbers: tuple[Name, ...]
    categories: tuple[Name, ...]
    left_out: tuple[Name, ...] = ()

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        categorical: Collection[Name] | None = None,
        leave_out: Collection[Name] | None = None,
    ) -> Kinds:
        """Decide by a table's types.

        Args:
            table: The training table.
            categorical: The columns that are categories; all others are numbers. By the types when None.
            leave_out: The columns that are not compared; when None text that is different in each row, such as names.

        Raises:
            DataError: A column is not there or there twice, no column is left, or one is a number by the caller's word
                and not by its cells.
        """
        if not table.columns.is_unique:
            raise DataError(f"more than one column is called {table.columns[table.columns.duplicated()][0]!r}")
        unknown = [name for name in (*(categorical or ()), *(leave_out or ())) if name not in table]
        if unknown:
            raise DataError(f"there are no columns {unknown}; the table has {list(table.columns)}")
        if leave_out is None:
            leave_out = [name for name in table if _tells_rows_apart(table[name])]
        kept = [name for name in table if name not in leave_out]
        if not kept:
            raise DataError("no column is left to compare; name those to leave out by leave_out")
        if categorical is None:
            categorical = [name for name in kept if not _is_number(table[name])]
        numbers = tuple(name for name in kept if name not in categorical)
        return cls(numbers, tuple(name for name in kept if name in categorical), tuple(leave_out))

    @property
    def compared(self) -> tuple[Name, ...]:
        """All columns that are compared."""
        return self.numbers + self.categories

    def plain(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the columns that are compared, as float64 (missing: NaN) or objects (missing: None).

        Raises:
            DataError: A column is missing, or not a number where it has to be one.
        """
        missing = [name for name in self.compared if name not in table]
        if missing:
            raise DataError(f"the columns {missing} are missing; the training table has {list(self.compared)}")
        columns = {name: numbers_of(table[name]) for name in self.numbers}
        columns |= {name: categories_of(table[name]) for name in self.categories}
        return pd.DataFrame(
            {name: columns[name] for name in columns}, columns=pd.Index(self.compared, tupleize_cols=False)
        )


def _tells_rows_apart(column: pd.Series[Any]) -> bool:
    if _is_number(column) or isinstance(column.dtype, pd.CategoricalDtype) or len(column) < 3:
        return False
    return bool(column.notna().all() and column.is_unique)


def _is_number(column: pd.Series[Any]) -> bool:
    types = pd.api.types
    if isinstance(column.dtype, pd.CategoricalDtype) or types.is_bool_dtype(column):
        return False
    if types.is_datetime64_any_dtype(column) or types.is_timedelta64_dtype(column) or types.is_numeric_dtype(column):
        return True
    held = types.infer_dtype(column, skipna=True)
    return column.dtype == object and held in ("integer", "floating", "mixed-integer-float", "decimal")


def numbers_of(column: pd.Series[Any]) -> Array:
    """Return a column as float64, missing cells as NaN; dates in days since 1970, spans of time in days.

    Raises:
        DataError: A cell is not a number.
    """
    types = pd.api.types
    if types.is_datetime64_any_dtype(column):
        start = pd.Timestamp(0, tz=getattr(column.dtype, "tz", None))
        column = (column - start).dt.total_seconds() / 86_400
    elif types.is_timedelta64_dtype(column):
        column = column.dt.total_seconds() / 86_400
    elif isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"column {column.name!r} is a number, and has cells that are not ({error})") from error


def categories_of(column: pd.Series[Any]) -> NDArray[Any]:
    """Return a column as objects, missing cells as None."""
    cells = column.astype(object).to_numpy(copy=True)
    cells[column.isna().to_numpy()] = None
    return cells


@dataclass(frozen=True)
class ColumnFit:
    """How well samples keep a column.

    Args:
        column: Its name.
        measure: ``KS``, the Kolmogorov-Smirnov distance of numbers, or ``TV``, the total variation distance of categories.
        value: That distance of samples and held-out rows, of the cells that are not missing.
        floor: The training rows' own.
        missing: Difference of the shares of missing cells.
        missing_floor: The training rows' own.
    """

    column: Name
    measure: Literal["KS", "TV"]
    value: float
    floor: float
    missing: float
    missing_floor: float

    @property
    def excess(self) -> float:
        """By how much samples are worse than training rows."""
        return max(self.value - self.floor, self.missing - self.missing_floor)


@dataclass(frozen=True)
class PairFit:
    """How well samples keep what two columns have to do with each other.

    Args:
        first: The first column.
        second: The second column.
        value: The trend error of samples and held-out rows: half the difference of the correlations of two numbers, else the
            total variation distance of the tables of counts, numbers in ten bins of equal width.
        floor: The training rows' own.
        association: What ``real`` and ``synthetic`` are: ``correlation`` (Pearson's, of two numbers), ``correlation ratio``
            (of a number and a category) or ``Cramér's V``.
        real: The association in the held-out rows.
        synthetic: The association in the samples.
    """

    first: Name
    second: Name
    value: float
    floor: float
    association: Literal["correlation", "correlation ratio", "Cramér's V"]
    real: float
    synthetic: float

    @property
    def excess(self) -> float:
        """By how much samples are worse than training rows."""
        return self.value - self.floor


def column_shapes(
    samples: pd.DataFrame, held_out: pd.DataFrame, training: pd.DataFrame, kinds: Kinds | None = None
) -> tuple[ColumnFit, ...]:
    """Return how well samples keep each column, beside what training rows reach.

    Args:
        samples: Samples of the table.
        held_out: Rows that training did not see.
        training: The rows trained on; as many as samples, for a fair floor.
        kinds: What the columns are; by the training table's types when None.

    Returns:
        A row for each column. A column with no cell in one of two sets, and some in the other, has a distance of 1.

    Raises:
        DataError: A table has no rows, or its columns do not fit.
    """
    kinds = kinds or Kinds.of(training)
    made, kept, known = _plain(kinds, samples, held_out, training)
    rows = []
    for name in kinds.compared:
        distance = _ks if name in kinds.numbers else _total_variation
        given = [table[name].dropna().to_numpy() for table in (made, kept, known)]
        gaps = [float(table[name].isna().mean()) for table in (made, kept, known)]
        value, floor = (_of_cells(distance, cells, given[1]) for cells in (given[0], given[2]))
        measure: Literal["KS", "TV"] = "KS" if name in kinds.numbers else "TV"
        rows.append(ColumnFit(name, measure, value, floor, abs(gaps[0] - gaps[1]), abs(gaps[2] - gaps[1])))
    return tuple(rows)


def pair_trends(
    samples: pd.DataFrame, held_out: pd.DataFrame, training: pd.DataFrame, kinds: Kinds | None = None
) -> tuple[PairFit, ...]:
    """Return how well samples keep each pair of columns, beside what training rows reach.

    The trend error is SDMetrics' (`CorrelationSimilarity` and `ContingencySimilarity` of version 0.32), with these choices:
    the bins are those of the held-out column; a missing cell is a bin or category of its own in counts, and the row is left
    out of a correlation or association; a column that is constant in a set goes with none there, its correlation is 0.

    Args:
        samples: Samples of the table.
        held_out: Rows that training did not see.
        training: The rows trained on; as many as samples, for a fair floor.
        kinds: What the columns are; by the training table's types when None.

    Returns:
        A row for each pair.

    Raises:
        DataError: A table has no rows, or its columns do not fit.
    """
    kinds = kinds or Kinds.of(training)
    tables = _plain(kinds, samples, held_out, training)
    correlations = [_correlations(table[list(kinds.numbers)]) for table in tables]
    codes = [_codes(name in kinds.numbers, [table[name] for table in tables]) for name in kinds.compared]
    # columns as they came are read faster than a frame's
    cells = [[table[name].to_numpy() for table in tables] for name in kinds.compared]
    return tuple(_pair(kinds, i, j, correlations, codes, cells) for i, j in _pairs(kinds))


def _pairs(kinds: Kinds) -> Iterator[tuple[int, int]]:
    return itertools.combinations(range(len(kinds.compared)), 2)


def _pair(
    kinds: Kinds,
    i: int,
    j: int,
    correlations: list[Array],
    codes: list[list[Codes]],
    cells: list[list[NDArray[Any]]],
) -> PairFit:
    first, second = kinds.compared[i], kinds.compared[j]
    # numbers come first, so that i is one where one of both is
    if j < len(kinds.numbers):
        made, kept, known = (float(table[i, j]) for table in correlations)
        return PairFit(
            first, second, abs(made - kept) / 2, abs(known - kept) / 2, "correlation", real=kept, synthetic=made
        )
    joint = [
        one * (int(max(each.max() for each in codes[j])) + 1) + two for one, two in zip(codes[i], codes[j], strict=True)
    ]
    value, floor = (_total_variation(joint[k], joint[1]) for k in (0, 2))
    if i < len(kinds.numbers):
        made, kept = (_correlation_ratio(cells[i][k], codes[j][k]) for k in (0, 1))
        return PairFit(first, second, value, floor, "correlation ratio", real=kept, synthetic=made)
    made, kept = (_cramers_v(codes[i][k], codes[j][k]) for k in (0, 1))
    return PairFit(first, second, value, floor, "Cramér's V", real=kept, synthetic=made)


def _plain(kinds: Kinds, *tables: pd.DataFrame) -> list[pd.DataFrame]:
    if not all(map(len, tables)):
        raise DataError("a table has no rows")
    return [kinds.plain(table) for table in tables]


def _of_cells(distance: Any, a: NDArray[Any], b: NDArray[Any]) -> float:
    if len(a) and len(b):
        return float(distance(a, b))
    return float(len(a) != len(b))


def _ks(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(ks_2samp(a, b, method="asymp").statistic)


def _total_variation(a: NDArray[Any], b: NDArray[Any]) -> float:
    codes, found = pd.factorize(np.concatenate([a, b]))
    shares = [np.bincount(some, minlength=len(found)) / len(some) for some in np.split(codes, [len(a)])]
    return float(np.abs(shares[0] - shares[1]).sum()) / 2


def _codes(number: bool, columns: list[pd.Series[Any]]) -> list[Codes]:
    """Return the bins or categories of samples, held-out and training cells as numbers of one code, 0 where missing."""
    if number:
        edges = np.histogram_bin_edges(columns[1].dropna(), _N_BINS)[1:-1]
        return [np.where(column.isna(), 0, 1 + np.digitize(column, edges)) for column in columns]
    codes = pd.factorize(pd.concat(columns))[0] + 1
    return np.split(codes, np.cumsum([len(column) for column in columns])[:-1])


def _correlations(numbers: pd.DataFrame) -> Array:
    """Return Pearson's correlations of the rows where both are known; 0 where one does not vary."""
    return np.nan_to_num(numbers.corr().to_numpy(), nan=0.0).clip(-1, 1)


def _correlation_ratio(numbers: Array, codes: Codes) -> float:
    """Return the root of the share of a number's variance that lies between categories (Fisher 1925)."""
    both = np.isfinite(numbers) & (codes > 0)
    if not both.any() or np.ptp(numbers[both]) == 0:
        return 0.0
    groups = np.unique(codes[both], return_inverse=True)[1]
    unit = numbers[both] - numbers[both].mean()
    between = (np.bincount(groups, unit) ** 2 / np.bincount(groups)).sum()
    return math.sqrt(min(float(between / (unit**2).sum()), 1.0))


def _cramers_v(a: Codes, b: Codes) -> float:
    """Return Cramér's V of two categories (Cramér 1946), from the cells of the table that are not empty."""
    both = (a > 0) & (b > 0)
    if not both.any():
        return 0.0
    first, second = (np.unique(x[both], return_inverse=True)[1] for x in (a, b))
    n_first, n_second = np.bincount(first), np.bincount(second)
    if min(len(n_first), len(n_second)) < 2:
        return 0.0
    cells, counts = np.unique(first * len(n_second) + second, return_counts=True)
    expected = n_first[cells // len(n_second)] * n_second[cells % len(n_second)]
    excess = float((counts**2 / expected).sum()) - 1
    return math.sqrt(min(max(excess, 0.0) / (min(len(n_first), len(n_second)) - 1), 1.0))


def duplicate_fraction(samples: pd.DataFrame, training: pd.DataFrame) -> float:
    """Return the share of samples that equal a training row in every column; missing cells equal each other.

    Raises:
        DataError: A table has no rows, or the columns are others.
    """
    made, known = _plain(Kinds.of(training, leave_out=()), samples, training)
    rows = np.stack([pd.factorize(pd.concat([made[name], known[name]]))[0] for name in made], axis=1)
    groups = np.unique(rows, axis=0, return_inverse=True)[1]
    return float(np.isin(groups[: len(made)], groups[len(made) :]).mean())
