"""Sampling of consistency models in one or a few evaluations (Song et al. 2023, algorithm 1)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import Tensor

from ncsn.errors import SettingError
from ncsn.samplers.ancestral import renoised
from ncsn.samplers.base import CountedModel, Noise, Sampler, State


@dataclass(frozen=True, repr=False)
class Multistep(Sampler):
    """Leap to the end of the flow from each level but the last, adding noise up to the next level in between.

    It takes a consistency model, whose call returns the end f(x, sigma) of the flow through x, not a score. The last of
    its two or more levels is sigma_min, where the model's flow ends: L levels take L - 1 evaluations. The last state is the
    sample itself, at sigma 0: nothing is left to denoise.
    """

    steps: ClassVar[int | str] = 2
    extra_levels: ClassVar[int] = 1
    takes_score: ClassVar[bool] = False

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        """Walk down all levels; yield the state after each evaluation."""
        levels = sigmas.tolist()
        if len(levels) < 2:
            raise SettingError("consistency needs two levels or more: where to start, and last where the flow ends")
        for count, (sigma, following) in enumerate(pairwise(levels), 1):
            end = model.score(x, sigma)
            x = renoised(x, end, 0.0, math.sqrt(following**2 - levels[-1] ** 2), noise)
            yield State(count, following if count < len(levels) - 1 else 0.0, x, end, model.evaluations)
