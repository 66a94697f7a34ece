"""File formats: how each is read and written, side by side."""

from __future__ import annotations

import io
import math
import numbers
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from ncsn.data.cells import listed
from ncsn.data.csv_files import Dialect, read_csv, write_csv
from ncsn.data.dataset import Dataset
from ncsn.data.faults import files_open, library_reads
from ncsn.data.grids import draw
from ncsn.data.idx_files import is_idx, read_idx
from ncsn.data.image_tables import (
    arrow_reads,
    check_texts,
    holds_tables,
    parquet_table,
    read_image_table,
    read_table_folder,
)
from ncsn.data.images import read_images
from ncsn.data.pictures import Reading, prepared
from ncsn.data.values import Values, as_float64
from ncsn.errors import DataError, unknown_name
from ncsn.files import write_bytes

Reader = Callable[[Path, str | None, bool, Reading], Dataset]
"""``read(path, label, gaps, reading)``."""


def _read_csv(path: Path, label: str | None, gaps: bool, reading: Reading) -> Dataset:
    table = read_csv(path)
    return replace(_table(path, table.frame, label, gaps), notes=table.notes, dialect=table.dialect)


def _read_parquet(path: Path, label: str | None, gaps: bool, reading: Reading) -> Dataset:
    table = parquet_table([path])
    if table.image_columns:
        return read_image_table(path, _name(path), table, label, gaps, reading)
    with arrow_reads(path):
        frame = pd.read_parquet(path, engine="pyarrow")
        check_texts(frame)
    named_index = any(name is not None for name in frame.index.names)
    frame = frame.reset_index(drop=not named_index)
    check_cells(path, frame)
    return _table(path, frame, label, gaps)


def _read_npy(path: Path, label: str | None, gaps: bool, reading: Reading) -> Dataset:
    if label is not None and not gaps:
        raise DataError(f"{path}: an .npy file has no label {label!r}; use a table, or an .npz file with both arrays")
    with library_reads(path, ".npy"):
        # images stay on the disk, and what is read of them is read when it is asked for
        values = np.load(path, mmap_mode="c", allow_pickle=False)
    if not isinstance(values, np.ndarray):
        raise DataError(f"{path}: this is an .npz file; rename it")
    values, notes = _array(path, values if values.ndim > 2 else np.array(values), reading)
    return Dataset(_name(path), values, notes=notes)


def _read_npz(path: Path, label: str | None, gaps: bool, reading: Reading) -> Dataset:
    # NumPy does not close a file that it cannot read
    with path.open("rb") as file:
        with library_reads(path, ".npz"):
            archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise DataError(f"{path}: this is an .npy file; rename it")
        names, labels = list(archive), None
        if label is not None and not (gaps and label not in names):
            if label not in names:
                raise DataError(f"{path}: no array called {label!r}; there are {', '.join(names)}")
            labels = _member(path, archive, label)
            names.remove(label)
        candidates = names if len(names) == 1 else [name for name in names if name in ("x", "X", "data")]
        if len(candidates) != 1:
            raise DataError(
                f"{path}: call one array 'x' (found: {', '.join(names) or 'none'}), so that it can be told apart"
            )
        values, notes = _array(path, _member(path, archive, candidates[0]), reading)
    if labels is not None and labels.shape != values.shape[:1]:
        raise DataError(f"{path}: {label!r} has shape {labels.shape}; one label per row, ({len(values)},), is needed")
    name = _name(path) if len(names) == 1 else f"{_name(path)}[{candidates[0]}]"
    return Dataset(name, values, labels, label, notes=notes)


def _member(path: Path, archive: Any, name: str) -> NDArray[Any]:
    """Return an array of an archive."""
    with library_reads(path, ".npz"):
        values = archive[name]
    if not isinstance(values, np.ndarray):
        raise DataError(f"{path}: {name!r} is no array; write the archive with numpy.savez")
    return values


