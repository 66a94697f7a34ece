"""What a network is told of a set of observations, whose order means nothing."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST = 1e-4
"""The least spread that a set has, in that of all observations: sets of equal members have a logarithm too."""


def scale_of(sets: Tensor) -> Tensor:
    """Return the standard deviation of all observations, ``(d,)``, of sets ``(N, k, *d)``; 1 where they are all equal."""
    scale = sets.flatten(2).flatten(0, 1).std(0)
    return torch.where(scale > 0, scale, 1.0)


def n_summaries(k: int, dim: int) -> int:
    """Return how many numbers sum up a set of k observations of ``dim`` numbers each, as `told_of_sets` does."""
    return 0 if k == 1 else 2 * dim + (_pairs(dim) if k > 2 and dim - 1 <= 2 * k else 0)


def told_of_sets(sets: Tensor, scale: Tensor) -> Tensor:
    """Return sets as their means, the logarithms of their spreads, their correlations, and their members in these units.

    Where a set lies and how wide it is may differ by orders of magnitude, and no network tells small differences of large
    numbers; these are what one looks at first. Correlations are Fisher's z; there are none of two members, which always lie on a
    line, or where they would be more than the numbers observed. A set of one member is that member.

    Args:
        sets: ``(N, k, d)``.
        scale: The standard deviation of all observations, ``(d,)``.

    Returns:
        The summaries and then the members one after another, ``(N, n_summaries + k d)``.
    """
    k, dim = sets.shape[1:]
    if k == 1:
        return sets.flatten(1)
    mean = sets.mean(1)
    spread = sets.var(1, correction=0).sqrt().maximum(SMALLEST * scale)
    members = (sets - mean[:, None]) / spread[:, None]
    summaries = [mean, spread.log()]
    if n_summaries(k, dim) > 2 * dim:
        rows, columns = torch.triu_indices(dim, dim, 1)
        correlations = (torch.einsum("nki,nkj->nij", members, members) / k)[:, rows, columns]
        summaries.append(correlations.clamp(-1 + 1e-6, 1 - 1e-6).atanh())
    return torch.cat([*summaries, members.flatten(1)], dim=1)


def contexts_of(x: Tensor, scale: Tensor | None) -> Tensor:
    """Return observations as rows of numbers, ``(M, C)``; those that are sets, of this scale, as what is told of sets."""
    return x.flatten(1) if scale is None else told_of_sets(x.double().flatten(2), scale)


def _pairs(dim: int) -> int:
    return dim * (dim - 1) // 2
