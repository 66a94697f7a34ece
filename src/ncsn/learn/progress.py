"""What a learner has done, in one small file on the learner's own machine, which nothing is ever sent from."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncsn.errors import RunError
from ncsn.files import write_bytes
from ncsn.learn.declarations import Lesson

__all__ = ["Progress", "ProgressWarning", "progress_path"]

VARIABLE = "NCSN_PROGRESS"
KINDS = ("exercises", "gates", "questions")


class ProgressWarning(UserWarning):
    """Progress could not be read or kept; the lesson goes on."""


def progress_path(folder: Path | None = None) -> Path:
    """Return where progress is kept: the file that ``NCSN_PROGRESS`` names, or ``.ncsn/progress.json`` in the folder.

    Args:
        folder: The folder of the notebooks; the working folder when None.
    """
    named = os.environ.get(VARIABLE)
    return Path(named) if named else (folder or Path()) / ".ncsn" / "progress.json"


@dataclass(frozen=True)
class Progress:
    """What was done, as the file holds it.

    Attributes:
        path: The file.
        entries: By kind (``exercises``, ``gates``, ``questions``) and number: ``{"passed": bool, "tries": int}``.
    """

    path: Path
    entries: dict[str, dict[str, dict[str, Any]]]

    @classmethod
    def read(cls, path: Path | None = None) -> Progress:
        """Read progress; there is none where there is no file.

        A damaged file is kept under another name, with a `ProgressWarning` that says which, and a new one begun.

        Args:
            path: The file; `progress_path` when None.
        """
        path = path or progress_path()
        try:
            return cls(path, _entries(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return cls(path, {kind: {} for kind in KINDS})
        except OSError as error:
            _warn(f"progress cannot be read from {path} ({error.strerror or error}); the lesson goes on without it")
        except (RecursionError, ValueError) as error:
            _put_aside(path, error)
        return cls(path, {kind: {} for kind in KINDS})

    def record(self, kind: str, number: str, passed: bool) -> None:
        """Write down one try; what was passed once stays passed.

        Where the file cannot be written a `ProgressWarning` says so, and the lesson goes on.

        Args:
            kind: ``exercises``, ``gates`` or ``questions``.
            number: The number in the notebook.
            passed: Whether the try was right.
        """
        entry = self.entries[kind].setdefault(number, {"passed": False, "tries": 0})
        entry["tries"] += 1
        entry["passed"] = entry["passed"] or passed
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(self.path, json.dumps({"version": 1, **self.entries}, indent=1, sort_keys=True).encode())
        except (OSError, RunError) as error:
            _warn(f"progress is not kept: {error}")

    def passed(self, kind: str, number: str) -> bool:
        """Return whether this was passed."""
        return bool(self.entries[kind].get(number, {}).get("passed"))

    def table(self, lessons: tuple[Lesson, ...]) -> str:
        """Return a table of what is done and what is next, as text."""
        lines = [f"{'notebook':64} {'exercises':>9} {'gates':>7} {'questions':>9}"]
        following = ""
        for lesson in lessons:
            cells = []
            for kind in KINDS:
                numbers = [item.number for item in getattr(lesson, kind)]
                cells.append(f"{sum(self.passed(kind, number) for number in numbers)} of {len(numbers)}")
            lines.append(f"{lesson.number} {lesson.title[:62]:62} {cells[0]:>9} {cells[1]:>7} {cells[2]:>9}")
            for exercise in lesson.exercises:
                if not following and not self.passed("exercises", exercise.number):
                    following = f"next: {exercise.number} {exercise.title}, in {lesson.file}.ipynb"
        return "\n".join([*lines, following or "every exercise is passed"])


def _entries(text: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the entries of a file's text.

    Raises:
        ValueError: It is not what `Progress.record` writes.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it holds no object")
    entries: dict[str, dict[str, dict[str, Any]]] = {}
    for kind in KINDS:
        entries[kind] = content.get(kind, {})
        if not isinstance(entries[kind], dict):
            raise ValueError(f"its {kind} are no object")
        for number, entry in entries[kind].items():
            if not isinstance(entry, dict) or type(entry.get("tries")) is not int or "passed" not in entry:
                raise ValueError(f"the entry of {number} is not whole")
    return entries


def _put_aside(path: Path, error: Exception) -> None:
    """Keep a damaged file under a name that is free."""
    count = 1
    while (aside := path.with_name(f"{path.stem}-damaged-{count}{path.suffix}")).exists():
        count += 1
    try:
        path.rename(aside)
    except OSError:
        _warn(f"{path} is damaged ({error}) and cannot be put aside; the lesson goes on without it")
    else:
        _warn(f"{path} is damaged ({error}); it is kept as {aside.name}, and progress begins anew")


def _warn(message: str) -> None:
    warnings.warn(message, ProgressWarning, stacklevel=4)
