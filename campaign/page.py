"""The campaign's table, in a terminal and on the page that shows the last one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

START, END = "<!-- campaign -->", "<!-- end of campaign -->"
"""What the table stands between on a page."""

TITLES = {
    "data-files": "damaged and edited data files, read",
    "run-folders": "damaged and edited run folders, used",
    "command-line": "bad command lines",
    "kills": "kills at random moments, then `--resume`",
    "crashes": "crashes at file operations, then `--resume`",
    "full-disks": "full disks at file operations, then `--resume`",
    "two-processes": "two processes, one killed, then `--resume`",
}
"""What each part does, in a table's words."""


@dataclass(frozen=True)
class Row:
    """What came of a part.

    Args:
        part: Its name.
        attacks: Their number.
        endings: How many ended in which right way.
        faults: How many broke which promise.
        seconds: How long it took.
        said: What else is to be known of it.
    """

    part: str
    attacks: int
    endings: dict[str, int]
    faults: dict[str, int]
    seconds: float
    said: tuple[str, ...] = ()

    def cells(self) -> list[str]:
        """Return the row's cells."""
        right = ", ".join(
            f"{name} {count:,}" for name, count in sorted(self.endings.items(), key=lambda each: -each[1])
        )
        wrong = ", ".join(f"{name} {count:,}" for name, count in sorted(self.faults.items())) or "none"
        return [TITLES[self.part], f"{self.attacks:,}", right or "–", wrong, f"{self.seconds / 60:.0f} min"]


HEAD = ["attack", "number", "ended", "promises broken", "took"]


def printed(rows: Sequence[Row]) -> str:
    """Return the table as text, and what the parts have to say below."""
    cells = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([*lines, *(f"{row.part}: {said}" for row in rows for said in row.said)])


def write_rows(page: Path, rows: Sequence[Row]) -> None:
    """Write rows into the table of a page; those of other parts stay.

    Raises:
        ValueError: The page has no place for the table.
    """
    text = page.read_text("utf-8")
    found = re.search(f"{re.escape(START)}\n(.*?){re.escape(END)}", text, re.DOTALL)
    if found is None:
        raise ValueError(f"{page} has no place for the table, between {START} and {END}")
    before = {line.split(" | ")[0].removeprefix("| "): line for line in found[1].splitlines() if line.startswith("| ")}
    new = {TITLES[row.part]: f"| {' | '.join(row.cells())} |" for row in rows}
    kept = [(before | new)[title] for title in TITLES.values() if title in before | new]
    table = "\n".join([f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}", *kept])
    page.write_text(text[: found.start()] + f"{START}\n{table}\n{END}" + text[found.end() :], "utf-8")
