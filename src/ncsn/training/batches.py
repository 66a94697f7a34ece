"""Batches of rows: in memory, on the device where the training runs, or read and encoded as they are drawn."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncsn.data.picked import CHUNK_VALUES, Rows, Source, array_of
from ncsn.exact import EmpiricalScore

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Batches:
    """Rows, drawn at random.

    Args:
        data: Clean rows, ``(N, *shape)``, in the units of the noise levels; or with ``encode`` what they are made of, such as
            images of 8 bits, a tensor or an array on the CPU, which stay as they are.
        labels: Class index of each row, ``(N,)``, or None.
        encode: Makes rows of some of the data, in single precision; None where they are rows already.
        device: Where the rows go.
        dtype: The type of the rows.
        contexts: What the model is told of each row, numbers ``(N, C)`` or images, or None.
        weights: How often each row is drawn, in proportion, ``(N,)``; None for all alike.
    """

    data: Tensor | Source
    labels: Tensor | None = None
    encode: Callable[[Tensor], Tensor] | None = None
    device: torch.device = CPU
    dtype: torch.dtype = torch.float32
    contexts: Tensor | None = None
    weights: Tensor | None = None

    def to(self, device: torch.device, dtype: torch.dtype) -> Batches:
        """Return batches of the same rows on a device, in a type."""
        data = self.data
        if isinstance(data, Tensor) and self.encode is None:
            data = data.to(device, dtype)
        elif device.type == "cuda" and 4 * _size(data) <= torch.cuda.mem_get_info(device)[0]:
            # from there a batch is picked in no time
            data = _read(data, slice(None)).to(device)
        labels, weights = (None if each is None else each.to(device) for each in (self.labels, self.weights))
        contexts = None if self.contexts is None else self.contexts.to(device, dtype)
        here = replace(self, data=data, device=device, dtype=dtype)
        return replace(here, labels=labels, contexts=contexts, weights=weights)

    def __len__(self) -> int:
        return self.data.shape[0]

    def rows(self, positions: Tensor | slice) -> Tensor:
        """Return the rows at some positions."""
        picked = _read(self.data, positions).to(self.device)
        return (picked if self.encode is None else self.encode(picked)).to(self.dtype)

    def some(self, n: int, seed: int = 0) -> Tensor:
        """Return ``n`` rows at random, in their order, or all where there are fewer."""
        if len(self) <= n:
            return self.rows(slice(None))
        positions = np.sort(np.random.default_rng(seed).choice(len(self), n, replace=False))
        return self.rows(torch.from_numpy(positions))

    def part(self, positions: Tensor) -> Batches:
        """Return batches of some of the rows; images are not copied."""
        if self.encode is None:
            data: Any = _read(self.data, positions)
        else:
            data = Rows(array_of(self.data) if isinstance(self.data, Tensor) else self.data, positions)
        besides = (self.labels, self.contexts, self.weights)
        labels, contexts, weights = (None if each is None else each[positions] for each in besides)
        return replace(self, data=data, labels=labels, contexts=contexts, weights=weights)

    def told(self, positions: Tensor) -> dict[str, Tensor]:
        """Return what the model is told of the rows at some positions, by the names of its arguments."""
        told = {"label": self.labels, "context": self.contexts}
        return {name: each[positions] for name, each in told.items() if each is not None}

    def chunks(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield all rows with their labels, some at a time."""
        for part in self._slices():
            yield self.rows(part), None if self.labels is None else self.labels[part]

    def _slices(self) -> Iterator[slice]:
        """Yield the places of some rows at a time, as many as fit into a little memory."""
        step = max(1, CHUNK_VALUES // math.prod(self.data.shape[1:]))
        yield from (slice(start, start + step) for start in range(0, len(self), step))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw the positions of ``n`` rows."""
        if self.weights is not None:
            chances = torch.rand(n, generator=generator, device=self.device, dtype=self._edges.dtype)
            return torch.searchsorted(self._edges, chances * self._edges[-1], right=True).clamp(max=len(self) - 1)
        return torch.randint(self.data.shape[0], (n,), generator=generator, device=self.device)

    @cached_property
    def _edges(self) -> Tensor:
        """The sums of the weights up to each row."""
        weights: Any = self.weights
        # a GPU of Apple's has no double precision
        return weights.to(torch.float32 if self.device.type == "mps" else torch.float64).cumsum(0)

    def exact(self, positions: Tensor | slice) -> EmpiricalScore:
        """Return the exact score of some of the rows."""
        return EmpiricalScore(self.rows(positions), None if self.labels is None else self.labels[positions])

    def tensors(self) -> dict[str, Tensor]:
        """Return what tells these rows from others: the data, or a digest of those that are read as they are asked for."""
        if isinstance(self.data, Tensor):
            data = self.data
        else:
            digest = hashlib.sha256()
            for part in self._slices():
                digest.update(np.ascontiguousarray(self.data[part]).data)
            data = torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)
        besides = {"labels": self.labels, "contexts": self.contexts, "weights": self.weights}
        return {"data": data} | {name: each for name, each in besides.items() if each is not None}


@dataclass(frozen=True, eq=False)
class StreamBatches(Batches):
    """Batches of a stream, drawn from a pool of its rows, in which each draw puts a batch of the stream in others' places.

    ``data`` and ``labels`` are the pool, which changes; a training that goes on after a break finds other rows in it.

    Args:
        stream: Yields batches, pairs of raw rows ``(n, *shape)`` and their class indices ``(n,)`` or None; called for each pass.
    """

    data: Tensor
    stream: Callable[[], Iterator[tuple[Tensor, Tensor | None]]] = field(kw_only=True)
    passes: list[Iterator[tuple[Tensor, Tensor | None]]] = field(default_factory=list, repr=False, kw_only=True)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Take a batch of the stream into the pool, and draw the positions of ``n`` rows of it."""
        rows, labels = self._next()
        # no place twice, where an image and a label of two rows could meet
        places = torch.randperm(len(self), generator=generator, device=self.device)[: len(rows)].to(self.data.device)
        self.data[places] = rows[: len(places)].to(self.data)
        if self.labels is not None and labels is not None:
            self.labels[places.to(self.labels.device)] = labels[: len(places)].to(self.labels)
        return super().draw(n, generator)

    def _next(self) -> tuple[Tensor, Tensor | None]:
        batch = next(self.passes[0], None) if self.passes else None
        if batch is None:
            self.passes[:] = [self.stream()]
            batch = next(self.passes[0])
        return batch


def _read(data: Tensor | Source, positions: Tensor | slice) -> Tensor:
    """Return some of the data as a tensor of their own, bytes as they are and other arrays in single precision."""
    if isinstance(data, Tensor):
        return data[positions if isinstance(positions, slice) else positions.to(data.device)]
    picked = np.asarray(data[positions if isinstance(positions, slice) else positions.numpy(force=True)])
    return torch.from_numpy(np.array(picked, dtype=np.uint8 if picked.dtype == np.uint8 else np.float32))


def _size(data: Tensor | Source) -> int:
    return math.prod(data.shape) * (data.element_size() if isinstance(data, Tensor) else data.dtype.itemsize)
