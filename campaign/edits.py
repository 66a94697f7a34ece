"""Files that are edited with their format in mind, each with what has to be read of it where that is known."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

REFUSED = "refused"
"""What has to come of a file of which no values are right."""

Generator = np.random.Generator


@dataclass(frozen=True)
class Edit:
    """A kind of edited file.

    Args:
        name: What is wrong or strange about it.
        make: Makes such a file in a folder, of some random numbers; returns it with the values that it says, `REFUSED`, or
            None where either may be right.
        label: The column of labels that it is read with.
    """

    name: str
    make: Callable[[Path, Generator], tuple[Path, Any]]
    label: str | None = None


def edits_of() -> list[Edit]:
    """Return every kind."""
    from campaign.edits_of_arrays import npy_edits, npz_edits
    from campaign.edits_of_parquet import parquet_edits
    from campaign.edits_of_pictures import edits_of_pictures

    return [*_csv_edits(), *npy_edits(), *npz_edits(), *parquet_edits(), *edits_of_pictures()]


Change = Callable[[list[list[str]], Generator], tuple[str | bytes, Any]]
"""Makes the content of a file of rows of text, the names first, with what it says."""


def _cells(generator: Generator) -> list[list[str]]:
    """Return rows of text, the names first, of numbers that are written as they are printed."""

    def row() -> list[str]:
        whole, tenths = generator.integers(1, 900, 2), generator.integers(1, 10, 2)
        return [f"{whole[0]}.{tenths[0]}", f"{generator.integers(100)}", f"-{whole[1]}.{tenths[1]}"]

    return [["a", "b", "c"], *(row() for _ in range(8))]


def _text(cells: list[list[str]], separator: str = ",", end: str = "\n") -> str:
    return "".join(separator.join(row) + end for row in cells)


def _csv(change: Change, name: str = "t.csv") -> Callable[[Path, Generator], tuple[Path, Any]]:
    def make(folder: Path, generator: Generator) -> tuple[Path, Any]:
        content, truth = change(_cells(generator), generator)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name, truth

    return make


def _longer(cells: list[list[str]], generator: Generator) -> tuple[str, Any]:
    for place in generator.choice(8, generator.integers(1, 9), replace=False) + 1:
        cells[place] += [str(generator.integers(100))] * int(generator.integers(1, 3))
    return _text(cells), REFUSED


def _shorter(cells: list[list[str]], generator: Generator) -> tuple[str, Any]:
    for place in generator.choice(8, generator.integers(1, 9), replace=False) + 1:
        cells[place] = cells[place][: generator.integers(1, 3)]
    return _text(cells), REFUSED


def _with_commas(cells: list[list[str]]) -> list[list[str]]:
    return [[cell.replace(".", ",") for cell in row] for row in cells]


def _in_one_cell(value: str, truth: Any = None) -> Change:
    def change(cells: list[list[str]], generator: Generator) -> tuple[str, Any]:
        cells[generator.integers(1, 9)][generator.integers(3)] = value
        return _text(cells), truth

    return change


def _csv_edits() -> list[Edit]:
    big = [["a", "b"], *([str(2**53 + 1 + 2 * i), str(i)] for i in range(8))]
    sound: dict[str, Change] = {
        "semicolons and decimal commas": lambda c, g: (_text(_with_commas(c), ";"), c[1:]),
        "a byte order mark": lambda c, g: (b"\xef\xbb\xbf" + _text(c).encode(), c[1:]),
        "carriage returns and newlines": lambda c, g: (_text(c, end="\r\n"), c[1:]),
        "no newline at the end": lambda c, g: (_text(c).rstrip("\n"), c[1:]),
        "every cell quoted": lambda c, g: (_text([[f'"{x}"' for x in row] for row in c]), c[1:]),
        "tabs": lambda c, g: (_text(c, "\t"), c[1:]),
        "whole numbers beyond 2^53": lambda c, g: (_text(big), big[1:]),
    }
    wrong: dict[str, Change] = {
        "rows longer than the header": _longer,
        "rows shorter than the header": _shorter,
        "decimal commas between commas": lambda c, g: (_text(_with_commas(c)), REFUSED),
        "a name twice": lambda c, g: (_text([["a", "b", "a"], *c[1:]]), c[1:]),
        "names only": lambda c, g: (_text(c[:1]), REFUSED),
        "one row": lambda c, g: (_text(c[:2]), REFUSED),
    }
    wrong |= {f"the number {text}": _in_one_cell(text, REFUSED) for text in ("inf", "-Infinity", "1e400")}
    cells = ["9" * 30, "9" * 400, "x" * 200_000, '"', '"open', "\0", "１２", "nan", "=1+1", "\u202e12", "1_000", "0x1F"]
    cells += ["2024-01-01", "99999-99-99", "1677-01-01", "True", "{}", "\r", "--5", "1e-400", "(" * 2000, "'", "$a$"]
    strange: dict[str, Change] = {f"a cell {cell[:12]!r}": _in_one_cell(cell) for cell in cells}
    strange |= {
        "UTF-16": lambda c, g: (_text(c).encode("utf-16"), None),
        "Latin-1": lambda c, g: (_text([["ä", "ö", "ü"], *c[1:]]).encode("latin-1"), None),
        "UTF-32": lambda c, g: (_text(c).encode("utf-32"), None),
        "carriage returns alone": lambda c, g: (_text(c, end="\r"), None),
        "blank lines": lambda c, g: (_text(c, end="\n\n"), None),
        "no names": lambda c, g: (_text(c[1:]), None),
        "empty names": lambda c, g: (_text([["", "", ""], *c[1:]]), None),
        "names of signs": lambda c, g: (_text([["$a$", "_b_", "<c>"], *c[1:]]), None),
        "a thousand columns": lambda c, g: (_text([[f"{x}{i}" for i in range(333) for x in row] for row in c]), None),
        "quotes alone": lambda c, g: ('"' * int(g.integers(1, 20_000)), None),
        "separators alone": lambda c, g: (",;\t|"[g.integers(4)] * 5000 + "\n" + "," * 5000, None),
        "newlines alone": lambda c, g: ("\n" * 1000, None),
        "zeros alone": lambda c, g: (bytes(1000), None),
        "noise": lambda c, g: (g.bytes(3000), None),
        "a comment first": lambda c, g: ("# made by hand\n" + _text(c), None),
    }
    packed: dict[str, Change] = {
        "gzip": lambda c, g: (gzip.compress(_text(c).encode()), c[1:]),
        "cut short": lambda c, g: (gzip.compress(_text(c).encode())[: -int(g.integers(1, 40))], REFUSED),
        "more behind it": lambda c, g: (gzip.compress(_text(c).encode()) + g.bytes(50), None),
        "gzip of gzip": lambda c, g: (gzip.compress(gzip.compress(_text(c).encode())), None),
        "no gzip": lambda c, g: (_text(c).encode(), None),
        "50 MB of one character": lambda c, g: (gzip.compress(b"1" * 50_000_000, 1), None),
    }
    found = [Edit(f"csv: {name}", _csv(change)) for part in (sound, wrong, strange) for name, change in part.items()]
    return found + [Edit(f"csv.gz: {name}", _csv(change, "t.csv.gz")) for name, change in packed.items()]
