"""Data sets from names, files and folders, checked."""

import os
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Generator

from ncsn.catalogue import DATASETS as DATASETS
from ncsn.data.dataset import Dataset
from ncsn.data.faults import found
from ncsn.data.formats import read
from ncsn.data.layout import has_channels_last
from ncsn.data.picked import Rows
from ncsn.data.pictures import Reading
from ncsn.data.toys import TOYS, draw_components
from ncsn.data.values import check_values
from ncsn.errors import DataError, unknown_name


def load(
    data: str | os.PathLike[str],
    *,
    n: int = 5000,
    seed: int = 0,
    label: str | None = None,
    gaps: bool = False,
    size: str | int | None = None,
    background: str = "white",
    channels: str | None = None,
) -> Dataset:
    """Load a built-in data set, a table, an array or images.

    Args:
        data: A name in `DATASETS` (it goes before a file of that name), a ``.csv``, ``.tsv`` (or either with ``.gz``),
            ``.parquet``, ``.npy``, ``.npz`` or IDX file (``train-images-idx3-ubyte``, also with ``.gz``), or a folder of
            images, which become ``(N, C, H, W)`` from 0 to 255 in 8 bits (one channel if all are grey, otherwise red, green
            and blue). A Parquet file with a column of pictures' bytes, a folder of such files, and a folder that Hugging
            Face's datasets saved are images too. Images of an ``.npy`` file stay on the disk, mapped, and are read when they
            are asked for. Of an ``.npz`` file with several arrays, the one called ``x``, ``X`` or ``data`` is taken.
        n: Number of points of a toy set; the others are loaded whole.
        seed: Seed of a toy set's draw.
        label: The column (or array of an ``.npz`` file) that holds the labels; it is split off from the values. The
            built-in sets call theirs ``component`` (toy sets) or ``target``, and give them unasked. ``folder`` makes the
            sub-folders of a folder of images their classes, ``labels`` takes the labels beside an IDX file.
        gaps: Whether values of an array may be missing, as NaN, as cells of a table always may, and the column or array of
            labels too; one row is enough then.
        size: Width and height that 8-bit images are cropped (at the centre) and resized (Lanczos) to, as 32 or ``32x48``;
            as they are when None.
        background: The colour that transparent pixels of 8-bit images are laid on; ``none`` keeps transparency as a fourth
            channel.
        channels: Where an array of images has its channels, ``first`` or ``last``, for shapes that do not say.

    Returns:
        The checked data set. A table's columns keep their types: numbers, booleans, text, dates, categories.

    Raises:
        DataError: The data are missing, damaged or empty, hold what is no value, have no such label, or are no images where
            ``size`` or ``channels`` is given.
        SettingError: ``size``, ``background`` or ``channels`` is something else.

    >>> load("moons", n=100).values.shape
    (100, 2)
    >>> load("iris").values.shape
    (150, 4)
    """
    name, reading = os.fspath(data), Reading(None if size is None else str(size), background, channels)
    if name in DATASETS:
        dataset = _load_toy(name, n, seed) if name in TOYS else _load_shipped(name)
        if label not in (None, dataset.label_name):
            hint = f"its labels are called {dataset.label_name!r}" if dataset.label_name else "it has none"
            raise DataError(f"{name}: no labels called {label!r}; {hint}")
    else:
        is_path = Path(name).suffix or Path(name).name != name
        near = "" if is_path else f"{unknown_name('data set', name, DATASETS)}; "
        dataset = read(found(name, near), label, gaps, reading)
    check_values(dataset.name, dataset.values, min_rows=1 if gaps else 2, gaps=gaps)
    asked = [f"--{option}" for option, value in (("size", size), ("channels", channels)) if value is not None]
    values = dataset.values
    if asked and (name in DATASETS or isinstance(values, pd.DataFrame) or values.ndim < 3):
        raise DataError(f"{dataset.name}: {' and '.join(asked)} is for images from files, and these are none")
    if channels is None or isinstance(values, pd.DataFrame):
        return dataset
    has_channels_last(values.shape[1:], channels)
    return replace(dataset, values=Rows(values, channels=channels))


def _load_toy(name: str, n: int, seed: int) -> Dataset:
    toy = TOYS[name]
    seeded = Generator().manual_seed(seed)

    def draw(count: int, generator: Generator | None) -> NDArray[np.float32]:
        return cast(NDArray[np.float32], toy.draw(count, generator).numpy())

    if not toy.n_labels:
        return Dataset(name, draw(n, seeded), draw=draw)
    labels = draw_components(n, toy.n_labels, seeded, None)
    return Dataset(name, toy.draw(n, seeded, labels).numpy(), labels.numpy(), "component", draw)


def _load_shipped(name: str) -> Dataset:
    from sklearn import datasets

    if name == "digits":
        digits = datasets.load_digits()
        return Dataset(name, digits.images, digits.target, "target")
    if name == "diabetes":
        # Its target is a quantity, not a class: one more column.
        return Dataset(name, datasets.load_diabetes(as_frame=True, scaled=False).frame)
    table = getattr(datasets, f"load_{name}")(as_frame=True)
    return Dataset(name, table.data, table.target.to_numpy(), "target")
