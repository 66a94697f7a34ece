"""What the commands show while they work."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ncsn.errors import SettingWarning

if TYPE_CHECKING:
    # what has to be said of a file does not wait for what trains
    from ncsn.training import Progress as TrainingProgress

Shown = Callable[[str], AbstractContextManager["Callable[[TrainingProgress], None] | None"]]
"""Called with a title, it shows a training as long as the context lasts, and gives the callback for it."""


def is_first() -> bool:
    """Return whether this process is the only one or the first of several, as ``torchrun`` numbers them: the one that speaks."""
    return os.environ.get("RANK", "0") == "0"


def say(text: str) -> None:
    """Print a line on standard error, as it is."""
    Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)


def say_notes(notes: Iterable[str]) -> None:
    """Print what had to be decided in reading data, a line each, on standard error."""
    for note in notes if is_first() else ():
        Console(stderr=True).print(f"[dim]note:[/dim] {escape(note)}", highlight=False, soft_wrap=True)


def say_error(error: str) -> None:
    """Print on standard error what went wrong."""
    Console(stderr=True).print(f"[red]error:[/red] {escape(error)}", highlight=False, soft_wrap=True)


def without_raw_warnings() -> None:
    """Let warnings be notes, and no library's reach the user, who has not called it; unless Python was asked for them."""
    if sys.warnoptions:
        return

    def shown(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
        if issubclass(category, SettingWarning):
            say_notes([str(message)])

    warnings.showwarning = shown


@contextmanager
def silent(title: str) -> Iterator[None]:
    """Show nothing."""
    yield None


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[TrainingProgress], None]]:
    """Show training's steps, loss and time left; in a file or pipe, a line every tenth.

    Args:
        title: What is being done.

    Yields:
        A callback for `NCSN.fit`.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeRemainingColumn(),
    )
    if console.is_terminal:
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title, total=None, loss=float("nan"))
            yield lambda progress: bar.update(task, completed=progress.step, total=progress.steps, loss=progress.loss)
        return
    start = monotonic()
    tenths = 0

    def line(progress: TrainingProgress) -> None:
        nonlocal tenths
        if 10 * progress.step // progress.steps > tenths:
            tenths = 10 * progress.step // progress.steps
            left = (monotonic() - start) * (progress.steps / progress.step - 1)
            say(f"{title}: step {progress.step:,} of {progress.steps:,}, loss {progress.loss:.4f}, {left:.0f} s left")

    yield line
