"""Images: folders of them, and masks."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ncsn.data.dataset import Dataset
from ncsn.data.faults import found, library_reads
from ncsn.data.pictures import Pile, Reading, within_limits
from ncsn.errors import DataError

_ENDINGS = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))

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
    path = found(path)
    if path.suffix.lower() in _ENDINGS:
        with library_reads(path, "a mask"), within_limits(path), Image.open(path) as image:
            return np.asarray(image.convert("L")) >= 128
    with library_reads(path, "a mask, an image or an .npy array"):
        values = np.load(path, allow_pickle=False)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise DataError(f"{path}: a mask holds booleans, or zeros and ones, and nothing else")
    return values.astype(bool)
