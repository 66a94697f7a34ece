"""Pictures of samples: grids of images in one fixed range of grey, scatter plots of points, and animations of both."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ncsn.data.picked import chunks
from ncsn.errors import DataError, check_count

FRAME_MS, LAST_FRAME_MS = 80, 1500
"""How long an animation shows each frame, and the last one."""


def value_range_of(values: Any) -> tuple[float, float]:
    """Return what is black and what is white of data: 0 and 255 of 8-bit ones, else their extremes.

    >>> value_range_of(np.array([[3]], dtype=np.uint8)), value_range_of(np.array([[3.0, 16.0]]))
    ((0.0, 255.0), (3.0, 16.0))
    """
    values = np.asarray(values) if isinstance(values, list) else values
    if str(values.dtype).endswith("uint8"):
        return 0.0, 255.0
    ends = [(part.min(), part.max()) for part in chunks(values)]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def as_images(values: NDArray[Any]) -> NDArray[Any]:
    """Return images as ``(N, C, H, W)`` with C = 1 or 3, the channels first.

    Raises:
        DataError: They are no grey or colour images, or hold what is no finite number.
    """
    images = values[:, None] if values.ndim == 3 else values
    if images.ndim == 4 and images.shape[1] not in (1, 3):
        images = np.moveaxis(images, -1, 1)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(f"images are (N, H, W), (N, C, H, W) or (N, H, W, C) with C = 1 or 3, not {values.shape}")
    if not np.isfinite(images).all():
        raise DataError("images hold NaN or infinite values; leave those images out")
    return images


def mosaic(
    images: NDArray[Any], value_range: tuple[float, float], n_columns: int | None = None, *, gap: int = 1
) -> NDArray[np.float64]:
    """Put images into one picture, in rows.

    Args:
        images: Images as `as_images` returns them.
        value_range: The values that are black and white; what lies beyond is cut off.
        n_columns: Images in a row; about as many as rows when None.
        gap: Pixels between two images.

    Returns:
        The picture, ``(H, W, C)``, from 0 for black to 1 for white, NaN where there is no image.

    Raises:
        SettingError: ``n_columns`` is no positive whole number.
    """
    n, channels, height, width = images.shape
    if n_columns is not None:
        check_count("n_columns", n_columns)
    columns = math.ceil(math.sqrt(n)) if n_columns is None else n_columns
    rows = math.ceil(n / columns)
    low, high = value_range
    unit = ((images - float(low)) / ((high - low) or 1.0)).clip(0, 1)
    tiles = np.full((rows * columns, channels, height + gap, width + gap), np.nan)
    tiles[:n, :, :height, :width] = unit
    picture = tiles.reshape(rows, columns, channels, height + gap, width + gap).transpose(0, 3, 1, 4, 2)
    picture = picture.reshape(rows * (height + gap), columns * (width + gap), channels)
    return picture[: len(picture) - gap, : picture.shape[1] - gap]


def draw(
    path: Path,
    file: IO[bytes],
    frames: Sequence[NDArray[Any]],
    names: Sequence[Any],
    value_range: tuple[float, float] | None,
    n_columns: int | None,
    *,
    kind: str,
) -> None:
    """Draw images as a grid, or points of two columns as a scatter plot, into a file.

    Args:
        path: The file's path, for messages.
        file: Where to.
        frames: The samples on their way, the last ones in the end; a still picture shows these.
        names: Names of the two columns.
        value_range: As in `mosaic`; that of the last frame when None.
        n_columns: As in `mosaic`.
        kind: ``PNG``, or ``GIF`` for an animation.

    Raises:
        DataError: They are neither images nor points of two columns, or not finite.
    """
    moving = kind == "GIF"
    shown = frames if moving else frames[-1:]
    if shown[-1].ndim == 2 and shown[-1].shape[1] == 2:
        pictures = _scatter_plots(shown, names, dpi=80 if moving else 150)
    else:
        if not all(np.isfinite(frame).all() for frame in shown):
            raise DataError(f"{path}: some images are not finite; leave them out")
        value_range = value_range or value_range_of(shown[-1])
        try:
            pictures = [_grid(as_images(frame), value_range, n_columns) for frame in shown]
        except DataError as error:
            ending = path.suffix.lower()
            raise DataError(
                f"{path}: {ending} shows two columns, or grey or colour images; use .npy ({error})"
            ) from error
    if not moving:
        pictures[-1].save(file, format=kind)
        return
    durations = [FRAME_MS] * (len(pictures) - 1) + [LAST_FRAME_MS]
    pictures[0].save(file, format=kind, save_all=True, append_images=pictures[1:], duration=durations, loop=0)


def _grid(images: NDArray[Any], value_range: tuple[float, float], n_columns: int | None) -> Image.Image:
    # small images are enlarged by a whole factor, so that their pixels stay square and sharp
    zoom = max(1, 32 // max(images.shape[2:]))
    picture = mosaic(images.repeat(zoom, axis=2).repeat(zoom, axis=3), value_range, n_columns, gap=2)
    pixels = np.pad(np.round(255 * np.nan_to_num(picture)).astype(np.uint8), ((1, 1), (1, 1), (0, 0)))
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _scatter_plots(frames: Sequence[NDArray[Any]], names: Sequence[Any], dpi: int) -> list[Image.Image]:
    """Draw points of two columns, all frames over the window of the last one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), layout="constrained", dpi=dpi)
    canvas: Any = FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel=str(names[0]), ylabel=str(names[1]))
    points = axes.scatter(frames[-1][:, 0], frames[-1][:, 1], s=4, alpha=0.5, linewidths=0)
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    pictures = []
    for frame in frames:
        points.set_offsets(frame)
        canvas.draw()
        pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    return pictures
