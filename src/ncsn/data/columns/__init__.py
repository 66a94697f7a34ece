"""Columns: how one column of a table, or all values of an image, become values of the model's rows, and back."""

from collections.abc import Mapping
from typing import Any

from ncsn.data.columns.atoms import WithAtoms
from ncsn.data.columns.base import Column
from ncsn.data.columns.categories import Category
from ncsn.data.columns.choosing import NOTHING_TO_LEARN, choose_number, columns_of
from ncsn.data.columns.gaps import WithGaps
from ncsn.data.columns.numbers import Constant, Number, scales_of
from ncsn.data.columns.pixels import Pixels, pixel_scale
from ncsn.data.columns.ranks import Ranks
from ncsn.data.columns.smooth import Smooth

__all__ = [
    "COLUMNS",
    "NOTHING_TO_LEARN",
    "Category",
    "Column",
    "Constant",
    "Number",
    "Pixels",
    "Ranks",
    "Smooth",
    "WithAtoms",
    "WithGaps",
    "choose_number",
    "column_from",
    "columns_of",
    "pixel_scale",
    "scales_of",
]

COLUMNS: dict[str, type[Column]] = {
    kind.kind: kind for kind in (Number, Constant, Pixels, Smooth, Ranks, Category, WithAtoms, WithGaps)
}
"""Every kind of column by its name."""


def column_from(saved: Mapping[str, Any]) -> Column:
    """Rebuild a column from what its `Column.to_dict` returned."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()}
    kind = COLUMNS[values.pop("kind")]
    inner = {name: column_from(value) for name, value in values.items() if isinstance(value, Mapping)}
    return kind(**values | inner)
