"""Images: folders of them, and masks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ncsn.data import load, load_mask
from ncsn.errors import DataError


def test_folder_of_images(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    with pytest.raises(DataError, match="no image in this folder"):
        load(folder)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    for i in range(3):
        Image.fromarray(pixels[i, ..., 0]).save(folder / f"{i}.png")
    (folder / "notes.txt").write_text("not an image")
    data = load(folder)
    assert data.name == "pictures" and data.values.shape == (3, 1, 5, 4) and data.values.dtype == np.float32
    np.testing.assert_allclose(data.values[:, 0] * 255, pixels[..., 0], atol=1e-4)
    with pytest.raises(DataError, match="images carry no labels"):
        load(folder, label="kind")
    Image.fromarray(pixels[1]).save(folder / "1.png")
    values = load(folder).values
    assert values.shape == (3, 3, 5, 4)
    np.testing.assert_allclose(values[1].transpose(1, 2, 0) * 255, pixels[1], atol=1e-4)
    assert np.array_equal(values[0, 0], values[0, 2])
    Image.fromarray(pixels[0, :, :3]).save(folder / "2.png")
    with pytest.raises(DataError, match=r"0\.png is 4 x 5 pixels, 2\.png is 3 x 5; resize all images"):
        load(folder)
    (folder / "2.png").write_bytes((folder / "1.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"2\.png: cannot be read as an image"):
        load(folder)
    Image.fromarray(pixels[0, ..., 0].astype(np.uint16)).save(folder / "2.png")
    with pytest.raises(DataError, match="not an 8-bit image"):
        load(folder)
    for i in (1, 2):
        (folder / f"{i}.png").unlink()
    with pytest.raises(DataError, match="pictures: 1 row; at least 2"):
        load(folder)


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
    for name in ("missing.npy", "broken.png"):
        with pytest.raises(DataError, match="cannot be read as a mask"):
            load_mask(tmp_path / name)
