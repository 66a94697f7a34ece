"""What a user does with a run that was interrupted, and what must come of it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from campaign.children import Command, Outcome, run
from campaign.small import LIMIT, quick, write_data
from campaign.trees import differing, digests
from campaign.verdicts import Fault, broken_by

Before = Callable[[], None]
SAMPLE = ["sample", "run", "-n", "20", "--steps", "4", "-o", "samples.csv"]


@dataclass(frozen=True)
class Reference:
    """A run that nothing interrupts.

    Args:
        folder: Its folder, as ``run``, beside its data.
        arguments: The command that trains it.
        files: The digests of its files.
        sampled: The samples that it draws.
        unsteady: Files that differ between two such runs, and are not compared.
    """

    folder: Path
    arguments: list[str]
    files: dict[str, str]
    sampled: bytes
    unsteady: list[str]

    @classmethod
    def made(cls, place: Path, steps: int) -> Reference:
        """Train two such runs where others will be interrupted, and move them beside it."""
        arguments = ["train", "array.npy", "--out", "run", "--steps", str(steps)]
        found = []
        for name in ("again", "sound"):
            write_data(place)
            outcome = run(arguments, place, quick, limit=LIMIT)
            drawn = run(SAMPLE, place)
            if outcome.code or drawn.code:
                raise RuntimeError(f"a sound run cannot be trained: {outcome.words}{drawn.words}")
            found.append(digests(place / "run"))
            place.rename(place.with_name(name))
        folder = place.with_name("sound")
        sampled = (folder / "samples.csv").read_bytes()
        return cls(folder, arguments, found[0], sampled, differing(*found))

    def compared(self, place: Path) -> tuple[Fault, str] | None:
        """Return in which way a run that has ended is not this one, or None."""
        drawn = run(SAMPLE, place)
        if drawn.code != 0:
            return Fault.LOST, f"no samples can be drawn: {drawn.words.strip()}"
        if (place / "samples.csv").read_bytes() != self.sampled:
            return Fault.LOST, "other samples than the uninterrupted run's"
        names = [name for name in differing(self.files, digests(place / "run")) if name not in self.unsteady]
        return (Fault.LOST, f"files that differ from the uninterrupted run's: {', '.join(names)}") if names else None


def go_on(place: Path, arguments: list[str], before: Before = quick, *, anew: bool = False) -> Command:
    """Start what a user would: the same command again, with ``--resume`` where the run has begun."""
    return Command(_again(place, arguments), place, None if anew else before, anew=anew)


def _again(place: Path, arguments: list[str]) -> list[str]:
    return [*arguments, "--resume"] if (place / "run" / "settings.json").exists() else arguments


def finish(place: Path, arguments: list[str], limit: float = LIMIT) -> tuple[Outcome, tuple[Fault, str] | None]:
    """Go on with a run until it has ended; return the last command's end, and the promise that is broken, or None.

    It is stuck where neither the command nor its ``--resume`` goes on. One that says that it has ended already has.
    """
    first = _again(place, arguments)
    other = arguments if "--resume" in first else [*arguments, "--resume"]
    said = []
    for words in (first, other):
        outcome = run(words, place, quick, limit=limit)
        if outcome.code == 0:
            return outcome, broken_by(outcome, (0,))
        broken = broken_by(outcome, (1,))
        if broken is not None:
            return outcome, broken
        if "finished run" in outcome.words:
            return outcome, None
        said.append(outcome.words.strip().splitlines()[-1])
    return outcome, (Fault.STUCK, " | ".join(said))


def stage(place: Path) -> str:
    """Return how far a run has come, by what lies in its folder."""
    folder = place / "run"
    if (folder / "report.html").exists():
        return "after the report"
    if (folder / "model.safetensors").exists():
        return "figures and report"
    step, steps = progress_of(folder / "checkpoint.safetensors")
    if step:
        return "training, with a checkpoint" if step < steps else "judging"
    return "training" if (folder / "settings.json").exists() else "claim"


def progress_of(checkpoint: Path) -> tuple[int, int]:
    """Return the step of a checkpoint and the number of all, zeros where there is none."""
    if not checkpoint.exists():
        return 0, 0
    content = checkpoint.read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    facts = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["ncsn"])
    return facts["step"], facts["steps"]
