"""Rows that are read as they are asked for: of a file that is mapped, an array, or anything that is indexed like one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ncsn.errors import SettingError

CHUNK_VALUES = 2**20
"""Values that a pass over the data holds at once."""

LAYOUTS = ("first", "last")
"""Where the axis of channels of images may be, behind that of the rows."""


class Source(Protocol):
    """What is indexed like an array, by a slice or an array of whole numbers, and answers with one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape, the rows first."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its values."""

    def __getitem__(self, key: Any) -> Any:
        """Return some rows."""


class Rows:
    """Rows of a source, all or some, which are read only when they are asked for; data like any array.

    Args:
        source: An array, mapped (`numpy.memmap`) or not, or what is indexed like one.
        positions: Which of its rows, ``(N,)``; all when None.
        channels: Where images have their channels, ``first`` or ``last``, for shapes that do not say; None where they do.

    Raises:
        SettingError: ``channels`` is something else.

    >>> rows = Rows(np.arange(12).reshape(6, 2)).pick([5, 3, 1])
    >>> len(rows), rows.shape
    (3, (3, 2))
    >>> rows[1:]
    array([[6, 7],
           [2, 3]])
    >>> np.asarray(rows.pick(np.array([True, False, True]))).tolist()
    [[10, 11], [2, 3]]
    """

    def __init__(self, source: Source, positions: Any = None, channels: str | None = None) -> None:
        if channels not in (None, *LAYOUTS):
            raise SettingError(f"channels must be 'first' or 'last', not {channels!r}")
        self.source, self.channels = source, channels
        self.positions: NDArray[np.int64] | None = None if positions is None else np.asarray(positions, dtype=np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all of them, the rows first."""
        return (len(self), *self.source.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of their values."""
        return self.source.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.source.shape)

    def __len__(self) -> int:
        return self.source.shape[0] if self.positions is None else len(self.positions)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read rows, by one position, a slice, whole numbers or booleans, as an array."""
        key = key.numpy(force=True) if isinstance(key, Tensor) else key
        if self.positions is not None:
            key = self.positions[key]
        elif not isinstance(key, int | np.integer | slice):
            key = np.arange(len(self))[np.asarray(key)]
        return np.asarray(self.source[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self[:], dtype=dtype, copy=copy or None)

    def pick(self, rows: Any) -> Rows:
        """Return some of the rows, by whole numbers or booleans, without reading them."""
        positions = np.arange(self.source.shape[0]) if self.positions is None else self.positions
        return Rows(self.source, positions[np.asarray(rows)], self.channels)

    def __repr__(self) -> str:
        return f"Rows({self.shape}, {self.dtype})"


def chunks(values: Any, size: int = CHUNK_VALUES) -> Iterator[NDArray[Any]]:
    """Yield an array, tensor or `Rows` in parts of about ``size`` values, each whole rows, as arrays in their own type."""
    per_row = max(1, int(np.prod(values.shape[1:], dtype=np.int64)))
    step = max(1, size // per_row)
    for start in range(0, len(values), step):
        yield array_of(values[start : start + step])


def array_of(values: Any) -> NDArray[Any]:
    """Return an array or a tensor as an array in its own type, half precision, of which NumPy lacks a kind, in single."""
    if isinstance(values, Tensor):
        half = values.is_floating_point() and values.dtype.itemsize == 2
        return (values.float() if half else values).numpy(force=True)
    return np.asarray(values)
