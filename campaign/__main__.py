"""Run the campaign, print its table, and exit 1 where a promise is broken; see the package's docstring."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

# before anything loads PyTorch or NumPy: what is forked has one thread, and so has this process
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

from campaign import command_line, data_files, interruptions, kills, processes, run_folders
from campaign.children import import_all
from campaign.page import Row, printed, write_rows
from campaign.verdicts import Bench, Result

QUICK = 25
"""By how much fewer attacks there are with ``--quick``."""


@dataclass(frozen=True)
class Part:
    """A part of the campaign.

    Args:
        attack: Yields what came of each attack.
        count: Number of attacks.
        least: Number of attacks with ``--quick`` at least.
    """

    attack: Callable[[Bench], Iterator[Result]]
    count: int
    least: int = 8


PARTS = {
    "data-files": Part(data_files.attack, 3000),
    "run-folders": Part(run_folders.attack, 1000),
    "command-line": Part(command_line.attack, 1000),
    "kills": Part(kills.attack, 300),
    "crashes": Part(interruptions.crashes, 110),
    "full-disks": Part(interruptions.full_disks, 60),
    "two-processes": Part(processes.attack, 4, 2),
}


@dataclass
class Told:
    """What is kept of a part while it runs."""

    endings: Counter[str] = field(default_factory=Counter)
    broken: list[Result] = field(default_factory=list)


def keep(result: Result, part: str, seed: int, folder: Path) -> Path:
    """Copy what is needed to see a broken promise again into a folder, with what was printed; return it."""
    place = folder / f"{part}-{seed}-{result.number}"
    place.mkdir(parents=True, exist_ok=True)
    for path in result.kept:
        target = place / path.name
        if path.is_dir():
            shutil.copytree(path, target, symlinks=True, dirs_exist_ok=True)
        elif path.exists():
            shutil.copy(path, target)
    again = f"python -m campaign --parts {part} --seed {seed} --only {result.number}"
    (place / "what.txt").write_text(f"{result.what}\n{result.fault}: {result.words}\n{again}\n", "utf-8", "replace")
    return place


def run_part(name: str, asked: argparse.Namespace) -> Row:
    """Run a part, and print each broken promise as it shows."""
    part, told, start = PARTS[name], Told(), time.monotonic()
    count = part.count if not asked.quick else max(part.least, part.count // QUICK)
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        bench = Bench(name, asked.seed, count, Path(folder), asked.only)
        try:
            for result in part.attack(bench):
                if result.fault is None:
                    told.endings[result.ending] += 1
                    continue
                told.broken.append(result)
                kept = keep(result, name, asked.seed, asked.failures)
                print(f"{name} {result.number}: {result.fault}: {result.what}: {result.words}  [{kept}]", flush=True)
        except KeyboardInterrupt:
            bench.said.append("stopped by Ctrl-C before its end")
    faults = Counter(str(result.fault) for result in told.broken)
    seconds = time.monotonic() - start
    return Row(
        name, told.endings.total() + len(told.broken), dict(told.endings), dict(faults), seconds, tuple(bench.said)
    )


def main() -> int:
    """Run the parts that are asked for; return the exit code."""
    asking = argparse.ArgumentParser(
        prog="campaign", description="Attack the library, and count the promises it breaks."
    )
    asking.add_argument("--seed", type=int, default=0, help="seed of every attack")
    asking.add_argument(
        "--parts", nargs="+", choices=PARTS, default=list(PARTS), help="the parts to run; all when not given"
    )
    asking.add_argument("--quick", action="store_true", help="a few attacks of each part")
    asking.add_argument("--only", type=int, help="the number of the one attack to make")
    asking.add_argument(
        "--failures", type=Path, default=Path("campaign-failures"), help="where broken promises are kept"
    )
    asking.add_argument("--page", type=Path, help="a page whose rows of these parts are written anew")
    asked = asking.parse_args()
    # commands run in other folders
    asked.failures = asked.failures.absolute()
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        import_all(Path(folder))
    # in the background a shell takes Ctrl-C away, by which a part ends with what it has
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rows = []
    for name in asked.parts:
        rows.append(run_part(name, asked))
        print(printed(rows[-1:]), flush=True)
    print(printed(rows))
    if asked.page is not None:
        write_rows(asked.page, rows)
    return 1 if any(row.faults for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
