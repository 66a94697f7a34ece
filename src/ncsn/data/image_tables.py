"""Tables whose cells are pictures: Parquet files and saved folders of Hugging Face's datasets, read by pyarrow."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ncsn.data.dataset import Dataset
from ncsn.data.faults import library_reads
from ncsn.data.pictures import Pile, Reading, is_image
from ncsn.errors import DataError, unknown_name

T = TypeVar("T")

_SPLIT = re.compile(r"(train|test|validation|valid|val|dev)(?=[-_.]|$)", re.IGNORECASE)
_USUAL = ("image", "img")
_BATCH = 256


@dataclass(frozen=True)
class ImageTable:
    """One table, in one file or several, of which some columns are read a few rows at a time.

    Attributes:
        schema: pyarrow's schema.
        n_rows: Number of rows.
        batches: ``batches(columns)`` yields pyarrow's record batches.
    """

    schema: Any
    n_rows: int
    batches: Callable[[list[str]], Iterable[Any]]

    @cached_property
    def image_columns(self) -> list[str]:
        """The columns of pictures: bytes with a path, as Hugging Face writes them, or bytes of which the first are a picture."""
        from pyarrow import types

        def is_bytes(kind: Any) -> bool:
            return bool(types.is_binary(kind) or types.is_large_binary(kind))

        def is_picture(kind: Any) -> bool:
            fields = [kind.field(i) for i in range(kind.num_fields)] if types.is_struct(kind) else []
            return any(field.name == "bytes" and is_bytes(field.type) for field in fields)

        found = [field.name for field in self.schema if is_picture(field.type)]
        plain = [field.name for field in self.schema if is_bytes(field.type)]
        batch = next(iter(self.batches(plain)), None) if plain else None
        if batch is not None:
            firsts = (
                (name, next((cell.as_py() for cell in batch.column(name) if cell.is_valid), b"")) for name in plain
            )
            found += [name for name, first in firsts if is_image(first)]
        return found

    def classes(self, label: str) -> list[str] | None:
        """Return the names that a column's whole numbers stand for, where Hugging Face's description has some."""
        described = (self.schema.metadata or {}).get(b"huggingface")
        if described is None:
            return None
        with library_reads("the description of the columns", "JSON"):
            found = json.loads(described)
        for name in ("info", "features", label, "names"):
            found = found.get(name) if isinstance(found, dict) else None
        return list(map(str, found)) if isinstance(found, list) else None


def arrow_reads(path: Path) -> AbstractContextManager[None]:
    """Make one `DataError` of whatever pyarrow raises within of a file."""
    from pyarrow import ArrowException

    return library_reads(path, path.suffix, ArrowException)


def check_texts(frame: pd.DataFrame) -> None:
    """Let pyarrow raise its error of texts in a data frame that are no UTF-8, which pandas has not looked at yet."""
    from pyarrow import array

    for position, kind in enumerate(frame.dtypes):
        if isinstance(kind, pd.StringDtype):
            array(frame.iloc[:, position]).validate(full=True)


def parquet_table(paths: list[Path]) -> ImageTable:
    """Return the table in Parquet files, of which nothing is read yet."""
    from pyarrow.parquet import ParquetFile

    def batches(columns: list[str]) -> Iterator[Any]:
        for path in paths:
            with arrow_reads(path), ParquetFile(path) as file:
                yield from file.iter_batches(_BATCH, columns=columns)

    with arrow_reads(paths[0]), ParquetFile(paths[0]) as first:
        schema = first.schema_arrow
    n_rows = 0
    for path in paths:
        with arrow_reads(path), ParquetFile(path) as file:
            n_rows += file.metadata.num_rows
    return ImageTable(schema, n_rows, batches)


def _arrow_table(paths: list[Path]) -> ImageTable:
    """Return the table in Arrow files, which are mapped."""
    from pyarrow import ipc, memory_map

    def batches(columns: list[str]) -> Iterator[Any]:
        for path in paths:
            with arrow_reads(path), memory_map(str(path)) as file:
                for batch in ipc.open_stream(file):
                    # of a damaged file, what is read unchecked lies outside of memory
                    batch.validate(full=True)
                    yield batch.select(columns)

    with arrow_reads(paths[0]), memory_map(str(paths[0])) as file:
        schema = ipc.open_stream(file).schema
    return ImageTable(schema, sum(batch.num_rows for batch in batches([])), batches)


def holds_tables(folder: Path) -> bool:
    """Return whether a folder was saved by Hugging Face's datasets, or holds Parquet files."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")) or bool(_parquet(folder))


