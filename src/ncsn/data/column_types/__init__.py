"""What a column of a table holds, as numbers: its cells become float64 values, and values cells of the same type."""

from collections.abc import Mapping
from typing import Any

from ncsn.data.column_types.base import ColumnType, Values, cast, name_of_dtype
from ncsn.data.column_types.categories import Categories
from ncsn.data.column_types.dates import Dates, formats_of
from ncsn.data.column_types.identifiers import Identifiers
from ncsn.data.column_types.numbers import Numbers, as_numbers, decimals_of, step_of

__all__ = [
    "COLUMN_TYPES",
    "Categories",
    "ColumnType",
    "Dates",
    "Identifiers",
    "Numbers",
    "Values",
    "as_numbers",
    "cast",
    "column_type_from",
    "decimals_of",
    "formats_of",
    "name_of_dtype",
    "step_of",
]

COLUMN_TYPES: dict[str, type[ColumnType]] = {kind.kind: kind for kind in (Numbers, Categories, Dates, Identifiers)}
"""Every type of column by its name."""


def column_type_from(saved: Mapping[str, Any]) -> ColumnType:
    """Rebuild a type from what its `ColumnType.to_dict` returned."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()}
    return COLUMN_TYPES[values.pop("kind")](**values)
