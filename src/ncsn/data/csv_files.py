"""CSV files as they are: separator, decimals, encoding, gaps and types are found in the file, and what is doubtful is said.

Nothing here loads PyTorch, so that a bad file is refused at once.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import gzip
import io
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ncsn.data.cells import Cells, Form, file_decimal, listed
from ncsn.data.faults import files_open, found
from ncsn.errors import DataError

CSV_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
"""The endings of the files that are read and written here."""

# of two that split all lines alike the first: a comma may be a decimal one
_SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "bar", ",": "comma"}
_HEAD, _HEAD_SIZE = 200, 20_000
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?\d+,\d+")
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0e-\x1f]")
# no text holds it, so where a reader meets it inside of a cell, a quote is still open
_END = "\0"


@dataclass(frozen=True)
class Dialect:
    """How a CSV file writes a table.

    Args:
        separator: What stands between cells.
        decimal: Point or comma.
        thousands: What stood between thousands, or nothing; it is not written.
        encoding: Python's name of the encoding; ``utf-8-sig`` and ``utf-16`` begin with a byte order mark.
        line_end: What ends a line.
    """

    separator: str = ","
    decimal: str = "."
    thousands: str = ""
    encoding: str = "utf-8"
    line_end: str = "\n"

    def to_dict(self) -> dict[str, str]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: Mapping[str, str]) -> Dialect:
        """Rebuild it from what `to_dict` returned."""
        return cls(**saved)


class CsvTable(NamedTuple):
    """What a CSV file holds, how it is written, and what had to be decided in reading it, each a short sentence."""

    frame: pd.DataFrame
    dialect: Dialect
    notes: tuple[str, ...]


def is_csv(path: str | os.PathLike[str]) -> bool:
    """Return whether a file's ending is that of a CSV file."""
    return Path(path).name.lower().endswith(CSV_ENDINGS)


def look_at(data: str | os.PathLike[str]) -> CsvTable | None:
    """Read a CSV file before anything slow is loaded; to load it afterwards does not read it again.

    Args:
        data: What `load` takes.

    Returns:
        The table, or None where ``data`` is no CSV file.

    Raises:
        DataError: There is no such file, or the table cannot be used as it is.
    """
    if not is_csv(data):
        return None
    path = found(data)
    return None if path.is_dir() else read_csv(path)


def read_csv(path: Path) -> CsvTable:
    """Read a CSV file.

    Columns are int64 (Int64 with gaps), float64, bool (boolean with gaps) or text; dates stay text, and so do numbers with
    leading zeros and whole numbers beyond 64 bits.

    Raises:
        DataError: Everything that is wrong with the table, by line, row and column, in one message.
    """
    with files_open(path, "a table"):
        state = path.stat()
        table = _read(path, state.st_mtime_ns, state.st_size)
    return table._replace(frame=table.frame.copy())


def write_csv(frame: pd.DataFrame, path: Path, dialect: Dialect) -> bytes:
    """Return the content of a CSV file; the path's ending says whether it is compressed.

    Raises:
        DataError: A text has no place in the dialect's encoding.
    """
    # of other types pandas would write fractions with a point
    plain = frame.infer_objects()
    plain = plain.astype({name: _numpy_type(kind) for name, kind in plain.dtypes.items() if _numpy_type(kind)})
    text = plain.to_csv(index=False, sep=dialect.separator, decimal=dialect.decimal, lineterminator=dialect.line_end)
    try:
        content = text.encode(dialect.encoding)
    except UnicodeEncodeError as error:
        character = text[error.start]
        raise DataError(f"{path}: {character!r} cannot be written in {dialect.encoding}; use UTF-8") from error
    return gzip.compress(content, mtime=0) if path.suffix.lower() == ".gz" else content


def _numpy_type(kind: Any) -> Any:
    """Return NumPy's type of nullable fractions and of categories that are numbers; None for others."""
    kind = kind.categories.dtype if isinstance(kind, pd.CategoricalDtype) else kind
    return getattr(kind, "numpy_dtype", kind) if pd.api.types.is_float_dtype(kind) else None


