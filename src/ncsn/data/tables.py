"""What the columns of a data frame hold, how each is encoded, and the rule that decided."""

from __future__ import annotations

import datetime
import math
import numbers
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import torch

from ncsn.data.column_types import Categories, ColumnType, Dates, Identifiers, Numbers, Values, as_numbers, formats_of
from ncsn.data.columns import (
    NOTHING_TO_LEARN,
    Category,
    Column,
    Constant,
    Number,
    Ranks,
    Smooth,
    WithAtoms,
    WithGaps,
    choose_number,
    scales_of,
)
from ncsn.errors import DataError, SettingError, unknown_name

FEW_VALUES = 5
"""Most distinct numbers that count as categories, if each occurs as often on average."""

MANY_CATEGORIES = 1000
"""Categories above which a column is said to have many."""

LONGEST = 2.0**53
"""Largest whole number up to which float64 holds every one."""

NAMED_ID = re.compile(r"(^|[_\W])(id|uuid|guid|key|index|rownames?)$|[a-z]I[Dd]$", re.IGNORECASE)
"""Names of columns of identifiers."""

MOSTLY_DISTINCT = 0.5
"""Share of distinct values from which on text is said to be nearly an identifier."""

KINDS = ("category", "number", "ranks", "smooth", "date", "identifier", "drop")
"""What a column can be said to be."""

Bounds = tuple[float | None, float | None]
NO_BOUNDS: Bounds = (None, None)

OBJECTS: tuple[tuple[Any, str], ...] = (
    (str, "text"),
    (bool | np.bool_, "booleans"),
    (Decimal, "decimals"),
    (numbers.Real, "numbers"),
    (datetime.datetime, "times"),
    (datetime.date, "days"),
)
"""What Python objects are called; the first that fits."""

DATES = ({"times"}, {"days"})

NO_SUCH = ", which is neither numbers, text, categories nor dates; convert it, as by .astype(str), or drop it"


@dataclass(frozen=True)
class TableColumn:
    """One column of a table.

    Attributes:
        name: Its name.
        type: What it holds.
        column: How its numbers are encoded.
        rule: What decided.
    """

    name: Any
    type: ColumnType
    column: Column
    rule: str

    @property
    def encoding(self) -> str:
        """How it is encoded, in a few words."""
        return _encoding_words(self.column)


def _encoding_words(column: Column) -> str:
    if isinstance(column, WithGaps):
        return f"a flag, and {_encoding_words(column.column)}"
    inner: Column = getattr(column, "rest", column)
    words = {"number": "standardised", "constant": "left out", "ranks": "ranks", "smooth": "smooth map"}
    if isinstance(inner, Category):
        return f"{inner.width} bit{'s' if inner.width > 1 else ''}"
    said = words[inner.kind]
    return said if inner is column else f"a code of its atoms, and {said}"


def describe(frame: pd.DataFrame, given: Mapping[str, Any] | None = None) -> tuple[TableColumn, ...]:
    """Choose what each column of a table is and how it is encoded.

    Args:
        frame: The table, with missing cells perhaps.
        given: By a column's name what it is said to be, one of `KINDS`, or a mapping with ``kind`` and ``bounds``, the lowest
            and the highest value that it may have (None for the one that was seen). ``drop`` leaves the column out.

    Raises:
        DataError: Columns cannot be used, all of them in one message with row and column; or there is nothing to learn.
        SettingError: What is given does not fit.

    >>> table = describe(pd.DataFrame({"age": [31, 40], "origin": ["USA", None]}))
    >>> [(column.name, column.type.kind, column.column.kind) for column in table]
    [('age', 'number', 'number'), ('origin', 'category', 'with_gaps')]
    """
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"there is more than one column {twice!r}; rename or drop all but one")
    wanted = _given(frame, given or {})
    chosen, problems = list[TableColumn](), list[str]()
    for position, name in enumerate(frame.columns):
        kind, bounds = wanted.get(position, (None, NO_BOUNDS))
        if kind == "drop":
            continue
        try:
            chosen.append(_choose(name, frame.iloc[:, position].reset_index(drop=True), kind, bounds))
        except DataError as error:
            problems.append(f"column {str(name)!r} {error}")
    if problems:
        raise DataError("; ".join(problems))
    if not any(column.column.width for column in chosen):
        held = ", ".join(f"{column.name} ({column.rule})" for column in chosen)
        raise DataError(f"{NOTHING_TO_LEARN}: {held}" if held else "all columns are dropped: nothing is left to learn")
    return tuple(chosen)


