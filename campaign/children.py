"""Commands and functions in processes of their own, forked from this one, which has everything imported already.

A forked process is killed like any other, but starts in milliseconds. This process itself computes nothing with PyTorch: its
threads would not live on in what is forked.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

FORK = multiprocessing.get_context("fork")

LIMIT = 20.0
"""Seconds after which a command hangs, on a machine that does nothing else."""

WIDE = "20000"
"""Columns of the terminal that commands are told of, so that no message is wrapped."""

MEMORY = 4 * 2**30
"""Bytes that a forked process may take beyond what this one has."""


@dataclass(frozen=True)
class Outcome:
    """How a process ended.

    Args:
        code: Its exit code, minus the signal that ended it, or None where it ran out of its time.
        printed: What it printed on standard output.
        words: What it printed on standard error.
        seconds: How long it took.
    """

    code: int | None
    printed: str
    words: str
    seconds: float


class Command:
    """A command that runs.

    Args:
        arguments: What follows ``ncsn``.
        folder: Where it runs.
        before: Called in the new process first, to set a trap there.
        anew: Whether Python is started anew, as a user does, and ``before`` is `campaign.small.quick`.
    """

    def __init__(
        self, arguments: list[str], folder: Path, before: Callable[[], None] | None = None, *, anew: bool = False
    ) -> None:
        self.start = time.monotonic()
        self.papers = folder.parent / f"{folder.name}.printed", folder.parent / f"{folder.name}.words"
        self._process: Any
        if anew:
            with open(self.papers[0], "wb") as out, open(self.papers[1], "wb") as err:
                words = [sys.executable, "-m", "campaign.small", *arguments]
                wide = os.environ | {"COLUMNS": WIDE}
                wide["PYTHONPATH"] = os.pathsep.join(sys.path)
                options: dict[str, Any] = {"cwd": folder, "stdout": out, "stderr": err, "env": wide}
                self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True, **options)
        else:
            self._process = FORK.Process(target=_in_child, args=(arguments, folder, self.papers, before))
            self._process.start()

    def ended(self) -> bool:
        """Return whether it has ended."""
        return (
            self._process.poll() if isinstance(self._process, subprocess.Popen) else self._process.exitcode
        ) is not None

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        self._process.kill()

    def outcome(self, limit: float = LIMIT) -> Outcome:
        """Wait for its end, so many seconds from its start at most, and return it."""
        left = max(0.0, self.start + patience(limit) - time.monotonic())
        if isinstance(self._process, subprocess.Popen):
            try:
                code: int | None = self._process.wait(left)
            except subprocess.TimeoutExpired:
                code = None
        else:
            self._process.join(left)
            code = self._process.exitcode
        seconds = time.monotonic() - self.start
        if code is None:
            self._process.kill()
            self._process.wait() if isinstance(self._process, subprocess.Popen) else self._process.join()
        texts = [path.read_text("utf-8", "replace") if path.exists() else "" for path in self.papers]
        for path in self.papers:
            path.unlink(missing_ok=True)
        return Outcome(code, texts[0], texts[1], seconds)


def patience(limit: float) -> float:
    """Return a limit in seconds as it is on this machine now: longer where more processes want to run than it has cores."""
    return limit * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def run(
    arguments: list[str], folder: Path, before: Callable[[], None] | None = None, *, limit: float = LIMIT
) -> Outcome:
    """Run a command to its end in a forked process; see `Command`."""
    return Command(arguments, folder, before).outcome(limit)


def _in_child(arguments: list[str], folder: Path, papers: tuple[Path, Path], before: Callable[[], None] | None) -> None:
    for number, path in enumerate(papers, start=1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
    # as Python opens them
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    # what a terminal's Ctrl-C and a test's traps have set
    signal.signal(signal.SIGINT, signal.default_int_handler)
    keep_small()
    os.environ["COLUMNS"] = WIDE
    os.chdir(folder)
    sys.argv = ["ncsn", *arguments]
    if before is not None:
        before()
    from ncsn.app.cli import main

    main()


def keep_small() -> None:
    """Let this process have one thread, as those of the process that it was forked from are gone, and `MEMORY` more than it has.

    What is too large is refused with it as on a small machine.
    """
    torch.set_num_threads(1)
    threadpool_limits(1)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, resource.RLIM_INFINITY))


def import_all(folder: Path) -> None:
    """Import what the commands import, as a process finds out that runs them once in an empty folder."""
    told, tell = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_what_is_imported, args=(folder, tell))
    process.start()
    tell.close()
    names = told.recv()
    process.join()
    for name in names:
        # what a package puts among the modules at run time is in no file
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _what_is_imported(folder: Path, tell: Any) -> None:
    from ncsn.app.runs import RunSettings, train_run
    from ncsn.app.uses import evaluate_run, sample_run

    train_run(RunSettings("iris", "edm", 5, None, 0.2, 100, 0), folder / "run")
    sample_run(folder / "run", 2, folder / "samples.parquet", steps=2)
    evaluate_run(folder / "run", target="sepal length (cm)")
    # names that stand for another module, or that a package makes up, cannot be imported by name
    found = [
        name for name, module in sys.modules.items() if getattr(getattr(module, "__spec__", None), "name", "") == name
    ]
    tell.send([name for name in found if not name.startswith(("__", "campaign"))])
