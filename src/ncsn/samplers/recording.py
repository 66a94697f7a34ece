"""What is kept of a walk: some of its states, for figures and animations."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from ncsn.errors import SettingError, check_count
from ncsn.samplers.base import State


class Recorder:
    """A callback that keeps some states of a walk: evenly spaced ones, the start and the end among them.

    Chunks that were walked one after the other are put together.

    Args:
        most: Most states kept.

    Raises:
        SettingError: Fewer than two states would be kept.

    >>> from ncsn.samplers import sample
    >>> recorder = Recorder(most=6)
    >>> sigmas = torch.linspace(9.0, 1.0, 9)
    >>> samples = sample(lambda x, sigma: -x / sigma**2, sigmas, 5, 2, callback=recorder)
    >>> [round(state.sigma, 2) for state in recorder.states]
    [9.0, 7.0, 5.0, 3.0, 1.0, 0.0]
    """

    def __init__(self, most: int = 60) -> None:
        check_count("most", most)
        if most < 2:
            raise SettingError("a walk has a start and an end: keep at least 2 states")
        self.most = most
        self._every = 1
        self._chunks: list[dict[int, State]] = []

    def __call__(self, state: State) -> None:
        """Take note of a state."""
        if state.step == 0:
            self._chunks.append({})
        chunk = self._chunks[-1]
        # the last state stays until another comes
        for step in [step for step in list(chunk)[-1:] if step % self._every]:
            del chunk[step]
        # of the estimates of clean data, which take as much room, none is kept
        chunk[state.step] = replace(state, x=state.x.cpu(), denoised=None)
        while len(chunk) > self.most:
            self._every *= 2
            for step in [step for step in chunk if step % self._every and step != state.step]:
                del chunk[step]

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Return what was kept of all samples, of the recorders of parts of them in order."""
        whole = cls()
        whole._chunks = [chunk for part in parts for chunk in part._chunks]
        return whole

    @property
    def states(self) -> list[State]:
        """The states kept, in order, each of all samples.

        Raises:
            SettingError: The chunks took different numbers of steps.
        """
        if not self._chunks:
            return []
        last = [max(chunk) for chunk in self._chunks]
        if len(set(last)) > 1:
            raise SettingError("the chunks of this walk took different numbers of steps: walk all samples together")
        steps = sorted(set.intersection(*(set(chunk) for chunk in self._chunks)))
        return [replace(self._chunks[0][step], x=_joined([chunk[step].x for chunk in self._chunks])) for step in steps]


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
