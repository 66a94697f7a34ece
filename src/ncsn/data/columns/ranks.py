"""Numbers that repeat, by their ranks: zeros, caps, whole numbers and rounding come from one mechanism."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncsn.data.columns.base import Column
from ncsn.data.columns.categories import log_normal

MOST_PIECES = 1000
"""Most pieces that a stretch of values which do not repeat is kept as."""

SHARE = 0.7
"""Share of an atom's ranks that its part is drawn from: what is left out parts it from its neighbours."""

ON_GRID = 3
"""How often a value on a grid occurs at least to be an atom; rarer ones share what is near them with the grid's others."""


class _Piece(NamedTuple):
    """A stretch of values and the number of rows in it; an atom off a grid has no length."""

    low: float
    high: float
    rows: float


@dataclass(frozen=True)
class Ranks(Column):
    """A number by its rank among the training values, as a normal score.

    A value that repeats is an atom: it has all ranks from the share of values below it to the share of values up to it, and
    its part of a row is drawn evenly from the middle of these (the randomised probability integral transform, Rosenblatt
    1952; Brockwell 2007). Between atoms ranks rise linearly. Every part is decoded to a value of the training set, or to one
    near those that do not repeat, each of which has the half of the way to its neighbours.

    Of numbers on a grid (whole ones, or rounded), each has the ranks of its cell of the grid. What training did not have is
    possible where its neighbours are rare; where they are not, such values have half of the share that Good & Turing
    estimate for what was never seen, that of the values seen once (Good 1953).

    Args:
        edges: The ranks between the pieces, ascending from 0 to 1.
        lows: Where each piece begins, ascending.
        highs: Where it ends; that of an atom off a grid is where it begins.
        step: The step of the grid; 0 for none.
    """

    kind: ClassVar[str] = "ranks"

    edges: tuple[float, ...] = field(repr=False)
    lows: tuple[float, ...] = field(repr=False)
    highs: tuple[float, ...] = field(repr=False)
    step: float = 0.0

    @classmethod
    def of(cls, values: NDArray[np.float64], step: float | None = None) -> "Ranks":
        """Find the atoms of finite values.

        Args:
            values: The values, ``(N,)``.
            step: The step of the grid that they are on, or None.

        >>> column = Ranks.of(np.array([0.0, 0.0, 0.0, 1.5, 2.5, 4.0]))
        >>> column.edges, column.lows, column.highs
        ((0.0, 0.5, 0.6666666666666666, 0.8333333333333334, 1.0), (0.0, 1.0, 2.0, 3.25), (0.0, 2.0, 3.25, 4.75))
        """
        step = step or 0.0
        distinct, counts = np.unique(values, return_counts=True)
        atoms = counts >= (ON_GRID if step else 2)
        pieces, first = list[_Piece](), 0
        while first < len(distinct):
            last = first
            while not atoms[first] and last + 1 < len(distinct) and not atoms[last + 1]:
                last += 1
            beside = distinct[first - 1 : first], distinct[last + 1 : last + 2]
            run = slice(first, last + 1)
            pieces += _stretch(distinct[run], counts[run], *beside, step)
            first = last + 1
        if step:
            pieces = _with_gaps(pieces, float((counts == 1).sum()), step)
        rows = np.array([piece.rows for piece in pieces])
        edges = np.concatenate([[0.0], np.cumsum(rows) / rows.sum()])
        edges[-1] = 1.0
        lows, highs = (tuple(piece.low for piece in pieces), tuple(piece.high for piece in pieces))
        return cls(tuple(edges.tolist()), lows, highs, step)

    @property
    def width(self) -> int:
        """One."""
        return 1

    @property
    def draws(self) -> bool:
        """It does."""
        return True

    def _places(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the first and the last rank of each value, d rank / d value, 0 at an atom, and whether it can be."""
        edges, lows, highs = (values.new_tensor(numbers) for numbers in (self.edges, self.lows, self.highs))
        below = (torch.searchsorted(lows, values.contiguous(), right=True) - 1).clamp(min=0)
        above = (below + 1).clamp(max=len(lows) - 1)
        # what is in no piece is encoded as the nearest that is
        nearer = (values > highs[below]) & (lows[above] - values < values - highs[below])
        i = torch.where(nearer, above, below)
        low, high, first, last = lows[i], highs[i], edges[i], edges[i + 1]
        held = (values >= low) & (values <= high)
        length, at = high - low, values.clamp(low, high)
        atom = length == 0
        rise = torch.where(atom, 0.0, (last - first) / torch.where(atom, 1.0, length))
        start = torch.where(atom, first, first + rise * ((at - self.step / 2).clamp(low, high) - low))
        end = torch.where(atom, last, first + rise * ((at + self.step / 2).clamp(low, high) - low))
        return start, end, rise, held

    def encode(self, values: Tensor, noise: Tensor) -> Tensor:
        """Return the normal score of the rank, which is drawn where a value has several."""
        start, end, _, _ = self._places(values)
        rank = start + (end - start) * (0.5 + SHARE * (torch.special.ndtr(noise[:, 0]) - 0.5))
        least = min(self.edges[1], 1 - self.edges[-2]) / 1000
        # NaN stays what it is
        return torch.where(values.isnan(), torch.nan, torch.special.ndtri(rank.clamp(least, 1 - least))).unsqueeze(1)

    def decode(self, part: Tensor) -> Tensor:
        """Return the value of the rank, on the grid."""
        rank = torch.special.ndtr(part[:, 0])
        edges, lows, highs = (rank.new_tensor(numbers) for numbers in (self.edges, self.lows, self.highs))
        i = torch.searchsorted(edges, rank.contiguous(), right=True).clamp(1, len(lows)) - 1
        within = ((rank - edges[i]) / (edges[i + 1] - edges[i])).clamp(0, 1)
        values = torch.where(highs[i] == lows[i], lows[i], torch.lerp(lows[i], highs[i], within))
        if not self.step:
            return values
        # of the cells of a piece, which begin with its own, so that large numbers keep their last digits
        cells = ((highs[i] - lows[i]) / self.step).round() - 1
        return lows[i] + self.step * (((values - lows[i]) / self.step).floor().clamp(min=0).minimum(cells) + 0.5)

    def log_gain(self, values: Tensor, part: Tensor) -> Tensor:
        """Return log(share of the ranks that the part is drawn from, or density between atoms) - log(its normal density)."""
        start, end, rise, held = self._places(values)
        share = torch.where((rise > 0) & (self.step == 0), rise, SHARE * (end - start))
        return torch.where(held, share.log() - log_normal(part, 0.0, 1.0), -torch.inf)

    def slope(self, values: Tensor) -> Tensor:
        """Return the derivative between atoms and along a grid, 0 at an atom."""
        _, _, rise, held = self._places(values)
        part = self.encode(values, values.new_zeros(len(values), 1))
        return (torch.where(held, rise, 0.0) / log_normal(part, 0.0, 1.0).exp()).unsqueeze(1)


def _stretch(
    run: NDArray[np.float64],
    counts: NDArray[np.int64],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    step: float,
) -> list[_Piece]:
    """Return the pieces of a single atom, or of neighbours that are none, which meet half-way."""
    if len(run) == 1 and not step:
        return [_Piece(float(run[0]), float(run[0]), float(counts[0]))]
    inner = run[1:] / 2 + run[:-1] / 2
    if step:
        # at a border of two cells
        inner = run[:-1] + step * (np.floor((inner - run[:-1]) / step) + 0.5)
    if len(run) == 1:
        borders = np.array([run[0] - step / 2, run[0] + step / 2])
    else:
        low, high = run[0] - (inner[0] - run[0]), run[-1] + (run[-1] - inner[-1])
        low = max([low, *((before + step / 2) if step else (before / 2 + run[0] / 2))])
        high = min([high, *((after - step / 2) if step else (after / 2 + run[-1] / 2))])
        borders = np.concatenate([[low], inner, [high]])
    kept = np.unique(np.linspace(0, len(run), min(len(run), MOST_PIECES) + 1).round().astype(int))
    rows = np.diff(np.concatenate([[0], np.cumsum(counts)])[kept])
    ends = borders[kept].tolist()
    return [_Piece(*piece) for piece in zip(ends[:-1], ends[1:], rows.astype(float).tolist(), strict=True)]


def _with_gaps(pieces: list[_Piece], once: float, step: float) -> list[_Piece]:
    """Return the pieces with the gaps between them, which share half of what values seen once have."""
    gaps = [(i, after.low - before.high) for i, (before, after) in enumerate(pairwise(pieces), 1)]
    gaps = [(i, length) for i, length in gaps if length > step / 2]
    if not gaps or not once:
        return pieces
    total, filled = sum(length for _, length in gaps), list(pieces)
    for i, length in reversed(gaps):
        filled.insert(i, _Piece(pieces[i - 1].high, pieces[i].low, once / 2 * length / total))
    return filled
