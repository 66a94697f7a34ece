"""Images: folders of them, masks, and grids of samples."""

import math
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ncsn.data.dataset import Dataset
from ncsn.errors import DataError

_ENDINGS = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))

_GRID = 400


def read_images(path: Path, label: str | None, gaps: bool) -> Dataset:
    """Read a folder of 8-bit images of one size; see `load`.

    Raises:
        DataError: A file is no image or of another size, or labels are asked for.
    """
    if label is not None and not gaps:
        raise DataError(f"{path}: images carry no labels; save them with their labels in an .npz file")
    images: list[Image.Image] = []
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in _ENDINGS)
    if not files:
        raise DataError(f"{path}: no image in this folder (known endings: {' '.join(sorted(_ENDINGS))})")
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
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as a mask ({error}); give an image or an .npy array") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise DataError(f"{path}: a mask holds booleans, or zeros and ones, and nothing else")
    return values.astype(bool)


def draw_grid(path: Path, file: IO[bytes], samples: NDArray[Any], value_range: tuple[float, float] | None) -> None:
    """Draw the first 400 images ``(N, H, W)`` or ``(N, C, H, W)`` in a grid, as a PNG file.

    Raises:
        DataError: They are no grey or colour images, or not finite.
    """
    images = samples[:, None] if samples.ndim == 3 else samples
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(
            f"{path}: .png shows two columns, or grey or colour images, not shape {samples.shape}; use .npy"
        )
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
