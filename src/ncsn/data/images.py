"""Images: folders of them, and masks."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ncsn.data.dataset import Dataset
from ncsn.errors import DataError

_ENDINGS = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))


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
