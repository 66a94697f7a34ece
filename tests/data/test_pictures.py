"""Folders of pictures, with Pillow as the other side: sizes, colours, transparency, orientation, classes, damage."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ncsn.data import load
from ncsn.errors import DataError, SettingError

from .common import loaded

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 4, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    return folder


def save(path: Path, pixels: Any, mode: str | None = None, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels, dtype=np.uint8))
    (image if mode is None else image.convert(mode)).save(path, **options)


def test_grey_and_colour_in_8_bits(folder: Path) -> None:
    with pytest.raises(DataError, match="no image in this folder"):
        load(folder)
    for i in range(3):
        save(folder / f"{i}.png", PIXELS[i, ..., 0])
    (folder / "notes.txt").write_text("not an image")
    data = loaded(folder)
    assert data.name == "pictures" and data.values.dtype == np.uint8 and data.notes == () and data.labels is None
    np.testing.assert_array_equal(data.values, PIXELS[:3, None, :, :, 0])
    save(folder / "1.png", PIXELS[1])
    values = loaded(folder).values
    # one in colour makes all colour, those before it and those after it
    expected = [np.repeat(PIXELS[i, ..., :1], 3, axis=2) if i != 1 else PIXELS[1] for i in range(3)]
    np.testing.assert_array_equal(values, np.stack(expected).transpose(0, 3, 1, 2))
    for i in (1, 2):
        (folder / f"{i}.png").unlink()
    with pytest.raises(DataError, match="pictures: 1 row; at least 2"):
        load(folder)


def test_every_mode_becomes_what_pillow_shows(folder: Path) -> None:
    colour = Image.fromarray(PIXELS[0])
    for mode in ("1", "L", "P", "RGB", "CMYK", "YCbCr"):
        colour.convert(mode).save(folder / f"{mode}.tiff")
    values = loaded(folder).values
    for i, mode in enumerate(sorted(("1", "L", "P", "RGB", "CMYK", "YCbCr"))):
        np.testing.assert_array_equal(values[i].transpose(1, 2, 0), np.asarray(colour.convert(mode).convert("RGB")))


def test_sub_folders_are_classes_and_what_begins_with_a_dot_is_left_out(folder: Path) -> None:
    for i, name in enumerate(("cats/b.png", "dogs/a.png", "cats/more/a.png", "dogs/c.PNG")):
        save(folder / name, PIXELS[i])
    for name in ("._a.png", ".cache/a.png", "cats/.hidden.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"no image")
    data = loaded(folder, label="folder")
    assert data.labels.tolist() == ["cats", "cats", "dogs", "dogs"] and data.label_name == "folder" and data.notes == ()
    np.testing.assert_array_equal(data.values, PIXELS[[0, 2, 1, 3]].transpose(0, 3, 1, 2))
    plain = loaded(folder)
    assert plain.labels is None and plain.notes == ("images of 2 sub-folders; the label 'folder' makes them classes",)
    np.testing.assert_array_equal(plain.values, data.values)
    with pytest.raises(DataError, match=r"no labels called 'kind'; put each class into a sub-folder .* label 'folder'"):
        load(folder, label="kind")
    assert load(folder, label="kind", gaps=True).labels is None
    save(folder / "stray.png", PIXELS[0])
    with pytest.raises(DataError, match=r"stray\.png lies in no sub-folder, so it has no class"):
        load(folder, label="folder")
    assert len(load(folder, label="folder", gaps=True).values) == 5


def test_transparency_is_laid_on_a_colour_that_is_said(folder: Path) -> None:
    # hidden red, half-seen red, and opaque red
    alpha = np.array([[0, 128, 255]], dtype=np.uint8)
    red = np.zeros((1, 3, 4), dtype=np.uint8)
    red[..., 0], red[..., 3] = 255, alpha
    save(folder / "a.png", red)
    save(folder / "b.png", np.zeros((1, 3, 3)))
    data = loaded(folder)
    assert data.notes == ("1 image has transparency, laid on white",)
    np.testing.assert_allclose(
        data.values[0].transpose(1, 2, 0)[0], [[255, 255, 255], [255, 127, 127], [255, 0, 0]], atol=1
    )
    dark = loaded(folder, background="#000080")
    assert dark.notes == ("1 image has transparency, laid on #000080",)
    np.testing.assert_allclose(dark.values[0].transpose(1, 2, 0)[0], [[0, 0, 128], [128, 0, 64], [255, 0, 0]], atol=1)
    kept = loaded(folder, background="none")
    assert kept.notes == ("1 image has transparency, kept as a fourth channel",)
    np.testing.assert_array_equal(kept.values[0].transpose(1, 2, 0), red)
    assert kept.values[1, 3].tolist() == [[255, 255, 255]]
    with pytest.raises(SettingError, match=r"background must be a colour, such as white, '#ffcc00', or none .*'whit'"):
        load(folder, background="whit")


def test_transparency_of_grey_and_of_palettes(folder: Path) -> None:
    grey = np.stack([np.full((2, 2), 10), [[0, 255], [255, 0]]], axis=2)
    save(folder / "a.png", grey)
    image = Image.fromarray(np.array([[0, 1], [1, 1]], dtype=np.uint8), mode="P")
    image.putpalette([200, 0, 0, 0, 0, 0])
    image.save(folder / "c.png", transparency=0)
    assert loaded(folder, background="lime").values[:, :, 0, 0].tolist() == [[0, 255, 0], [0, 255, 0]]
    (folder / "c.png").unlink()
    save(folder / "b.png", np.full((2, 2), 7))
    values = loaded(folder).values
    assert values.shape == (2, 1, 2, 2) and values[0, 0].tolist() == [[255, 10], [10, 255]]
    # grey that lies on a colour is coloured
    assert loaded(folder, background="lime").values.shape == (2, 3, 2, 2)


def test_pictures_stand_upright_as_their_exif_data_say(folder: Path) -> None:
    turned = Image.Exif()
    # 6: to be shown turned a quarter clockwise
    turned[0x0112] = 6
    save(folder / "a.png", PIXELS[0], exif=turned)
    save(folder / "b.png", np.rot90(PIXELS[1], -1))
    values = loaded(folder).values
    np.testing.assert_array_equal(values[0].transpose(1, 2, 0), np.rot90(PIXELS[0], -1))


def test_mixed_sizes_are_refused_with_their_counts_or_cropped_and_resized(folder: Path) -> None:
    wide, tall = np.zeros((4, 8, 3)), np.zeros((12, 4, 3))
    # of the wide one the middle is kept, of the tall one the middle third
    wide[:, 2:6], tall[4:8] = (200, 100, 50), (20, 40, 60)
    for i, pixels in enumerate((wide, tall, tall)):
        save(folder / f"{i}.png", pixels)
    with pytest.raises(
        DataError, match=r"pictures: images of 2 sizes, 2 of 4 x 12, 1 of 8 x 4; --size 4x12 \(or size='4x12' of load\)"
    ):
        load(folder)
    data = loaded(folder, size=4)
    assert data.values.shape == (3, 3, 4, 4) and data.notes == ("cropped and resized to 4 x 4 pixels from 2 sizes",)
    assert (data.values[0] == np.array([200, 100, 50])[:, None, None]).all()
    assert (data.values[1] == np.array([20, 40, 60])[:, None, None]).all()
    assert loaded(folder, size="6x3").values.shape == (3, 3, 3, 6)
    for wrong in ("0", "32x", "x", "3.5", "32x32x3", "-4"):
        with pytest.raises(SettingError, match="size must be pixels, such as 32, or width and height, such as 32x48"):
            load(folder, size=wrong)


def test_resizing_is_pillows_lanczos(folder: Path) -> None:
    save(folder / "a.png", PIXELS[0])
    save(folder / "b.png", PIXELS[1])
    data = loaded(folder, size="8x10")
    expected = np.asarray(Image.fromarray(PIXELS[0]).resize((8, 10), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(data.values[0].transpose(1, 2, 0), expected)
    assert data.notes == ("cropped and resized to 8 x 10 pixels from 4 x 5",)
    assert loaded(folder, size="4x5").notes == ()


def test_of_several_pictures_in_a_file_the_first_is_taken_and_it_is_said(folder: Path) -> None:
    frames = [Image.fromarray(PIXELS[i, ..., 0]) for i in range(3)]
    frames[0].save(folder / "a.tiff", save_all=True, append_images=frames[1:])
    frames[1].save(folder / "b.tiff")
    data = loaded(folder)
    assert data.notes == ("1 file holds several pictures, of which the first is taken",)
    np.testing.assert_array_equal(data.values[0, 0], PIXELS[0, ..., 0])


def test_damaged_files_and_those_of_more_bits_are_named(folder: Path) -> None:
    for i in range(3):
        save(folder / f"{i}.png", PIXELS[i])
    content = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(content[:60])
    with pytest.raises(DataError, match=r"1\.png: cannot be read as an image; replace or remove it"):
        load(folder)
    (folder / "2.png").write_bytes(b"text")
    with pytest.raises(
        DataError, match=r"pictures: 2 files cannot be read as images \(.*1\.png, .*2\.png\); replace or rem"
    ):
        load(folder)
    for i in range(20, 30):
        (folder / f"{i}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"12 files cannot be read as images \(.* and 7 more\)"):
        load(folder)
    for file in folder.iterdir():
        file.unlink()
    save(folder / "1.png", PIXELS[0])
    for kind in (np.uint16, np.int32, np.float32):
        Image.fromarray(PIXELS[0, ..., 0].astype(kind)).save(folder / "2.tiff")
        with pytest.raises(
            DataError, match=r"2\.tiff: not an 8-bit image \(mode .*\); convert it, or save the pixels as"
        ):
            load(folder)


def test_no_file_stays_open(folder: Path) -> None:
    for i in range(4):
        save(folder / f"{i}.png", PIXELS[i])
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert len(load(folder).values) == 4
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_arrays_are_resized_and_laid_on_a_colour_too(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"

    def loaded_from(array: Any, **how: Any) -> Any:
        np.save(path, array) if ending == "npy" else np.savez(path, x=array)
        return loaded(path, **how)

    clear = np.concatenate([PIXELS, np.full((4, 5, 4, 1), 128, np.uint8)], axis=3)
    # five rows of four pixels with four channels: the height is more than the channels, the width is not
    clear = clear.repeat(2, axis=2)
    data = loaded_from(clear)
    assert data.notes == ("4 images have transparency, laid on white",) and data.values.shape == (4, 5, 8, 3)
    blended = np.round(PIXELS.repeat(2, axis=2) * (128 / 255) + 255 * (127 / 255))
    np.testing.assert_allclose(data.values, blended, atol=1)
    first = loaded_from(clear.transpose(0, 3, 1, 2), background="black").values
    np.testing.assert_allclose(first, np.round(PIXELS.repeat(2, axis=2).transpose(0, 3, 1, 2) * (128 / 255)), atol=1)
    np.testing.assert_array_equal(loaded_from(clear, background="none").values, clear)
    # four channels that are no 8-bit colours stay what they are
    np.testing.assert_array_equal(loaded_from(clear / 255.0).values, clear / 255.0)
    grey = PIXELS[..., 0]
    data = loaded_from(grey, size="8x10")
    expected = [np.asarray(Image.fromarray(image).resize((8, 10), Image.Resampling.LANCZOS)) for image in grey]
    np.testing.assert_array_equal(data.values, expected)
    assert data.notes == ("cropped and resized to 8 x 10 pixels from 4 x 5",)
    assert loaded_from(PIXELS.repeat(2, axis=2), size=4).values.shape == (4, 4, 4, 3)
    for odd in (grey.astype(np.float32), PIXELS[..., :2].transpose(0, 3, 1, 2)):
        with pytest.raises(DataError, match="--size is for 8-bit images in grey or colour, not for"):
            loaded_from(odd, size=2)
    # what has that size already needs no resizing
    assert loaded_from(grey.astype(np.float32), size="4x5").values.dtype == np.float32


def test_what_has_more_than_8_bits_is_said_or_refused(folder: Path) -> None:
    """Colours of a PNG in 16 bits, written by hand: Pillow reads the upper byte of each, and does not say so."""
    values = np.random.default_rng(1).integers(0, 2**16, (2, 5, 4, 3)).astype(">u2")

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    for i, image in enumerate(values):
        lines = b"".join(b"\0" + line.tobytes() for line in image)
        header = (4).to_bytes(4, "big") + (5).to_bytes(4, "big") + b"\x10\x02\0\0\0"
        chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
        (folder / f"{i}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    data = loaded(folder)
    np.testing.assert_array_equal(data.values, (values >> 8).transpose(0, 3, 1, 2))
    assert data.notes == ("2 images have colours in 16 bits, of which the upper 8 are taken",)
    Image.fromarray(values[0, ..., 0].astype(np.uint16)).save(folder / "2.png")
    with pytest.raises(DataError, match=r"2\.png: not an 8-bit image \(mode I;16\); convert it, or save the pixels"):
        load(folder)
    Image.new("LAB", (4, 5)).save(folder / "2.tiff")
    (folder / "2.png").unlink()
    with pytest.raises(DataError, match=r"2\.tiff: not an 8-bit image \(mode LAB\)"):
        load(folder)
