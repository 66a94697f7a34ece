"""Held-out rows."""

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ncsn.data.picked import Rows
from ncsn.data.values import Values
from ncsn.errors import DataError, SettingError


class Split(NamedTuple):
    """Training and held-out rows, of the type that was split (`Rows` of what is mapped), with their labels."""

    train: Any
    held_out: Any
    train_labels: Any
    held_out_labels: Any


def split(values: Values, labels: Any = None, holdout: float = 0.2, seed: int = 0) -> Split:
    """Hold rows back at random, in proportion from each class where there are labels.

    Rows are shuffled, put in the order of their labels, and taken at even distances from a random start; so a class of
    any size is held back in proportion, to within one row. No class is held back whole: one of its rows is left to train on,
    and one of another class is held back in its place. Neither side is ever empty.

    Args:
        values: Data frame, array, tensor or `Rows`, with the rows first. Arrays that are mapped from a file (`numpy.memmap`)
            are not copied: both parts are `Rows`, which are read when they are asked for.
        labels: One label per row, array or tensor, or None.
        holdout: The share to hold back, between 0 and 1, or (as an int) the number of rows. A share of 0.2 by default.
        seed: The same seed holds back the same rows.

    Returns:
        Both parts, each in the order of the original rows; data frames keep their index.

    Raises:
        DataError: There are fewer than two rows, not one label per row, or too many classes of too few rows to hold so many
            back.
        SettingError: ``holdout`` leaves one side empty.

    >>> train, held_out, *_ = split(np.arange(10), holdout=0.3)
    >>> len(train), len(held_out)
    (7, 3)
    """
    n = len(values)
    if n < 2:
        raise DataError(f"{n} row{'s' if n != 1 else ''} cannot be split; at least 2 are needed")
    if labels is not None and len(labels) != n:
        raise DataError(f"{len(labels)} labels for {n} rows; one label per row is needed")
    whole = isinstance(holdout, Integral)
    if not 0 < holdout < (n if whole else 1):
        raise SettingError(
            f"holdout must be a share between 0 and 1, or from 1 to {n - 1} of the {n} rows, not {holdout}"
        )
    count = int(holdout) if whole else min(max(round(holdout * n), 1), n - 1)
    generator = Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator).numpy()
    codes = None if labels is None else np.unique(np.asarray(labels), return_inverse=True)[1]
    if codes is not None:
        order = order[np.argsort(codes[order], kind="stable")]
    start = torch.rand((), dtype=torch.float64, generator=generator).item()
    held = np.zeros(n, dtype=bool)
    held[order[((np.arange(count) + start) * (n / count)).astype(int)]] = True
    if codes is not None:
        _leave_each_class(held, order, codes)

    values = Rows(values) if isinstance(values, np.memmap) else values

    def rows(of: Any, mask: NDArray[np.bool_]) -> Any:
        if isinstance(of, Rows):
            return of.pick(mask)
        return of[torch.from_numpy(mask)] if isinstance(of, Tensor) else None if of is None else of[mask]

    return Split(rows(values, ~held), rows(values, held), rows(labels, ~held), rows(labels, held))


def _leave_each_class(held: NDArray[np.bool_], order: NDArray[np.int64], codes: NDArray[np.int64]) -> None:
    """Leave a row of each class that is held back whole, and hold one of another class back in its place."""
    left = np.bincount(codes[~held], minlength=codes.max() + 1)
    for code in np.flatnonzero(left == 0):
        spare = order[~held[order] & (left[codes[order]] > 1)]
        if not len(spare):
            raise DataError(
                f"{len(left)} classes of {len(codes)} rows are too few rows each to hold {held.sum()} back and leave one of "
                "each class: hold fewer back, or merge classes"
            )
        # of the largest class, which feels it least
        most = spare[np.argmax(left[codes[spare]])]
        freed = order[held[order] & (codes[order] == code)][0]
        held[freed], held[most] = False, True
        left[code], left[codes[most]] = 1, left[codes[most]] - 1
