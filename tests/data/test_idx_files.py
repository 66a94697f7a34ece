"""IDX files, written by hand as MNIST's page describes them."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncsn.data import load
from ncsn.errors import DataError

from .common import loaded

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 5, 6), dtype=np.uint8)
LABELS = np.array([5, 0, 4, 1, 9, 2, 1], dtype=np.uint8)


def write(path: Path, array: Any, code: int = 8, kind: str = ">u1", cut: int = 0) -> Path:
    content = struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    content += array.astype(kind).tobytes()
    content = content[: len(content) - cut]
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("other", ["", ".gz"])
def test_images_with_the_labels_beside_them(tmp_path: Path, ending: str, other: str) -> None:
    path = write(tmp_path / f"train-images-idx3-ubyte{ending}", IMAGES)
    data = loaded(path)
    assert data.name == "train-images" and data.values.dtype == np.uint8 and data.labels is None
    np.testing.assert_array_equal(data.values, IMAGES)
    with pytest.raises(DataError, match="no file of its labels beside it, train-labels-idx1-ubyte"):
        load(path, label="labels")
    assert load(path, label="labels", gaps=True).labels is None
    write(tmp_path / f"train-labels-idx1-ubyte{other}", LABELS)
    labelled = loaded(path, label="labels")
    np.testing.assert_array_equal(labelled.labels, LABELS)
    assert labelled.label_name == "labels"
    with pytest.raises(DataError, match="the labels of an IDX file are called 'labels', not 'digit'"):
        load(path, label="digit")
    write(tmp_path / f"train-labels-idx1-ubyte{other}", LABELS[:3])
    with pytest.raises(DataError, match=r"labels of shape \(3,\) for 7 images; one each is needed"):
        load(path, label="labels")


def test_numbers_of_other_types_come_in_the_machines_order(tmp_path: Path) -> None:
    values = np.arange(-3, 9).reshape(3, 2, 2)
    for code, kind in ((9, ">i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")):
        data = loaded(write(tmp_path / "some.idx3-any", values, code, kind))
        assert data.values.dtype == np.dtype(kind).newbyteorder("=") and data.name == "some"
        np.testing.assert_array_equal(data.values, values)


def test_what_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a-images-idx3-ubyte"
    with pytest.raises(DataError, match=r"225 bytes do not hold values of shape \(7, 5, 6\); the file may be cut off"):
        load(write(path, IMAGES, cut=1))
    with pytest.raises(DataError, match="no IDX file, which begins with two zeros, a type and a number of axes"):
        load(write(path, IMAGES, code=7))
    path.write_bytes(b"\0\0\x08\x03\0\0")
    with pytest.raises(DataError, match="cannot be read as an IDX file, it may be damaged"):
        load(path)
    packed = write(tmp_path / "b-images-idx3-ubyte.gz", IMAGES)
    packed.write_bytes(packed.read_bytes()[:50])
    with pytest.raises(DataError, match="cannot be read as an IDX file, it may be damaged"):
        load(packed)
