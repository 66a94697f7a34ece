"""Columns that hold one of a few values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ncsn.data.column_types.base import ColumnType, Values, dtype_of, name_of_dtype, typed
from ncsn.errors import DataError


@dataclass(frozen=True)
class Categories(ColumnType):
    """One of a few values: text, booleans, pandas' categories, or a few numbers.

    Attributes:
        dtype: The type of the values in pandas; of its categories that of their index.
        values: The values that occur, the most frequent first; their places are the numbers.
        known: All values that the type allows, in its order, of pandas' categories; else None.
        ordered: Whether these are ordered.
    """

    kind: ClassVar[str] = "category"

    values: tuple[Any, ...]
    known: tuple[Any, ...] | None = None
    ordered: bool = False

    @classmethod
    def of(cls, column: pd.Series[Any]) -> Categories:
        """Describe a column by its values.

        Raises:
            DataError: There are values that are neither text, nor booleans, nor numbers.
        """
        counts = column.value_counts(sort=False)
        counts = counts[counts > 0]
        # equally frequent ones in the order in which they come, whatever pandas' sorting is
        order = np.argsort(-counts.to_numpy(), kind="stable")
        values = tuple(_plain(value) for value in counts.index[order])
        dtype, known = column.dtype, None
        if isinstance(dtype, pd.CategoricalDtype):
            known = tuple(_plain(value) for value in dtype.categories)
        for value in values if known is None else known:
            if not isinstance(value, str | bool | int | float):
                raise DataError(f"holds categories that are {type(value).__name__}; make text of them by .astype(str)")
        if isinstance(dtype, pd.CategoricalDtype):
            return cls(name_of_dtype(dtype.categories.dtype), values, known, bool(dtype.ordered))
        return cls(name_of_dtype(dtype), values)

    def numbers(self, column: pd.Series[Any]) -> Values:
        """Return the place of each value; of one that is none of them, their number."""
        places = {value: place for place, value in enumerate(self.values)}
        cells = zip(column, column.isna(), strict=True)
        numbers = [np.nan if missing else places.get(_plain(cell), len(places)) for cell, missing in cells]
        return np.array(numbers, dtype=np.float64)

    def holds(self, numbers: Values) -> NDArray[np.bool_]:
        """Return which are places of values."""
        return numbers < len(self.values)

    def cells(self, numbers: Values) -> pd.Series[Any]:
        """Return the values at these places."""
        places = np.where(np.isnan(numbers), len(self.values), numbers).astype(int)
        if self.known is None:
            held = np.empty(len(self.values) + 1, dtype=object)
            held[:-1] = self.values
            return typed(held[places], self.dtype)
        at = {value: code for code, value in enumerate(self.known)}
        codes = np.array([*(at[value] for value in self.values), -1])[places]
        index = pd.Index(list(self.known), dtype=dtype_of(self.dtype))
        return pd.Series(pd.Categorical.from_codes(codes, categories=index, ordered=self.ordered))

    def _read(self, cell: Any) -> float:
        for same in (_equal, _as_text, _as_number):
            places = [place for place, value in enumerate(self.values) if same(value, _plain(cell), self.dtype)]
            if places:
                return float(places[0])
        return np.nan

    @property
    def words(self) -> str:
        """How many there are, and the first few."""
        shown = ", ".join(map(written, self.values[:4])) + (", ..." if len(self.values) > 4 else "")
        return f"{len(self.values)} values: {shown}" if len(self.values) != 1 else f"1 value: {shown}"


def written(value: Any) -> str:
    """Return a value as text, a number without needless digits."""
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    # spaces at the ends would not be seen
    return text if text and text == text.strip() else repr(text)


def _equal(value: Any, cell: Any, dtype: str) -> bool:
    return isinstance(value, str) == isinstance(cell, str) and bool(value == cell)


def _as_text(value: Any, cell: Any, dtype: str) -> bool:
    return str(value) == str(cell) or (isinstance(value, bool) and str(value).lower() == str(cell).lower())


def _as_number(value: Any, cell: Any, dtype: str) -> bool:
    """Return whether a cell is a number, in the precision of the type."""
    if isinstance(value, bool | str) or isinstance(cell, bool):
        return False
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return False
    return number == value or bool("32" in dtype and np.float32(number) == np.float32(value))


def _plain(value: Any) -> Any:
    """Return a cell as Python's own value, which JSON keeps."""
    return value.item() if isinstance(value, np.generic) else value
