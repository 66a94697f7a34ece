"""A training that dies at each of its file operations, or whose disk is full from there on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from campaign.children import Outcome, run
from campaign.going_on import SAMPLE, Reference, finish
from campaign.small import LIMIT, quick, write_data
from campaign.traps import FILLS, Trap, operations
from campaign.verdicts import Bench, Fault, Result, broken_by, ended

STEPS = 100
T = TypeVar("T")


def trapped(folder: Path, at: int | None, way: str, log: Path | None) -> None:
    """Set a trap in this process for the run of a folder."""
    quick()
    Trap(folder / "run", at, way, log).set()


def points_of(reference: Reference, place: Path) -> list[tuple[int, str, str]]:
    """Return the file operations of a training that nothing interrupts: number, name and path."""
    write_data(place)
    log = place.parent / f"{place.name}.log"
    outcome = run(reference.arguments, place, partial(trapped, place, None, "count", log), limit=LIMIT)
    if outcome.code != 0:
        raise RuntimeError(f"a sound run cannot be trained: {outcome.words}")
    shutil.rmtree(place)
    return [(number, *operation) for number, operation in enumerate(operations(log))]


def crashes(bench: Bench) -> Iterator[Result]:
    """Yield what came of each crash: before, after and in the middle of operations, evenly over all where there are more."""
    reference = Reference.made(bench.place, STEPS)
    points = points_of(reference, bench.place)
    every = [
        (*point, way) for point in points for way in ("before", "half", "after") if way != "half" or point[1] == "write"
    ]
    bench.said.append(f"{len(points)} file operations of a training, {len(every)} places to crash at")
    place = bench.place
    for number, (at, name, path, way) in _some(bench, every):
        write_data(place)
        outcome = run(reference.arguments, place, partial(trapped, place, at, way, None), limit=LIMIT)
        what = f"crash {way} {name} {path}" if way != "half" else f"crash in the middle of {name} {path}"
        if outcome.code != -9:
            yield Result(number, what, "", Fault.CODE, f"did not crash there: {outcome.code} {outcome.words[-200:]}")
        else:
            _, broken = finish(place, reference.arguments)
            broken = reference.compared(place) if broken is None else broken
            yield ended(number, what, "the same in the end", broken, place)
        shutil.rmtree(place)


def full_disks(bench: Bench) -> Iterator[Result]:
    """Yield what came of each disk that is full from an operation on, of a training and of what uses a run."""
    reference = Reference.made(bench.place, STEPS)
    points = points_of(reference, bench.place)
    every = [point for point in points if point[1] in FILLS]
    uses = {
        "sample": [*SAMPLE[:-1], "run/samples.csv"],
        "sample, a picture": [*SAMPLE[:-1], "run/samples.png"],
        "impute": ["impute", "run", "array.npy", "-o", "run/filled.npy"],
        "compare": ["compare", "array.npy", "--methods", "edm", "--out", "run/new", "--budget", "10", "--seeds", "1"],
    }
    place = bench.place
    for number, (at, name, path) in _some(bench, every, keep=len(uses)):
        write_data(place)
        outcome = run(reference.arguments, place, partial(trapped, place, at, "full", None), limit=LIMIT)
        what = f"disk full from {name} {path} on"
        yield _after_full(number, what, outcome, place, reference)
        shutil.rmtree(place)
    for place_of, (what, arguments) in enumerate(uses.items()):
        number = bench.count - len(uses) + place_of
        if bench.only in (None, number):
            shutil.copytree(reference.folder, place)
            outcome = run(arguments, place, partial(trapped, place, 0, "full", None), limit=LIMIT)
            broken = broken_by(outcome, (1,))
            if broken is None and set((place / "run").rglob("*")) != {
                place / "run" / path.relative_to(reference.folder / "run")
                for path in (reference.folder / "run").rglob("*")
            }:
                broken = Fault.LEFT, "refused, but there are other files in the folder"
            broken = reference.compared(place) if broken is None else broken
            yield ended(number, f"disk full, {what}", "refused", broken, place)
            shutil.rmtree(place)


def _after_full(number: int, what: str, outcome: Outcome, place: Path, reference: Reference) -> Result:
    """Return what came of a training on a disk that is full: one line, and all that was there stays."""
    broken = broken_by(outcome, (0, 1))
    if broken is None:
        # there is room again
        _, broken = finish(place, reference.arguments)
        broken = reference.compared(place) if broken is None else broken
    return ended(number, what, "the same in the end", broken, place)


def _some(bench: Bench, every: list[T], keep: int = 0) -> Iterator[tuple[int, T]]:
    """Yield the places of a part, evenly spread where there are more than it is to have, each with its number."""
    count = min(bench.count - keep, len(every))
    chosen = np.linspace(0, len(every) - 1, count).round().astype(int)
    for number in range(count):
        if bench.only in (None, number):
            yield number, every[chosen[number]]
