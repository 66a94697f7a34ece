"""The cells of a column as a file writes them: numbers, booleans or text, and gaps."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

_SHOWN = 5

_MISSING = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA")
) | {"NULL", "NaN", "None", "n/a", "nan", "null"}
"""What is missing in any column, the empty cell first, as pandas has it."""

_MISSING_AMONG_NUMBERS = frozenset(("", "?", "-", "--", ".", "missing", *(marker.lower() for marker in _MISSING)))
"""What besides is missing among numbers and dates, in capitals or not, with spaces or not."""

_WHOLE = re.compile(r"[-+]?[0-9]+")
_PADDED = re.compile(r"[-+]?0[0-9]+")
_DATE = re.compile(r"\s*\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ]\d{1,2}:\d{2}(:\d{2})?[^;]{0,16})?\s*", re.ASCII)


class Form(NamedTuple):
    """How numbers are written: the mark before fractions, and the one between thousands, or nothing."""

    decimal: str
    thousands: str

    @property
    def pattern(self) -> str:
        """A regular expression of such numbers; groups are of three digits, and do not begin with a zero."""
        mark = re.escape(self.decimal)
        if not self.thousands:
            return rf"\s*[-+]?(?:(?:[0-9]+{mark}?[0-9]*|{mark}[0-9]+)(?:[eE][-+]?[0-9]+)?|(?i:inf(?:inity)?))\s*"
        return rf"\s*[-+]?(?:[0-9]+|[1-9][0-9]{{0,2}}(?:[{_GROUPS[self.thousands]}][0-9]{{3}})+)(?:{mark}[0-9]*)?\s*"

    def plain(self, cell: str) -> str:
        """Return a number as Python writes it."""
        for mark in _GROUPS.get(self.thousands, ""):
            cell = cell.strip().replace(mark, "")
        return cell.strip().replace(self.decimal, ".")


# the spaces and the apostrophes of every kind
_GROUPS = {",": ",", ".": ".", " ": " \u00a0\u202f", "'": "'\u2019"}
_FORMS = {
    form: re.compile(form.pattern)
    for form in itertools.starmap(Form, ((".", ""), (",", ""), (".", ","), (",", "."), *itertools.product(".,", " '")))
}


class Reading(NamedTuple):
    """A column's values, what is doubtful in them, and the cells that do not belong there."""

    values: Any
    doubt: str = ""
    strangers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Cells:
    """The cells of a column.

    Args:
        cells: Each as it is written.
        present: How often each comes that is not missing.
        missing: How often each comes that is.
        forms: In which ways all that are present are numbers.
    """

    cells: Sequence[str]
    present: Mapping[str, int]
    missing: Mapping[str, int]
    forms: tuple[Form, ...]

    @classmethod
    def of(cls, cells: Sequence[str]) -> Cells:
        """Find what is missing, and how numbers are written."""
        counts = Counter(cells)
        present = {cell: count for cell, count in counts.items() if cell not in _MISSING}
        forms = _fitting(present)
        if not forms:
            others = _without_markers(present)
            # among text a marker is a text
            if len(others) < len(present) and others:
                forms = _fitting(others)
                present = others if forms or all(map(_DATE.fullmatch, others)) else present
        return cls(cells, present, {cell: n for cell, n in counts.items() if cell not in present}, forms)

    def form(self, decimal: str | None, separator: str) -> Form | None:
        """Return how its numbers are written, or None where they are none.

        Args:
            decimal: The decimal mark of the file's other columns, or None where they do not tell.
            separator: What stands between cells: 1,234 beside semicolons is more likely a fraction.
        """
        likely = decimal or ("," if separator == ";" and Form(",", "") in self.forms else ".")
        return next((form for form in self.forms if form.decimal == likely), next(iter(self.forms), None))

    @property
    def decimals(self) -> set[str]:
        """The decimal marks that its fractions can have; none where there is no fraction."""
        marked = any("." in cell or "," in cell for cell in self.present)
        return {form.decimal for form in self.forms} if marked else set()

    def example(self, form: Form) -> str:
        """Return the first number with a mark in it and what it is read as."""
        marks = form.decimal + _GROUPS.get(form.thousands, "")
        cell = next((cell for cell in self.present if any(mark in cell.strip() for mark in marks)), "")
        return f"{cell!r} is read as {form.plain(cell)}" if cell else ""

    def read(self, form: Form | None) -> Reading:
        """Return the values, their numbers written in a form."""
        if form is None:
            return self._booleans() or self._text()
        plain = {cell: form.plain(cell) for cell in self.present}
        if not all(map(_WHOLE.fullmatch, plain.values())):
            numbers = {cell: float(text) for cell, text in plain.items()}
            values = np.fromiter((numbers.get(cell, math.nan) for cell in self.cells), np.float64, len(self.cells))
            return Reading(values, "", frozenset(cell for cell, value in numbers.items() if math.isinf(value)))
        if any(map(_PADDED.fullmatch, plain.values())):
            return Reading(self._text().values, "text, as numbers begin with zeros")
        whole = {cell: int(text) for cell, text in plain.items()}
        if min(whole.values()) < -(2**63) or max(whole.values()) >= 2**63:
            return Reading(self._text().values, "text, as whole numbers have more than 64 bits")
        numbers_or_0 = np.fromiter((whole.get(cell, 0) for cell in self.cells), np.int64, len(self.cells))
        return Reading(pd.arrays.IntegerArray(numbers_or_0, self._gaps()) if self.missing else numbers_or_0)

    def places(self, strangers: frozenset[str], rows: Sequence[tuple[int, int]]) -> str:
        """Return where some cells are; of each cell the row and the line are given."""
        found = ((place, cell) for place, cell in zip(rows, self.cells, strict=True) if cell in strangers)
        return listed([f"row {row} (line {line}) holds {cell[:30]!r}" for (row, line), cell in found])

    def _gaps(self) -> Any:
        return np.fromiter((cell in self.missing for cell in self.cells), np.bool_, len(self.cells))

    def _booleans(self) -> Reading | None:
        truth = {cell: cell.strip().lower() == "true" for cell in self.present}
        if not truth or {cell.strip().lower() for cell in truth} - {"true", "false"}:
            return None
        values = np.fromiter((truth.get(cell, False) for cell in self.cells), np.bool_, len(self.cells))
        return Reading(pd.arrays.BooleanArray(values, self._gaps()) if self.missing else values)

    def _text(self) -> Reading:
        values = pd.Series([math.nan if cell in self.missing else cell for cell in self.cells])
        if not self.present:
            return Reading(values, "no cell holds anything")
        strangers = _near_numbers(_without_markers(self.present))
        total, strange = sum(self.present.values()), sum(self.present[cell] for cell in strangers)
        if not strangers or any(_PADDED.fullmatch(cell) for cell in self.present):
            return Reading(values)
        if total >= 20 and strange <= 0.1 * total:
            return Reading(values, strangers=strangers)
        return Reading(values, "text, though most cells are numbers")


