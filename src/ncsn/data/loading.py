"""Data sets from names, files and folders, checked."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Generator

from ncsn.data.toys import TOYS, draw_components
from ncsn.data.values import check_values
from ncsn.errors import DataError, unknown_name

__all__ = [
    "DATASETS",
    "Dataset",
    "load",
    "load_mask",
]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, checked: at least two rows, every value a finite number.

    Args:
        name: What it is called: the built-in name, or the file's or folder's.
        values: A data frame for tables; otherwise an array, ``(N, D)`` or images ``(N, H, W)`` or ``(N, C, H, W)``.
        labels: One class per row ``(N,)``, or None.
        label_name: What the labels are called, or None.
        draw: For toy sets, ``draw(n, generator)`` gives fresh independent points ``(n, 2)``; otherwise None.
    """

    name: str
    values: pd.DataFrame | NDArray[Any]
    labels: NDArray[Any] | None = None
    label_name: str | None = None
    draw: Callable[[int, Generator | None], NDArray[np.float32]] | None = None


_SHIPPED = ("digits", "wine", "breast_cancer", "iris", "diabetes")

DATASETS: tuple[str, ...] = (*TOYS, *_SHIPPED)
"""The built-in sets: the toy sets, and those that scikit-learn ships."""

_IMAGES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))


def load(
    data: str | os.PathLike[str], *, n: int = 5000, seed: int = 0, label: str | None = None, gaps: bool = False
) -> Dataset:
    """Load a built-in data set, a table, an array or a folder of images.

    Args:
        data: A name in `DATASETS` (it goes before a file of that name), a ``.csv``, ``.parquet``, ``.npy`` or ``.npz``
            file, or a folder of 8-bit images, all of one size, which become ``(N, C, H, W)`` from 0 to 1 in float32
            (one channel if all are grey, otherwise red, green and blue; transparency is dropped). Of an ``.npz`` file
            with several arrays, the one called ``x``, ``X`` or ``data`` is taken.
        n: Number of points of a toy set; the others are loaded whole.
        seed: Seed of a toy set's draw.
        label: The column (or array of an ``.npz`` file) that holds the labels; it is split off from the values. The
            built-in sets call theirs ``component`` (toy sets) or ``target``, and give them unasked.
        gaps: Whether values may be missing, as empty cells or NaN, and the labels with them; one row is enough then.

    Returns:
        The checked data set. Integer and boolean columns keep their type.

    Raises:
        DataError: The data are missing, damaged, empty, not numeric or not finite, or have no such label.

    >>> load("moons", n=100).values.shape
    (100, 2)
    >>> load("iris").values.shape
    (150, 4)
    """
    name = os.fspath(data)
    if name in DATASETS:
        dataset = _load_toy(name, n, seed) if name in TOYS else _load_shipped(name)
        if label not in (None, dataset.label_name):
            hint = f"its labels are called {dataset.label_name!r}" if dataset.label_name else "it has none"
            raise DataError(f"{name}: no labels called {label!r}; {hint}")
    else:
        path = Path(name).expanduser()
        if not path.exists():
            near = "" if path.suffix or path.name != name else f"{unknown_name('data set', name, DATASETS)}; "
            raise DataError(f"{near}no such file or folder: {name}")
        dataset = _load_images(path, label, gaps) if path.is_dir() else _load_file(path, label, gaps)
    check_values(dataset.name, dataset.values, min_rows=1 if gaps else 2, gaps=gaps)
    return dataset


