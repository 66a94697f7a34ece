"""Simulators: called in batches, with tensors or arrays, and their answers checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from ncsn.data import as_float64
from ncsn.errors import DataError, SettingError, check_count


@dataclass(frozen=True)
class Simulator:
    """A simulator as it is to be called.

    Args:
        simulate: Called with parameters ``(n, D)``; returns what is observed of each, ``(n, *shape)``, as a tensor or an array.
        numpy: Whether it is called with arrays; with tensors else.
        simulation_batch_size: Parameters that it is called with at once; 1 calls it with one vector, ``(D,)``, for one
            observation.

    Raises:
        SettingError: It cannot be called, or the batch size is no count.
    """

    simulate: Callable[[Any], Any]
    numpy: bool = False
    simulation_batch_size: int = 1000

    def __post_init__(self) -> None:
        if not callable(self.simulate):
            raise SettingError(f"simulate must be callable, as simulate(theta) -> x, not {self.simulate!r}")
        check_count("simulation_batch_size", self.simulation_batch_size)

    def __call__(self, theta: Tensor, told: Callable[[int], None] | None = None) -> Tensor:
        """Return what is observed of each row of parameters, ``(N, *shape)``, float64.

        Args:
            theta: Parameters, ``(N, D)``.
            told: Called with the number of simulations done, after each batch.

        Raises:
            DataError: The simulator returns another number of rows, or what is not finite.
        """
        parts, done = [], 0
        for some in theta.split(self.simulation_batch_size):
            asked = some[0] if self.simulation_batch_size == 1 else some
            answer = as_float64(self.simulate(asked.numpy() if self.numpy else asked)).cpu()
            answer = answer[None] if self.simulation_batch_size == 1 else answer
            if answer.ndim == 0 or len(answer) != len(some):
                raise DataError(
                    f"the simulator returned shape {tuple(answer.shape)} for {len(some)} rows of parameters: one for each is "
                    "needed; with simulation_batch_size=1 it is called with one vector at a time"
                )
            parts.append(answer)
            done += len(some)
            if told is not None:
                told(done)
        x = torch.cat(parts)
        check_finite(x, theta)
        return x


def check_finite(x: Tensor, theta: Tensor) -> None:
    """Refuse simulations that are not finite.

    Raises:
        DataError: Some are not; the message says of which parameters.
    """
    bad = ~x.flatten(1).isfinite().all(1) if x.ndim > 1 else ~x.isfinite()
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        said = ", ".join(f"{value:.4g}" for value in theta[row].tolist())
        raise DataError(
            f"{int(bad.sum())} of {len(x)} simulations are not finite, first row {row}, of theta ({said}): return numbers "
            "for all parameters, or give the pairs that are finite and a prior of these"
        )


@contextmanager
def bars(shown: bool) -> Iterator[Callable[[str, int], Callable[[int], None] | None]]:
    """Show bars of progress on standard error.

    Args:
        shown: Whether they are shown at all.

    Yields:
        Called with a title and a total, it adds a bar and returns what tells it how many are done; None where none is shown.
    """
    if not shown:
        yield lambda title, total: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:

        def add(title: str, total: int) -> Callable[[int], None]:
            task = bar.add_task(title, total=total)
            return lambda done: bar.update(task, completed=done)

        yield add
