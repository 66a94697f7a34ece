"""Images: masks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ncsn.data import load_mask
from ncsn.errors import DataError


def test_masks_come_from_images_and_arrays(tmp_path: Path) -> None:
    known = np.array([[True, False, True], [False, False, True]])
    Image.fromarray((255 * known).astype(np.uint8)).save(tmp_path / "mask.png")
    np.save(tmp_path / "mask.npy", known.astype(float))
    for name in ("mask.png", "mask.npy"):
        np.testing.assert_array_equal(load_mask(tmp_path / name), known)
    np.save(tmp_path / "half.npy", np.array([0.5, 1.0]))
    with pytest.raises(DataError, match="a mask holds booleans, or zeros and ones, and nothing else"):
        load_mask(tmp_path / "half.npy")
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + b"(" * 117 + b"\n")
    for name, message in {
        "missing.npy": "no such file or folder",
        "broken.png": "cannot be read as a mask, it may be damaged",
        "broken.npy": "cannot be read as a mask, an image or an .npy array, it may be damaged",
    }.items():
        with pytest.raises(DataError, match=message):
            load_mask(tmp_path / name)
