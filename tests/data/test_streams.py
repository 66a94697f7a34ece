"""Data sets of torch read like arrays, and iterables of batches."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from ncsn.data import Encoding, Items, Rows, Stream, as_data, split
from ncsn.errors import DataError, SettingError

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(30) % 4


class Listed(Dataset[Any]):
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, position: int) -> Any:
        return self.items[position]


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        while True:
            yield from zip(IMAGES, LABELS, strict=True)


ITEMS = {
    "arrays": Listed(list(IMAGES)),
    "tensors": TensorDataset(torch.from_numpy(IMAGES)),
    "pairs": TensorDataset(torch.from_numpy(IMAGES), torch.from_numpy(LABELS)),
    "pictures": Listed([(Image.fromarray(image), int(label)) for image, label in zip(IMAGES, LABELS, strict=True)]),
    "subset": Subset(TensorDataset(torch.from_numpy(np.concatenate([IMAGES, IMAGES]))), range(30, 60)),
}


@pytest.mark.parametrize("items", ITEMS.values(), ids=ITEMS)
def test_a_data_set_is_read_like_the_array_of_its_images(items: Any) -> None:
    rows = as_data(items)
    assert isinstance(rows, Rows) and rows.shape == IMAGES.shape and rows.dtype == np.uint8
    for key in (3, slice(2, 20, 5), [7, 7, 1], LABELS == 2):
        np.testing.assert_array_equal(rows[key], IMAGES[key])
    parts, plain = split(rows, LABELS), split(IMAGES, LABELS)
    np.testing.assert_array_equal(np.asarray(parts.held_out), plain.held_out)
    one, other = Encoding.fit(items, LABELS), Encoding.fit(IMAGES, LABELS)
    assert one.fits(other) and one.columns == other.columns
    assert torch.equal(one.encode(items), other.encode(IMAGES))


def test_palettes_are_colours() -> None:
    picture = Image.fromarray(IMAGES[0]).convert("P")
    np.testing.assert_array_equal(Items(Listed([picture]))[0], np.asarray(picture.convert("RGB")))


def test_labels_of_a_data_set() -> None:
    for name in ("pairs", "pictures"):
        np.testing.assert_array_equal(Items(ITEMS[name]).labels(), LABELS)
    with pytest.raises(DataError, match=r"no pairs \(image, label\), so there are no labels"):
        Items(ITEMS["arrays"]).labels()


def test_items_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="the data set has no item"):
        as_data(Listed([]))
    with pytest.raises(DataError, match=r"the first item of the data set is dict, no image, nor \(image, label\)"):
        as_data(Listed([{"image": IMAGES[0]}]))
    rows = as_data(Listed([*IMAGES[:3], IMAGES[3][:5]]))
    with pytest.raises(
        DataError, match=r"item 3 of the data set has shape \(5, 5, 3\), the first \(6, 5, 3\); resize all"
    ):
        np.asarray(rows)


BATCHED = {
    "list": [(IMAGES[i : i + 7], LABELS[i : i + 7]) for i in range(0, 30, 7)],
    "loader": DataLoader(ITEMS["pairs"], batch_size=7),
}


@pytest.mark.parametrize("batched", BATCHED.values(), ids=BATCHED)
def test_a_stream_gives_first_rows_and_batches_again_and_again(batched: Any) -> None:
    stream = Stream(batched, labels=True)
    for n in (4, 20, 9, 100):
        first = stream.first(n)
        np.testing.assert_array_equal(first.images, IMAGES[:n])
        np.testing.assert_array_equal(first.labels, LABELS[:n])
    for _ in range(2):
        batches = list(stream.batches())
        assert [len(batch.images) for batch in batches] == [7, 7, 7, 7, 2]
        np.testing.assert_array_equal(np.concatenate([batch.images for batch in batches]), IMAGES)
        np.testing.assert_array_equal(np.concatenate([batch.labels for batch in batches]), LABELS)
    assert next(Stream(batched).batches()).labels is None
    assert Encoding.fit(stream).fits(Encoding.fit(IMAGES, LABELS))
    assert Encoding.fit(Stream(batched)).fits(Encoding.fit(IMAGES))


def test_of_what_has_no_end_the_first_rows_stand_for_all() -> None:
    stream = as_data(Endless())
    assert isinstance(stream, Stream) and isinstance(as_data(BATCHED["loader"]), Stream)
    assert Encoding.fit(Endless()).columns == Encoding.fit(stream.first().images).columns
    assert len(stream.first().images) == 5000 and next(stream.batches()).images.shape == (64, 6, 5, 3)


def test_streams_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(
        SettingError, match="a generator can be gone through only once; give a DataLoader, or an object"
    ):
        Stream(batch for batch in [IMAGES])
    with pytest.raises(DataError, match="the stream has no batch"):
        Stream([]).first()
    with pytest.raises(
        DataError, match=r"a batch has shape \(2, 4, 4\) and type uint8; \(n, \*\(6, 5, 3\)\) is needed"
    ):
        list(Stream([IMAGES, np.zeros((2, 4, 4), np.uint8)]).batches())
    for wrong in ([IMAGES], [(IMAGES, LABELS[:3])]):
        with pytest.raises(DataError, match=r"a batch of 30 images has \d labels; give \(images, labels\)"):
            Stream(wrong, labels=True).first()
    with pytest.raises(SettingError, match="a stream has its labels in its batches: Stream"):
        Encoding.fit(Stream([IMAGES]), LABELS)


def test_what_a_mask_of_numpy_hides_is_missing() -> None:
    values = np.arange(12).reshape(6, 2)
    assert as_data(np.ma.masked_array(values)) is not None and as_data(np.ma.masked_array(values)).dtype == values.dtype
    hidden = np.ma.masked_array(values, mask=values == 5)
    expected = np.where(values == 5, np.nan, values)
    np.testing.assert_array_equal(as_data(hidden), expected)
    with pytest.raises(DataError, match="a missing or infinite cell in row 3, column 2"):
        Encoding.fit(hidden)
    encoding = Encoding.fit(values.astype(float))
    np.testing.assert_array_equal(encoding.values(hidden, gaps=True), expected)
