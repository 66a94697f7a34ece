"""IDX files, the format of MNIST: images in one file, and their labels in another beside it."""

from __future__ import annotations

import gzip
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncsn.data.dataset import Dataset
from ncsn.data.pictures import Reading, prepared
from ncsn.errors import DataError

LABELS = "labels"
"""The label of images whose classes are in a file beside them."""

_NAME = re.compile(r"[.-]idx\d-\w+(\.gz)?$", re.IGNORECASE)
_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def is_idx(path: Path) -> bool:
    """Return whether a file has such a name, as ``train-images-idx3-ubyte`` and ``train-images-idx3-ubyte.gz``."""
    return _NAME.search(path.name) is not None


def read_idx(path: Path, label: str | None, gaps: bool, reading: Reading) -> Dataset:
    """Read images, and on the label ``labels`` the classes in the file whose name has ``labels`` and ``idx1`` in it instead.

    Raises:
        DataError: A file is damaged or missing, or another label is asked for.
    """
    if label not in (None, LABELS) and not gaps:
        raise DataError(f"{path}: the labels of an IDX file are called {LABELS!r}, not {label!r}")
    values, notes = prepared(str(path), _array(path), reading)
    labels = None
    if label == LABELS:
        beside = path.with_name(re.sub(r"idx\d", "idx1", path.name.replace("images", "labels")))
        others = (beside, beside.with_suffix("") if beside.suffix == ".gz" else beside.with_name(f"{beside.name}.gz"))
        found = next((other for other in others if other != path and other.is_file()), None)
        if found is None and not gaps:
            raise DataError(
                f"{path}: no file of its labels beside it, {beside.name}; leave the label out, or put it there"
            )
        labels = None if found is None else _array(found)
        if labels is not None and labels.shape != values.shape[:1]:
            raise DataError(f"{found}: labels of shape {labels.shape} for {len(values)} images; one each is needed")
    return Dataset(_NAME.sub("", path.name), values, labels, None if labels is None else LABELS, notes=notes)


def _array(path: Path) -> NDArray[Any]:
    """Return the array of a file, in the machine's own order of bytes."""
    content = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES or not content[3]:
        raise DataError(f"{path}: no IDX file, which begins with two zeros, a type and a number of axes")
    dtype, axes = np.dtype(_TYPES[content[2]]), content[3]
    start = 4 + 4 * axes
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    if len(shape) != axes or len(content) != start + math.prod(shape) * dtype.itemsize:
        raise DataError(f"{path}: {len(content):,} bytes do not hold values of shape {shape}; the file may be cut off")
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
