"""What goes in comes out: the container, columns, types and labels of the data that a model was fitted on."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncsn.errors import DataError, RunError


@dataclass(frozen=True, eq=False)
class Container:
    """What data come in: an array, a tensor or a data frame.

    Attributes:
        kind: ``array``, ``tensor`` or ``frame``.
        dtypes: One type, or one for each column of a frame.
        columns: The frame's columns, or None.
        device: Where a tensor was; a saved one comes back on the CPU.
    """

    kind: str
    dtypes: tuple[str, ...]
    columns: pd.Index[Any] | None = None
    device: str = "cpu"

    @classmethod
    def of(cls, values: Any) -> Container:
        """Describe what ``values`` come in; what is neither tensor nor frame counts as an array.

        Raises:
            DataError: A column is not numeric or shares its name with another, or the values are complex numbers.
        """
        if isinstance(values, pd.DataFrame):
            if not values.columns.is_unique:
                twice = values.columns[values.columns.duplicated()][0]
                raise DataError(f"there is more than one column {twice!r}; rename or drop all but one")
            for position, name in enumerate(values.columns):
                _check_numeric(name, values.iloc[:, position])
            return cls("frame", tuple(str(dtype) for dtype in values.dtypes), values.columns)
        if isinstance(values, Tensor):
            if values.is_complex():
                raise DataError("X holds complex numbers; give real ones")
            return cls("tensor", (str(values.dtype).removeprefix("torch."),), device=str(values.device))
        dtype = np.asarray(values).dtype
        if dtype.kind == "c":
            raise DataError("Complex data not supported: X holds complex numbers; give real ones")
        return cls("array", (str(dtype),))

    def restore(self, values: Tensor, device: torch.device | str | None = None) -> Any:
        """Put float64 rows into it: integers are rounded and kept within the type, booleans are true above a half.

        Args:
            values: Rows, ``(N, *shape)``.
            device: Where a tensor goes; where the data were when None.
        """
        if self.kind == "tensor":
            dtype = getattr(torch, self.dtypes[0])
            if not dtype.is_floating_point:
                values = torch.from_numpy(_cast(values.numpy(force=True), np.dtype(self.dtypes[0])))
            return values.to(device or self.device, dtype)
        array = values.numpy(force=True)
        if self.kind == "array":
            return _cast(array, np.dtype(self.dtypes[0]))
        columns = {}
        for i, name in enumerate(self.dtypes):
            dtype = pd.api.types.pandas_dtype(name)
            columns[i] = pd.Series(_cast(array[:, i], _plain_type(dtype))).astype(dtype)
        frame = pd.DataFrame(columns)
        frame.columns = self.columns  # type: ignore[assignment]  # set where the kind is frame
        return frame

    def check_columns(self, values: Any) -> None:
        """Refuse a data frame whose columns are not those that were fitted.

        Raises:
            DataError: Which columns are missing or not known, or that the order differs.
        """
        if self.columns is None or not isinstance(values, pd.DataFrame) or values.columns.equals(self.columns):
            return
        missing = [name for name in self.columns if name not in values.columns]
        extra = [name for name in values.columns if name not in self.columns]
        if missing or extra:
            parts = [f"lack {missing}"] * bool(missing) + [f"have besides {extra}"] * bool(extra)
            raise DataError(f"the columns {' and '.join(parts)}; the model was fitted on {list(self.columns)}")
        raise DataError(f"the columns are in another order than fitted; reorder them as {list(self.columns)}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Raises:
            RunError: A column's label has no plain form.
        """
        columns = None
        if self.columns is not None:
            columns = {
                "labels": [_plain_label(label) for label in self.columns],
                "names": [_plain_label(name) for name in self.columns.names],
            }
        return {"kind": self.kind, "dtypes": list(self.dtypes), "columns": columns}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Container:
        """Rebuild it from what `to_dict` returned."""
        columns: pd.Index[Any] | None = None
        if saved["columns"] is not None:
            columns = pd.Index([_label_of(label) for label in saved["columns"]["labels"]])
            columns.names = [_label_of(name) for name in saved["columns"]["names"]]
        return cls(saved["kind"], tuple(saved["dtypes"]), columns)


def _plain_type(dtype: Any) -> np.dtype[Any]:
    """Return NumPy's type for one of pandas, nullable and Arrow types included; that of objects where there is none."""
    plain = getattr(dtype, "numpy_dtype", dtype)
    return plain if isinstance(plain, np.dtype) else np.dtype(object)


def _check_numeric(name: Any, column: pd.Series[Any]) -> None:
    kind = _plain_type(column.dtype).kind
    if kind in "biuf":
        return
    held = str(column.dtype)
    # objects may be numbers, but text that reads as numbers is better converted by who knows what it means
    if isinstance(column.dtype, np.dtype) and kind == "O":
        others = [value for value in column if not isinstance(value, numbers.Real | None | type(pd.NA))]
        if not others:
            return
        held = type(others[0]).__name__
    raise DataError(f"column {name!r} holds {held}, not numbers; encode it, drop it, or pass it as y")


def _cast(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "b":
        return values > 0.5
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        # the largest 64-bit integers are no float64, and the next one up overflows
        low, high = float(bounds.min), float(bounds.max)
        high = high if int(high) <= bounds.max else float(np.nextafter(high, 0))
        return np.clip(np.rint(values), low, high).astype(dtype)
    return values.astype(dtype if dtype.kind == "f" else np.float64)


def _plain_label(label: Any) -> Any:
    if isinstance(label, tuple):
        return {"tuple": [_plain_label(part) for part in label]}
    if isinstance(label, pd.Timestamp):
        return {"timestamp": label.isoformat()}
    if isinstance(label, np.generic):
        label = label.item()
    if label is None or isinstance(label, str | bool | int | float):
        return label
    raise RunError(f"the column label {label!r} cannot be saved; name that column by text or a number")


def _label_of(plain: Any) -> Any:
    if not isinstance(plain, dict):
        return plain
    return tuple(map(_label_of, plain["tuple"])) if "tuple" in plain else pd.Timestamp(plain["timestamp"])
