"""What a type of column is, and how types of pandas are named and cells of them made."""

from __future__ import annotations

import abc
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ncsn.errors import DataError, SettingError

Values = NDArray[np.float64]


@dataclass(frozen=True)
class ColumnType(abc.ABC):
    """What a column holds.

    Attributes:
        dtype: The column's type in pandas, as `name_of_dtype` names it.
    """

    kind: ClassVar[str]
    dtype: str

    @abc.abstractmethod
    def numbers(self, column: pd.Series[Any]) -> Values:
        """Return the cells as numbers, NaN where one is missing.

        Raises:
            DataError: A cell is none that the column can hold.
        """

    @abc.abstractmethod
    def cells(self, numbers: Values) -> pd.Series[Any]:
        """Return numbers as cells of the column, missing where they are NaN."""

    def number_of(self, cell: Any, *, unseen: bool = False) -> float:
        """Return one cell, perhaps written as text, as a number.

        Args:
            cell: The cell.
            unseen: Whether a number may lie between and beyond those that were seen.

        Raises:
            SettingError: The column cannot hold it.
        """
        try:
            number = self._read_unseen(cell) if unseen else self._read(cell)
        except (TypeError, ValueError, OverflowError):
            number = np.nan
        if not self.holds(np.array([number])).all():
            raise SettingError(f"{cell!r} is none of the {self.words}")
        return number

    @abc.abstractmethod
    def _read(self, cell: Any) -> float:
        """Return a cell, perhaps written as text, as a number; NaN where the column cannot hold it, or an error."""

    def _read_unseen(self, cell: Any) -> float:
        """Return a cell as `_read` does, and any number of a column of numbers."""
        return self._read(cell)

    def holds(self, numbers: Values) -> NDArray[np.bool_]:
        """Return which numbers stand for cells that the column can hold."""
        return np.isfinite(numbers)

    def widened(self, numbers: Values) -> ColumnType:
        """Return what also holds these numbers, where there may be some between and beyond those that were seen."""
        return self

    @property
    @abc.abstractmethod
    def words(self) -> str:
        """What the column holds, in a few words."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"kind": self.kind} | asdict(self)


def name_of_dtype(dtype: Any) -> str:
    """Return the name from which pandas makes a type again.

    Raises:
        DataError: It has none.

    >>> name_of_dtype(pd.Series(["a"], dtype="string[python]").dtype)
    'string[python]'
    """
    name = str(dtype)
    if isinstance(dtype, pd.StringDtype) and name == "string":
        name = f"string[{dtype.storage}]"
    elif name == "string[pyarrow]":
        # that is the name of pandas' own strings; Arrow's have another
        name = "utf8[pyarrow]"
    try:
        same = dtype_of(name) == dtype
    except (TypeError, NotImplementedError):
        same = False
    if not same:
        raise DataError(f"holds {name}, a type that cannot be made again; convert it by .astype, or drop it")
    return name


def dtype_of(name: str) -> Any:
    """Return the type of pandas with a name."""
    return pd.api.types.pandas_dtype(name)


def numpy_of(dtype: Any) -> np.dtype[Any]:
    """Return the type of NumPy that holds the values of a type of pandas; of one without, that of objects."""
    if isinstance(dtype, pd.CategoricalDtype | pd.StringDtype):
        return np.dtype(object)
    return np.dtype(getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype)))


def typed(cells: Any, name: str) -> pd.Series[Any]:
    """Return cells, missing ones None, as a column of a type; where it cannot hold a gap, of the nearest that can."""
    column: pd.Series[Any] = pd.Series(cells, dtype=object)
    dtype = dtype_of(name)
    if isinstance(dtype, np.dtype) and dtype.kind in "iub" and column.isna().any():
        return column.astype(np.float64) if dtype.kind in "iu" else column
    return column.astype(dtype)


def cast(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return float64 values in a type: rounded and kept within it where it holds whole numbers, true above a half."""
    if dtype.kind == "b":
        return values > 0.5
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        # the largest 64-bit integers are no float64, and the next one up overflows
        low, high = float(bounds.min), float(bounds.max)
        high = high if int(high) <= bounds.max else float(np.nextafter(high, 0))
        return np.clip(np.rint(values), low, high).astype(dtype)
    return values.astype(dtype if dtype.kind == "f" else np.float64)
