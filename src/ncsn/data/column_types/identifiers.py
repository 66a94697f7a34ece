"""Columns whose cells tell rows apart and say nothing of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from ncsn.data.column_types.base import ColumnType, Values, dtype_of, name_of_dtype, numpy_of
from ncsn.errors import DataError

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

UUID_PREFIX = "00000000-0000-4000-8000-"
"""What new UUIDs begin with; twelve digits follow."""

PREFIX = "id_"
"""What new text begins with where the old has no common form."""


@dataclass(frozen=True)
class Identifiers(ColumnType):
    """What tells rows apart and says nothing of them: numbers or text, all distinct. They are made anew.

    Attributes:
        dtype: The type in pandas. What it has no room for comes back in a wider one.
        first: The first number that is free.
        prefix: What text begins with, the number follows; None where the column holds numbers.
        digits: The least length of that number.
    """

    kind: ClassVar[str] = "identifier"

    first: int
    prefix: str | None = None
    digits: int = 1

    @classmethod
    def of(cls, column: pd.Series[Any]) -> Identifiers:
        """Describe a column of identifiers.

        Raises:
            DataError: It holds neither numbers nor text.
        """
        dtype = "category" if isinstance(column.dtype, pd.CategoricalDtype) else name_of_dtype(column.dtype)
        known = column.dropna().astype(object)
        if not all(isinstance(cell, str) for cell in known):
            if not all(isinstance(cell, int | float | np.number) for cell in known) or column.dtype == bool:
                raise DataError(f"holds {column.dtype}, no identifiers, which are numbers or text; drop it")
            return cls(dtype, int(max(known)) + 1)
        if len(known) and all(UUID.fullmatch(cell) for cell in known):
            return cls(dtype, 1, UUID_PREFIX, 12)
        parts = [re.fullmatch(r"(.*?)(\d{1,15})", cell, re.DOTALL) for cell in known]
        prefixes = {None if part is None else part[1] for part in parts}
        common = prefixes.pop() if len(prefixes) == 1 else None
        if common is None:
            taken = [int(part[2]) for part in parts if part is not None and part[1] == PREFIX]
            return cls(dtype, max(taken, default=0) + 1, PREFIX, max(4, len(str(len(known)))))
        numbers = [part[2] for part in parts if part is not None]
        padded = len({len(number) for number in numbers}) == 1
        return cls(dtype, max(map(int, numbers)) + 1, common, len(numbers[0]) if padded else 1)

    def numbers(self, column: pd.Series[Any]) -> Values:
        """Return zeros: an identifier says nothing."""
        return np.zeros(len(column))

    def cells(self, numbers: Values) -> pd.Series[Any]:
        """Return new ones, one after the other."""
        fresh = range(self.first, self.first + len(numbers))
        dtype = dtype_of(self.dtype)
        if self.prefix is not None:
            return pd.Series([f"{self.prefix}{number:0{self.digits}}" for number in fresh], dtype=object).astype(dtype)
        if len(fresh) and _most(dtype) < fresh[-1]:
            return pd.Series(list(fresh))
        # as text, so that no number passes through float64
        return pd.Series(list(fresh), dtype=object).astype(dtype)

    def _read(self, cell: Any) -> float:
        return 0.0

    @property
    def words(self) -> str:
        """What the next one is."""
        return f"identifiers, made anew from {self.cells(np.zeros(1)).iloc[0]} on"


def _most(dtype: Any) -> float:
    """Return up to where a type holds every whole number."""
    plain = numpy_of(dtype)
    if plain.kind in "iu":
        return int(np.iinfo(plain).max)
    return 2 ** (np.finfo(plain).nmant + 1) if plain.kind == "f" else np.inf
