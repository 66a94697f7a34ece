"""Pictures of samples: grids of images, plots of points, animations, and what is black and white."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from ncsn.data import Encoding, save_samples, swiss_roll
from ncsn.data.grids import as_images, mosaic, value_range_of
from ncsn.errors import DataError, SettingError

from .common import seeded


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[[3, 200]]], dtype=np.uint8), (0, 255)),
        (torch.tensor([[[3, 200]]], dtype=torch.uint8), (0, 255)),
        (np.array([[[3, 200]]]), (3, 200)),
        (torch.tensor([[[-0.5, 0.25]]]), (-0.5, 0.25)),
        ([[[1.5, 4.0]]], (1.5, 4)),
    ],
)
def test_black_and_white_are_the_data_s(values: Any, expected: tuple[float, float]) -> None:
    assert value_range_of(values) == expected
    encoding = Encoding.fit(values)
    assert encoding.value_range == expected
    assert Encoding.from_dict(encoding.to_dict()).value_range == expected
    # what an earlier version wrote does not know it
    old = encoding.to_dict()
    del old["value_range"]
    assert Encoding.from_dict(old).value_range is None


def test_rows_have_no_black_and_white() -> None:
    assert Encoding.fit(np.arange(6.0).reshape(3, 2)).value_range is None


def test_channels_come_first_or_last() -> None:
    images = np.random.default_rng(0).random((4, 5, 6, 3))
    np.testing.assert_array_equal(as_images(images), images.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(as_images(images[..., :1])[:, 0], images[..., 0])
    np.testing.assert_array_equal(as_images(images[..., 0])[:, 0], images[..., 0])
    first = images.transpose(0, 3, 1, 2)
    assert as_images(first) is first
    with pytest.raises(DataError, match=r"with C = 1 or 3, not \(4, 5, 6, 2\)"):
        as_images(images[..., :2])


def test_a_mosaic_has_gaps_and_is_cut_off_at_black_and_white() -> None:
    images = np.array([-5.0, 0.0, 2.0, 4.0, 9.0]).reshape(5, 1, 1, 1)
    picture = mosaic(images, (0, 4), 2, gap=1)[..., 0]
    gap = np.nan
    expected = [[0, gap, 0], [gap] * 3, [0.5, gap, 1], [gap] * 3, [1, gap, gap]]
    np.testing.assert_array_equal(picture, expected)
    assert mosaic(images, (0, 4), 5).shape == (1, 9, 1)
    with pytest.raises(SettingError, match="n_columns must be a whole number of at least 1, not 0"):
        mosaic(images, (0, 4), 0)


def test_8_bit_images_are_shown_as_they_are(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(100, 150, (2, 40, 50, 3), dtype=np.uint8)
    save_samples(images, tmp_path / "a.png", n_columns=2)
    shown = np.asarray(Image.open(tmp_path / "a.png"))
    assert shown.shape == (42, 104, 3)
    np.testing.assert_array_equal(shown[1:41, 1:51], images[0])
    np.testing.assert_array_equal(shown[1:41, 53:103], images[1])


def frames_of(path: Path) -> list[Any]:
    with Image.open(path) as animation:
        assert animation.info["loop"] == 0
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(animation)]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_animation_shows_every_state_in_one_range_of_grey(tmp_path: Path, channels: int) -> None:
    samples = np.zeros((3, channels, 32, 32))
    samples[:, :, :16] = 4
    walk = [noise * np.ones_like(samples) + samples * (noise < 4) for noise in (9.0, 4.0, 2.0, 0.0)]
    save_samples(torch.from_numpy(samples), tmp_path / "a.gif", walk=walk, value_range=(0, 8), n_columns=3)
    frames = frames_of(tmp_path / "a.gif")
    assert {frame.shape for frame in frames} == {(34, 3 * 34, 3)}
    # the upper and the lower half of an image, from 0 to 255 for 0 to 8
    assert [frame[5, 5].tolist() for frame in frames] == [[v] * 3 for v in (255, 128, 191, 128)]
    assert [frame[25, 5].tolist() for frame in frames] == [[v] * 3 for v in (255, 128, 64, 0)]
    with Image.open(tmp_path / "a.gif") as animation:
        first = animation.info["duration"]
        animation.seek(len(frames) - 1)
        assert animation.info["duration"] > 10 * first


def test_points_are_animated_over_the_window_of_the_last_ones(tmp_path: Path) -> None:
    samples = np.array([[-1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    walk = [50 + samples, samples]
    save_samples(samples, tmp_path / "a.gif", walk=walk)
    far, near = frames_of(tmp_path / "a.gif")
    assert far.shape == (480, 480, 3)
    blue = [(frame[..., 2] > frame[..., 0].astype(int) + 40).sum() for frame in (far, near)]
    assert blue[0] == 0
    assert blue[1] > 5
    # without a walk it stands still
    save_samples(samples, tmp_path / "b.gif")
    with Image.open(tmp_path / "b.gif") as still:
        assert getattr(still, "n_frames", 1) == 1


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
    # all that are given, in rows of any length
    save_samples(np.zeros((500, 2, 2)), tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").size == (23 * 34, 22 * 34)
    save_samples(np.zeros((500, 2, 2)), tmp_path / "a.png", n_columns=100)
    assert Image.open(tmp_path / "a.png").size == (100 * 34, 5 * 34)


def test_png_of_two_columns_is_a_scatter_plot(tmp_path: Path) -> None:
    save_samples(swiss_roll(100, seeded()), tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").size == (900, 900)
    for shape in ((5, 3), (5, 2, 8, 8), (5, 1), (5, 8, 8, 4)):
        with pytest.raises(DataError, match="shows two columns, or grey or colour images"):
            save_samples(np.zeros(shape), tmp_path / "b.png")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