def read_table_folder(folder: Path, label: str | None, gaps: bool, reading: Reading) -> Dataset:
    """Read a folder that `holds_tables`: of several splits the one for training.

    Raises:
        DataError: It is damaged, there is no split for training among several, or no column of images.
    """
    notes: list[str] = []
    where = folder
    if (folder / "dataset_dict.json").is_file():
        splits = {name: folder / name for name in _texts(folder / "dataset_dict.json", "splits")}
        where = _training_split(folder, splits, notes) if splits else folder
    if (where / "state.json").is_file():
        names = _texts(where / "state.json", "_data_files", "filename")
        if not names:
            raise DataError(f"{where}: state.json names no file of data; save the data set anew")
        table = _arrow_table([where / name for name in names])
    else:
        by_split: dict[str, list[Path]] = {}
        for file in _parquet(folder):
            found = _SPLIT.match(file.name)
            by_split.setdefault(found[0].lower() if found else "", []).append(file)
        if not by_split:
            raise DataError(f"{folder}: no Arrow or Parquet file of it is there; save the data set anew")
        table = parquet_table(_training_split(folder, by_split, notes))
    if not table.image_columns:
        raise DataError(
            f"{folder}: no column of images in {', '.join(table.schema.names)}; give one .parquet file as a table"
        )
    return read_image_table(folder, folder.name, table, label, gaps, reading, tuple(notes))


def _training_split(folder: Path, splits: dict[str, T], notes: list[str]) -> T:
    if len(splits) == 1:
        return next(iter(splits.values()))
    if "train" not in splits:
        raise DataError(
            f"{folder}: holds the splits {', '.join(splits)} and none for training; name a folder or file of one"
        )
    others = ", ".join(name or "files of no split" for name in splits if name != "train")
    notes.append(f"the split train is taken; besides there are {others}")
    return splits["train"]


def _parquet(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.parquet"))
    return [file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def _texts(path: Path, name: str, of_each: str | None = None) -> list[str]:
    """Return the list of texts that a JSON file has under a name, or of its objects what they have under another."""
    with library_reads(path, "JSON"):
        found = json.loads(path.read_text(encoding="utf-8"))
    entries = found.get(name, []) if isinstance(found, dict) else None
    if of_each is not None and isinstance(entries, list):
        entries = [entry.get(of_each) if isinstance(entry, dict) else None for entry in entries]
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise DataError(f"{path}: {name!r} is not as Hugging Face's datasets write it; save the data set anew")
    return entries


def read_image_table(
    path: Path,
    name: str,
    table: ImageTable,
    label: str | None,
    gaps: bool,
    reading: Reading,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Read the images of a table, and the labels in one of its columns.

    Raises:
        DataError: Several columns hold images, one is missing or cannot be read, or there is no such column of labels.
    """
    if table.n_rows == 0:
        raise DataError(f"{path}: 0 rows; at least 2 are needed")
    columns = table.image_columns
    column = columns[0] if len(columns) == 1 else next((usual for usual in _USUAL if usual in columns), None)
    if column is None:
        raise DataError(f"{path}: {', '.join(columns)} all hold images; call the one to take 'image'")
    others = [other for other in table.schema.names if other != column]
    if label is not None and label not in others:
        if not gaps:
            raise DataError(f"{path}: {unknown_name('column', label, others)}")
        label = None
    left_out = [other for other in others if other != label]
    notes = (*notes, *([f"left out: {', '.join(left_out)}"] if left_out else []))
    pile = Pile(table.n_rows, reading)
    labels: list[Any] = []
    for batch in table.batches([column] if label is None else [column, label]):
        for cell in batch.column(column).to_pylist():
            content = cell.get("bytes") if isinstance(cell, dict) else cell
            row = f"{path}, row {pile.seen + 1}"
            if content is None:
                raise DataError(
                    f"{row}: column {column!r} holds no image; drop the row, or store the file's bytes in it"
                )
            pile.read(row, io.BytesIO(content))
        labels += [] if label is None else batch.column(label).to_pylist()
    images = pile.images(str(path))
    codes = None if label is None else _labels(path, label, labels, table.classes(label))
    return Dataset(name, images, codes, label, notes=(*notes, *pile.notes()))


def _labels(path: Path, label: str, labels: list[Any], names: list[str] | None) -> NDArray[Any]:
    """Return the labels as an array, by the names of their classes where there are some."""
    if names is not None:
        known = range(len(names))
        labels = [names[code] if code in known else None for code in labels]
    missing = sum(value is None for value in labels)
    if missing:
        raise DataError(f"{path}: {missing} labels in column {label!r} are missing; fill or drop the rows")
    array = np.array(labels)
    if array.ndim != 1 or array.dtype == object:
        held = ", ".join(sorted({type(value).__name__ for value in labels}))
        raise DataError(f"{path}: column {label!r} holds {held}; a label is a number or a text")
    return array
