"""What an estimator is given, as scikit-learn checks it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data
from torch import Tensor

from ncsn.data import Encoding, check_values
from ncsn.data.container import Container
from ncsn.data.frames import as_pandas
from ncsn.data.streams import Stream, as_data
from ncsn.errors import DataError, RunError, SettingError, check_number
from ncsn.files import plain_value
from ncsn.parts import to_plain

PLANNED = (
    "training_steps",
    "batch_size",
    "width",
    "n_blocks",
    "dropout",
    "condition_dropout",
    "validation_fraction",
    "augmentation",
)
"""Parameters of an estimator that are settings of the plan by the same name."""


def validated(estimator: BaseEstimator, X: Any, encoding: Encoding | None, *, gaps: bool = False) -> Any:
    """Return data, once scikit-learn has set an estimator's attributes by them, or compared both.

    Args:
        estimator: The estimator, whose ``n_features_in_`` and ``feature_names_in_`` these are.
        X: The data.
        encoding: That of the data that were fitted; None where these are to be fitted.
        gaps: Whether values may be missing.

    Raises:
        DataError: The data cannot be used, or do not fit those that were fitted.
    """
    X = as_data(as_pandas(X))
    least, table = (2, False) if encoding is None else (1, bool(encoding.table))
    reset = encoding is None
    if encoding is not None:
        encoding.container.check_columns(X)
    if isinstance(X, pd.DataFrame):
        check_values("X", X, min_rows=least, gaps=True)
        if encoding is not None:
            encoding.values(X, gaps=gaps, unseen=True)
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return X
    values = np.asarray(X) if isinstance(X, list | tuple) else X
    rows = values.first().images if isinstance(values, Stream) else values
    Container.of(rows)
    axes = getattr(rows, "ndim", 2)
    if axes < 2:  # before scikit-learn's own messages, which have several lines
        Encoding.fit(rows)
    if encoding is not None and (table or max(axes - 1, len(encoding.data_shape)) > 1):
        encoding.values(rows, gaps=gaps)
    if not table:
        array = rows.detach().double().numpy(force=True) if axes == 2 and isinstance(rows, Tensor) else rows
        # images stay in their own type: their features are counted on a stand-in that takes no memory
        array = np.broadcast_to(0.0, (len(rows), math.prod(rows.shape[1:]))) if axes > 2 else array
        options: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": False, "ensure_min_samples": least}
        array = validate_data(estimator, array, reset=reset, **options)
        check_values("X", rows if axes > 2 else array, min_rows=1, gaps=gaps)
    return values


def checkpoint_path(checkpoint: str | Path, random_state: Any) -> Path:
    """Return the file to which a training's state is written.

    Raises:
        SettingError: There is no random state, so that no later fit could go on from it.
        RunError: It is a folder, or in none.
    """
    if random_state is None:
        raise SettingError("a checkpoint needs a random_state, such as 0, so that a later fit can go on from it")
    path = Path(checkpoint)
    if path.is_dir() or not path.parent.is_dir():
        raise RunError(f"cannot write checkpoint {path}: name a file in a folder that exists")
    return path


def checked_minutes(minutes: float | None, training_steps: int | None) -> float | None:
    """Return the time to train for.

    Raises:
        SettingError: It is not positive, or there is a number of steps besides.
    """
    if minutes is not None:
        check_number("minutes", minutes, above=0)
        if training_steps is not None:
            raise SettingError("give training_steps or minutes, not both")
    return minutes


def as_given(X: Any, values: Tensor) -> Any:
    """Return values as a tensor like X where it is one, on its device, else as an array."""
    if not isinstance(X, Tensor):
        return values.numpy()
    return values.to(X.device, X.dtype if X.is_floating_point() else torch.get_default_dtype())


def kept_of(estimator: Any) -> dict[str, Any]:
    """Return what a saved run keeps of an estimator: its parameters, but for networks, and what it knows of the columns."""
    given = estimator.get_params(deep=False).items()
    parameters = {name: plain_value(value) for name, value in given if name not in ("score_net", "network")}
    parameters["augmentation"] = to_plain(estimator.augmentation)
    names = getattr(estimator, "feature_names_in_", np.array([])).tolist() or None
    return {"parameters": parameters, "n_features_in": estimator.n_features_in_, "feature_names_in": names}


def cast_rows(rows: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return rows on a device and in a type.

    Raises:
        DataError: A row has no place in that type.
    """
    cast = rows.to(device, dtype)
    beyond = cast.isinf().flatten(1).any(1) & ~rows.isinf().flatten(1).any(1).to(device)
    if bool(beyond.any()):
        row, kind = int(beyond.int().argmax()) + 1, str(dtype).removeprefix("torch.")
        raise DataError(f"row {row} lies further out than {kind}, the network's type, reaches; correct or drop it")
    return cast
