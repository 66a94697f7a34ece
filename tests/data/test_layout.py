"""Channels first or last: told apart by the shape, or asked for; what goes in comes out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ncsn.data import Encoding, Rows, load, save_samples
from ncsn.data.layout import has_channels_last
from ncsn.errors import DataError, SettingError


@pytest.mark.parametrize(
    ("shape", "last"),
    [
        ((28, 28), False),
        ((28, 28, 1), True),
        ((1, 28, 28), False),
        ((32, 48, 3), True),
        ((3, 32, 48), False),
        ((64, 64, 4), True),
        ((4, 64, 64), False),
        ((2, 16, 16), False),
        ((16, 16, 2), False),
        ((3, 5, 4), False),
        ((1, 4, 3), False),
        ((5, 5, 3), True),
        ((6, 3, 3), False),
        ((3, 8, 8, 8), False),
    ],
)
def test_shapes_that_say_it(shape: tuple[int, ...], last: bool) -> None:
    assert has_channels_last(shape) == last


@pytest.mark.parametrize("shape", [(4, 8, 3), (3, 8, 1), (3, 5, 3), (1, 9, 1), (4, 4, 4), (3, 3, 4)])
def test_shapes_that_do_not_are_refused_unless_it_is_said(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"may have their channels first or last: say which by --channels, by load\("):
        has_channels_last(shape)
    assert has_channels_last(shape, "last") and not has_channels_last(shape, "first")
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
    with pytest.raises(DataError, match=r"Rows\(X, channels='last'\)"):
        Encoding.fit(images)
    rows = Encoding.fit(Rows(images, channels="last"))
    assert rows.shape == (shape[2], *shape[:2]) and rows.data_shape == shape
    assert Encoding.fit(Rows(images, channels="first")).shape == shape


def test_channels_are_said_of_what_has_some() -> None:
    with pytest.raises(DataError, match=r"images of shape \(8, 8\) have no axis of channels, so channels='last'"):
        has_channels_last((8, 8), "last")
    with pytest.raises(SettingError, match="channels must be 'first' or 'last', not 'none'"):
        has_channels_last((8, 8, 3), "none")


@pytest.mark.parametrize("convert", [lambda x: x, torch.from_numpy], ids=["array", "tensor"])
def test_images_with_channels_last_become_rows_with_channels_first_and_come_back(convert: Any) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (20, 6, 7, 3), dtype=np.uint8)
    data = convert(images)
    encoding = Encoding.fit(data)
    rows = encoding.encode(data)
    assert encoding.shape == tuple(rows.shape[1:]) == (3, 6, 7)
    assert encoding.data_shape == (6, 7, 3)
    standard = (images - images.mean()) / images.std()
    np.testing.assert_allclose(rows, standard.transpose(0, 3, 1, 2), rtol=1e-12)
    np.testing.assert_allclose(
        encoding.image_rows(torch.from_numpy(images)), standard.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6
    )
    for known in (encoding, Encoding.from_dict(json.loads(json.dumps(encoding.to_dict())))):
        back: Any = known.decode(rows)
        assert type(back) is type(data)
        assert back.dtype == data.dtype
        np.testing.assert_array_equal(back, images)
    mask = torch.from_numpy(generator.random((20, 6, 7, 3)) < 0.5)
    np.testing.assert_array_equal(encoding.known(mask), mask.permute(0, 3, 1, 2))
    # by autograd: a function of the rows, as one of the data
    values = encoding.values(data).requires_grad_()
    weights = torch.from_numpy(generator.standard_normal((20, 3, 6, 7)))
    (expected,) = torch.autograd.grad((encoding.rows(values) * weights).sum(), values)
    torch.testing.assert_close(encoding.gradient(values.detach(), weights), expected)
    assert encoding.log_gain(values.detach(), rows)[0] == pytest.approx(-126 * np.log(images.std()))


def test_an_array_in_a_file_and_said_channels(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", images)
    data = load(tmp_path / "a.npy", channels="last").values
    assert isinstance(data, Rows) and data.shape == images.shape
    assert Encoding.fit(data).shape == (3, 4, 8)
    np.testing.assert_array_equal(Encoding.fit(data).decode(Encoding.fit(data).encode(data)), images)
    (tmp_path / "b.csv").write_text("a,b\n1,2\n3,5\n")
    for where in (tmp_path / "b.csv", "digits"):
        with pytest.raises(DataError, match="--size and --channels is for images from files, and these are none"):
            load(where, channels="first", size=8)
    with pytest.raises(SettingError, match="channels must be"):
        load(tmp_path / "a.npy", channels="both")


def test_a_grid_shows_channels_last_and_8_bits_by_one_range(tmp_path: Path) -> None:
    images = np.full((1, 40, 40, 3), (255, 128, 64), dtype=np.uint8)
    save_samples(images, tmp_path / "a.png")
    assert np.asarray(Image.open(tmp_path / "a.png"))[5, 5].tolist() == [255, 128, 64]
    save_samples(images.transpose(0, 3, 1, 2), tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "a.png").read_bytes()
