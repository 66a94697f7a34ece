"""What goes in comes out: the container, columns and types of the data that a model was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ncsn.errors import DataError

__all__ = ["Form"]


@dataclass(frozen=True)
class Form:
    """The outer form of data: an array, a tensor or a data frame.

    Attributes:
        kind: ``array``, ``tensor`` or ``frame``.
        dtypes: One type, or one for each column of a frame.
        columns: The frame's columns, or None.
    """

    kind: str
    dtypes: tuple[str, ...]
    columns: tuple[Any, ...] | None = None

    @classmethod
    def of(cls, values: Any) -> Form:
        """Describe the form of ``values``; what is neither tensor nor frame counts as an array."""
        if isinstance(values, pd.DataFrame):
            return cls("frame", tuple(str(dtype) for dtype in values.dtypes), tuple(values.columns))
        if isinstance(values, Tensor):
            return cls("tensor", (str(values.dtype).removeprefix("torch."),))
        return cls("array", (str(np.asarray(values).dtype),))

    def restore(self, values: Tensor) -> Any:
        """Give float64 rows this form: integers are rounded and kept within the type, booleans are true above a half."""
        if self.kind == "tensor":
            dtype = getattr(torch, self.dtypes[0])
            if dtype.is_floating_point:
                return values.to(dtype)
            return torch.from_numpy(_cast(values.cpu().numpy(), np.dtype(self.dtypes[0])))
        array = values.cpu().numpy()
        if self.kind == "array":
            return _cast(array, np.dtype(self.dtypes[0]))
        columns = [
            pd.array(_cast(array[:, i], np.dtype(dtype.lower())), dtype=dtype)  # type: ignore[call-overload]
            for i, dtype in enumerate(self.dtypes)
        ]
        frame = pd.concat([pd.Series(column) for column in columns], axis=1)
        frame.columns = pd.Index(self.columns or ())
        return frame

    def check_columns(self, values: Any) -> None:
        """Refuse a data frame whose columns are not those that were fitted.

        Raises:
            DataError: Which columns are missing or not known, or that the order differs.
        """
        if self.columns is None or not isinstance(values, pd.DataFrame):
            return
        given = tuple(values.columns)
        missing = [name for name in self.columns if name not in given]
        extra = [name for name in given if name not in self.columns]
        if missing or extra:
            parts = [f"lack {missing}"] * bool(missing) + [f"have besides {extra}"] * bool(extra)
            raise DataError(f"the columns {' and '.join(parts)}; the model was fitted on {list(self.columns)}")
        if given != self.columns:
            raise DataError(f"the columns are in another order than fitted; reorder them as {list(self.columns)}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain strings and lists for JSON."""
        columns = None if self.columns is None else [str(name) for name in self.columns]
        return {"kind": self.kind, "dtypes": list(self.dtypes), "columns": columns}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Form:
        """Rebuild the form from what `to_dict` returned."""
        columns = None if saved["columns"] is None else tuple(saved["columns"])
        return cls(saved["kind"], tuple(saved["dtypes"]), columns)


def _cast(values: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    if dtype.kind == "b":
        return values > 0.5
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        return np.clip(np.rint(values), bounds.min, bounds.max).astype(dtype)
    return values.astype(dtype if dtype.kind == "f" else np.float64)
