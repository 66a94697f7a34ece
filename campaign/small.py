"""Small data and runs of the default network that are trained in seconds; as a program, the command ``ncsn`` made `quick`."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from campaign.children import run
from campaign.trees import digests

EVERY = 50
"""Steps between two checkpoints, where the library has 500, so that a short training has some."""

LIMIT = 120.0
"""Seconds for a training, which is no sign of a hang before."""


def quick() -> None:
    """Write checkpoints often, and draw small figures of few rows; called in a process of its own."""
    import ncsn.app.page
    import ncsn.app.summary
    import ncsn.training.trainer

    # set by name: they are the library's constants
    constants: dict[str, tuple[Any, Any]] = {
        "CHECKPOINT_EVERY": (ncsn.training.trainer, EVERY),
        "FIGURE_ROWS": (ncsn.app.summary, 50),
        "_PNG_DPI": (ncsn.app.page, 40),
    }
    for name, (module, value) in constants.items():
        if not hasattr(module, name):
            raise AttributeError(f"{module.__name__} has no {name} any more")
        setattr(module, name, value)


def write_data(folder: Path) -> None:
    """Write a table with a column of classes, ``table.csv``, and an array, ``array.npy``, into a new folder."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"a": generator.normal(size=60).round(3), "b": generator.normal(5, 2, 60).round(3)})
    table["kind"] = generator.choice(["x", "y"], 60)
    table.to_csv(folder / "table.csv", index=False)
    np.save(folder / "array.npy", generator.normal(size=(60, 2)))


def finished_run(folder: Path, arguments: list[str], steps: int = 60) -> None:
    """Train a run, ``run``, beside its data in a new folder."""
    write_data(folder)
    unused = "array.npy" if arguments[0] == "table.csv" else "table.csv"
    (folder / unused).unlink()
    outcome = run(["train", *arguments, "--out", "run", "--steps", str(steps)], folder, quick, limit=LIMIT)
    if outcome.code != 0:
        raise RuntimeError(f"a sound run cannot be trained: {outcome.words}")


def die_at(step: int) -> None:
    """Let this process be killed where its training reports a step."""
    from ncsn.app.snapshots import Snapshots

    report = Snapshots.__call__

    def reports(self: Snapshots, progress: Any) -> None:
        report(self, progress)
        if progress.step >= step:
            os.kill(os.getpid(), signal.SIGKILL)

    Snapshots.__call__ = reports  # type: ignore[method-assign]


def stopped_run(folder: Path, steps: int = 150) -> tuple[list[str], dict[str, str]]:
    """Stop a run, ``run``, at its first checkpoint, beside its data in a new folder.

    Returns:
        The command that started it, without ``--resume``, and the digests of a run that nothing stopped.
    """
    write_data(folder)
    (folder / "array.npy").unlink()
    train = ["train", "table.csv", "--steps", str(steps), "--out"]
    outcome = run([*train, "run"], folder, quick, limit=LIMIT)
    if outcome.code != 0:
        raise RuntimeError(f"a sound run cannot be trained: {outcome.words}")
    whole = digests(folder / "run")
    shutil.rmtree(folder / "run")

    def dying() -> None:
        quick()
        die_at(EVERY)

    run([*train, "run"], folder, dying, limit=LIMIT)
    if not (folder / "run" / "checkpoint.safetensors").exists():
        raise RuntimeError("the run was not stopped after its first checkpoint")
    return [*train, "run"], whole


if __name__ == "__main__":
    from ncsn.app.cli import main

    quick()
    main()
