"""Data sets of torch and iterables of batches as data: the ones are read like an array, the others streamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ncsn.data.picked import Rows, array_of
from ncsn.errors import DataError, SettingError

STREAM_ROWS = 5_000
"""Rows of a stream that stand for all where something is measured."""


class Images(NamedTuple):
    """A batch of images, ``(N, *shape)``, and their labels, or None."""

    images: NDArray[Any]
    labels: NDArray[Any] | None


class Items:
    """The images of a map-style data set of torch, indexed like an array; shape and type are those of the first.

    Args:
        dataset: Its items are images (array, tensor or picture of Pillow), or pairs of an image and a label.

    Raises:
        DataError: There is no item, or the first is no image.
    """

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset
        if not len(cast(Sized, dataset)):
            raise DataError("the data set has no item; at least 2 are needed")
        self.first = array_of(_image(dataset[0]))
        if self.first.dtype.kind not in "biuf":
            raise DataError(
                f"the first item of the data set is {type(dataset[0]).__name__}, no image, nor (image, label)"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of items, and the shape of the first."""
        return (len(cast(Sized, self.dataset)), *self.first.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the first item."""
        return self.first.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        positions = np.arange(self.shape[0])[key]
        if positions.ndim == 0:
            return self._read(int(positions))
        read = np.empty((len(positions), *self.first.shape), self.first.dtype)
        for i, position in enumerate(positions.tolist()):
            read[i] = self._read(position)
        return read

    def _read(self, position: int) -> NDArray[Any]:
        image = array_of(_image(self.dataset[position]))
        if image.shape != self.first.shape:
            raise DataError(
                f"item {position} of the data set has shape {image.shape}, the first {self.first.shape}; resize all to one"
            )
        return image

    def labels(self) -> NDArray[Any]:
        """Return the label of each item, ``(N,)``, for ``fit(X, y)``; it reads all of them.

        Raises:
            DataError: Items are no pairs of an image and a label.
        """
        items = (self.dataset[i] for i in range(self.shape[0]))
        labels = [item[1] if isinstance(item, tuple | list) and len(item) == 2 else None for item in items]
        if any(label is None for label in labels):
            raise DataError("items of the data set are no pairs (image, label), so there are no labels")
        return np.array([label.item() if isinstance(label, Tensor | np.generic) else label for label in labels])


class Stream:
    """An iterable of batches, which is gone through again and again; what is measured of it comes from its first rows.

    Args:
        of: A `torch.utils.data.DataLoader`, or any iterable that can be gone through more than once. Its batches are images,
            ``(n, *shape)``, or pairs of them and their labels, ``(n,)``.
        labels: Whether the labels of pairs are used as classes; all classes must occur in the first rows.
        channels: Where images have their channels, as in `Rows`.

    Raises:
        SettingError: ``of`` can be gone through only once.

    >>> stream = Stream([np.zeros((2, 8, 8)), np.ones((3, 8, 8))])
    >>> stream.first(4).images.shape, [len(batch.images) for batch in stream.batches()]
    ((4, 8, 8), [2, 3])
    """

    def __init__(self, of: Iterable[Any], *, labels: bool = False, channels: str | None = None) -> None:
        if iter(of) is of:
            raise SettingError(
                f"a {type(of).__name__} can be gone through only once; give a DataLoader, or an object with __iter__"
            )
        self.of, self.labels, self.channels = of, labels, channels
        self._first: Images | None = None

    def batches(self) -> Iterator[Images]:
        """Yield the batches of one pass, in their own type.

        Raises:
            DataError: A batch is no images, or has no labels where they are used.
        """
        shape = None
        for batch in self.of:
            images = array_of(_image(batch))
            shape = images.shape[1:] if shape is None else shape
            if images.dtype.kind not in "biuf" or images.ndim < 2 or images.shape[1:] != shape:
                raise DataError(f"a batch has shape {images.shape} and type {images.dtype}; (n, *{shape}) is needed")
            labels = None
            if self.labels:
                paired = isinstance(batch, tuple | list) and len(batch) == 2
                labels = array_of(batch[1]).reshape(-1) if paired else np.empty(0)
                if len(labels) != len(images):
                    raise DataError(f"a batch of {len(images)} images has {len(labels)} labels; give (images, labels)")
            yield Images(images, labels)

    def first(self, n: int = STREAM_ROWS) -> Images:
        """Return the first ``n`` rows, or all where there are fewer; they are read once and kept.

        Raises:
            DataError: There is no batch.
        """
        if self._first is None or len(self._first.images) < n:
            taken, count = [], 0
            for batch in self.batches():
                taken.append(batch)
                count += len(batch.images)
                if count >= n:
                    break
            if not taken:
                raise DataError("the stream has no batch")
            labels = (
                np.concatenate([batch.labels for batch in taken if batch.labels is not None]) if self.labels else None
            )
            self._first = Images(np.concatenate([batch.images for batch in taken]), labels)
        images, labels = self._first
        return Images(images[:n], None if labels is None else labels[:n])


def as_data(X: Any) -> Any:
    """Return data in a form that the rest knows.

    A data set of torch becomes `Rows`, an iterable one or a `torch.utils.data.DataLoader` a `Stream`, what NumPy's mask hides
    is missing; all else is returned as it is.
    """
    if isinstance(X, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(X)
        return np.where(hidden, np.nan, X.data) if hidden.any() else X.data
    if isinstance(X, IterableDataset):
        return Stream(DataLoader(X, batch_size=64))
    if isinstance(X, DataLoader):
        return Stream(X)
    return Rows(Items(X)) if isinstance(X, Dataset) else X


def _image(item: Any) -> Any:
    """Return the image, or the images, of an item, or of a batch, that may be a pair."""
    image = item[0] if isinstance(item, tuple | list) and len(item) in (1, 2) else item
    return image.convert("RGB") if isinstance(image, Image.Image) and image.mode == "P" else image
