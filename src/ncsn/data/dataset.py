"""A data set as the readers return it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Generator

from ncsn.data.csv_files import Dialect


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, checked: at least two rows, no number infinite; an array holds nothing but finite numbers.

    Args:
        name: What it is called: the built-in name, or the file's or folder's.
        values: A data frame for tables, which may hold text, dates and missing cells; otherwise an array, ``(N, D)`` or
            images ``(N, H, W)``, ``(N, C, H, W)`` or ``(N, H, W, C)``, in memory or mapped (`numpy.memmap`); or `Rows` of
            images whose channels were said to be first or last.
        labels: One class per row ``(N,)``, or None.
        label_name: What the labels are called, or None.
        draw: For toy sets, ``draw(n, generator)`` gives fresh independent points ``(n, 2)``; otherwise None.
        notes: What had to be decided in reading it, each a short sentence.
        dialect: How the CSV file that it comes from is written, or None.
    """

    name: str
    values: Any
    labels: NDArray[Any] | None = None
    label_name: str | None = None
    draw: Callable[[int, Generator | None], NDArray[np.float32]] | None = None
    notes: tuple[str, ...] = ()
    dialect: Dialect | None = None
