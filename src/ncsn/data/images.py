"""Images: folders of them, masks, and grids of samples."""

import math
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ncsn.data.dataset import Dataset
from ncsn.data.layout import USUAL_CHANNELS
from ncsn.data.pictures import DAMAGED, Pile, Reading
from ncsn.errors import DataError

_ENDINGS = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))

_GRID = 400

FOLDER = "folder"
"""The label of images whose sub-folders are their classes."""


def read_images(path: Path, label: str | None, gaps: bool, reading: Reading) -> Dataset:
    """Read a folder of images, those of its sub-folders too; see `load`.

    Raises:
        DataError: There is none, files cannot be read, sizes differ, or the labels are not the sub-folders.
    """
    files = _files(path)
    if not files:
        raise DataError(f"{path}: no image in this folder (known endings: {' '.join(sorted(_ENDINGS))})")
    classes = [file.relative_to(path).parts[0] if file.parent != path else None for file in files]
    named = label == FOLDER
    if label is not None and not named and not gaps:
        raise DataError(
            f"{path}: images carry no labels called {label!r}; put each class into a sub-folder of its name, and ask for the "
            f"label {FOLDER!r}"
        )
    if named and None in classes and not gaps:
        stray = files[classes.index(None)].name
        raise DataError(f"{path}: {stray} lies in no sub-folder, so it has no class; move it, or leave the label out")
    pile = Pile(len(files), reading)
    for file in files:
        pile.read(str(file), file)
    images, notes = pile.images(str(path)), tuple(pile.notes())
    folders = len({name for name in classes if name is not None})
    if folders and not named:
        notes = (
            f"images of {folders} sub-folder{'s' if folders > 1 else ''}; the label {FOLDER!r} makes them classes",
            *notes,
        )
    labels = np.array(classes) if named and None not in classes else None
    return Dataset(path.name, images, labels, None if labels is None else FOLDER, notes=notes)


def _files(path: Path) -> list[Path]:
    """Return the images in a folder, in order; what begins with a dot is left out, folders with all that they hold."""
    files = (file for file in path.rglob("*") if file.suffix.lower() in _ENDINGS and file.is_file())
    return sorted(file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts))


def load_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Read which values of a row are known from an image or an ``.npy`` array.

    Args:
        path: An 8-bit image, white (128 and above) where values are known, or an array of booleans, zeros and ones.

    Returns:
        Booleans, True where known, of the image's or the array's shape.

    Raises:
        DataError: The file is missing, damaged or holds other numbers.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in _ENDINGS:
            with Image.open(path) as image:
                return np.asarray(image.convert("L")) >= 128
        values = np.load(path, allow_pickle=False)
    except DAMAGED as error:
        raise DataError(f"{path}: cannot be read as a mask ({error}); give an image or an .npy array") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise DataError(f"{path}: a mask holds booleans, or zeros and ones, and nothing else")
    return values.astype(bool)


def draw_grid(path: Path, file: IO[bytes], samples: NDArray[Any], value_range: tuple[float, float] | None) -> None:
    """Draw the first 400 images ``(N, H, W)``, ``(N, C, H, W)`` or ``(N, H, W, C)`` in a grid, as a PNG file.

    Black and white are the ``value_range``, which of 8-bit images is 0 to 255, and of others their extremes, when None.

    Raises:
        DataError: They are no grey or colour images, or not finite.
    """
    images = samples[:, None] if samples.ndim == 3 else samples
    if images.ndim == 4 and images.shape[1] not in USUAL_CHANNELS:
        images = np.moveaxis(images, -1, 1)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(
            f"{path}: .png shows two columns, or grey or colour images, not shape {samples.shape}; use .npy"
        )
    value_range = value_range or ((0, 255) if images.dtype == np.uint8 else None)
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
