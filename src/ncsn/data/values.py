"""What counts as data: numbers in rows, finite and not empty."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncsn.data.picked import Rows, chunks
from ncsn.errors import DataError

Values = pd.DataFrame | NDArray[Any] | Tensor | Rows
"""What data comes as: a data frame, an array, a tensor or `Rows`, one row (or image) a point."""


def check_values(name: str, values: Values, min_rows: int = 2, gaps: bool = False) -> None:
    """Refuse values that are empty or not finite; a data frame may hold text and missing cells.

    Args:
        name: What the data are called in the message.
        values: Rows, ``(N, *shape)``; they are looked at a part at a time, in their own type.
        min_rows: Fewest rows.
        gaps: Whether values of an array may be missing, so that only infinite ones are refused.

    Raises:
        DataError: What is wrong, with the row and the column of the first bad cell.
    """
    if math.prod(values.shape[1:]) == 0:
        raise DataError(f"{name}: no {'' if isinstance(values, pd.DataFrame) else 'numeric '}column")
    if len(values) < min_rows:
        rows = f"{len(values)} row{'s' if len(values) != 1 else ''}"
        raise DataError(f"{name}: {rows}; at least {min_rows} {'is' if min_rows == 1 else 'are'} needed")
    if isinstance(values, pd.DataFrame):
        _check_frame(name, values)
        return
    start, count, first = 0, 0, None
    for part in chunks(values):
        flat = (part if part.dtype.kind in "biuf" else as_float64(part).numpy()).reshape(len(part), -1)
        if flat.dtype.kind == "f":
            bad = np.isinf(flat) if gaps else ~np.isfinite(flat)
            count += int(bad.sum())
            if first is None and bad.any():
                row, position = np.argwhere(bad)[0].tolist()
                first = f"row {start + row + 1}" + (f", column {position + 1!r}" if values.ndim == 2 else "")
        start += len(part)
    if first is not None:
        cells = f"{count} cells are missing or infinite, the first" if count > 1 else "a missing or infinite cell"
        raise DataError(f"{name}: {cells} in {first}; fill them, or drop those rows")


def _check_frame(name: str, frame: pd.DataFrame) -> None:
    bad = np.stack([_infinite(frame.iloc[:, position]) for position in range(frame.shape[1])], axis=1)
    if bad.any():
        row, position = np.argwhere(bad)[0]
        count = int(bad.sum())
        cells = f"{count} cells are infinite, the first" if count > 1 else "an infinite cell"
        where = f"row {row + 1}, column {frame.columns[position]!r}"
        raise DataError(f"{name}: {cells} in {where}; fill them, empty them, or drop those rows")


def _infinite(column: pd.Series[Any]) -> NDArray[np.bool_]:
    if pd.api.types.is_float_dtype(column):
        return np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if column.dtype == object:
        return np.array([isinstance(value, float) and math.isinf(value) for value in column], dtype=np.bool_)
    return np.zeros(len(column), dtype=np.bool_)


def as_float64(values: Values) -> Tensor:
    """Return the values as a float64 tensor of the same shape; missing cells of a data frame become NaN.

    Raises:
        DataError: Not all values are numbers.

    >>> as_float64(pd.DataFrame({"a": [1, 2], "b": [True, False]}))
    tensor([[1., 1.],
            [2., 0.]], dtype=torch.float64)
    """
    if isinstance(values, Tensor):
        return values.detach().double()
    try:
        if isinstance(values, pd.DataFrame):
            return torch.tensor(values.to_numpy(dtype=np.float64, na_value=np.nan))
        return torch.from_numpy(np.array(values, dtype=np.float64, order="C"))
    except (TypeError, ValueError) as error:
        raise DataError(f"not all values are numbers ({error}); drop or encode the others") from error
