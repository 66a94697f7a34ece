"""Columns of numbers: their range, decimals and steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from ncsn.data.column_types.base import ColumnType, Values, cast, dtype_of, name_of_dtype, numpy_of
from ncsn.errors import DataError

MOST_DECIMALS = 8
"""Most decimals that a column of fractions is taken to be rounded to."""

VALUES_FOR_STEP = 8
"""Distinct values from which on a step that all are on is none of chance."""

DIGITS, SINGLE_DIGITS = 2.0**51, 2.0**22
"""Values in units of their last decimal up to which these are no accident of double, and of single, precision."""

DECIMAL = "decimal"
"""The type's name where Python's decimal numbers are held."""


@dataclass(frozen=True)
class Numbers(ColumnType):
    """Whole numbers or fractions, within the range that was seen.

    Attributes:
        decimals: To how many they are rounded; None where they are not.
        step: What they are whole multiples of, from the lowest on; None where they are not rounded, or all the same.
        low: The lowest value there can be.
        high: The highest.
    """

    kind: ClassVar[str] = "number"

    decimals: int | None
    step: float | None
    low: float
    high: float

    @classmethod
    def of(cls, column: pd.Series[Any], bounds: tuple[float | None, float | None] = (None, None)) -> Numbers:
        """Describe a column of numbers; an empty one has no range.

        Args:
            column: The cells.
            bounds: The lowest and the highest value there can be; None for the one that is there.

        Raises:
            DataError: There are values outside of the bounds.
        """
        values = as_numbers(column)
        known = values[~np.isnan(values)]
        if not len(known):
            return cls(_name_of(column), None, None, np.nan, np.nan)
        lowest, highest = float(known.min()), float(known.max())
        seen = zip(bounds, (lowest, highest), strict=True)
        low, high = (number if bound is None else float(bound) for bound, number in seen)
        if not low <= lowest <= highest <= high:
            raise DataError(f"has values from {lowest:g} to {highest:g}, outside of the bounds {list(bounds)}")
        whole = getattr(column.dtype, "kind", "f") in "iu"
        decimals = 0 if whole else decimals_of(known, _is_single(column.dtype))
        if decimals is not None:
            low, high = (
                lowest if low == lowest else _up(low, decimals),
                highest if high == highest else -_up(-high, decimals),
            )
        # the bounds are values that there can be, and so on the steps
        every = np.unique(np.concatenate([known, [low, high]]))
        step = step_of(every, decimals)
        if step is not None and len(every) < VALUES_FOR_STEP:
            step = 10.0 ** -(decimals or 0)
        return cls(_name_of(column), decimals, step, low, high)

    def numbers(self, column: pd.Series[Any]) -> Values:
        """Return them as they are."""
        return as_numbers(column)

    def cells(self, numbers: Values) -> pd.Series[Any]:
        """Return them rounded and within the range."""
        held = self._rounded(numbers)
        missing = np.isnan(held)
        if self.dtype == DECIMAL:
            decimals = Decimal(1).scaleb(-(MOST_DECIMALS if self.decimals is None else self.decimals))
            return pd.Series([None if math.isnan(x) else Decimal(x).quantize(decimals) for x in held], dtype=object)
        if self.dtype == "object":
            whole = self.decimals == 0
            return pd.Series([None if math.isnan(x) else int(x) if whole else x for x in held.tolist()], dtype=object)
        dtype = dtype_of(self.dtype)
        if dtype.kind not in "iub":
            return pd.Series(held).astype(dtype)
        if missing.any() and isinstance(dtype, np.dtype):
            # the nearest type that can hold a gap
            return pd.Series(held)
        whole_ones = pd.Series(cast(np.where(missing, 0, held), numpy_of(dtype))).astype(dtype)
        return whole_ones.mask(missing) if missing.any() else whole_ones

    def widened(self, numbers: Values) -> Numbers:
        """Return what also holds these numbers, with the decimals and the range that they take."""
        known = numbers[~np.isnan(numbers)]
        if not len(known) or np.allclose(self._rounded(known), known, rtol=1e-9, atol=0):
            return self
        dtype = self.dtype
        if dtype not in (DECIMAL, "object"):
            held = numpy_of(dtype_of(dtype))
            if held.kind in "iub" and not np.array_equal(cast(known, held), known):
                dtype = "float64"
        decimals = decimals_of(known)
        decimals = None if self.decimals is None or decimals is None else max(decimals, self.decimals)
        low, high = np.fmin(self.low, known.min()), np.fmax(self.high, known.max())
        return replace(self, dtype=dtype, decimals=decimals, step=None, low=float(low), high=float(high))

    def _rounded(self, numbers: Values) -> Values:
        if not math.isnan(self.low):
            numbers = np.clip(numbers, self.low, self.high)
            if self.step is not None:
                numbers = self.low + np.round((numbers - self.low) / self.step) * self.step
        # no zero is negative
        return numbers if self.decimals is None else np.round(numbers, self.decimals) + 0.0

    def _read(self, cell: Any) -> float:
        number = float(cell)
        if self.step is not None and not math.isnan(self.low):
            steps = (number - self.low) / self.step
            if abs(steps - round(steps)) > 1e-3:
                return math.nan
        elif self.decimals == 0 and number % 1:
            return math.nan
        # as the type has it, perhaps in single precision
        held = np.dtype(np.float64) if self.dtype == DECIMAL else numpy_of(dtype_of(self.dtype))
        return float(held.type(number)) if held.kind == "f" else number

    def _read_unseen(self, cell: Any) -> float:
        return float(cell)

    @property
    def words(self) -> str:
        """Whole or not, from where to where."""
        range_ = "" if math.isnan(self.low) else f" from {self.low:g} to {self.high:g}"
        if self.decimals is None:
            return f"numbers{range_}"
        step = f" in steps of {self.step:g}" if self.step is not None and self.step > 1.5 * 10.0**-self.decimals else ""
        decimals = f"{self.decimals} decimal{'s' if self.decimals > 1 else ''}"
        return f"whole numbers{step}{range_}" if self.decimals == 0 else f"numbers of {decimals}{step}{range_}"


def _name_of(column: pd.Series[Any]) -> str:
    if column.dtype == object and any(isinstance(cell, Decimal) for cell in column):
        return DECIMAL
    return name_of_dtype(column.dtype)


def _up(number: float, decimals: int) -> float:
    """Return the next number of so many decimals from a number on."""
    return math.ceil(round(number * 10.0**decimals, 6)) / 10.0**decimals


def _is_single(dtype: Any) -> bool:
    """Return whether a type of pandas has numbers of less than double precision."""
    plain = numpy_of(dtype)
    return plain.kind == "f" and plain.itemsize < 8


def as_numbers(column: pd.Series[Any]) -> Values:
    """Return a column of numbers or booleans, perhaps as objects or text, as float64, NaN where a cell is missing.

    Raises:
        DataError: It holds something else.
    """
    kind = getattr(column.dtype, "kind", "O")
    if kind in "Mmc":
        raise DataError(f"holds {column.dtype}, no numbers")
    try:
        numbers: Values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"holds what is no number ({error})") from error
    return numbers


def decimals_of(values: Values, single: bool = False) -> int | None:
    """Return the least number of decimals that all values are rounded to, None where that is above 8 or there are none.

    Args:
        values: Finite numbers.
        single: Whether they come from single precision.

    >>> decimals_of(np.array([1.5, 2.25, 3.0]))
    2
    """
    largest = np.abs(values).max(initial=0.0)
    for decimals in range(MOST_DECIMALS + 1 if len(values) else 0):
        if decimals and largest * 10.0**decimals > (SINGLE_DIGITS if single else DIGITS):
            return None
        rounded = np.round(values, decimals)
        if (rounded.astype(np.float32) == values.astype(np.float32) if single else rounded == values).all():
            return decimals
    return None


def step_of(values: Values, decimals: int | None) -> float | None:
    """Return the largest step that all values are whole multiples of, from the lowest on; None for none.

    Args:
        values: Finite numbers.
        decimals: To how many they are rounded, or None.

    >>> step_of(np.array([3.0, 3.5, 5.0]), 1)
    0.5
    """
    # beyond 2^53 whole numbers in float64 are multiples of more than what was measured
    if decimals is None or not len(values) or np.abs(values).max() > 2**52 / 10.0**decimals:
        return None
    units = np.round((values - values.min()) * 10.0**decimals).astype(np.int64)
    step = int(np.gcd.reduce(units))
    return step / 10.0**decimals if step else None
