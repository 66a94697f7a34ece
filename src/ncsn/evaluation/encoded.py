"""A table as numbers: for distances between its rows, and for trees that take categories as they are."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ncsn.evaluation.distances import Points
from ncsn.evaluation.tables import Kinds

# The most frequent ones are told apart, the others are one; boosted trees of scikit-learn take at most 255.
_MOST_CATEGORIES = 100


@dataclass(frozen=True)
class TableEncoding:
    """How a table becomes numbers, once the training table has said how.

    A number is in units of its standard deviation in training, a missing one is the mean, and a column of its own says
    where; two categories are as far apart as two numbers that differ by one standard deviation.

    Args:
        kinds: What the columns are.
        scales: Mean and standard deviation of each number.
        categories: The categories of each column, the most frequent ones first.
        gaps: The columns in which cells may be missing.
        below: A value of each number that is below all others, for trees to know missing cells by.
    """

    kinds: Kinds
    scales: Mapping[Hashable, tuple[float, float]]
    categories: Mapping[Hashable, pd.Index[Any]]
    gaps: frozenset[Hashable]
    below: Mapping[Hashable, float]

    @classmethod
    def fit(cls, kinds: Kinds, training: pd.DataFrame, *others: pd.DataFrame) -> TableEncoding:
        """Decide by the training table; of the others only which categories there are, and where cells are missing."""
        tables = [kinds.plain(table) for table in (training, *others)]
        scales = {name: _mean_and_scale(tables[0][name].dropna().to_numpy()) for name in kinds.numbers}
        every = pd.concat(tables, ignore_index=True)
        categories = {name: _most_frequent(every[name]) for name in kinds.categories}
        gaps = frozenset(name for name in kinds.compared if every[name].isna().any())
        below = {name: _below(every[name].dropna().to_numpy()) for name in kinds.numbers}
        return cls(kinds, scales, categories, gaps, below)

    def rows(self, table: pd.DataFrame) -> Points:
        """Return rows ``(N, D)`` for distances; categories and gaps as columns of zeros and roots of a half."""
        plain = self.kinds.plain(table)
        columns: list[NDArray[Any]] = []
        for name in self.kinds.numbers:
            mean, scale = self.scales[name]
            columns.append(((plain[name].fillna(mean) - mean) / scale).to_numpy()[:, None])
            if name in self.gaps:
                columns.append(plain[name].isna().to_numpy(np.float64)[:, None])
        for name in self.kinds.categories:
            codes = self._codes(plain, name)
            full = len(self.categories[name]) == _MOST_CATEGORIES
            positions = np.arange(-(name in self.gaps), len(self.categories[name]) + full)
            columns.append((codes[:, None] == positions) * 0.5**0.5)
        return np.concatenate(columns, axis=1)

    def features(self, table: pd.DataFrame) -> Points:
        """Return a column each ``(N, D)`` for trees: numbers as they are, categories as codes from 0, missing cells the lowest.

        Missing cells are numbers because scikit-learn's trees refuse a column that has no cell at all.
        """
        plain = self.kinds.plain(table)
        numbers = [plain[name].fillna(self.below[name]).to_numpy() for name in self.kinds.numbers]
        codes = [1.0 + self._codes(plain, name) for name in self.kinds.categories]
        return np.stack([*numbers, *codes], axis=1)

    @property
    def categorical(self) -> list[bool]:
        """Which of the features are codes."""
        return [False] * len(self.kinds.numbers) + [True] * len(self.kinds.categories)

    def _codes(self, plain: pd.DataFrame, name: Hashable) -> NDArray[np.int64]:
        """Return the position of each cell's category, one more than the last for all others, -1 where missing."""
        known = self.categories[name]
        codes = known.get_indexer(pd.Index(plain[name], dtype=object))
        missing = plain[name].isna().to_numpy()
        return np.where(missing, -1, np.where(codes < 0, len(known), codes))


def _below(values: NDArray[np.float64]) -> float:
    return float(values.min() - (np.ptp(values) or 1.0)) if len(values) else 0.0


def _most_frequent(column: pd.Series[Any]) -> pd.Index[Any]:
    """Return the most frequent categories; of equally frequent ones not those of the first table, which would give it away."""
    counts = column.value_counts()
    names = pd.Series([str(name) for name in counts.index])
    order = pd.DataFrame({"count": -counts.to_numpy(), "name": names}).sort_values(["count", "name"]).index
    return counts.index[order[:_MOST_CATEGORIES]]


def _mean_and_scale(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and standard deviation; 1 for the latter where nothing varies, 0 for the former where nothing is known."""
    if not len(values):
        return 0.0, 1.0
    # a mean of equal values is rounded, and with it their spread is not zero
    return (float(values.mean()), float(values.std())) if np.ptp(values) > 0 else (float(values[0]), 1.0)
