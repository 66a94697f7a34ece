"""Whether ranks are uniform, with the band that they keep to if they are: what every check of a posterior comes down to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from ncsn.errors import DataError, SettingError, check_count, check_number

Array = NDArray[np.float64]

MOST_PLACES = 100
"""Places, at most, at which the share of ranks below is looked at."""

NULL_SETS = 4000
"""Sets of uniform ranks that the band is measured on."""


class Verdict:
    """Whether a check accepts, by the worst of several names, each with a probability of its own.

    Attributes:
        names: What is checked.
        confidence: How often what is right is accepted, all names together.
    """

    names: tuple[str, ...]
    confidence: float

    @property
    def p_values(self) -> Array:
        """For each name how often what is right would be as far off, ``(K,)``."""
        raise NotImplementedError

    @property
    def p_value(self) -> float:
        """That of the name that is farthest off, times the number of names (Bonferroni), at most 1."""
        return min(1.0, len(self.names) * float(self.p_values.min()))

    @property
    def accepted(self) -> bool:
        """Whether what is right would be as far off often enough."""
        return self.p_value > 1 - self.confidence


@dataclass(frozen=True, eq=False)
class RankCheck(Verdict):
    """Ranks of what is true among draws, which are uniform where the draws are of the right posterior.

    The share of the ranks up to each place is compared with the uniform one. The band holds at all places at once: it is as many
    standard errors wide at each, and holds with the confidence asked for, all ``names`` together (Säilynoja et al. 2022,
    Bonferroni over the names).

    Attributes:
        title: Which check it is.
        names: What has been ranked.
        ranks: How many of the draws are below what is true, from 0 to ``n_draws``, ``(M, K)`` for K names.
        n_draws: Draws that it was ranked among.
        confidence: How often the right posterior is accepted.
        meaning: What it means where ranks are not uniform.

    Raises:
        DataError: Ranks are not of this shape, or out of range.
        SettingError: The confidence is not between 0 and 1, or there are too many names for it.
    """

    title: str
    names: tuple[str, ...]
    ranks: NDArray[np.int64]
    n_draws: int
    confidence: float = 0.95
    meaning: str = ""

    def __post_init__(self) -> None:
        check_count("n_draws", self.n_draws)
        check_confidence(self.confidence)
        most = int((1 - self.confidence) * (1 + NULL_SETS))
        if len(self.names) > most:
            raise SettingError(
                f"{len(self.names)} names at confidence {self.confidence:.4g} would be accepted whatever their ranks: check "
                f"{most} at most at once, or take a lower confidence"
            )
        if self.ranks.ndim != 2 or self.ranks.shape[1] != len(self.names) or not len(self.ranks):
            raise DataError(f"ranks must be of shape (M, {len(self.names)}), not {self.ranks.shape}")
        if self.ranks.min() < 0 or self.ranks.max() > self.n_draws:
            raise DataError(f"ranks must be from 0 to {self.n_draws}")

    @property
    def places(self) -> Array:
        """The shares of the draws at which ranks are counted, rising, ``(P,)``."""
        return (_places(self.n_draws) + 1) / (self.n_draws + 1)

    @cached_property
    def shares(self) -> Array:
        """The share of ranks up to each place, ``(P, K)``; that of uniform ranks is the place itself."""
        return _counts(self.ranks.T, self.n_draws).T / len(self.ranks)

    @cached_property
    def band(self) -> tuple[Array, Array]:
        """The lower and upper end, ``(P,)`` each, that the shares keep to at all places."""
        null, m = _null(len(self.ranks), self.n_draws), len(self.ranks)
        level = float(np.quantile(null, (1 - self.confidence) / len(self.names)))
        low, high = (np.asarray(binom.ppf(end, m, self.places)) / m for end in (level / 2, 1 - level / 2))
        return low, high

    @cached_property
    def p_values(self) -> Array:
        """For each name how often uniform ranks would be as far off at their worst place, ``(K,)``."""
        m = len(self.ranks)
        worst = _worst(np.rint(self.shares.T * m).astype(np.int64), m, self.n_draws)
        null = _null(m, self.n_draws)
        return (1 + (null[:, None] <= worst * (1 + 1e-9)).sum(0)) / (1 + len(null))

    def __str__(self) -> str:
        """Say in a line what was checked and how it came out."""
        m = f"{len(self.ranks):,} simulations of {self.n_draws:,} draws"
        said = f"{self.title}: {'accepted' if self.accepted else 'REJECTED'} (p = {self.p_value:.2g}, {m})"
        if self.accepted:
            return said
        worst = int(self.p_values.argmin())
        name = f"worst {self.names[worst]}; " if len(self.names) > 1 else ""
        return f"{said}: {name}{_described(self.shares[:, worst], self.places)}{self.meaning}"


def check_confidence(confidence: float) -> None:
    """Refuse what is no probability between 0 and 1.

    Raises:
        SettingError: It is not.
    """
    check_number("confidence", confidence, above=0)
    if confidence >= 1:
        raise SettingError(f"confidence must be below 1, not {confidence}")


def ranks_of(truth: Any, draws: Any, seed: int = 0) -> NDArray[np.int64]:
    """Return how many of the draws are below what is true, ``(M, ...)``; equal ones count by chance.

    Args:
        truth: Numbers, ``(M, ...)``.
        draws: Those of the draws, ``(n, M, ...)``.
        seed: Seed of the chance.
    """
    below, equal = (draws < truth).sum(0), (draws == truth).sum(0)
    return np.asarray(below + np.random.default_rng(seed).integers(0, equal + 1), dtype=np.int64)


def _described(shares: Array, places: Array) -> str:
    """Say how ranks differ from uniform ones."""
    low, high = shares[places <= 0.2], 1 - shares[places >= 0.8]
    ends = low[-1] / places[places <= 0.2][-1] if len(low) else 1.0, high[0] / (1 - places[places >= 0.8][0])
    if min(ends) > 1:
        return f"{ends[0]:.1f} and {ends[1]:.1f} times as many in the lowest and highest fifth as there should be"
    if max(ends) < 1:
        return f"only {ends[0]:.1f} and {ends[1]:.1f} times as many in the lowest and highest fifth as there should be"
    return f"{ends[0]:.1f} times as many in the lowest fifth as there should be, {ends[1]:.1f} times in the highest"


@lru_cache(maxsize=32)
def _places(n_draws: int) -> NDArray[np.int64]:
    """Return the ranks at which those up to them are counted."""
    return np.unique(np.linspace(0, n_draws - 1, min(n_draws, MOST_PLACES)).astype(np.int64))


def _counts(ranks: NDArray[np.int64], n_draws: int) -> NDArray[np.int64]:
    """Return how many ranks of each set ``(S, M)`` are up to each place, ``(S, P)``."""
    ordered = np.sort(ranks, axis=1)
    return np.stack([np.searchsorted(each, _places(n_draws), side="right") for each in ordered])


def _worst(counts: NDArray[np.int64], m: int, n_draws: int) -> Array:
    """Return the smallest two-sided probability, over the places, that a binomial count is as far off, ``(S,)``."""
    chance = (_places(n_draws) + 1) / (n_draws + 1)
    up_to, from_on = binom.cdf(counts, m, chance), binom.sf(counts - 1, m, chance)
    return np.asarray(2 * np.minimum(up_to, from_on).min(axis=1))


@lru_cache(maxsize=32)
def _null(m: int, n_draws: int) -> Array:
    """Return the worst probability of each of many sets of uniform ranks, sorted."""
    generator = np.random.default_rng(0)
    worst = [
        _worst(_counts(generator.integers(0, n_draws + 1, size=(500, m)), n_draws), m, n_draws)
        for _ in range(NULL_SETS // 500)
    ]
    return np.sort(np.concatenate(worst))
