"""What the data lead to, before anything is trained: their encoding and the settings."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from ncsn.data import Dataset, load
from ncsn.errors import DataError, unknown_name
from ncsn.model import TrainingData
from ncsn.plan import Plan


def without_given(dataset: Dataset, given: Sequence[str] | None) -> tuple[Any, Any]:
    """Return the values of a data set without the columns that are given, and these, or None.

    Raises:
        DataError: The data are no table, or no column is left.
        SettingError: A column is unknown.
    """
    values = dataset.values
    if not given:
        return values, None
    if not isinstance(values, pd.DataFrame):
        raise DataError(f"{dataset.name}: --given names columns of a table, and these are none")
    for name in given:
        if name not in values.columns:
            raise unknown_name("column", name, map(str, values.columns))
    if len(set(given)) == values.shape[1]:
        raise DataError(f"{dataset.name}: every column is given, and none is left to learn")
    return values.drop(columns=list(given)), values[[name for name in values.columns if name in given]]


def plan_for(
    data: str,
    *,
    label: str | None = None,
    points: int = 5000,
    seed: int = 0,
    columns: dict[str, Any] | None = None,
    given: Sequence[str] | None = None,
    **images: Any,
) -> tuple[Dataset, TrainingData, Plan]:
    """Return the data, without the column of labels, how they are encoded, and the settings that they lead to.

    ``given`` are columns that are contexts, ``images`` is how images are read, as arguments of `load`.
    """
    dataset = load(data, n=points, seed=seed, label=label, **images)
    values, context = without_given(dataset, given)
    ready = TrainingData.of(values, columns=columns, seed=seed, context=context)
    return replace(dataset, values=values), ready, ready.plan()