@lru_cache(maxsize=2)
def _read(path: Path, mtime_ns: int, size: int) -> CsvTable:
    """Read the file of that state; the last two are kept, as a command looks at its data before it loads them."""
    raw = path.read_bytes()
    text, encoding, notes = _decoded(path, gzip.decompress(raw) if path.suffix.lower() == ".gz" else raw)
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    usual = "\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else ","
    separator, spaced = _separator(text, usual)
    if separator != usual:
        notes.append(f"{_SEPARATORS[separator]}s between the cells")
    if spaced:
        notes.append(f"the space after each {_SEPARATORS[separator]} is left out")
    header, rows, lines = _table(_records(path, text, separator, spaced), notes)
    problems = [*_numbers_in(header), *_wrong_counts(header, rows, lines)]
    complete = [place for place, row in enumerate(rows) if len(row) == len(header)]
    columns = list(zip(*(rows[place] for place in complete), strict=True)) or [()] * len(header)
    found = {name: Cells.of(cells) for name, cells in _named(header, columns, notes)}
    frame, form, wrong = _typed(found, separator, [(place + 1, lines[place]) for place in complete], notes)
    problems += [f"{listed(wrong, '; ')}; correct or empty those cells"] * bool(wrong)
    if problems:
        raise DataError(f"{path}: {'; '.join(problems)}")
    first_line = text[: text.find("\n") + 1]
    dialect = Dialect(
        separator, form.decimal, form.thousands, encoding, "\r\n" if first_line.endswith("\r\n") else "\n"
    )
    return CsvTable(frame, dialect, tuple(notes))


def _decoded(path: Path, raw: bytes) -> tuple[str, str, list[str]]:
    marks = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    encoding = next((name for mark, name in marks.items() if raw.startswith(mark)), "utf-8")
    notes = ["read as UTF-16"] if encoding == "utf-16" else []
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        replaced = raw.decode(encoding, errors="replace")
        # Latin-1 hardly ever looks like UTF-8, damaged UTF-8 mostly does
        others = sum(character > "\x7f" for character in replaced)
        if encoding != "utf-8" or others > 2 * replaced.count("\ufffd"):
            line = raw.count(b"\n", 0, error.start) + 1
            raise DataError(f"{path}: line {line} holds bytes that are no {encoding}; save it anew as UTF-8") from error
        encoding, text = "latin-1", raw.decode("latin-1")
        with contextlib.suppress(UnicodeDecodeError):
            encoding, text = "cp1252", raw.decode("cp1252")
        notes = ["read as Latin-1, as it is no UTF-8"]
    strange = _NO_TEXT.search(text)
    if strange:
        line = text.count("\n", 0, strange.start()) + 1
        raise DataError(f"{path}: line {line} holds {strange[0]!r}, which no text holds; it is no CSV file, or damaged")
    return text, encoding, notes


def _separator(text: str, usual: str) -> tuple[str, bool]:
    """Return what splits the first lines into the same number of cells, and whether a space follows it everywhere."""
    best, score, spaced = usual, (False, 0.0, 0), False
    for separator in _SEPARATORS:
        spaces = re.search(rf"{re.escape(separator)}[^ ]", text[:_HEAD_SIZE]) is None
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=spaces)
        rows: list[list[str]] = []
        # a quote that only another separator closes
        with contextlib.suppress(csv.Error):
            rows = [row for row in itertools.islice(lines, _HEAD) if row]
        if not rows:
            continue
        count, times = Counter(map(len, rows[1:] or rows)).most_common(1)[0]
        share = times / len(rows[1:] or rows)
        mine = (count == len(rows[0]), share, count)
        if count > 1 and (mine[0] or share >= 0.9) and mine > score:
            best, score, spaced = separator, mine, spaces
    return best, spaced


def _records(path: Path, text: str, separator: str, spaced: bool) -> Iterator[tuple[list[str], int]]:
    """Yield the cells of each record and the line where it begins; a blank line has no cell."""
    lines = itertools.chain(io.StringIO(text, newline=""), [_END])
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=spaced)
    line = 1
    try:
        for row in reader:
            if row == [_END]:
                return
            if row and row[-1].endswith(_END):
                break
            yield row, line
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}: line {line} cannot be read ({error}); is a quote not closed?") from error
    raise DataError(f"{path}: a quote in the row that begins in line {line} is never closed")