def file_decimal(columns: Iterable[Cells]) -> str | None:
    """Return the decimal mark of all columns that can have but one; None where they do not agree, or there are none."""
    certain = {mark for column in columns if len(column.decimals) == 1 for mark in column.decimals}
    return certain.pop() if len(certain) == 1 else None


def listed(items: Sequence[str], between: str = ", ") -> str:
    """Return the first items as one text, and how many more there are."""
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return between.join(items[:_SHOWN]) + more


def _without_markers(present: Mapping[str, int]) -> dict[str, int]:
    return {cell: count for cell, count in present.items() if cell.strip().lower() not in _MISSING_AMONG_NUMBERS}


def _fitting(cells: Collection[str]) -> tuple[Form, ...]:
    if not cells:
        return ()
    characters = set("".join(cells))
    if "." not in characters and all(map(_FORMS[Form(".", "")].fullmatch, cells)):
        return (Form(".", ""),)
    return tuple(
        form
        for form, pattern in _FORMS.items()
        if (not form.thousands or characters & set(_GROUPS[form.thousands])) and all(map(pattern.fullmatch, cells))
    )


def _near_numbers(present: Mapping[str, int]) -> frozenset[str]:
    """Return the cells that are no numbers where most are; none where most are not."""
    total = sum(present.values())
    sample = list(present)[:: len(present) // 200 + 1]
    for pattern in _FORMS.values():
        # most columns of text are known by a few
        if sum(map(bool, map(pattern.fullmatch, sample))) < 0.25 * len(sample):
            continue
        others = [cell for cell in present if not pattern.fullmatch(cell)]
        if sum(present[cell] for cell in others) < 0.5 * total:
            return frozenset(others)
    return frozenset()
