"""What goes in comes out: the container, columns, types and labels of the data that a model was fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncsn.data.column_types import ColumnType, Numbers, cast, column_type_from
from ncsn.data.frames import as_library
from ncsn.data.picked import Rows
from ncsn.errors import DataError, RunError


@dataclass(frozen=True, eq=False)
class Container:
    """What data come in: an array, a tensor or a data frame.

    Attributes:
        kind: ``array``, ``tensor`` or ``frame``.
        dtypes: The type of an array or a tensor; of a frame none.
        columns: The frame's columns, or None.
        types: What each of them holds.
        dropped: Columns that a frame may have besides, and that are left out.
        library: Whose data frame it is: ``pandas``, ``polars``, ...
        device: Where a tensor was; a saved one comes back on the CPU.
    """

    kind: str
    dtypes: tuple[str, ...] = ()
    columns: pd.Index[Any] | None = None
    types: tuple[ColumnType, ...] = ()
    dropped: tuple[str, ...] = ()
    library: str = "pandas"
    device: str = "cpu"

    @classmethod
    def of(cls, values: Any) -> Container:
        """Describe what an array or a tensor is; what is neither tensor nor frame counts as an array.

        Raises:
            DataError: The values are complex numbers.
        """
        if isinstance(values, Tensor):
            if values.is_complex():
                raise DataError("X holds complex numbers; give real ones")
            return cls("tensor", (str(values.dtype).removeprefix("torch."),), device=str(values.device))
        # an array, or rows that are not in memory, say their type themselves
        dtype = values.dtype if isinstance(values, np.ndarray | Rows) else np.asarray(values).dtype
        if dtype.kind == "c":
            raise DataError("Complex data not supported: X holds complex numbers; give real ones")
        return cls("array", (str(dtype),))

    @classmethod
    def of_frame(cls, frame: pd.DataFrame, names: Sequence[Any], types: Sequence[ColumnType]) -> Container:
        """Describe a data frame of which the columns with these names are kept."""
        kept = frame.columns.isin(list(names))
        dropped = tuple(str(name) for name in frame.columns[~kept])
        return cls("frame", columns=frame.columns[kept], types=tuple(types), dropped=dropped)

    def restore(self, values: Tensor, device: torch.device | str | None = None) -> Any:
        """Put float64 values into it: integers are rounded and kept within the type, booleans are true above a half.

        Args:
            values: Rows, ``(N, *shape)``.
            device: Where a tensor goes; where the data were when None.
        """
        if self.kind == "tensor":
            dtype = getattr(torch, self.dtypes[0])
            if not dtype.is_floating_point:
                values = torch.from_numpy(cast(values.numpy(force=True), np.dtype(self.dtypes[0])))
            return values.to(device or self.device, dtype)
        array = values.numpy(force=True)
        if self.kind == "array":
            return cast(array, np.dtype(self.dtypes[0]))
        frame = pd.DataFrame({i: type_.cells(array[:, i]) for i, type_ in enumerate(self.types)})
        frame.columns = self.columns  # type: ignore[assignment]  # set where the kind is frame
        return as_library(frame, self.library)

    def numbers(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Return a data frame like the one that was described as float64 values, NaN where cells are missing.

        Raises:
            DataError: A column is missing, or holds what it cannot hold.
        """
        columns = []
        # by position, as not every label finds its column
        places = np.flatnonzero(frame.columns.isin(list(self.columns)))  # type: ignore[arg-type]  # set for a frame
        for place, type_ in zip(places.tolist(), self.types, strict=True):
            name = frame.columns[place]
            try:
                columns.append(type_.numbers(frame.iloc[:, place].reset_index(drop=True)))
            except (DataError, TypeError, ValueError) as error:
                raise DataError(f"column {str(name)!r} {error}; the model was fitted on {type_.words}") from error
        return np.column_stack(columns)

    def check_columns(self, values: Any) -> None:
        """Refuse a data frame whose columns are not those that were fitted.

        Raises:
            DataError: Which columns are missing or not known, or that the order differs.
        """
        if self.columns is None or not isinstance(values, pd.DataFrame) or values.columns.equals(self.columns):
            return
        missing = [name for name in self.columns if name not in values.columns]
        extra = [name for name in values.columns if name not in self.columns and str(name) not in self.dropped]
        if not missing and not extra and values.columns[values.columns.isin(list(self.columns))].equals(self.columns):
            return
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
        types = [type_.to_dict() for type_ in self.types]
        return {
            "kind": self.kind,
            "dtypes": list(self.dtypes),
            "columns": columns,
            "types": types,
            "dropped": list(self.dropped),
            "library": self.library,
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Container:
        """Rebuild it from what `to_dict` returned."""
        columns: pd.Index[Any] | None = None
        if saved["columns"] is not None:
            columns = pd.Index([_label_of(label) for label in saved["columns"]["labels"]])
            columns.names = [_label_of(name) for name in saved["columns"]["names"]]
        # version 0.1 knew of a frame's columns only their types in pandas
        held = ["float64" if dtype == "object" else dtype for dtype in (saved["dtypes"] if columns is not None else [])]
        whole = [0 if pd.api.types.is_integer_dtype(dtype) else None for dtype in held]
        plain = [Numbers(*both, None, np.nan, np.nan).to_dict() for both in zip(held, whole, strict=True)]
        types = tuple(map(column_type_from, saved.get("types", plain)))
        dtypes = () if types else tuple(saved["dtypes"])
        return cls(
            saved["kind"], dtypes, columns, types, tuple(saved.get("dropped", ())), saved.get("library", "pandas")
        )


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
