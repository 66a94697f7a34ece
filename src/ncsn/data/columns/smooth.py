"""A smooth monotone map to a nearly normal number, linear in its tails."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncsn.data.columns.base import Column

KNOT_SPACING = 0.5
"""Distance between knots, in standard deviations of the normal number."""

ROWS_A_KNOT = 10
"""Rows at least between two knots, but at the ends."""


@dataclass(frozen=True)
class Smooth(Column):
    """A number through a monotone map that makes it nearly normal: rational quadratic between knots, linear beyond.

    Between two knots it is the interpolation of Gregory & Delbourgo (1982), which has a continuous derivative and a closed
    inverse; its slopes at the knots are the harmonic means of those beside them. It starts and ends with the slope of the
    data's own tails, so that no tail is cut off, however heavy, and a log-density has its derivative everywhere.

    Args:
        knots: Values, ascending.
        scores: What each becomes, ascending.
        slopes: The derivative at each.
    """

    kind: ClassVar[str] = "smooth"

    knots: tuple[float, ...] = field(repr=False)
    scores: tuple[float, ...] = field(repr=False)
    slopes: tuple[float, ...] = field(repr=False)

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> "Smooth":
        """Choose the knots at quantiles of finite values, evenly spaced in the normal number.

        >>> x = np.exp(2 * np.random.default_rng(0).standard_normal(1000))
        >>> part = Smooth.of(x).encode(torch.from_numpy(x), torch.zeros(1000, 1))
        >>> bool(part.abs().max() < 4), bool((part.std() - 1).abs() < 0.05)
        (True, True)
        """
        x = np.sort(values)
        normal = torch.special.ndtri(torch.from_numpy((np.arange(len(x)) + 0.5) / len(x))).numpy()
        reach = float(normal[-1])
        scores = np.linspace(-reach, reach, 2 * max(1, round(reach / KNOT_SPACING)) + 1)
        # the rank of each knot; inner ones need rows between them
        ranks = np.interp(scores, normal, np.arange(len(x)))
        kept = [0]
        for i in range(1, len(ranks) - 1):
            if ranks[i] - ranks[kept[-1]] >= (ROWS_A_KNOT if kept[-1] else 1) and len(x) - 1 - ranks[i] >= 1:
                kept.append(i)
        scores, ranks = scores[[*kept, len(ranks) - 1]], ranks[[*kept, len(ranks) - 1]]
        below = np.minimum(ranks.astype(int), len(x) - 2)
        knots = x[below] + (ranks - below) * (x[below + 1] - x[below])
        knots[-1] = x[-1]
        # a value that repeats is one knot, in the middle of its scores
        apart = np.concatenate([[True], np.diff(knots) > np.finfo(float).tiny])
        group = np.cumsum(apart) - 1
        knots, scores = knots[apart], np.bincount(group, scores) / np.bincount(group)
        steps = np.diff(scores) / np.diff(knots)
        # the harmonic mean of both sides; no product of slopes leaves float64
        most, least = np.maximum(steps[1:], steps[:-1]), np.minimum(steps[1:], steps[:-1])
        slopes = np.concatenate([steps[:1], 2 * least / (1 + least / most), steps[-1:]])
        return cls(tuple(knots.tolist()), tuple(scores.tolist()), tuple(slopes.tolist()))

    @property
    def width(self) -> int:
        """One."""
        return 1

    def _pieces(self, at: Tensor, edges: tuple[float, ...]) -> tuple[Tensor, ...]:
        """Return where the piece of each point starts, its size, both in value and score, and its slopes by its mean one."""
        knots, scores, slopes = (at.new_tensor(numbers) for numbers in (self.knots, self.scores, self.slopes))
        i = torch.searchsorted(at.new_tensor(edges), at.detach().contiguous(), right=True).clamp(1, len(knots) - 1) - 1
        size, rise = knots[i + 1] - knots[i], scores[i + 1] - scores[i]
        step = rise / size
        return knots[i], size, scores[i], rise, slopes[i] / step, slopes[i + 1] / step

    def encode(self, values: Tensor, noise: Tensor) -> Tensor:
        """Return the map's value."""
        start, size, score, rise, first, last = self._pieces(values, self.knots)
        t = ((values - start) / size).clamp(0, 1)
        bend = 1 + (first + last - 2) * t * (1 - t)
        inside = score + rise * (t.square() + first * t * (1 - t)) / bend
        beyond = (values - self.knots[0]).clamp(max=0) * self.slopes[0]
        return (inside + beyond + (values - self.knots[-1]).clamp(min=0) * self.slopes[-1]).unsqueeze(1)

    def decode(self, part: Tensor) -> Tensor:
        """Return the inverse of the map."""
        z = part[:, 0]
        start, size, score, rise, first, last = self._pieces(z, self.scores)
        y = ((z - score) / rise).clamp(0, 1)
        more = y * (first + last - 2)
        a, b = 1 - first + more, first - more
        t = 2 * y / (b + (b.square() + 4 * a * y).clamp(min=0).sqrt()).clamp(min=1e-300)
        beyond = (z - self.scores[0]).clamp(max=0) / self.slopes[0]
        return start + size * t.clamp(0, 1) + beyond + (z - self.scores[-1]).clamp(min=0) / self.slopes[-1]

    def slope(self, values: Tensor) -> Tensor:
        """Return the map's derivative."""
        start, size, _, rise, first, last = self._pieces(values, self.knots)
        t = ((values - start) / size).clamp(0, 1)
        bend = 1 + (first + last - 2) * t * (1 - t)
        inside = last * t.square() + 2 * t * (1 - t) + first * (1 - t).square()
        return (rise / size * inside / bend.square()).unsqueeze(1)

    def log_gain(self, values: Tensor, part: Tensor) -> Tensor:
        """Return the logarithm of the map's derivative."""
        return self.slope(values)[:, 0].log()
