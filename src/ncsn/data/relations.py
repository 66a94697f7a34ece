"""Columns of numbers that follow from others: sums, copies in other units, and what is nearly one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ncsn.data.column_types import Dates, Numbers
from ncsn.data.encoding import Encoding

EXPLAINED = 0.9999
"""Share of a column's variance from which on it follows from others."""

TAKES_PART = 0.02
"""Share of a column's standard deviation that another brings, from which on it takes part."""

MOST_ROWS = 20_000


@dataclass(frozen=True)
class Relation:
    """A column that others, times numbers and added up, give.

    Attributes:
        name: The column.
        others: The others.
        left: The standard deviation of what they leave open, as a share of the column's.
    """

    name: Any
    others: tuple[Any, ...]
    left: float

    def __str__(self) -> str:
        how = "exactly" if self.left < 1e-6 else f"to within {self.left:.1%} of its standard deviation"
        return (
            f"{self.name} follows from {', '.join(map(str, self.others))} {how}: samples keep that to within the smallest "
            f"noise level; leave it out by columns {{{str(self.name)!r}: 'drop'}} and compute it afterwards to keep it exactly"
        )


def relations(encoding: Encoding, values: Tensor) -> tuple[Relation, ...]:
    """Return the numeric columns of a table that follow from others by a linear formula; the last one of each formula.

    Args:
        encoding: The encoding of the table.
        values: Its values, ``(N, D)``; rows with a gap among the numbers are left out.
    """
    places = [i for i, type_ in enumerate(encoding.container.types) if isinstance(type_, Numbers | Dates)]
    places = [i for i in places if encoding.columns[i].width]
    if len(places) < 2:
        return ()
    some = values[:: max(1, len(values) // MOST_ROWS), places].numpy()
    some = some[~np.isnan(some).any(1)]
    if len(some) < 5 * len(places):
        return ()
    scaled = (some - some.mean(0)) / np.where(some.std(0) == 0, 1.0, some.std(0))
    found, names = list[Relation](), [encoding.container.columns[i] for i in places]  # type: ignore[index]
    free = list[int]()
    for j in range(len(places)):
        weights, left = np.zeros(0), scaled[:, j]
        if free:
            weights = np.linalg.lstsq(scaled[:, free], scaled[:, j], rcond=None)[0]
            left = scaled[:, j] - scaled[:, free] @ weights
        if left.var() < 1 - EXPLAINED:
            others = tuple(names[k] for k, weight in zip(free, weights, strict=True) if abs(weight) > TAKES_PART)
            found.append(Relation(names[j], others, float(left.std())))
        else:
            free.append(j)
    return tuple(found)
