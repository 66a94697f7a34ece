"""Class labels and their codes."""

import numbers
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncsn.errors import DataError, SettingError, unknown_name


def encode_labels(y: Any, n_rows: int) -> tuple[NDArray[Any], Tensor]:
    """Return the classes, sorted, and the index of each row's class.

    Args:
        y: One label a row: numbers, booleans or text.
        n_rows: Number of rows.

    Raises:
        DataError: There are more or fewer labels than rows, or a label is missing or of another or a mixed type.
    """
    labels = (y.numpy(force=True) if isinstance(y, Tensor) else np.asarray(y)).reshape(-1)
    if len(labels) != n_rows:
        raise DataError(f"{len(labels)} labels for {n_rows} rows; one label per row is needed")
    missing = np.flatnonzero(pd.isna(labels))
    if len(missing):
        raise DataError(f"the label of row {missing[0] + 1} is missing; give it one, or drop the row")
    kinds = {str if isinstance(label, str) else numbers.Real for label in labels.tolist()}
    known = labels.dtype.kind in "biufU" or all(isinstance(label, str | numbers.Real) for label in labels.tolist())
    if not known or len(kinds) > 1:
        held = ", ".join(sorted({type(label).__name__ for label in labels.tolist()}))
        raise DataError(f"labels must be all numbers or all text, not {held}; convert them first")
    if labels.dtype.kind == "f" and bool((labels != np.rint(labels)).any()):
        raise DataError("labels are fractions, as of a regression; bin them into classes, or leave y out")
    classes, codes = np.unique(labels, return_inverse=True)
    return classes, torch.from_numpy(codes)


def is_continuous(y: Any) -> bool:
    """Return whether what is told of each row is a quantity, as of a regression, and no class: whether there are fractions."""
    values = y.numpy(force=True) if isinstance(y, Tensor) else np.asarray(y)
    return values.dtype.kind == "f" and bool((values[np.isfinite(values)] % 1 != 0).any())


def label_codes(classes: NDArray[Any] | None, label: Any, n_rows: int) -> Tensor | None:
    """Return the index of each row's label, or None for no label.

    Args:
        classes: The classes that were fitted, or None.
        label: One label, or one for each row; None for none.
        n_rows: Number of rows.

    Raises:
        SettingError: The model has no labels, a label is unknown, or there are too many or too few.
    """
    if label is None:
        return None
    if classes is None:
        raise SettingError("the model was fitted without labels; fit(X, y) makes it class-conditional")
    wanted = (label.numpy(force=True) if isinstance(label, Tensor) else np.asarray(label)).reshape(-1).tolist()
    if len(wanted) not in (1, n_rows):
        raise SettingError(f"{len(wanted)} labels for {n_rows} rows; give one, or one for each")
    known = {value: code for code, value in enumerate(classes.tolist())}
    for value in wanted:
        if value not in known:
            raise unknown_name("label", value, map(str, known))
    return torch.tensor([known[value] for value in wanted]).expand(n_rows)
