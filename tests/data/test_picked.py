"""Rows that are read when they are asked for, against NumPy's own indexing; data in parts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ncsn.data import Dataset, Encoding, Rows, check_values, load, split
from ncsn.data.picked import chunks
from ncsn.errors import DataError, SettingError

from .common import loaded

ARRAY = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 6), dtype=np.uint8)


class Counting:
    """An array that remembers which rows were read."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.read = 0

    def __getitem__(self, key: Any) -> Any:
        part = self.array[key]
        self.read += part.size // self.array[0].size
        return part


def test_rows_are_indexed_like_the_array_and_read_no_more() -> None:
    source = Counting(ARRAY)
    rows = Rows(source)
    mask = np.arange(40) % 3 == 0
    keys = [7, -1, slice(3, 30, 4), [5, 5, 0], np.array([39, 2]), mask, torch.tensor([4, 1]), torch.from_numpy(mask)]
    for key in keys:
        np.testing.assert_array_equal(rows[key], ARRAY[key.numpy() if isinstance(key, torch.Tensor) else key])
    assert source.read == 1 + 1 + 7 + 3 + 2 + 14 + 2 + 14
    assert rows.shape == ARRAY.shape and rows.ndim == 4 and rows.dtype == np.uint8 and len(rows) == 40


def test_picks_of_picks_compose() -> None:
    source = Counting(ARRAY)
    mask = np.arange(20) % 2 == 1
    picked = Rows(source, channels="first").pick(np.arange(39, -1, -2)).pick(mask).pick([3, 0, 0])
    expected = ARRAY[39::-2][mask][[3, 0, 0]]
    assert source.read == 0 and picked.shape == (3, 3, 5, 6) and picked.channels == "first"
    np.testing.assert_array_equal(np.asarray(picked), expected)
    np.testing.assert_array_equal(np.asarray(picked, dtype=np.float64), expected.astype(np.float64))
    np.testing.assert_array_equal(picked[1:], expected[1:])
    np.testing.assert_array_equal(picked[np.array([True, False, True])], expected[[0, 2]])
    assert repr(picked) == "Rows((3, 3, 5, 6), uint8)"


def test_channels_are_first_or_last() -> None:
    with pytest.raises(SettingError, match="channels must be 'first' or 'last', not 'middle'"):
        Rows(ARRAY, channels="middle")


@pytest.mark.parametrize("convert", [lambda x: x, torch.from_numpy, Rows], ids=["array", "tensor", "rows"])
def test_parts_are_whole_rows_of_about_a_size_and_make_up_the_data(convert: Any) -> None:
    parts = list(chunks(convert(ARRAY), 1000))
    assert [len(part) for part in parts] == [11, 11, 11, 7] and parts[0].dtype == np.uint8
    np.testing.assert_array_equal(np.concatenate(parts), ARRAY)
    # rows longer than that come one by one
    assert [len(part) for part in chunks(convert(ARRAY), 10)] == [1] * 40


def test_parts_of_half_precision_are_in_single() -> None:
    halves = torch.tensor([[0.1, 2.0]], dtype=torch.bfloat16)
    (part,) = chunks(halves)
    assert part.dtype == np.float32 and part.tolist() == halves.float().tolist()


def test_images_of_an_npy_file_are_mapped_and_split_without_reading_them(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAY)
    np.save(tmp_path / "table.npy", ARRAY.reshape(40, -1))
    data: Dataset = loaded(tmp_path / "a.npy")
    assert isinstance(data.values, np.memmap) and not isinstance(loaded(tmp_path / "table.npy").values, np.memmap)
    parts, plain = split(data.values, np.arange(40) % 4), split(ARRAY, np.arange(40) % 4)
    assert isinstance(parts.train, Rows) and parts.train.source is data.values
    for of, like in ((parts.train, plain.train), (parts.held_out, plain.held_out)):
        np.testing.assert_array_equal(np.asarray(of), like)
    np.testing.assert_array_equal(parts.train_labels, plain.train_labels)
    # a part can be split again
    np.testing.assert_array_equal(np.asarray(split(parts.train).held_out), split(plain.train).held_out)
    one, other = Encoding.fit(parts.train), Encoding.fit(plain.train)
    assert one.fits(other) and one.columns == other.columns and one.container.dtypes == ("uint8",)
    assert torch.equal(one.encode(parts.held_out), other.encode(plain.held_out))
    # nothing that was done has changed the file
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), ARRAY)


@pytest.mark.parametrize("gaps", [False, True])
def test_the_first_bad_value_is_named_across_parts(gaps: bool) -> None:
    images = np.zeros((600, 2, 50, 50), np.float32)
    images[520, 1, 3, 3], images[599, 0, 0, 0] = np.inf, -np.inf
    if gaps:
        images[3, 0, 0, 0] = np.nan
    for values in (images, Rows(images), torch.from_numpy(images)):
        with pytest.raises(DataError, match=r"^X: 2 cells are missing or infinite, the first in row 521; fill them"):
            check_values("X", values, gaps=gaps)


def test_an_empty_array_of_images_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 4, 4)))
    with pytest.raises(DataError, match="0 rows; at least 2 are needed"):
        load(tmp_path / "a.npy")
