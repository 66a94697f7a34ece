"""Traps at the file operations of a process: it dies there, or its disk is full from there on."""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("replace", "rename", "unlink", "remove", "mkdir", "rmdir", "fsync", "link", "symlink")
"""Functions of `os` that change what is on the disk."""

FILLS = ("open", "write", "fsync", "mkdir", "symlink", "link")
"""Operations that a full disk refuses."""


class Trap:
    """Counts the operations on files below a folder, and acts at one of them.

    Set in a process of its own: it is not taken away again.

    Args:
        folder: The folder.
        at: The number of the operation, from 0; None only counts.
        way: ``before``, ``half`` (of a write) or ``after``: the process is killed; ``full``: the operation and all later ones
            that need space fail as on a full disk.
        log: A file that gets a line for each operation where it only counts.
    """

    def __init__(self, folder: Path, at: int | None = None, way: str = "before", log: Path | None = None) -> None:
        self.folder, self.at, self.way = os.path.realpath(folder), at, way
        self.count = 0
        self._log = None if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._paths: dict[int, str] = {}

    def set(self) -> None:
        """Put the trap into this process."""
        for name in NAMES:
            setattr(os, name, self._watched(name, getattr(os, name)))
        self._low_open = os.open
        os.open = self._opened_low
        self._open = io.open
        builtins.open = io.open = self._opened

    def _here(self, path: Any) -> str | None:
        """Return a path as text where it is below the folder, or a file that was opened there."""
        if isinstance(path, int):
            return self._paths.get(path)
        if not isinstance(path, str | os.PathLike):
            return None
        # the last part is not followed: it is what is replaced
        head, tail = os.path.split(os.path.abspath(os.fspath(path)))
        whole = os.path.join(os.path.realpath(head), str(tail))
        return whole if whole == self.folder or whole.startswith(self.folder + os.sep) else None

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            path = self._here(arguments[0]) if arguments else None
            if path is None:
                return real(*arguments, **options)
            return self._around(name, path, lambda: real(*arguments, **options))

        return watched

    def _opened_low(self, path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        here = self._here(path)
        if here is None:
            return self._low_open(path, flags, *arguments, **options)
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            found: int = self._around("open", here, lambda: self._low_open(path, flags, *arguments, **options))
        else:
            found = self._low_open(path, flags, *arguments, **options)
        # a folder is opened only to put its names on the disk
        self._paths[found] = here
        return found

    def _opened(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        path = self._here(file) if isinstance(mode, str) and set(mode) & set("wax+") else None
        if path is None:
            return self._open(file, mode, *arguments, **options)
        found = self._around("open", path, lambda: self._open(file, mode, *arguments, **options))
        self._paths[found.fileno()] = path
        write = found.write

        def written(content: Any) -> Any:
            def half() -> None:
                write(content[: len(content) // 2])
                found.flush()

            return self._around("write", path, lambda: write(content), half)

        found.write = written
        return found

    def _around(self, name: str, path: str, act: Callable[[], Any], half: Callable[[], None] | None = None) -> Any:
        """Do an operation, unless this is where the process is to die or the disk is full."""
        number = self.count
        self.count += 1
        if self._log is not None:
            os.write(self._log, f"{name}\t{os.path.relpath(path, self.folder)}\n".encode())
        if self.way == "full":
            if self.at is not None and number >= self.at and name in FILLS:
                if half is not None and number == self.at:
                    half()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            return act()
        if number != self.at:
            return act()
        if self.way == "half" and half is not None:
            half()
        try:
            # what fails by design, such as to take a file away that is gone, has been tried too
            return act() if self.way == "after" else None
        finally:
            os.kill(os.getpid(), signal.SIGKILL)


def operations(log: Path) -> list[tuple[str, str]]:
    """Return the operations that a trap has counted, names and paths."""
    lines = [line.partition("\t") for line in log.read_text().splitlines()]
    return [(name, path) for name, _, path in lines]