def _array(path: Path, values: NDArray[Any], reading: Reading) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return the rows of an array, images prepared, and what had to be decided."""
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path}: values of type {values.dtype} are not numeric")
    if values.ndim == 0:
        raise DataError(f"{path}: a single number, not an array of rows")
    if values.ndim > 2:
        return prepared(str(path), values, reading)
    return (values.reshape(-1, 1) if values.ndim == 1 else values), ()


def _table(path: Path, frame: pd.DataFrame, label: str | None, gaps: bool) -> Dataset:
    frame.columns = frame.columns.map(str)
    if frame.empty:
        raise DataError(f"{path}: {len(frame)} rows and {frame.shape[1]} columns; at least 2 rows are needed")
    labels = None
    if label is not None and not (gaps and label not in frame):
        if label not in frame:
            raise DataError(f"{path}: {unknown_name('column', label, frame.columns)}")
        column = frame.pop(label)
        if column.isna().any():
            raise DataError(
                f"{path}: {column.isna().sum()} labels in column {label!r} are missing; fill or drop the rows"
            )
        if frame.shape[1] == 0:
            raise DataError(f"{path}: no column besides the labels, {label!r}")
        labels = column.to_numpy() if pd.api.types.is_numeric_dtype(column) else column.to_numpy(dtype=str)
    return Dataset(_name(path), frame, labels, label)


def check_cells(path: Path, frame: pd.DataFrame) -> None:
    """Refuse columns of what is no value of its own, such as lists, which Parquet files may hold."""
    held = {name: _no_value(column) for name, column in frame.items()}
    wrong = [f"column {name!r} holds {kind}" for name, kind in held.items() if kind]
    if wrong:
        raise DataError(f"{path}: {listed(wrong)}; a cell holds a number, a text, a date or a truth value")


def _no_value(column: pd.Series[Any]) -> str | None:
    if pd.api.types.is_complex_dtype(column):
        return "complex numbers"
    if column.dtype != object:
        return None
    strange = (value for value in column if isinstance(value, bytes) or not pd.api.types.is_scalar(value))
    return next((f"{type(value).__name__} objects" for value in strange), None)


def _name(path: Path) -> str:
    return path.name[: -len(_ending(path))]


def _ending(path: Path) -> str:
    """Return the ending, that of what is compressed included."""
    ending = path.suffix.lower()
    return path.with_suffix("").suffix.lower() + ending if ending == ".gz" else ending


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples on their way into a file; the file's path is for messages."""

    path: Path
    frame: pd.DataFrame | None
    array: NDArray[Any]
    columns: Sequence[Any]
    labels: NDArray[Any] | None
    label_name: str
    value_range: tuple[float, float] | None
    dialect: Dialect | None
    n_columns: int | None = None
    walk: Sequence[NDArray[Any]] = ()

    def table(self) -> pd.DataFrame:
        """Return them as a table, with the labels as a column."""
        table = pd.DataFrame(self.array, columns=list(self.columns)) if self.frame is None else self.frame
        return table if self.labels is None else table.assign(**{self.label_name: self.labels})


def _write_csv(samples: Samples, file: IO[bytes]) -> None:
    file.write(write_csv(samples.table(), samples.path, samples.dialect or Dialect()))


def _write_tsv(samples: Samples, file: IO[bytes]) -> None:
    file.write(write_csv(samples.table(), samples.path, replace(samples.dialect or Dialect(), separator="\t")))


def _write_parquet(samples: Samples, file: IO[bytes]) -> None:
    try:
        samples.table().to_parquet(file, engine="pyarrow", index=False)
    except ImportError as error:
        raise DataError("writing .parquet needs pyarrow; pip install 'ncsn[parquet]'") from error
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{samples.path}: cannot be written as .parquet ({reason}); use .csv") from error


def _write_npy(samples: Samples, file: IO[bytes]) -> None:
    np.save(file, samples.array, allow_pickle=False)


def _write_npz(samples: Samples, file: IO[bytes]) -> None:
    named: dict[str, Any] = {} if samples.labels is None else {samples.label_name: samples.labels}
    np.savez(file, x=samples.array, **named)


def _draw(samples: Samples, file: IO[bytes], kind: str) -> None:
    frames = samples.walk or (samples.array,)
    draw(samples.path, file, frames, samples.columns, samples.value_range, samples.n_columns, kind=kind)


@dataclass(frozen=True)
class Format:
    """A file format.

    Args:
        write: ``write(samples, file)``.
        read: ``read(path, label, gaps, reading)``; None where data do not come in it.
        has_labels: Whether it has a place for labels.
        is_table: Whether it holds a table with names and types of columns.
    """

    write: Callable[[Samples, IO[bytes]], None]
    read: Reader | None = None
    has_labels: bool = False
    is_table: bool = False


FORMATS: dict[str, Format] = {
    ".csv": Format(_write_csv, _read_csv, has_labels=True, is_table=True),
    ".tsv": Format(_write_tsv, _read_csv, has_labels=True, is_table=True),
    ".csv.gz": Format(_write_csv, _read_csv, has_labels=True, is_table=True),
    ".tsv.gz": Format(_write_tsv, _read_csv, has_labels=True, is_table=True),
    ".parquet": Format(_write_parquet, _read_parquet, has_labels=True, is_table=True),
    ".npy": Format(_write_npy, _read_npy),
    ".npz": Format(_write_npz, _read_npz, has_labels=True),
    ".png": Format(partial(_draw, kind="PNG")),
    ".gif": Format(partial(_draw, kind="GIF")),
}
"""Every format by the ending of its files."""


def read(path: Path, label: str | None, gaps: bool, reading: Reading) -> Dataset:
    """Read a file in the format that its ending names, or a folder; see `load`.

    Raises:
        DataError: The ending is unknown, or the file or folder is damaged or holds no such data.
    """
    kind, reader = _reader_of(path)
    try:
        with files_open(path, kind):
            if path.is_file() and path.stat().st_size == 0:
                raise DataError(f"{path}: the file is empty")
            return reader(path, label, gaps, reading)
    except ImportError as error:
        raise DataError(f"{path}: reading {kind} needs pyarrow; pip install 'ncsn[parquet]'") from error


