"""How to train, as plain data."""

import math
from dataclasses import dataclass, field
from typing import Any

from ncsn.data import Augmentation
from ncsn.losses import DenoisingScoreMatching, Objective
from ncsn.noise import Levels
from ncsn.parts import Part

TARGET_ROWS = 1024
"""Most rows that an objective's target is averaged over where it does not say."""


@dataclass(frozen=True, repr=False)
class Recipe(Part):
    """How to train.

    Args:
        levels: The noise levels to draw from.
        steps: Optimiser steps.
        batch_size: Rows a step, over all processes.
        learning_rate: Highest learning rate, reached after the warm-up, then falling to 0 as a cosine.
        warm_up: Steps of linear warm-up.
        clip_norm: Largest norm of the gradient.
        accumulation: Parts that a batch is taken in, each with its own pass, to fit memory; the step is that of the whole.
        objective: What is minimised. One with a `losses.StableTarget` as ``target`` is given the exact score of the data, of
            a new choice of rows each step where there are more than it takes.
        condition_dropout: Share of rows that are trained without their label, and share without their context; half of
            either are without both.
        augmentation: How images are moved, which the model is told as ``augmentation=``.
        seed: Seed of every draw.
    """

    levels: Levels
    steps: int
    batch_size: int
    learning_rate: float
    warm_up: int = 200
    clip_norm: float = 10.0
    accumulation: int = 1
    objective: Objective = field(default_factory=lambda: DenoisingScoreMatching("edm"))
    condition_dropout: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of the step with this number, from 0."""
        warm = min(1.0, (step + 1) / max(1, self.warm_up))
        return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    @property
    def target_rows(self) -> int:
        """Most rows that the objective's target is averaged over; 0 where it has none."""
        target: Any = getattr(self.objective, "target", None)
        taught = getattr(self.objective, "teacher", None) is not None
        if taught or getattr(target, "target_from", None) in (None, math.inf):
            return 0
        return int(target.target_rows or TARGET_ROWS)
