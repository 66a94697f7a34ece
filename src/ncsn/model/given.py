"""Draws given what is known: missing cells of rows, and whole rows given some columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ncsn.data import Encoding, as_float64
from ncsn.data.column_types import ColumnType, Dates, Identifiers, Numbers
from ncsn.data.columns import Constant, Number
from ncsn.data.container import Container
from ncsn.data.frames import as_library, as_pandas, library_of
from ncsn.errors import DataError, SettingError, unknown_name
from ncsn.guidance import LinearMeasurement, impute
from ncsn.model.checks import cast_rows


def draw_given(
    score_model: nn.Module,
    encoding: Encoding,
    values: Tensor,
    known: Tensor,
    sigmas: Tensor,
    *,
    complete: bool,
    generator: torch.Generator | None,
    **options: Any,
) -> Tensor:
    """Return values of the data, float64, whose unknown ones are drawn given the known ones.

    Args:
        score_model: The score model of the rows.
        encoding: How rows and data belong together.
        values: ``(N, *data_shape)``; unknown ones are not read.
        known: Which are known, of the same shape.
        sigmas: The noise levels, where the score model is.
        complete: Whether what is drawn is there, in columns that may have missing cells.
        generator: Source of randomness; torch's default when None.
        **options: Options of `guidance.impute`.
    """
    # what is not known must not reach the encoding, which a value of any size could overflow
    held = torch.where(known, values, torch.zeros_like(values))
    rows = cast_rows(encoding.rows(held, generator or torch.default_generator), sigmas.device, sigmas.dtype)
    mask = encoding.known(known, complete=complete).to(rows.device)
    drawn = impute(score_model, rows, mask, sigmas, generator=generator, **options)
    return torch.where(known, values, encoding.data_values(drawn))


def measurement_of_rows(encoding: Encoding, measurement: Any) -> LinearMeasurement:
    """Return a measurement of data, in their own units, as one of the model's rows.

    Args:
        encoding: The encoding, of images, or of columns each of which is a number times a scale.
        measurement: A measurement of points of the data's shape.

    Raises:
        SettingError: It is no measurement, or a column becomes a part of the rows in another way.
        DataError: It is of points of another shape.
    """
    if not isinstance(measurement, LinearMeasurement):
        raise SettingError(f"measurement must be a guidance.LinearMeasurement, not {type(measurement).__name__}")
    if tuple(measurement.levels.shape) != encoding.data_shape:
        raise DataError(
            f"the measurement is of points of shape {tuple(measurement.levels.shape)}; the model's data have "
            f"{encoding.data_shape}"
        )
    images = encoding.images
    if images is not None:
        places = torch.arange(images.width).reshape(1, *images.data_shape)
        units = measurement.in_units(torch.tensor(images.mean), torch.tensor(images.scale))
        return units.of_values(images.to_rows(places)[0])
    means, scales = [], []
    for place, column in enumerate(encoding.columns):
        if not isinstance(column, Number | Constant):
            names = encoding.container.columns
            name = f"{names[place]!r}" if names is not None else f"{place}, from 0,"
            raise SettingError(
                f"a measurement is of numbers on a straight scale, and column {name} is encoded as {column.kind}: "
                "fit on an array of the numbers alone, or ask for given="
            )
        means.append(column.mean if isinstance(column, Number) else column.value)
        scales.append(column.scale if isinstance(column, Number) else 0.0)
    scale = torch.tensor(scales, dtype=torch.float64)
    return measurement.in_units(torch.tensor(means, dtype=torch.float64), scale).of_values(scale.nonzero()[:, 0])


def values_given(encoding: Encoding, given: Any, n: int) -> tuple[Tensor, Tensor]:
    """Return values of the data, ``(n, D)``, and which of them are known.

    Args:
        encoding: The encoding of a table.
        given: A value for each of some columns, by name; or a data frame of such columns, ``n`` rows, with a missing cell
            where a row's value is not known.
        n: Number of rows.

    Raises:
        SettingError: A column is unknown, cannot be given, or never holds the value; or there are too many or too few rows.
    """
    columns, given = encoding.container.columns, as_pandas(given)
    if columns is None:
        raise SettingError("given names columns of a data frame; this model was fitted on none: take impute")
    frame = given if isinstance(given, pd.DataFrame) else None
    if frame is not None and len(frame) != n:
        raise SettingError(f"{len(frame)} rows are given for {n} samples: one for each is needed")
    if frame is None and not isinstance(given, Mapping):
        raise SettingError(f"given must be a mapping of columns to values, or a data frame, not {type(given).__name__}")
    values = torch.full((n, len(columns)), torch.nan, dtype=torch.float64)
    names = [str(name) for name in columns]
    for name in given:
        if str(name) not in names:
            raise unknown_name("column", str(name), names)
        position = names.index(str(name))
        type_ = encoding.container.types[position]
        if isinstance(type_, Identifiers):
            raise SettingError(f"column {name!r} holds {type_.words}; it cannot be given")
        cells = [given[name]] if frame is None else frame[name].tolist()
        try:
            numbers = [np.nan if pd.isna(cell) else type_.number_of(cell) for cell in cells]
        except SettingError as error:
            raise SettingError(f"column {name!r}: {error}") from error
        if frame is None and np.isnan(numbers[0]):
            raise SettingError(f"column {name!r}: no value is given")
        values[:, position] = torch.tensor(numbers, dtype=torch.float64)
    known = ~values.isnan()
    _check_possible(encoding, values, known, names)
    return values, known


def _check_possible(encoding: Encoding, values: Tensor, known: Tensor, names: list[str]) -> None:
    """Refuse values that a column never holds."""
    for i, (column, type_) in enumerate(zip(encoding.columns, encoding.container.types, strict=True)):
        held = values[known[:, i], i]
        if not len(held):
            continue
        gain = column.log_gain(held, column.encode(held, held.new_zeros(len(held), column.width)))
        low, high = getattr(type_, "low", -np.inf), getattr(type_, "high", np.inf)
        never = held[(gain == -torch.inf) | (held < low) | (held > high)]
        if len(never):
            raise SettingError(
                f"column {names[i]!r} never held {_written(type_, float(never[0]))} in training, which had {type_.words}; "
                "there is no such row to draw"
            )


def _written(type_: ColumnType, number: float) -> str:
    """Return a number as a cell, without keeping it within the range."""
    free = replace(type_, low=np.nan, high=np.nan) if isinstance(type_, Numbers | Dates) else type_
    return str(free.cells(np.array([number])).iloc[0])


def known_cells(X: Any, values: Tensor, mask: Any) -> Tensor:
    """Return which values of data are known: those that are not missing, and that a mask calls known.

    Args:
        X: The data.
        values: The data as values of the model.
        mask: True where a value is known, of the shape of the values or of one row; None for no more than the gaps.

    Raises:
        DataError: The mask does not fit.
    """
    if mask is None:
        return ~values.isnan()
    known = as_float64(mask).cpu()
    if known.shape not in (values.shape, values.shape[1:]) or bool(((known != 0) & (known != 1)).any()):
        raise DataError(
            f"mask must be booleans of shape {tuple(values.shape)} or {tuple(values.shape[1:])}, True where a value is known"
        )
    return known.bool().expand_as(values) & ~values.isnan()


def put_into(X: Any, encoding: Encoding, values: Tensor, known: Tensor) -> Any:
    """Return the data with the unknown values filled in, what is known as it was; of a data frame, in the types fitted.

    Args:
        X: The data.
        encoding: The encoding that was fitted.
        values: Values of the data, those that were drawn among them.
        known: Which were known.
    """
    library, X = library_of(X), as_pandas(X)
    if isinstance(X, pd.DataFrame) and encoding.container.columns is not None:
        restored, filled = as_pandas(encoding.container.restore(values)), X.copy()
        for position, name in enumerate(encoding.container.columns):
            gaps = ~known[:, position].numpy() | X[name].isna().to_numpy()
            column = restored[name].set_axis(X.index)
            # a column without gaps stays, whatever its numbers; others take what they had, one by one
            if gaps.any():
                cells = X[name].astype(object).where(~gaps, column.astype(object))
                column = cells.astype(column.dtype)
            elif X[name].dtype == column.dtype:
                continue
            else:
                column = X[name].astype(column.dtype)
            filled[name] = column
        return as_library(filled, library)
    if isinstance(X, pd.DataFrame):
        return X.where(known.numpy(), pd.DataFrame(values.numpy(), index=X.index, columns=X.columns))
    restored = Container.of(X).restore(values)
    if isinstance(X, Tensor):
        return torch.where(known.to(X.device), X, restored)
    array = np.array(X)
    array[~known.numpy()] = restored[~known.numpy()]
    return array
