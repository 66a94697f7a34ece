"""Trainings by two processes, as ``torchrun`` starts them, of which one is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from campaign.children import Outcome, run
from campaign.going_on import SAMPLE, progress_of
from campaign.small import write_data
from campaign.trees import differing, digests
from campaign.verdicts import Bench, Fault, Result

# the library's own 500 steps lie between two checkpoints: nothing is set in a process that is started anew
ARGUMENTS = ["train", "array.npy", "--out", "run", "--steps", "1100"]
LIMIT = 400.0


class Two:
    """A command that two processes run."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self.folder = folder
        launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone", "-m", "ncsn"]
        with open(folder / "words", "wb") as words:
            options: dict[str, Any] = {"cwd": folder, "stdout": words, "stderr": words, "start_new_session": True}
            self.process = subprocess.Popen([sys.executable, *launch, *arguments], **options)

    def ranks(self) -> list[int]:
        """Return the ids of the two processes that train, as far as they are there."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(word) for word in children.read_text().split()] if children.exists() else []

    def outcome(self) -> Outcome:
        """Wait for the end."""
        start = time.monotonic()
        try:
            code: int | None = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            code = None
        words = (self.folder / "words").read_text("utf-8", "replace")
        return Outcome(code, "", words, time.monotonic() - start)


def attack(bench: Bench) -> Iterator[Result]:
    """Yield what came of each run of which a process, the main one or the other, was killed after the first checkpoint."""
    whole = bench.place
    write_data(whole)
    outcome = Two(ARGUMENTS, whole).outcome()
    if outcome.code != 0:
        fault = Fault.HANG if outcome.code is None else Fault.TRACEBACK if "Traceback" in outcome.words else Fault.CODE
        yield Result(-1, "two processes, nothing killed", "", fault, _last_error(outcome.words), (whole / "words",))
        return
    yield Result(-1, "two processes, nothing killed", "done")
    drawn = run(SAMPLE, whole)
    files, sampled = digests(whole / "run"), (whole / "samples.csv").read_bytes() if drawn.code == 0 else b""
    shutil.rmtree(whole)
    for number in bench.numbers():
        write_data(bench.place)
        yield _killed(number, bench.place, files, sampled)
        shutil.rmtree(bench.place)


def _killed(number: int, place: Path, files: dict[str, str], sampled: bytes) -> Result:
    two = Two(ARGUMENTS, place)
    checkpoint, start = place / "run" / "checkpoint.safetensors", time.monotonic()
    while not checkpoint.exists() and two.process.poll() is None and time.monotonic() < start + LIMIT:
        time.sleep(0.01)
    ranks = two.ranks()
    what = f"process {number % 2} of two killed at step {progress_of(checkpoint)[0]}"
    if len(ranks) < 2:
        return Result(number, what, "", Fault.CODE, "ended before it was killed")
    os.kill(sorted(ranks)[number % 2], signal.SIGKILL)
    if two.outcome().code is None:
        return Result(number, what, "", Fault.HANG, "the other process goes on", (place / "words",))
    outcome = Two([*ARGUMENTS, "--resume"], place).outcome()
    if outcome.code != 0:
        fault = Fault.HANG if outcome.code is None else Fault.STUCK
        return Result(number, what, "", fault, _last_error(outcome.words), (place / "words", place / "run"))
    drawn = run(SAMPLE, place)
    names = differing(files, digests(place / "run"))
    if drawn.code != 0 or (place / "samples.csv").read_bytes() != sampled or names:
        return Result(
            number, what, "", Fault.LOST, f"differs from the uninterrupted: {', '.join(names)}", (place / "run",)
        )
    return Result(number, what, "the same in the end")


def _last_error(words: str) -> str:
    """Return the line in which a process says what is wrong, among what the launcher says."""
    lines = [line for line in words.splitlines() if "Error" in line or line.lstrip().startswith(("error:", "[rank"))]
    return lines[0] if lines else (words.strip().splitlines() or ["nothing is said"])[-1]
