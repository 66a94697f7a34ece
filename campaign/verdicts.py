"""What may come of an attack, and the promises that it may break."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np

from campaign.children import Outcome


class Fault(StrEnum):
    """A promise that is broken."""

    TRACEBACK = "traceback"
    DIED = "died of a signal"
    HANG = "hang"
    SILENT = "silent change"
    LOST = "lost run"
    STUCK = "stuck run"
    WORDS = "not one clear line"
    CODE = "wrong exit code"
    LEFT = "left behind"
    WARNING = "raw warning"


@dataclass(frozen=True)
class Result:
    """What came of an attack.

    Args:
        number: The attack's number in its part.
        what: What was done, in words.
        ending: How it ended, in a word, where no promise was broken.
        fault: The promise that was broken, or None.
        words: What was printed, or what differs.
        kept: The files that are needed to see it again.
    """

    number: int
    what: str
    ending: str
    fault: Fault | None = None
    words: str = ""
    kept: tuple[Path, ...] = ()


def ended(
    number: int, what: str, ending: str, broken: tuple[Fault, str] | None, place: Path, words: str = ""
) -> Result:
    """Return the result of an attack on what is in a folder, of the promise that it broke, or None."""
    if broken is None:
        return Result(number, what, ending, words=words)
    return Result(number, what, "", *broken, (place,))


@dataclass(frozen=True)
class Bench:
    """Where a part works, and how much it does.

    Args:
        part: The part's name.
        seed: The campaign's seed.
        count: Number of attacks.
        folder: An empty folder to work in.
        only: The number of the one attack to make, or None for all.
        done: What the part has to say of itself, for the page.
    """

    part: str
    seed: int
    count: int
    folder: Path
    only: int | None = None
    said: list[str] = field(default_factory=list)

    @property
    def place(self) -> Path:
        """The one folder that every attack is made in: runs know the whole path of their data."""
        return self.folder / "place"

    def numbers(self, count: int | None = None) -> Iterator[int]:
        """Yield the numbers of the attacks to make, of so many."""
        count = self.count if count is None else count
        yield from range(count) if self.only is None else [self.only]

    def generator(self, number: int) -> np.random.Generator:
        """Return the random numbers of an attack."""
        return np.random.default_rng([self.seed, *self.part.encode(), number])


_RAW = re.compile(r"^.*\w*Warning: .*$|^\s*warnings\.warn\(", re.MULTILINE)


def broken_by(outcome: Outcome, codes: tuple[int, ...]) -> tuple[Fault, str] | None:
    """Return the promise that a command's end breaks, with what shows it, or None.

    A command ends within its time, by one of the codes that are right. What is refused is refused in one line: ``error: ...`` as
    the last one (code 1), or typer's box with one line in it (code 2).
    """
    words = outcome.words
    if outcome.code is None:
        return Fault.HANG, f"not done after {outcome.seconds:.0f} s"
    if "Traceback (most recent call last)" in words:
        return Fault.TRACEBACK, words.strip().splitlines()[-1]
    if outcome.code < 0:
        return Fault.DIED, f"signal {-outcome.code}"
    raw = _RAW.search(words)
    if raw is not None:
        return Fault.WARNING, raw[0].strip()
    if outcome.code not in codes:
        return Fault.CODE, f"exit code {outcome.code}, not {' or '.join(map(str, codes))}: {_last(words)}"
    if outcome.code == 0:
        return None
    lines = [line for line in words.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    boxed = [line for line in lines if line.startswith("│")]
    one_line = len(errors) == 1 and lines[-1] == errors[0]
    if one_line or (outcome.code == 2 and not errors and len(boxed) == 1):
        return None
    return Fault.WORDS, " / ".join(lines[-4:]) or "nothing is said"


def _last(words: str) -> str:
    return next((line for line in reversed(words.splitlines()) if line.strip()), "nothing is said")


def refused_or_done(outcome: Outcome) -> str:
    """Return how a command ended, in a word."""
    return "refused" if outcome.code else "done"
