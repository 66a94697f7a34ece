"""Samples written to files."""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from ncsn.data.values import Values, as_float64
from ncsn.errors import DataError, RunError

__all__ = [
    "ending_of",
    "save_samples",
]


_GRID = 400


def ending_of(path: str | os.PathLike[str]) -> str:
    """Return a file's ending in small letters.

    Raises:
        DataError: Samples cannot be written in the format of that ending.
    """
    ending = Path(path).suffix.lower()
    if ending not in (".csv", ".parquet", ".npy", ".npz", ".png"):
        raise DataError(f"{path}: unknown ending {ending!r}; samples are written as .csv .parquet .npy .npz .png")
    return ending


def save_samples(
    samples: Values,
    path: str | os.PathLike[str],
    *,
    labels: Any = None,
    label_name: str = "label",
    value_range: tuple[float, float] | None = None,
) -> None:
    """Write samples to a file, in the format that its ending names; the file appears whole or not at all.

    Args:
        samples: Data frame, array or tensor, the rows first.
        path: ``.csv`` or ``.parquet`` (tables; an array's columns are called x1, x2, ...), ``.npy``, ``.npz`` (array
            ``x``), or ``.png``: a grid of the first 400 images, or a scatter plot of two columns.
        labels: One label per row, written as a column (or array) called ``label_name``; not for ``.npy`` and ``.png``.
        label_name: Name of that column.
        value_range: The values drawn as black and white in a ``.png`` of images; the samples' own extremes when None.

    Raises:
        DataError: The ending is unknown, or the samples or labels do not fit that format.
        RunError: The file cannot be written (no such folder, no permission, disk full).
    """
    path = Path(path)
    ending = ending_of(path)
    if labels is not None and ending in (".npy", ".png"):
        raise DataError(f"{path}: {ending} has no place for labels; use .csv, .parquet or .npz")
    frame = samples if isinstance(samples, pd.DataFrame) else None
    values = as_float64(frame) if frame is not None and ending in (".npy", ".npz", ".png") else samples
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim == 0 or array.size == 0:
        raise DataError(f"{path}: there are no samples to write (shape {array.shape})")
    if ending in (".csv", ".parquet") and array.ndim != 2:
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
    if ending == ".png":
        _draw(path, content, array, columns, value_range)
    elif ending == ".npy":
        np.save(content, array, allow_pickle=False)
    elif ending == ".npz":
        named: dict[str, Any] = {} if labels is None else {label_name: labels}
        np.savez(content, x=array, **named)
    else:
        table = pd.DataFrame(array, columns=columns) if frame is None else frame
        table = table if labels is None else table.assign(**{label_name: labels})
        if ending == ".csv":
            table.to_csv(content, index=False)
        else:
            _write_parquet(table, content)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        unfinished.write_bytes(content.getbuffer())
        os.replace(unfinished, path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror}); choose another place") from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def _write_parquet(frame: pd.DataFrame, file: IO[bytes]) -> None:
    try:
        frame.to_parquet(file, engine="pyarrow", index=False)
    except ImportError as error:
        raise DataError("writing .parquet needs pyarrow; pip install 'ncsn[parquet]'") from error


def _draw(
    path: Path,
    file: IO[bytes],
    samples: NDArray[Any],
    columns: Sequence[str],
    value_range: tuple[float, float] | None,
) -> None:
    if samples.ndim == 2 and samples.shape[1] == 2:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 6), layout="constrained")
        axes = figure.add_subplot(xlabel=str(columns[0]), ylabel=str(columns[1]))
        axes.scatter(samples[:, 0], samples[:, 1], s=4, alpha=0.5, linewidths=0)
        figure.savefig(file, format="png", dpi=150)
        return
    images = samples[:, None] if samples.ndim == 3 else samples
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(
            f"{path}: .png shows two columns, or grey or colour images, not shape {samples.shape}; use .npy"
        )
    from PIL import Image

    images = images[:_GRID].astype(np.float64)
    if not np.isfinite(images).all():
        raise DataError(f"{path}: some images are not finite; leave them out")
    low, high = value_range or (images.min(), images.max())
    pixels = np.round(255 * np.clip((images - low) / (high - low if high > low else 1), 0, 1)).astype(np.uint8)
    # Small images are enlarged by a whole factor, so that their pixels stay square and sharp.
    zoom = max(1, 32 // max(pixels.shape[2:]))
    pixels = np.pad(pixels.repeat(zoom, axis=2).repeat(zoom, axis=3), ((0, 0), (0, 0), (1, 1), (1, 1)))
    n, channels, height, width = pixels.shape
    across = math.ceil(math.sqrt(n))
    down = math.ceil(n / across)
    grid = np.zeros((across * down, channels, height, width), dtype=np.uint8)
    grid[:n] = pixels
    grid = grid.reshape(down, across, channels, height, width).transpose(0, 3, 1, 4, 2)
    grid = grid.reshape(down * height, across * width, channels)
    Image.fromarray(grid[..., 0] if channels == 1 else grid).save(file, format="PNG")