def _reader_of(path: Path) -> tuple[str, Reader]:
    """Return what a file or folder is read as, and by what."""
    if path.is_dir():
        with files_open(path, "a folder of data"):
            return "images", read_table_folder if holds_tables(path) else read_images
    if is_idx(path):
        return "an IDX file", read_idx
    readers = {ending: kind.read for ending, kind in FORMATS.items() if kind.read is not None}
    ending = _ending(path)
    if ending not in readers:
        known = f"{' '.join(readers)} or a folder of images, or as an IDX file"
        raise DataError(f"{path}: unknown ending {ending!r}; data comes as {known}")
    return ending, readers[ending]


def ending_of(path: str | os.PathLike[str]) -> str:
    """Return a file's ending in small letters.

    Raises:
        DataError: Samples cannot be written in the format of that ending.
    """
    ending = _ending(Path(path))
    if ending not in FORMATS:
        raise DataError(f"{path}: unknown ending {ending!r}; samples are written as {' '.join(FORMATS)}")
    return ending


def has_labels(path: str | os.PathLike[str]) -> bool:
    """Return whether the format of a file's ending has a place for labels."""
    return FORMATS[ending_of(path)].has_labels


def save_samples(
    samples: Values,
    path: str | os.PathLike[str],
    *,
    labels: Any = None,
    label_name: str = "label",
    value_range: tuple[float, float] | None = None,
    n_columns: int | None = None,
    walk: Sequence[Values] = (),
    dialect: Dialect | None = None,
) -> None:
    """Write samples to a file, in the format that its ending names; the file appears whole or not at all.

    Args:
        samples: Data frame, array or tensor, the rows first.
        path: ``.csv``, ``.tsv`` (or either with ``.gz``) or ``.parquet`` (tables; an array's columns are called x1, x2,
            ...), ``.npy``, ``.npz`` (array ``x``), ``.png``: a grid of images, or a scatter plot of two columns, or ``.gif``:
            the same, of the ``walk`` an animation.
        labels: One label per row, written as a column (or array) called ``label_name``; for tables and ``.npz``.
        label_name: Name of that column.
        value_range: The values drawn as black and white in a picture of images, such as `Encoding.value_range`; when None 0
            and 255 of 8-bit samples, else their own extremes.
        n_columns: Images in a row of a picture; about as many as rows when None.
        walk: The samples on their way from noise to themselves, for a ``.gif``.
        dialect: How a CSV file is written, such as the ``dialect`` of the `Dataset` that was learned; with commas, points and
            in UTF-8 when None. A ``.tsv`` file has tabs between its cells.

    Raises:
        DataError: The ending is unknown, or the samples or labels do not fit that format.
        RunError: The file cannot be written (no such folder, no permission, disk full).
    """
    path = Path(path)
    ending = ending_of(path)
    if labels is not None and not FORMATS[ending].has_labels:
        raise DataError(f"{path}: {ending} has no place for labels; use .csv, .parquet or .npz")
    frame = samples if isinstance(samples, pd.DataFrame) else None
    values = samples
    if frame is not None and not FORMATS[ending].is_table:
        _check_numbers(path, ending, frame)
        values = as_float64(frame)
    array = _as_array(values)
    if array.ndim == 0 or array.size == 0:
        raise DataError(f"{path}: there are no samples to write (shape {array.shape})")
    if FORMATS[ending].is_table and array.ndim != 2:
        raise DataError(f"{path}: samples of shape {array.shape} are no table; use .npy, .npz or .png")
    columns = [f"x{i + 1}" for i in range(math.prod(array.shape[1:]))] if frame is None else list(frame.columns)
    if labels is not None:
        labels = np.asarray(labels)
        # NumPy would pickle text that is held as objects.
        labels = labels.astype(str) if labels.dtype == object else labels
        if labels.shape != array.shape[:1]:
            raise DataError(f"labels have shape {labels.shape}; one per sample, ({len(array)},), is needed")
        # In an archive the samples are x, and numpy.savez takes the other two names for its own arguments.
        if label_name in (("x", "file", "allow_pickle") if ending == ".npz" else columns):
            raise DataError(f"{path}: the name {label_name!r} is taken; choose another label_name")
    content = io.BytesIO()
    frames = [_as_array(as_float64(state) if isinstance(state, pd.DataFrame) else state) for state in walk]
    held = Samples(path, frame, array, columns, labels, label_name, value_range, dialect, n_columns, frames)
    FORMATS[ending].write(held, content)
    write_bytes(path, content.getvalue())


def _as_array(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _check_numbers(path: Path, ending: str, frame: pd.DataFrame) -> None:
    """Refuse columns that are no numbers, for formats that hold nothing else."""
    for name, column in frame.items():
        kinds = column.dtype.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
        real = (numbers.Real, type(pd.NA), type(None))
        if not (
            pd.api.types.is_numeric_dtype(kinds)
            or (kinds.dtype == object and all(isinstance(value, real) for value in kinds))
        ):
            raise DataError(
                f"{path}: column {name!r} holds {column.dtype}, {ending} only numbers; use .csv or .parquet"
            )
