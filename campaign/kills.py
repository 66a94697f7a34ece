"""Trainings that are killed (SIGKILL) at random moments, gone on with, killed again, and held against one that was not."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from campaign.children import Command
from campaign.going_on import Reference, finish, go_on, stage
from campaign.small import LIMIT, write_data
from campaign.verdicts import Bench, Result, broken_by, ended

STEPS = 100
A_RUN = 6
"""Kills that fall on one run, before it is left to end."""

ANEW = 15
"""Of so many kills one falls on a Python that was started anew, as a user does, and was not forked."""

SECONDS = 5.0
"""Seconds within which a short training ends, or is almost at its end."""

MARKS = ("settings.json", "checkpoint.safetensors", "config.json", "model.safetensors", "figures", "report.html")
"""What appears, or changes, in a run's folder on its way."""


def attack(bench: Bench) -> Iterator[Result]:
    """Yield what came of each kill; runs follow each other until there were as many kills as the bench has."""
    reference = Reference.made(bench.place, STEPS)
    notes = [f"not compared, as two uninterrupted runs differ in them: {name}" for name in reference.unsteady]
    stages: Counter[str] = Counter()
    for number in count() if bench.only is None else [bench.only]:
        yield from killed(number, bench.place, reference, bench.generator(number), stages)
        shutil.rmtree(bench.place)
        bench.said[:] = [
            *notes,
            "kills by stage: " + ", ".join(f"{name} {hits}" for name, hits in stages.most_common()),
        ]
        if stages.total() >= bench.count:
            break


def killed(
    number: int, place: Path, reference: Reference, generator: np.random.Generator, stages: Counter[str]
) -> Iterator[Result]:
    """Kill a run some times, and let it end; yield a result a kill."""
    write_data(place)
    fell: list[str] = []
    for kill in range(A_RUN):
        command = go_on(place, reference.arguments, anew=(number * A_RUN + kill) % ANEW == ANEW - 1)
        if not _killed_at_random(command, place, generator):
            outcome = command.outcome(LIMIT)
            broken = broken_by(outcome, (0, 1))
            if broken is not None:
                yield Result(number, "going on with a run that was killed", "", *broken, (place,))
            # it has ended, or was refused: whether it is stuck shows below
            break
        command.outcome(LIMIT)
        fell.append(stage(place))
        stages[fell[-1]] += 1
    _, broken = finish(place, reference.arguments)
    broken = reference.compared(place) if broken is None else broken
    for name in fell[:-1]:
        yield Result(number, f"killed at {name}", "goes on")
    what = f"killed at {', '.join(fell) or 'no time'}"
    yield ended(number, what, "the same in the end", broken, place)


def _killed_at_random(command: Command, place: Path, generator: np.random.Generator) -> bool:
    """Kill a command; return whether it still ran.

    Half of the times at a time drawn evenly from the first seconds, and half of them shortly after one of the marks that are
    not there yet appears in the folder, or the checkpoint changes: the stages after training are short.
    """
    folder, until = place / "run", command.start + LIMIT
    to_come = [name for name in MARKS if name == "checkpoint.safetensors" or not (folder / name).exists()]
    mark = to_come[generator.integers(len(to_come))]
    if generator.random() < 0.5:
        until = command.start + generator.uniform(0.05, SECONDS)
    else:
        known = _changed(folder / mark)
        while not command.ended() and time.monotonic() < until and _changed(folder / mark) == known:
            time.sleep(0.001)
        until = time.monotonic() + generator.exponential(0.1)
    while not command.ended() and time.monotonic() < until:
        time.sleep(0.001)
    if command.ended():
        return False
    command.kill()
    return True


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
