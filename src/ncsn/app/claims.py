"""A run's folder while it is worked on: claimed before anything is written, locked, and finished or left as it was."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ncsn.errors import DataError, RunError, SettingError
from ncsn.files import is_left_behind, read_json, remove, write_bytes
from ncsn.training import agreed, is_main_process

MARKER = "settings.json"
"""What a run was asked to do; it is there until the run is finished."""

CHECKPOINT = "checkpoint.safetensors"
"""The state of the training; it is there until the run is finished."""

LOCK = ".lock"
"""Locked by the process that works on the run, whose end, of any kind, unlocks it."""


@contextmanager
def claimed(folder: Path, asked: Mapping[str, Any], *, resume: bool) -> Iterator[None]:
    """Make a folder this process's own, for a new run or, to ``resume``, for one that was stopped.

    Of several processes the main one claims it for all, and all are refused alike. What ends in a `DataError` or a
    `SettingError` before there is a checkpoint has trained nothing: the folder is left as it was found.

    Args:
        folder: The folder.
        asked: What the run is asked to do, as plain values, which a run that goes on must have been asked too.
        resume: Whether to go on.

    Raises:
        RunError: The folder cannot be used, holds another run, or is worked on by another process.
    """
    refusal, lock, new = None, None, False
    if is_main_process():
        # what may not be looked at is refused below
        new = not os.path.lexists(folder)
        try:
            lock = _claim(folder, asked, resume)
        except RunError as error:
            refusal = str(error)
    refusal = agreed(refusal)
    if refusal is not None:
        raise RunError(refusal)
    try:
        yield
    except (DataError, SettingError):
        if lock is not None and not (folder / CHECKPOINT).exists():
            remove(folder / MARKER)
            _give_up(folder, lock, new)
        raise
    finally:
        _unlock(lock)


def finish(folder: Path) -> None:
    """Say that a run is finished; only then the state of its training goes."""
    remove(folder / MARKER)
    remove(folder / CHECKPOINT)


def _claim(folder: Path, asked: Mapping[str, Any], resume: bool) -> FileLock:
    """Lock a folder for this run, and say what it is asked to do."""
    new = not os.path.lexists(folder)
    lock = FileLock(folder / LOCK)
    try:
        # nothing is touched in a folder that is refused
        _check(folder, asked, resume)
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        # another process may have had it meanwhile
        _check(folder, asked, resume)
        if not resume:
            write_bytes(folder / MARKER, json.dumps(dict(asked), indent=1).encode())
    except Timeout as error:
        raise RunError(f"{folder} is being trained by another process; wait for it, or stop it first") from error
    except OSError as error:
        raise RunError(f"cannot make folder {folder}: {error.strerror or error}; choose another") from error
    except RunError:
        _give_up(folder, lock, new)
        raise
    return lock


def _give_up(folder: Path, lock: FileLock, new: bool) -> None:
    """Leave a folder as it was found."""
    _unlock(lock)
    if new:
        # not there, or another process has it now
        with contextlib.suppress(OSError):
            folder.rmdir()


def _unlock(lock: FileLock | None) -> None:
    if lock is not None and lock.is_locked:
        # while it is locked, so that nobody else's goes
        with contextlib.suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()


def _check(folder: Path, asked: Mapping[str, Any], resume: bool) -> None:
    """Refuse a folder that is not this run's."""
    marker = folder / MARKER
    if not resume:
        if folder.is_file():
            raise RunError(f"{folder} is a file; name a folder for the run")
        # a run that was killed while it claimed the folder has left nothing
        held = [path for path in (folder.iterdir() if folder.exists() else ()) if not _counts_as_nothing(path)]
        if held:
            hint = "; go on with it by --resume" if marker.exists() else ""
            raise RunError(f"{folder} is not empty, it may hold another run; name another folder{hint}")
        return
    if (folder / "config.json").exists() and not marker.exists():
        if (folder / CHECKPOINT).exists():
            # stopped when it was finished but for this
            remove(folder / CHECKPOINT)
        raise RunError(f"{folder} holds a finished run; there is nothing to resume")
    if not marker.exists():
        raise RunError(f"{folder} holds no stopped run to resume; leave --resume out to start one")
    stopped = read_json(marker)
    differing = [
        f"{name} {stopped.get(name)!r}, not {value!r}"
        for name, value in asked.items()
        if name != "data_digest" and stopped.get(name) != value
    ]
    if differing:
        raise RunError(f"{folder} was started with {'; '.join(differing)}; resume it with the same settings")
    if stopped.get("data_digest") != asked.get("data_digest"):
        raise RunError(
            f"{folder} was started on other data: {asked['data']} has changed since; restore it, or train anew"
        )


def _counts_as_nothing(path: Path) -> bool:
    return path.name == LOCK or is_left_behind(path)
