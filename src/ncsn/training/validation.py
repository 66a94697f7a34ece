"""Rows that a training does not see, whose loss says which of its averaged weights are kept."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ncsn.exact import EmpiricalScore
from ncsn.losses import Batch, DenoisingScoreMatching, Objective
from ncsn.noise import Levels
from ncsn.score import evaluation_mode
from ncsn.training.batches import Batches

LOOKS = 20
"""How often a training is looked at, about."""

COST = 0.05
"""Share of the training's time that this takes, about."""

LEAST_POINTS = 256
MOST_VALUES = 2**22
"""Fewest noisy rows that a look takes of either kind, and the most values that they have."""

TOLERANCE = 0.005
"""Share by which a held-out loss may be above the smallest: other rows would differ by more, and fine detail is learned late."""

FLOOR_ROWS = 5000
"""Most rows of either kind that the floor is that of."""


class Look(NamedTuple):
    """What a look at a training saw: the step, and the loss of the averaged weights on training rows and on held-out ones."""

    step: int
    training: float
    held_out: float


@dataclass(frozen=True)
class Validation:
    """How a training went on rows that it did not see.

    Attributes:
        looks: What was seen in the course of training.
        floor: The loss of the exact score of all rows, the held-out ones included, on the held-out ones: over all rows no score
            has less. It is near the truth's own where rows lie close together, and far below it where they are few. None
            where the objective is not the library's, or each row has a context or a weight of its own.
    """

    looks: list[Look]
    floor: float | None

    @property
    def kept(self) -> Look:
        """The look whose weights are kept: the last one whose held-out loss is next to the smallest."""
        losses = [look.held_out if math.isfinite(look.held_out) else math.inf for look in self.looks]
        most = (1 + TOLERANCE) * min(losses)
        return max((look for look, loss in zip(self.looks, losses, strict=True) if loss <= most), key=lambda x: x.step)


class Watch:
    """Looks at a training by rows that it does not see, and keeps the averaged weights that know them best.

    The loss is the training's own, but without targets averaged over the data, which would praise what knows these by heart.
    Levels and noise are the same at every look: two looks differ by the weights alone.

    Args:
        held_out: The rows that training does not see, where it runs.
        training: Those that it sees.
        levels: The levels that it draws from.
        objective: What it minimises.
        n_points: Rows with noise of both kinds that a look takes, each at a level of its own.
        at_once: How many of them pass through the model together.
        accelerator: Where the training runs; several processes take a share of the rows each.
        seed: Seed of the rows, the levels and the noise.

    Attributes:
        looks: What was seen so far.
        best: The model with the averaged weights that are kept; None before the first look.
    """

    def __init__(
        self,
        held_out: Batches,
        training: Batches,
        levels: Levels,
        objective: Objective,
        *,
        n_points: int,
        at_once: int,
        accelerator: Accelerator,
        seed: int,
    ) -> None:
        self.objective, self.at_once, self.accelerator = objective, at_once, accelerator
        self.looks: list[Look] = []
        self.best: nn.Module | None = None
        device, dtype = training.device, training.dtype
        generator = torch.Generator(device).manual_seed(seed)
        order = torch.randperm(n_points, generator=generator, device=device).cpu()
        sigma = levels.quantile((order + 0.5).double() / n_points).to(device, dtype)
        every = torch.arange(n_points, device=device) % len(held_out)
        places = every if held_out.weights is None else held_out.draw(n_points, generator)
        unseen = held_out.rows(places)
        noise = torch.randn(unseen.shape, generator=generator, device=device, dtype=dtype)
        self._unseen = Batch(unseen, sigma, noise, held_out.told(places), progress=1.0)
        drawn = training.draw(n_points, generator)
        self._seen = Batch(training.rows(drawn), sigma, noise, training.told(drawn), progress=1.0)
        self.training, self.held_out = training, held_out

    def look(self, step: int, model: nn.Module) -> Look:
        """Take the losses of averaged weights after so many steps, and keep these weights if none were clearly better."""
        self.looks.append(Look(step, self._loss(model, self._seen), self._loss(model, self._unseen)))
        if Validation(self.looks, None).kept is self.looks[-1]:
            self.restore(self.looks, model, model.state_dict())
        return self.looks[-1]

    def restore(self, looks: list[Look], model: nn.Module, weights: dict[str, Tensor]) -> None:
        """Take what was seen, and the weights that are kept, of a model like this one."""
        self.looks = looks
        self.best = copy.deepcopy(model) if self.best is None else self.best
        self.best.load_state_dict(weights)

    @property
    def result(self) -> Validation | None:
        """How the training went so far; None before the first look."""
        return Validation(list(self.looks), self._floor) if self.looks else None

    @torch.no_grad()
    def _loss(self, model: nn.Module, batch: Batch) -> float:
        n, share = len(batch.sigma), self.accelerator.num_processes
        rows = torch.arange(n, device=batch.sigma.device).tensor_split(share)[self.accelerator.process_index]
        with evaluation_mode(model), self.accelerator.autocast():
            losses = [self.objective(model, batch.of(some)) for some in rows.split(self.at_once)]
        return float(self.accelerator.reduce(torch.cat(losses).sum(), "sum")) / n

    @cached_property
    @torch.no_grad()
    def _floor(self) -> float | None:
        own = self.training.contexts is not None or self.training.weights is not None
        if own or not isinstance(self.objective, DenoisingScoreMatching):
            return None
        parts = [(batches, _spread(batches)) for batches in (self.training, self.held_out)]
        rows = torch.cat([batches.rows(some) for batches, some in parts])
        labels = [batches.labels[some] for batches, some in parts if batches.labels is not None]
        exact = EmpiricalScore(rows, torch.cat(labels) if labels else None)
        return float(self.objective(exact, self._unseen).mean())


def looks_every(steps: int, report_every: int) -> int:
    """Return the number of steps between two looks, a multiple of that between two reports."""
    return report_every * max(1, round(steps / LOOKS / report_every))


def points_of(steps: int, every: int, batch_size: int, n_values: int) -> int:
    """Return how many noisy rows of both kinds a look takes.

    Args:
        steps: Steps of the training.
        every: Steps between two looks.
        batch_size: Rows a step, each of which takes three times as long as one that is looked at.
        n_values: Values of a row.
    """
    n = int(COST * 3 / 2 * batch_size * steps / math.ceil(steps / every))
    return min(max(LEAST_POINTS, n), max(1, MOST_VALUES // n_values))


def _spread(batches: Batches) -> Tensor:
    """Return the positions of some rows, at even distances."""
    n = len(batches)
    return torch.linspace(0, n - 1, min(n, FLOOR_ROWS), dtype=torch.float64).long().to(batches.device)
