"""Disks that fail: full ones, and folders that may not be written."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def disk_full_after(n_bytes: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes: the write fails like one on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """Take the right to write into a folder away, from root by being nobody meanwhile."""
    with _allowing(folder, 0o555):
        yield


@contextmanager
def unreadable(folder: Path) -> Iterator[None]:
    """Take the right to enter a folder away, from root by being nobody meanwhile."""
    with _allowing(folder, 0o000):
        yield


@contextmanager
def _allowing(folder: Path, allowed: int) -> Iterator[None]:
    mode = stat.S_IMODE(folder.stat().st_mode)
    folder.chmod(allowed)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(mode)