def load_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Read which values of a row are known from an image or an ``.npy`` array.

    Args:
        path: An 8-bit image, white (128 and above) where values are known, or an array of booleans, zeros and ones.

    Returns:
        Booleans, True where known, of the image's or the array's shape.

    Raises:
        DataError: The file is missing, damaged or holds other numbers.
    """
    from PIL import Image

    path = Path(path)
    try:
        if path.suffix.lower() in _IMAGES:
            with Image.open(path) as image:
                return np.asarray(image.convert("L")) >= 128
        values = np.load(path, allow_pickle=False)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as a mask ({error}); give an image or an .npy array") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise DataError(f"{path}: a mask holds booleans, or zeros and ones, and nothing else")
    return values.astype(bool)


def _load_toy(name: str, n: int, seed: int) -> Dataset:
    toy = TOYS[name]
    seeded = Generator().manual_seed(seed)

    def draw(count: int, generator: Generator | None) -> NDArray[np.float32]:
        return cast(NDArray[np.float32], toy.draw(count, generator).numpy())

    if not toy.n_labels:
        return Dataset(name, draw(n, seeded), draw=draw)
    labels = draw_components(n, toy.n_labels, seeded, None)
    return Dataset(name, toy.draw(n, seeded, labels).numpy(), labels.numpy(), "component", draw)


def _load_shipped(name: str) -> Dataset:
    from sklearn import datasets

    if name == "digits":
        digits = datasets.load_digits()
        return Dataset(name, digits.images, digits.target, "target")
    if name == "diabetes":
        # Its target is a quantity, not a class: one more column.
        return Dataset(name, datasets.load_diabetes(as_frame=True, scaled=False).frame)
    table = getattr(datasets, f"load_{name}")(as_frame=True)
    return Dataset(name, table.data, table.target.to_numpy(), "target")


def _load_images(path: Path, label: str | None, gaps: bool) -> Dataset:
    from PIL import Image

    if label is not None and not gaps:
        raise DataError(f"{path}: images carry no labels; save them with their labels in an .npz file")
    images: list[Image.Image] = []
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in _IMAGES)
    if not files:
        raise DataError(f"{path}: no image in this folder (known endings: {' '.join(sorted(_IMAGES))})")
    for file in files:
        try:
            with Image.open(file) as image:
                image.load()
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"{file}: cannot be read as an image; replace or remove it") from error
        if image.mode.startswith(("I", "F")):
            raise DataError(f"{file}: not an 8-bit image (mode {image.mode}); convert it, or save the pixels as .npy")
        if images and image.size != images[0].size:
            raise DataError(
                f"{path}: {files[0].name} is {images[0].width} x {images[0].height} pixels, {file.name} is "
                f"{image.width} x {image.height}; resize all images to one size first"
            )
        images.append(image)
    mode = "L" if all(image.mode in ("1", "L", "LA") for image in images) else "RGB"
    pixels = np.stack([np.asarray(image.convert(mode), dtype=np.float32) / 255 for image in images])
    return Dataset(path.name, pixels[:, None] if mode == "L" else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


def _load_file(path: Path, label: str | None, gaps: bool) -> Dataset:
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".npy": _read_npy, ".npz": _read_npz}
    ending = path.suffix.lower()
    if ending not in readers:
        raise DataError(f"{path}: unknown ending {ending!r}; data comes as {' '.join(readers)} or a folder of images")
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty")
        return readers[ending](path, label, gaps)
    except DataError:
        raise
    except ImportError as error:
        raise DataError(f"{path}: reading {ending} needs pyarrow; pip install 'ncsn[parquet]'") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: cannot be read as {ending}, it may be damaged ({reason})") from error


# A number, with what pandas appends to a name that comes twice.
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?(\.\d+)?")


def _read_csv(path: Path, label: str | None, gaps: bool) -> Dataset:
    # in a table of one column an empty cell is an empty line
    frame = pd.read_csv(path, low_memory=False, skip_blank_lines=not gaps)
    names = [str(column) for column in frame.columns]
    if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
        raise DataError(f"{path}: one column, {names[0]!r}; the columns must be separated by commas")
    numbers = [name for name in names if _NUMBER.fullmatch(name)]
    # A year may name a column among others, 5.1 does not.
    if len(numbers) == len(names) or any("." in name for name in numbers):
        raise DataError(
            f"{path}: the first line holds numbers ({', '.join(numbers[:3])}); begin with the columns' names"
        )
    unnamed = [index for index, column in enumerate(names, start=1) if column.startswith("Unnamed: ")]
    if unnamed:
        raise DataError(f"{path}: column {unnamed[0]} has no name (a row index?); name it or drop it")
    return _table(path, frame, label, gaps)


def _read_parquet(path: Path, label: str | None, gaps: bool) -> Dataset:
    frame = pd.read_parquet(path, engine="pyarrow")
    named_index = any(name is not None for name in frame.index.names)
    return _table(path, frame.reset_index(drop=not named_index), label, gaps)


def _read_npy(path: Path, label: str | None, gaps: bool) -> Dataset:
    if label is not None and not gaps:
        raise DataError(f"{path}: an .npy file has no label {label!r}; use a table, or an .npz file with both arrays")
    values = np.load(path, allow_pickle=False)
    if not isinstance(values, np.ndarray):
        raise DataError(f"{path}: this is an .npz file; rename it")
    return Dataset(path.stem, _array(path, values))


def _read_npz(path: Path, label: str | None, gaps: bool) -> Dataset:
    archive = np.load(path, allow_pickle=False)
    if isinstance(archive, np.ndarray):
        raise DataError(f"{path}: this is an .npy file; rename it")
    with archive:
        arrays = dict(archive)
    labels = None
    if label is not None and not (gaps and label not in arrays):
        if label not in arrays:
            raise DataError(f"{path}: no array called {label!r}; there are {', '.join(arrays)}")
        labels = arrays.pop(label)
    candidates = list(arrays) if len(arrays) == 1 else [name for name in arrays if name in ("x", "X", "data")]
    if len(candidates) != 1:
        raise DataError(
            f"{path}: call one array 'x' (found: {', '.join(arrays) or 'none'}), so that it can be told apart"
        )
    values = _array(path, arrays[candidates[0]])
    if labels is not None and labels.shape != values.shape[:1]:
        raise DataError(f"{path}: {label!r} has shape {labels.shape}; one label per row, ({len(values)},), is needed")
    return Dataset(path.stem if len(arrays) == 1 else f"{path.stem}[{candidates[0]}]", values, labels, label)


def _array(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path}: values of type {values.dtype} are not numeric")
    if values.ndim == 0:
        raise DataError(f"{path}: a single number, not an array of rows")
    return values.reshape(-1, 1) if values.ndim == 1 else values


def _table(path: Path, frame: pd.DataFrame, label: str | None, gaps: bool) -> Dataset:
    frame.columns = frame.columns.map(str)
    if frame.empty:
        raise DataError(
            f"{path}: {len(frame)} rows and {frame.shape[1]} columns; at least 2 rows of numbers are needed"
        )
    labels = None
    if label is not None and not (gaps and label not in frame):
        if label not in frame:
            raise DataError(f"{path}: {unknown_name('column', label, frame.columns)}")
        column = frame.pop(label)
        if column.isna().any():
            raise DataError(
                f"{path}: {column.isna().sum()} labels in column {label!r} are missing; fill or drop the rows"
            )
        labels = column.to_numpy() if pd.api.types.is_numeric_dtype(column) else column.to_numpy(dtype=str)
    text = [name for name, column in frame.items() if not _is_numeric(column)]
    if len(text) == frame.shape[1]:
        raise DataError(f"{path}: no numeric column (found: {', '.join(map(str, text)) or 'none'})")
    if text:
        column = frame[text[0]]
        row = int(np.argmax(pd.to_numeric(column, errors="coerce").isna() & column.notna()))
        raise DataError(
            f"{path}: column {text[0]!r} is not numeric (row {row + 1} holds {str(column.iloc[row])!r}); drop it, "
            f"or pass it as --label (not numeric: {', '.join(map(str, text))})"
        )
    return Dataset(path.stem, frame, labels, label)


def _is_numeric(column: pd.Series[Any]) -> bool:
    if column.dtype == object:
        # Booleans with missing cells: to be refused for those cells, not for their type.
        return all(isinstance(value, bool) for value in column.dropna()) and len(column.dropna()) > 0
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)
