"""What the examples share: their options, and how tables and figures are written."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ncsn import sliced_wasserstein2

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "Judge",
    "Stopwatch",
    "between",
    "options",
    "save_figure",
    "save_table",
    "stopwatch",
]

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
"""Colours that colour-blind readers tell apart (Okabe & Ito 2008)."""


def options(description: str | None, name: str) -> argparse.Namespace:
    """Read the options that all examples have.

    Args:
        description: The script's docstring.
        name: The script's name, of which its folder is made.

    Returns:
        ``out``, a folder that exists, ``quick`` and ``seeds``.
    """
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path("out") / name, help="folder for figure and table (%(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test: seconds, and figures that mean nothing")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (%(default)s)")
    given = parser.parse_args()
    if given.seeds < 1:
        parser.error("--seeds must be at least 1")
    if given.quick:
        given.seeds = 1
    given.out.mkdir(parents=True, exist_ok=True)
    return given


@dataclass
class Stopwatch:
    """Seconds of the processor, which other programs on the machine do not lengthen."""

    seconds: float = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Measure the processor's time in a block."""
    watch, begun = Stopwatch(), time.process_time()
    yield watch
    watch.seconds = time.process_time() - begun


class Judge:
    """Distances to held-out points as multiples of the training set's own.

    Args:
        training: The points trained on, ``(N, D)``.
        held_out: Points that training did not see, ``(M, D)``.
    """

    def __init__(self, training: Tensor, held_out: Tensor) -> None:
        self.training = training
        self.held_out = held_out
        self.floor = self.distance(training)

    def distance(self, points: Tensor) -> float:
        """Return the sliced Wasserstein-2 distance to the held-out points, along the same directions each time."""
        return sliced_wasserstein2(points, self.held_out, generator=torch.Generator().manual_seed(0))

    def ratio(self, samples: Tensor) -> float:
        """Return the samples' distance over that of as many training points: 1 is as close as real data."""
        n = min(len(samples), len(self.training))
        floor = self.floor if n == len(self.training) else self.distance(self.training[:n])
        return self.distance(samples[:n]) / floor


def between(values: Sequence[float], digits: int = 2) -> str:
    """Return the median and, of several values, the range: ``1.20 (1.06–1.35)``."""
    median = f"{statistics.median(values):.{digits}f}"
    return median if len(values) == 1 else f"{median} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def save_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table in Markdown, and print it."""
    lines = [list(map(str, header)), ["---"] * len(header), *(list(map(str, row)) for row in rows)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
    path.write_text(text, encoding="utf-8")
    print(f"{text}\nwrote {path}")


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure as a PNG of 128 colours, a third of the size of one of all colours."""
    figure.savefig(path, dpi=90)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(128).save(path, optimize=True)
    print(f"wrote {path}")
