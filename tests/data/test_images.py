"""Images: grids, plots of points, and masks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ncsn.data import load_mask, save_samples, swiss_roll
from ncsn.errors import DataError

from .common import seeded


def test_png_grid_shows_the_images(tmp_path: Path) -> None:
    images = np.zeros((5, 8, 8))
    images[1, 2, 3] = 1
    save_samples(images, tmp_path / "a.png")
    shown = np.asarray(Image.open(tmp_path / "a.png"))
    # Three across, two down; each is enlarged four times, with a border of one pixel.
    assert shown.shape == (2 * 34, 3 * 34) and shown.sum() == 16 * 255
    assert (shown[1 + 8 : 1 + 12, 34 + 1 + 12 : 34 + 1 + 16] == 255).all()
    save_samples(np.full((1, 1, 40, 40), 3.0), tmp_path / "a.png", value_range=(0, 6))
    assert np.asarray(Image.open(tmp_path / "a.png"))[1:-1, 1:-1].tolist() == np.full((40, 40), 128).tolist()
    colour = np.zeros((2, 3, 32, 32))
    colour[:, 1] = 1
    save_samples(colour, tmp_path / "a.png")
    assert np.asarray(Image.open(tmp_path / "a.png"))[5, 5].tolist() == [0, 255, 0]
    save_samples(np.zeros((500, 2, 2)), tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").size == (20 * 34, 20 * 34)


def test_png_of_two_columns_is_a_scatter_plot(tmp_path: Path) -> None:
    save_samples(swiss_roll(100, seeded()), tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").size == (900, 900)
    for shape in ((5, 3), (5, 2, 8, 8), (5, 1)):
        with pytest.raises(DataError, match="shows two columns, or grey or colour images"):
            save_samples(np.zeros(shape), tmp_path / "b.png")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


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
