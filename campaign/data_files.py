"""Damaged and edited data files, read by the library in a process of its own."""

from __future__ import annotations

import multiprocessing.connection
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from campaign.children import FORK, LIMIT, keep_small, patience
from campaign.damage import damaged
from campaign.edits import Edit, edits_of
from campaign.seeds import Seed, seeds
from campaign.verdicts import Bench, Fault, Result
from ncsn.errors import DataError, SettingError


@dataclass(frozen=True)
class Reading:
    """What came of reading a file.

    Args:
        ending: ``read``, ``refused``, ``escaped`` (another error), ``hung`` or ``died``.
        words: The error, or the warnings that were raised.
        values: What was read.
    """

    ending: str
    words: str = ""
    values: Any = None


def read_file(path: Path, label: str | None) -> Reading:
    """Read a file as the commands do, every value of it, and choose its columns' types."""
    from ncsn.data import Encoding, load

    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            dataset = load(path, label=label)
            values = dataset.values if isinstance(dataset.values, pd.DataFrame) else np.asarray(dataset.values[:])
            Encoding.fit(values)
            ending, words = "read", ""
        except (DataError, SettingError) as error:
            ending, words, values = "refused", str(error), None
        # whatever else comes out is what is looked for
        except BaseException as error:  # noqa: BLE001
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(frame.filename).name}:{frame.lineno}"
            ending, words, values = "escaped", f"{type(error).__name__}: {str(error)[:200]} ({where})", None
    shown = "; ".join(f"{entry.category.__name__}: {str(entry.message).splitlines()[0]}" for entry in raised)
    return Reading(ending, words or shown, values)


class Reader:
    """A process that reads files for this one, one after another, and is replaced where it hangs or dies."""

    def __init__(self, read: Any = read_file, limit: float = LIMIT) -> None:
        self._read, self._limit = read, limit
        self._process: Any = None

    def __call__(self, path: Path, label: str | None) -> Reading:
        """Read a file; return what came of it."""
        if self._process is None:
            self._mine, theirs = FORK.Pipe()
            self._process = FORK.Process(target=_serve, args=(theirs, self._read), daemon=True)
            self._process.start()
            theirs.close()
        self._mine.send((path, label))
        try:
            if self._mine.poll(patience(self._limit)):
                answer: Reading = self._mine.recv()
                return answer
            ending, words = "hung", f"not read after {self._limit:.0f} s"
        except EOFError:
            self._process.join()
            ending, words = "died", f"exit code {self._process.exitcode}"
        self.close()
        return Reading(ending, words)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def _serve(connection: multiprocessing.connection.Connection, read: Any) -> None:
    keep_small()
    while True:
        connection.send(read(*connection.recv()))


def judged(number: int, what: str, reading: Reading, path: Path, truth: Any = None) -> Result:
    """Return what a reading means.

    ``truth`` is what the file says: the values as text, ``"refused"`` where no values are right, or None where it is not known.
    """
    kept = (path,)
    faults = {"escaped": Fault.TRACEBACK, "hung": Fault.HANG, "died": Fault.DIED}
    if reading.ending in faults:
        return Result(number, what, reading.ending, faults[reading.ending], reading.words, kept)
    if reading.ending == "refused":
        if len(reading.words.splitlines()) != 1:
            return Result(number, what, "refused", Fault.WORDS, repr(reading.words), kept)
        if truth is not None and not isinstance(truth, str):
            return Result(number, what, "refused", Fault.SILENT, f"a sound file is refused: {reading.words}", kept)
        return Result(number, what, "refused", words=reading.words)
    if reading.words:
        return Result(number, what, "read", Fault.WARNING, reading.words, kept)
    wrong = _differs(reading.values, truth)
    return Result(number, what, "read", Fault.SILENT if wrong else None, wrong, kept)


def _differs(values: Any, truth: Any) -> str:
    """Return in which way what was read is not what the file says, or nothing."""
    shape = values.shape
    if truth is None:
        return "" if shape[0] >= 2 and min(shape) > 0 else f"values of shape {shape} are taken"
    if isinstance(truth, str):
        return f"read with values of shape {shape}, where the file has to be {truth}"
    found = np.asarray(values.astype(object) if isinstance(values, pd.DataFrame) else values)
    said = np.asarray(truth)
    if found.shape != said.shape:
        return f"shape {found.shape}, where the file says {said.shape}"
    same = [str(one) == str(other) for one, other in zip(found.ravel(), said.ravel(), strict=True)]
    return "" if all(same) else f"{len(same) - sum(same)} of {len(same)} values are not those of the file"


def attack(bench: Bench) -> Iterator[Result]:
    """Yield what came of each file: a third are edited with their format in mind, of the others bytes are damaged."""
    sound = seeds(bench.folder / "sound")
    reader = Reader()
    for seed in sound:
        yield judged(-1, f"{seed.name}, untouched", reader(seed.path, seed.label), seed.path, None)
    edits = edits_of()
    for number in bench.numbers():
        generator = bench.generator(number)
        folder = bench.folder / f"{number}"
        folder.mkdir()
        if number % 3 == 0:
            what, path, label, truth = edited(edits[(number // 3) % len(edits)], folder, generator)
        else:
            what, path, label = damaged_seed(sound, folder, generator)
            truth = None
        yield judged(number, what, reader(path, label), path, truth)
    reader.close()


def edited(edit: Edit, folder: Path, generator: np.random.Generator) -> tuple[str, Path, str | None, Any]:
    """Make a file by an edit; return what it is, the file, its column of labels and what has to be read."""
    path, truth = edit.make(folder, generator)
    return edit.name, path, edit.label, truth


def damaged_seed(sound: list[Seed], folder: Path, generator: np.random.Generator) -> tuple[str, Path, str | None]:
    """Damage the bytes of a sound file, or of one of a folder; return what was done, the file or folder, and its labels."""
    seed = sound[generator.integers(len(sound))]
    others = [other.content for other in sound]
    content, way = damaged(seed.content, others, generator)
    path = seed.copy(folder)
    for _ in range(int(generator.integers(0, 2))):
        if content:
            content, again = damaged(content, others, generator)
            way += f", {again}"
    seed.place(path).write_bytes(content)
    return f"{seed.name}: {way}", path, seed.label
