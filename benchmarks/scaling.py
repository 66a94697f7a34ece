"""Time and memory against the rows of the data, their columns, and the samples drawn; what grows faster than linear is said.

Each row is a process of its own, on one thread: seconds of the processor, and the most memory that it held above what it holds
once the libraries are loaded and the data are made. Training takes 20 steps, so that what is done with all rows counts.
Run: ``python benchmarks/scaling.py [--rows 1000 ...] [--columns 2 ...] [--samples 1000 ...]``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ncsn import NCSN, compare
from ncsn.model import TrainingData

STEPS = 20


def data(rows: int, columns: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return correlated Gaussian rows, in single precision."""
    generator = np.random.default_rng(0)
    hidden = generator.standard_normal((rows, min(columns, 8)), dtype=np.float32)
    mixing = generator.standard_normal((hidden.shape[1], columns), dtype=np.float32)
    return hidden @ mixing + 0.1 * generator.standard_normal((rows, columns), dtype=np.float32)


def memory() -> float:
    """Return the most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(rows: int, columns: int, samples: int) -> None:
    """Print the figures of one row of the table as JSON, one stage a line."""
    torch.set_num_threads(1)
    x = data(rows, columns)
    held_out = data(min(rows, 1000), columns)
    found: dict[str, Any] = {}

    def stage(name: str, work: Callable[[], Any]) -> None:
        before, start = memory(), time.process_time()
        found["answer"] = work()
        figures = {"seconds": time.process_time() - start, "MB": memory() - before}
        print(json.dumps({"stage": name, **figures}), flush=True)

    stage("plan", lambda: TrainingData.of(x).plan())
    stage(f"fit, {STEPS} steps", lambda: NCSN(training_steps=STEPS, random_state=0).fit(x))
    model = found["answer"]
    stage("sample", lambda: model.sample(samples))
    drawn = found["answer"]
    stage("log-density of 100", lambda: model.score_samples(held_out[:100]))
    stage("compare", lambda: compare(drawn, held_out, x, generator=torch.Generator().manual_seed(0)))


def measured(rows: int, columns: int, samples: int) -> Iterator[dict[str, Any]]:
    """Run a row of the table in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--child", *map(str, (rows, columns, samples))]
    run = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    yield from (json.loads(line) for line in run.stdout.splitlines())
    if run.returncode:
        yield {"stage": "ended: " + (run.stderr.strip().splitlines() or [f"code {run.returncode}"])[-1]}


def table(name: str, sizes: Sequence[int], arguments: Callable[[int], tuple[int, int, int]]) -> None:
    """Print the figures of each size, and the power of the size with which the last step of the sizes grows."""
    print(f"\n| {name} | stage | CPU s | MB | grows as |\n|---|---|---|---|---|", flush=True)
    before: dict[str, tuple[int, float]] = {}
    for size in sizes:
        for figures in measured(*arguments(size)):
            stage, seconds, held = str(figures["stage"]), figures.get("seconds"), figures.get("MB")
            if seconds is None:
                print(f"| {size:,} | {stage} | | | |", flush=True)
                continue
            power = ""
            if stage in before and min(seconds, before[stage][1]) > 0.2:
                exponent = math.log(seconds / before[stage][1]) / math.log(size / before[stage][0])
                power = f"{name}^{exponent:.1f}" + " (more than linear)" * (exponent > 1.1)
            before[stage] = size, seconds
            print(f"| {size:,} | {stage} | {seconds:.2f} | {held:.0f} | {power} |", flush=True)


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--columns", type=int, nargs="*", default=[2, 10, 100, 1000, 3000])
    parser.add_argument("--samples", type=int, nargs="*", default=[1000, 10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--child", type=int, nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(*asked.child)
        return
    table("N", asked.rows, lambda size: (size, 10, 1000))
    table("D", asked.columns, lambda size: (2000, size, 1000))
    table("samples", asked.samples, lambda size: (1000, 2, size))


if __name__ == "__main__":
    main()