def _given(frame: pd.DataFrame, given: Mapping[str, Any]) -> dict[int, tuple[str | None, Bounds]]:
    """Return what columns were said to be, by their position: the kind, or None, and the bounds."""
    wanted = {}
    labels = list(frame.columns)
    names = [str(label) for label in labels]
    for name, said in given.items():
        if name not in labels and str(name) not in names:
            raise unknown_name("column", str(name), names)
        position = labels.index(name) if name in labels else names.index(str(name))
        asked = dict(said) if isinstance(said, Mapping) else {"kind": said}
        kind, bounds = asked.pop("kind", None), asked.pop("bounds", NO_BOUNDS)
        if asked or kind not in (None, *KINDS):
            wrong = f"{next(iter(asked))!r}" if asked else f"{kind!r}"
            raise SettingError(
                f"columns[{name!r}]: unknown {wrong}; give one of {', '.join(KINDS)}, or kind and bounds"
            )
        fits = isinstance(bounds, list | tuple) and len(bounds) == 2
        if not fits or not all(bound is None or _is_finite(bound) for bound in bounds):
            raise SettingError(
                f"columns[{name!r}]: bounds are the lowest and the highest value, or None, not {bounds!r}"
            )
        wanted[position] = (kind, tuple(bounds))
    return wanted


def _is_finite(number: Any) -> bool:
    return _kind_of(number) == "numbers" and math.isfinite(number)


def _choose(name: Any, cells: pd.Series[Any], kind: str | None, bounds: Bounds) -> TableColumn:
    """Choose a column's type and encoding."""
    if bounds != NO_BOUNDS:
        # what has bounds is a number, even one of few
        type_, rule = _as_said(cells, kind or "number", bounds)
    else:
        type_, rule = _as_said(cells, kind) if kind is not None else _found(name, cells)
    values = type_.numbers(cells)
    missing = np.isnan(values)
    if isinstance(type_, Identifiers):
        return TableColumn(name, type_, Constant(0.0), rule)
    if missing.all():
        return TableColumn(name, type_, Constant(math.nan), "always missing")
    column, reason = _encode(type_, values[~missing], kind)
    said = "; ".join(part for part in (rule, reason) if part)
    if missing.any():
        column, said = WithGaps(column), f"{said}; missing in {_share(missing.mean())}"
    return TableColumn(name, type_, column, said)


def _encode(type_: ColumnType, known: Any, kind: str | None) -> tuple[Column, str]:
    """Choose how the values that are known are encoded."""
    if isinstance(type_, Categories):
        if len(type_.values) == 1:
            return Constant(0.0), f"always {type_.values[0]}"
        many = len(type_.values) > MANY_CATEGORIES
        seldom = (
            f"{len(known) / len(type_.values):.1f} rows each teach little of one: drop it, or say it is an identifier"
        )
        return Category(len(type_.values)), f"{len(type_.values):,} of them, {seldom}" if many else ""
    written = type_.written if isinstance(type_, Dates) else "{:g}".format
    step = getattr(type_, "step", None)
    column, reason = choose_number(known, step=step, written=written)
    if isinstance(column, Constant) or kind not in ("ranks", "smooth"):
        if isinstance(type_, Numbers) and (type_.low < known.min() or type_.high > known.max()):
            return _unbound(column, known), "; ".join(part for part in (reason, "bounds beyond what was seen") if part)
        return column, reason
    return (Ranks.of(known, step) if kind == "ranks" else Smooth.of(known)), ""


def _unbound(column: Column, known: Values) -> Column:
    """Return a column that knows values beyond those that were seen, which ranks do not."""
    if isinstance(column, WithAtoms):
        return replace(column, rest=_unbound(column.rest, known[~np.isin(known, column.atoms)]))
    if not isinstance(column, Ranks):
        return column
    mean, scale = (float(number) for number in scales_of(torch.from_numpy(known).unsqueeze(1)))
    return Number(mean, scale)


def _as_said(cells: pd.Series[Any], kind: str, bounds: Bounds = NO_BOUNDS) -> tuple[ColumnType, str]:
    """Return the type of a column that was said to be of a kind."""
    if bounds != NO_BOUNDS and kind in ("category", "date", "identifier"):
        raise DataError(f"has bounds, but was said to be of kind {kind!r}; only numbers have bounds")
    if kind == "category":
        return Categories.of(cells), "given"
    if kind == "identifier":
        return Identifiers.of(cells), "given"
    if kind == "date" or (kind in ("ranks", "smooth") and _holds_dates(cells)):
        return _dates(cells), "given"
    return Numbers.of(_finite(_converted(cells)), bounds), "given"


