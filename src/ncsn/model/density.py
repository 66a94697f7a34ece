"""Log-densities of data: of their rows, and what the encoding adds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.data import Encoding
from ncsn.likelihood import log_density
from ncsn.model.moments import Moments

Told = Callable[[Tensor | None, int], dict[str, Tensor] | None]
"""Called with the codes of some rows' classes and their number; returns the condition that the score model is given."""


def log_density_of_data(
    score_model: nn.Module,
    encoding: Encoding,
    moments: Moments,
    values: Tensor,
    codes: Tensor | None,
    told: Told,
    *,
    draws: int,
    generator: torch.Generator | None,
    like: Tensor,
    **options: Any,
) -> Tensor:
    """Return the log-density of float64 values, ``(N,)``; `Model.log_density` says of what.

    Args:
        score_model: The score model of the rows.
        encoding: How rows and data belong together.
        moments: Means and covariances of the rows.
        values: The values.
        codes: The code of each row's class, or None.
        told: What the score model is told of some rows.
        draws: Draws of what is drawn for atoms.
        generator: Source of what is drawn; torch's default when None.
        like: A tensor of the type and on the device that the score model takes.
        **options: Options of `likelihood.log_density`, with the levels ``sigma_min`` and ``sigma_max``.
    """
    bounds = []
    for _ in range(draws if encoding.draws else 1):
        drawn = encoding.rows(values, generator or torch.default_generator)
        # a cell that is missing where none ever was is one that no row has
        total, rows = encoding.log_gain(values, drawn).nan_to_num(nan=-torch.inf, neginf=-torch.inf), drawn.to(like)
        # what no row can hold needs no path
        possible = total > -torch.inf
        for group, mean, covariance in moments.groups(codes, len(rows)):
            some = group[possible[group]]
            if not len(some):
                continue
            total[some] += log_density(
                score_model,
                rows[some.to(rows.device)],
                mean=mean,
                covariance=covariance,
                generator=generator,
                condition=told(None if codes is None else codes[some], len(some)),
                **options,
            ).to(total)
        bounds.append(total)
    return torch.stack(bounds).logsumexp(0) - math.log(len(bounds))
