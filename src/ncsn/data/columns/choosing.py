"""How a column of numbers is encoded: the kind that its values ask for, and the rule that decided."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ncsn.data.columns.atoms import WithAtoms
from ncsn.data.columns.base import Column
from ncsn.data.columns.numbers import Constant, Number, scales_of
from ncsn.data.columns.ranks import Ranks
from ncsn.data.columns.smooth import Smooth
from ncsn.errors import DataError

ATOM_SHARE = 0.1
"""Share of the rows from which on a value is an atom of its own where the others repeat too."""

MANY_VALUES = 60
"""Distinct values above which such atoms are taken out of the others."""

ATOM_ROWS, ATOM_LEAST, STANDS_OUT = 0.005, 10, 5
"""Share of the rows, number of them, and multiple of what a value has on average, from which on a value is an atom where the
others do not repeat."""

MOST_ATOMS = 15
"""Most atoms of a column."""

REPEATING = 0.5
"""Distinct values a row up to which a number goes by its ranks."""

FEW_ROWS = 20
"""Rows below which nothing but mean and spread is taken of a number."""

FAR_FROM_NORMAL = 0.05
"""Largest difference of a number's distribution to the normal one up to which it is left as it is."""

FAR_OUT = 6.0
"""Standard deviations from the mean from which on a tail counts as heavy, in any data."""

NOTHING_TO_LEARN = "every column is constant: there is nothing to learn"

Rule = tuple[Column, str]


def choose_number(
    values: NDArray[np.float64],
    *,
    whole_table: bool = True,
    step: float | None = None,
    written: Callable[[float], str] = "{:g}".format,
) -> Rule:
    """Choose how finite numbers are encoded, and say by which rule.

    Args:
        values: The numbers, ``(N,)``, at least one.
        whole_table: Whether values that repeat, and shapes far from normal, are looked for; else only heavy tails.
        step: The step of the grid that they are on, or None.
        written: How the rule writes a number.

    Raises:
        DataError: They are not finite, or too large.
    """
    means, scales = scales_of(torch.from_numpy(values).unsqueeze(1))
    mean, scale = float(means), float(scales)
    if scale == 0:
        return Constant(mean), f"always {written(mean)}"
    distinct, counts = np.unique(values, return_counts=True)
    if len(values) >= FEW_ROWS and whole_table:
        chosen = _repeating(values, distinct, counts, step, written)
        if chosen is not None:
            return chosen
    if len(values) >= FEW_ROWS:
        out = float(np.abs(values - mean).max() / scale)
        if out > FAR_OUT:
            return Smooth.of(values), f"a tail reaches {out:.3g} standard deviations"
        normal = torch.special.ndtr((torch.from_numpy(np.sort(values)) - mean) / scale).numpy()
        apart = float(np.abs(normal - (np.arange(len(values)) + 0.5) / len(values)).max())
        if whole_table and apart > FAR_FROM_NORMAL:
            return Smooth.of(values), f"{apart:.2f} from a normal distribution"
    return Number(mean, scale), "nearly normal" if whole_table else "a number"


def _repeating(
    values: NDArray[np.float64],
    distinct: NDArray[np.float64],
    counts: NDArray[Any],
    step: float | None,
    written: Callable[[float], str],
) -> Rule | None:
    """Return the kind for values that repeat, or None where they do not."""
    by_count = np.argsort(-counts, kind="stable")

    def atoms_from(least: float) -> NDArray[np.float64]:
        return distinct[by_count[counts[by_count] >= least][:MOST_ATOMS]]

    for least, repeats in (
        (ATOM_SHARE * len(values), True),
        (max(STANDS_OUT * len(values) / len(distinct), ATOM_ROWS * len(values), ATOM_LEAST), False),
    ):
        atoms = atoms_from(least)
        rest = values[~np.isin(values, atoms)]
        # without its atoms a column that repeats may repeat no longer, and still goes by its ranks
        repeating = len(distinct) <= REPEATING * len(values) or len(np.unique(rest)) <= REPEATING * len(rest)
        if len(atoms) and len(rest) >= FEW_ROWS and repeating == repeats and len(distinct) > MANY_VALUES:
            shares = [(counts[distinct == atom].item() / len(values), atom) for atom in atoms]
            said = ", ".join(f"{written(atom)} in {share:.0%}" for share, atom in shares[:3])
            kind = Ranks.of(rest, step) if repeats else Smooth.of(rest)
            return WithAtoms(tuple(atoms.tolist()), kind), said + (", ..." if len(atoms) > 3 else "")
    if len(distinct) <= REPEATING * len(values):
        return Ranks.of(values, step), f"{len(distinct):,} values in {len(values):,} rows"
    return None


def columns_of(values: torch.Tensor) -> tuple[Column, ...]:
    """Choose the columns of float64 numbers that are no table of types, ``(N, D)``.

    Raises:
        DataError: They are not finite or too large, or none varies.
    """
    columns = tuple(choose_number(column, whole_table=False)[0] for column in values.numpy().T)
    if all(isinstance(column, Constant) for column in columns):
        raise DataError(NOTHING_TO_LEARN)
    return columns
