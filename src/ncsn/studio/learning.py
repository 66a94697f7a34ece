"""A training that goes on a few steps at a time, and what is shown of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.errors import SettingError
from ncsn.evaluation import loss_by_level
from ncsn.guidance import ClassGuidance
from ncsn.losses import DenoisingScoreMatching
from ncsn.methods import METHODS, Method
from ncsn.model import recipe_of
from ncsn.networks import NCSNScoreNetwork
from ncsn.noise import SCHEDULES, create_noise_schedule
from ncsn.plan import Plan, make_plan
from ncsn.randomness import drawn_from
from ncsn.score import ScoreModel
from ncsn.studio.printed import PrintedNetwork
from ncsn.studio.settings import Settings
from ncsn.studio.sources import Source
from ncsn.training import Trainer, make_accelerator

LOSS_LEVELS = 12
"""Levels at which the loss is shown."""

PAGE_LAYERS = 3
"""Hidden layers of the page's network."""


def method_of(settings: Settings) -> Method:
    """Return the method, with the levels and the weighting that were asked for."""
    method = METHODS[settings.method]
    if settings.train_on is not None:
        method = replace(method, train_on=SCHEDULES[settings.train_on]())
    if settings.weighting is not None:
        matching: Any = method.minimise
        method = replace(method, minimise=replace(matching, weighting=settings.weighting))
    return method


def plan_of(settings: Settings, points: Tensor) -> Plan:
    """Return the settings from the data, with those that were asked for."""
    asked: dict[str, Any] = {"width": settings.width, "training_steps": settings.steps}
    asked |= {"batch_size": settings.batch_size, "learning_rate": settings.learning_rate}
    return make_plan(points, **asked)


@dataclass(eq=False)
class Learning:
    """The networks that learn from a source.

    Attributes:
        settings: What was asked for.
        source: What there is to learn from.
        method: The method.
        plan: The settings from the data.
        trainers: The training of the sound network, called ``learned``, and of the printed one, ``printed``.
        curve: Pairs of step and loss of the sound one.
    """

    settings: Settings
    source: Source
    method: Method
    plan: Plan
    trainers: dict[str, Trainer]
    curve: list[tuple[int, float]] = field(default_factory=list)

    @classmethod
    def begun(cls, settings: Settings, source: Source) -> Learning:
        """Return networks that have not learned anything yet.

        Raises:
            DataError: The points are too few, or all the same.
            SettingError: Classes are asked for, of points without or by the page's network, which takes none.
        """
        if settings.labels and (source.n_labels < 2 or settings.network == "page"):
            raise SettingError(
                "classes need points of several modes or strokes, and the method's own network: turn them off"
            )
        method, plan = method_of(settings), plan_of(settings, source.points)
        n_classes, hidden = source.n_labels if settings.labels else 0, [settings.width] * PAGE_LAYERS
        with drawn_from(torch.Generator().manual_seed(settings.seed)):
            network: nn.Module = (
                method.build(plan, (2,), n_classes) if settings.network == "method" else NCSNScoreNetwork(2, hidden)
            )
        labels = source.labels if settings.labels else None
        trainers = {"learned": _trainer(network, source, method, plan, settings.seed, labels)}
        if settings.printed:
            with drawn_from(torch.Generator().manual_seed(settings.seed)):
                network = PrintedNetwork(2, hidden)
            plain = replace(METHODS["ncsn"], minimise=DenoisingScoreMatching("sigma2"))
            trainers["printed"] = _trainer(network, source, plain, plan, settings.seed, None)
        return cls(settings, source, method, plan, trainers)

    @property
    def step(self) -> int:
        """Steps taken."""
        return self.trainers["learned"].step

    @property
    def done(self) -> bool:
        """Whether the training is at its end."""
        return self.step == self.settings.steps

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest level that a network knows."""
        return max(self.plan.sigma_min, self.method.lowest(self.plan)), self.plan.sigma_max

    def advance(self, steps: int) -> None:
        """Take steps, each network as many."""
        losses = {name: trainer.advance(steps) for name, trainer in self.trainers.items()}
        if self.step and (not self.curve or self.curve[-1][0] < self.step):
            self.curve.append((self.step, losses["learned"]))

    def scores(self) -> dict[str, ScoreModel]:
        """Return the scores that there are by name: the exact one, and of each network that with averaged weights."""
        networks = {name: trainer.averaged_model for name, trainer in self.trainers.items()}
        return {"exact": self.source.exact, **networks}

    def condition(self, name: str) -> dict[str, int]:
        """Return what a score is told of the class."""
        told = name == "exact" or (name == "learned" and self.settings.labels)
        if self.settings.label >= self.source.n_labels:
            raise SettingError(f"there is no class {self.settings.label}: choose another")
        return {"label": self.settings.label} if told and self.settings.label >= 0 else {}

    def guided(self, name: str, model: ScoreModel) -> ScoreModel:
        """Return a score with the guidance that was asked for."""
        weight = self.settings.guidance
        return ClassGuidance(model, weight) if weight != 1 and self.condition(name) else model

    def losses(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Return levels, and the loss at each of every score, without classes; that of the exact one is the floor."""
        sigmas = create_noise_schedule(*self.ends, LOSS_LEVELS)
        seed = self.settings.seed

        def loss(model: ScoreModel) -> Tensor:
            return loss_by_level(model, self.source.judged, sigmas, torch.Generator().manual_seed(seed))

        return sigmas, {name: loss(model) for name, model in self.scores().items()}

    def moments(self) -> Mapping[str, Tensor]:
        """Return the mean and the covariance of the points, as a log-density takes them."""
        exact = self.source.exact
        return {"mean": exact.mean.float(), "covariance": exact.covariance.float()}


def _trainer(
    network: nn.Module, source: Source, method: Method, plan: Plan, seed: int, labels: Tensor | None
) -> Trainer:
    recipe = recipe_of(method, plan, None, seed=seed)
    return Trainer(network, source.points, recipe, labels, make_accelerator("cpu"))