def _converted(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Return text and categories that are numbers as such, others as they are."""
    if not isinstance(cells.dtype, pd.CategoricalDtype) and not _is_text(cells):
        return cells
    converted = pd.to_numeric(cells.astype(object), errors="coerce")
    wrong = np.flatnonzero(converted.isna() & cells.notna())
    if len(wrong):
        raise DataError(f"holds {cells.iloc[wrong[0]]!r} in row {wrong[0] + 1}, no number")
    return converted


def _holds_dates(cells: pd.Series[Any]) -> bool:
    return getattr(cells.dtype, "kind", "O") in "mM" or (pd.api.types.is_object_dtype(cells) and _kinds(cells) in DATES)


def _dates(cells: pd.Series[Any]) -> Dates:
    if _holds_dates(cells):
        return Dates.of(cells)
    formats = formats_of(cells) if _is_text(cells) else []
    if not formats:
        raise DataError("holds no dates of one format")
    return Dates.of(cells, formats[0])


def _found(name: Any, cells: pd.Series[Any]) -> tuple[ColumnType, str]:
    """Return the type that the cells have, and why."""
    dtype = cells.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return Categories.of(cells), "categories"
    if pd.api.types.is_object_dtype(dtype):
        return _found_in_objects(name, cells)
    kind = getattr(dtype, "kind", "O")
    if kind == "b":
        return Categories.of(cells), "booleans"
    if kind in "mM":
        return Dates.of(cells), "dates" if kind == "M" else "durations"
    if kind in "iuf":
        return _numeric(name, cells)
    if _is_text(cells):
        return _text(cells)
    raise DataError(f"holds {dtype}{NO_SUCH}")


def _found_in_objects(name: Any, cells: pd.Series[Any]) -> tuple[ColumnType, str]:
    """Return the type of objects, which are all of one."""
    kinds = _kinds(cells)
    if not kinds:
        return Categories.of(cells), ""
    if kinds == {"text"}:
        return _text(cells)
    if kinds == {"booleans"}:
        return Categories.of(cells), "booleans"
    if kinds in ({"numbers"}, {"decimals"}):
        return _numeric(name, cells)
    if kinds in DATES:
        return Dates.of(cells), "dates"
    if len(kinds) == 1:
        raise DataError(f"holds {kinds.pop()}{NO_SUCH}")
    each = [_kind_of(cell) for cell in cells]
    common = max(sorted(kinds), key=each.count)
    row = next(i for i, kind in enumerate(each) if kind not in (common, None))
    raise DataError(f"holds {common} and, in row {row + 1}, {cells.iloc[row]!r}; make them one type, or drop it")


def _kinds(cells: pd.Series[Any]) -> set[str]:
    return {kind for kind in map(_kind_of, cells) if kind is not None}


def _kind_of(cell: Any) -> str | None:
    """Return what a Python object is; None where it stands for a missing cell."""
    if cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell)):
        return None
    return next((name for kind, name in OBJECTS if isinstance(cell, kind)), type(cell).__name__)


def _numeric(name: Any, cells: pd.Series[Any]) -> tuple[ColumnType, str]:
    """Return the type of numbers."""
    known = as_numbers(_finite(cells.dropna()))
    distinct = cells.nunique()
    if len(known) >= 20 and distinct == len(known) == len(cells):
        why = _why_identifier(name, known)
        if why:
            return Identifiers.of(cells), why
    if 1 < distinct <= FEW_VALUES and len(known) >= FEW_VALUES * distinct:
        return Categories.of(cells), f"{distinct} values"
    if getattr(cells.dtype, "kind", "f") in "iu" and np.abs(known).max(initial=0.0) > LONGEST:
        if distinct <= len(known) / 2:
            return Categories.of(cells), "whole numbers of more than 15 digits that repeat"
        return Numbers.of(cells), "to 15 digits"
    return Numbers.of(cells), ""


def _why_identifier(name: Any, values: Values) -> str:
    """Return why distinct numbers are identifiers, or nothing."""
    if (values != np.round(values)).any():
        return ""
    if NAMED_ID.search(str(name)):
        return "whole numbers, all distinct, and its name"
    if values.max() - values.min() < 3 * len(values):
        return "whole numbers, all distinct where chance would repeat some"
    steps = np.diff(values)
    return "whole numbers in ascending order" if (steps > 0).all() or (steps < 0).all() else ""


def _text(cells: pd.Series[Any]) -> tuple[ColumnType, str]:
    """Return the type of text."""
    formats = formats_of(cells)
    if formats:
        other = [format for format in formats[1:] if _unordered(format) == _unordered(formats[0])]
        return Dates.of(cells, formats[0]), f"text, {formats[0]}" + (f" ({other[0]} fits too)" if other else "")
    known = cells.dropna()
    if len(known) >= 20 and known.is_unique:
        return Identifiers.of(cells), "text, all distinct"
    distinct = known.nunique()
    if len(known) >= 20 and MOSTLY_DISTINCT * len(known) < distinct <= MANY_CATEGORIES:
        private = f"{distinct:,} of {len(known):,} are distinct, and samples repeat them: say identifier, or drop it"
        return Categories.of(cells), f"text; {private}"
    return Categories.of(cells), "text"


def _share(share: float) -> str:
    """Return a share of the rows that is not 0."""
    return f"{share:.0%}" if share >= 0.005 else "<1%"


def _unordered(format: str) -> str:
    return format.replace("%m", "%d").replace("%-m", "%-d")


def _is_text(cells: pd.Series[Any]) -> bool:
    return _kinds(cells) <= {"text"}


def _finite(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Return numbers as they are, once none is infinite."""
    values = as_numbers(cells)
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        row = cells.index[infinite[0]] + 1
        more = f" and {len(infinite) - 1} more" if len(infinite) > 1 else ""
        raise DataError(f"holds {values[infinite[0]]} in row {row}{more}; leave it empty, or drop the row")
    return cells
