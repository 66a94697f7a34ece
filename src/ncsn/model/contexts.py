"""Contexts: what is known of each row besides, and what the network is told of it. Weights of rows are read here too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncsn.data import Encoding, Rows, load
from ncsn.data.column_types import Dates, Numbers
from ncsn.data.columns import WithGaps
from ncsn.data.frames import as_pandas
from ncsn.data.labels import is_continuous
from ncsn.data.streams import Stream, as_data
from ncsn.errors import DataError, SettingError, unknown_name, warn

FAR = 10.0
"""Standard deviations from the mean of training's contexts beyond which, by Chebyshev's inequality, a hundredth of them lie at
most."""


def context_of(y: Any, context: Any) -> tuple[Any, Any]:
    """Return labels and contexts: a ``y`` that is a quantity, as of a regression, is a context of one column.

    Raises:
        SettingError: There is another context besides.
    """
    if y is None or not is_continuous(y):
        return y, context
    if context is not None:
        raise SettingError(
            "y holds fractions, so it is a context, and there is another: give it as a column of context"
        )
    values = y.reshape(-1, 1) if isinstance(y, Tensor) else np.asarray(y).reshape(-1, 1)
    return None, values


def fit_contexts(context: Any, n: int, columns: Mapping[str, Any] | None = None) -> tuple[Encoding, Tensor]:
    """Return how contexts are encoded, and what the network is told of each, ``(n, *shape)``, in single precision.

    Args:
        context: Array, tensor or data frame of pandas, of which one axis is one column, or images, as `read_context` returns
            them.
        n: Number of rows that they are of.
        columns: What columns of a data frame are said to be, as in `data.tables.describe`.

    Raises:
        DataError: The contexts cannot be used, or there are too many or too few.
        SettingError: ``columns`` do not fit.
    """
    context = _as_rows(context)
    if len(context) != n:
        raise DataError(f"{len(context)} contexts for {n} rows; one for each is needed")
    try:
        encoding = Encoding.fit(context, columns=columns)
    except DataError as error:
        raise DataError(f"context: {str(error).removeprefix('X: ')}") from error
    if len(encoding.shape) > 3:
        raise DataError(
            f"contexts are rows of numbers, (N, D), or images, (N, H, W) or (N, C, H, W), not of shape {encoding.shape}"
        )
    return encoding, encoding.rows(encoding.values(context, name="context")).float()


def context_rows(encoding: Encoding | None, context: Any, n: int) -> Tensor | None:
    """Return what the network is told of the contexts of ``n`` rows, ``(n, *shape)``; None for no context.

    Arguments and errors are those of `context_values`.
    """
    values = context_values(encoding, context, n)
    if values is None or encoding is None:
        return None
    rows = encoding.rows(values).float()
    _say_if_far(encoding, values, rows)
    return rows.expand(n, *encoding.shape)


def _say_if_far(encoding: Encoding, values: Tensor, rows: Tensor) -> None:
    """Warn of contexts far outside of what training had, where a network answers all the same."""
    if encoding.images is not None:
        if encoding.value_range is None:
            return
        low, high = encoding.value_range
        far = ((values < 2 * low - high) | (values > 2 * high - low)).flatten(1).any(1)
        where = f"those of training had values from {low:g} to {high:g}"
    else:
        spread = rows.abs().nan_to_num()
        far, worst = (spread > FAR).any(1), int(spread.amax(0).argmax())
        where = f"its encoding lies {float(spread[:, worst].max()):.0f} standard deviations from the mean of training's"
        _say_if_beyond(encoding, values, rows)
    if bool(far.any()):
        which = "the context lies" if len(far) == 1 else f"{int(far.sum())} of {len(far)} contexts lie"
        warn(f"{which} far outside of what training had ({where}): what is drawn or said given that is a guess")


def _say_if_beyond(encoding: Encoding, values: Tensor, rows: Tensor) -> None:
    """Warn of numbers and dates beyond a column's range whose encoding is that of the range's end."""
    told = encoding.data_values(rows)
    for place, type_ in enumerate(encoding.container.types):
        if not isinstance(type_, Numbers | Dates):
            continue
        asked, read = values[:, place], told[:, place]
        beyond = ((asked < type_.low) | (asked > type_.high)) & ((asked - read).abs() > 0.01 * (type_.high - type_.low))
        if bool(beyond.any()):
            at = int(beyond.int().argmax())
            name = str(encoding.container.columns[place])  # type: ignore[index]  # set for a frame
            ends = (float(asked[at]), type_.low, type_.high, float(read[at]))
            it, low, high, end = (type_.written(x) if isinstance(type_, Dates) else f"{x:g}" for x in ends)
            warn(
                f"context, column {name!r}: {it} lies beyond what training had, {low} to {high}, and is answered like {end}"
            )


def context_values(encoding: Encoding | None, context: Any, n: int | None) -> Tensor | None:
    """Return contexts as values, ``(n, *data_shape)``, or of one for all rows ``(1, *data_shape)``; None for no context.

    Args:
        encoding: How contexts are encoded; None of a model without.
        context: One context, or one for each row: an array, a tensor, a data frame or images like those that were fitted, or a
            mapping (or a row, as a series) of each column to a value. A single context may leave out the axis of rows.
        n: Number of rows; None for as many as there are contexts.

    Raises:
        DataError: A context is not like those that were fitted.
        SettingError: The model has no contexts, a column is unknown or left out, or there are too many or too few.
    """
    if context is None:
        return None
    if encoding is None:
        raise SettingError("the model was fitted without contexts; fit(X, context=C) makes it conditional")
    context = read_context(context)
    if isinstance(context, pd.Series) and encoding.container.columns is not None and encoding.data_shape[0] > 1:
        context = context.to_dict()  # a row of a data frame
    if isinstance(context, Mapping):
        values = _named(encoding, context)
    else:
        try:
            values = encoding.values(_as_rows(context, encoding.data_shape), name="context")
        except DataError as error:
            raise DataError(f"context: {str(error).removeprefix('context: ')}") from error
    if n is not None and len(values) not in (1, n):
        raise SettingError(f"{len(values)} contexts for {n} rows; give one, or one for each")
    return values


def read_context(context: Any) -> Any:
    """Return contexts as an array, a tensor, a data frame of pandas or `Rows`.

    Args:
        context: Any data frame, an array, a tensor, a data set of torch, or the path of a folder of images or of a file that
            `data.load` reads.

    Raises:
        DataError: There is no such folder or file, or it cannot be read.
        SettingError: They are a stream, whose rows pass by.
    """
    if isinstance(context, str | os.PathLike):
        return load(context).values
    context = as_data(as_pandas(context))
    if isinstance(context, Stream):
        raise SettingError("a stream cannot be contexts: give them as an array, in the order of the rows")
    return context


def _as_rows(context: Any, shape: tuple[int, ...] = (1,)) -> Any:
    """Return contexts without an axis of rows as one row of a shape, or as rows of one column.

    Raises:
        DataError: They have another width, or rows of several.
    """
    if isinstance(context, pd.DataFrame | Rows):
        return context
    if isinstance(context, pd.Series) and shape == (1,):
        return context.to_frame()
    try:
        values = context if isinstance(context, Tensor) else np.asarray(context)
    except ValueError as error:
        raise DataError("context: its rows are not all of one length") from error
    if len(shape) > 1:
        return values.reshape(1, *shape) if tuple(values.shape) == shape else values
    if values.ndim > 1 or values.shape == (0,):
        return values
    width = shape[0]
    if width > 1 and values.shape != (width,):
        raise DataError(
            f"a context has {width} values, not {values.shape[0] if values.ndim else 1}; several contexts are rows, (N, {width})"
        )
    return values.reshape(-1, width)


def _named(encoding: Encoding, context: Mapping[Any, Any]) -> Tensor:
    """Return the values, ``(1, D)``, of a context that is given by the names of its columns."""
    if encoding.container.columns is None:
        raise SettingError("the model was fitted on contexts without names: give them in their order, as an array")
    names = [str(name) for name in encoding.container.columns]
    given = {str(name): cell for name, cell in context.items()}
    for name in given:
        if name not in names:
            raise unknown_name("column of the context", name, names)
    if len(given) < len(names):
        left_out = ", ".join(name for name in names if name not in given)
        raise SettingError(
            f"the context has no {left_out}; the model was fitted given {', '.join(names)}: give all of them"
        )
    if several := [name for name in names if np.ndim(given[name]) > 0]:
        raise SettingError(
            f"context, column {several[0]!r}: a mapping has one value for each column; give several as a data frame"
        )
    numbers = []
    for name, type_, column in zip(names, encoding.container.types, encoding.columns, strict=True):
        missing = bool(pd.isna(given[name]))
        if missing and not isinstance(column, WithGaps):
            raise SettingError(f"context, column {name!r}: no value is given, where training had no gaps")
        try:
            numbers.append(np.nan if missing else type_.number_of(given[name], unseen=True))
        except SettingError as error:
            raise SettingError(f"context, column {name!r}: {error}") from error
    return torch.tensor([numbers], dtype=torch.float64)


def columns_of_both(
    columns: Mapping[str, Any] | None, context: Any
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return what columns are said to be, of the data and of contexts: of these those that a data frame of contexts has."""
    if columns is None or context is None:
        return None if columns is None else dict(columns), None
    known = getattr(as_pandas(context), "columns", ())
    of_contexts = {name: said for name, said in columns.items() if name in known}
    return {name: said for name, said in columns.items() if name not in of_contexts} or None, of_contexts or None


def checked_weights(weights: Any, n: int) -> Tensor:
    """Return the weights of ``n`` rows, float64.

    Raises:
        DataError: They are not one finite number for each, at least 0, and above 0 of two rows.
    """
    values = weights.numpy(force=True) if isinstance(weights, Tensor) else np.asarray(weights)
    try:
        checked: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"sample_weight: not all weights are numbers ({error})") from error
    if checked.ndim != 1:
        raise DataError(f"sample_weight must have one axis, one weight for each row, not the shape {checked.shape}")
    if checked.shape != (n,):
        raise DataError(f"sample_weight.shape == {checked.shape}, expected {(n,)}: one weight for each row")
    if not bool((np.isfinite(checked) & (checked >= 0)).all()):
        raise DataError("sample_weight: weights must be finite, and at least 0")
    if np.count_nonzero(checked) < 2:
        raise DataError("sample_weight: all weights are zero, or all but one; at least 2 rows need one above")
    return torch.from_numpy(checked.copy())