def _table(records: Iterable[tuple[list[str], int]], notes: list[str]) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the header, the rows and their lines, without blank lines, which in one column are missing cells."""
    records = list(records)
    while not records[-1][0]:
        records.pop()
    start = next(i for i, (row, _) in enumerate(records) if row)
    header, body = records[start][0], records[start + 1 :]
    if len(header) > 1:
        body = [record for record in body if record[0]]
    elif not all(row for row, _ in body):
        notes.append("blank lines are missing cells")
        body = [(row or [""], line) for row, line in body]
    return header, [row for row, _ in body], [line for _, line in body]


def _numbers_in(header: Sequence[str]) -> list[str]:
    numbers = [name for name in header if _NUMBER.fullmatch(name.strip())]
    # a year may name a column among others, 5.1 does not
    if len(numbers) == len(header) or any("." in name or "," in name for name in numbers):
        return [f"the first line holds numbers ({', '.join(numbers[:3])}); begin with the columns' names"]
    return []


def _wrong_counts(header: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[int]) -> list[str]:
    counts = [(line, len(row)) for row, line in zip(rows, lines, strict=True) if len(row) != len(header)]
    if not counts:
        return []
    wrong = [f"line {line} has {count} cell{'s' * (count != 1)}" for line, count in counts]
    names = f"the header names {len(header)} column{'s' * (len(header) != 1)}, but {listed(wrong)}"
    if len(counts) == len(rows) and {count for _, count in counts} == {len(header) + 1}:
        return [f"{names}; if rows have names, give their column one too"]
    return [names]


def _named(
    header: Sequence[str], columns: Sequence[Sequence[str]], notes: list[str]
) -> list[tuple[str, Sequence[str]]]:
    """Pair each column with a name of its own; one with neither name nor values is left out."""
    named: dict[str, Sequence[str]] = {}
    for position, (given, cells) in enumerate(zip(header, columns, strict=True), start=1):
        if not given.strip() and not any(map(str.strip, cells)) and len(header) > 1:
            notes.append(f"column {position} has neither name nor values and is left out")
            continue
        name = wanted = given if given.strip() else f"column_{position}"
        number = 2
        while name in named or (name != given and name in header):
            name, number = f"{wanted}_{number}", number + 1
        if not given.strip():
            notes.append(f"column {position} has no name and is called {name!r}")
        elif name != given:
            notes.append(f"another column is called {given!r}, so column {position} is called {name!r}")
        named[name] = cells
    return list(named.items())


def _typed(
    found: Mapping[str, Cells], separator: str, rows: Sequence[tuple[int, int]], notes: list[str]
) -> tuple[pd.DataFrame, Form, list[str]]:
    """Return the table, how its numbers are written, and what is wrong with its columns."""
    likely = file_decimal(found.values())
    forms = {name: cells.form(likely, separator) for name, cells in found.items()}
    marks = Counter(form.decimal for name, form in forms.items() if form is not None and found[name].decimals)
    thousands = [form.thousands for form in forms.values() if form is not None and form.thousands]
    usual = Form(marks.most_common(1)[0][0] if marks else ".", thousands[0] if thousands else "")
    if usual.decimal == ",":
        notes.append("decimal comma")
    values: dict[str, Any] = {}
    problems: list[str] = []
    gaps: dict[str, list[str]] = {}
    for name, cells in found.items():
        form = forms[name]
        values[name], doubt, strangers = cells.read(form)
        if strangers:
            among = ", not a finite number" if form else " among numbers"
            problems.append(f"column {name!r}: {cells.places(strangers, rows)}{among}")
        elif form and (form.thousands or len(cells.decimals) > 1 or (cells.decimals and form.decimal != usual.decimal)):
            doubt = doubt or cells.example(form)
        notes += [f"column {name!r}: {doubt}"] * bool(doubt)
        for marker in cells.missing:
            if marker.strip():
                gaps.setdefault(marker.strip(), []).append(repr(name))
    notes += [f"{marker!r} is a missing cell in {listed(names)}" for marker, names in gaps.items()]
    return pd.DataFrame(values), usual, problems
