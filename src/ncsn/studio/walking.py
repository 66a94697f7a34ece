"""Particles on their way: samplers that start from the same noise, a few steps at a time."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.errors import SettingError
from ncsn.guidance import LinearMeasurement, sample_posterior
from ncsn.noise import create_noise_schedule
from ncsn.samplers import SAMPLERS, State, trajectory
from ncsn.score import ScoreModel
from ncsn.studio.learning import Learning
from ncsn.studio.settings import Settings

POSTERIOR = "given the measurement"
"""What particles that are drawn given a measurement are called, in the place of a sampler."""

MOST_GIVEN, SWEEPS = 200, 4
"""Most particles given a measurement, each of which has candidates, and the walks down the levels."""


def levels_of(settings: Settings, sampler: str, ends: tuple[float, float]) -> Tensor:
    """Return the levels that a sampler walks: what takes all of its steps at one level, the one that is looked at."""
    if "n_steps" in _options(sampler):
        return torch.tensor([settings.sigma])
    return create_noise_schedule(*ends, settings.levels, settings.grid)


def options_of(settings: Settings, sampler: str, levels: Tensor, sigma_data: float) -> dict[str, Any]:
    """Return the options of a sampler that are set, of those that it has."""
    own = {"step_size"} if SAMPLERS[sampler].steps_fit_levels else set()
    asked = {
        "sigma_data": round(sigma_data, 6),
        "n_steps": settings.langevin_steps,
        "n_steps_per_sigma": settings.per_level,
        "step_size": round(settings.step * float(levels[-1]) ** 2, 12),
    }
    return {name: asked[name] for name in _options(sampler) if name in asked and name not in own}


def _options(sampler: str) -> list[str]:
    return [each.name for each in fields(SAMPLERS[sampler])]


def start_of(settings: Settings, sigma_max: float) -> Tensor:
    """Return where all particles start."""
    generator = torch.Generator().manual_seed(settings.seed)
    return sigma_max * torch.randn(settings.particles, 2, generator=generator)


def measurement_of(settings: Settings) -> LinearMeasurement:
    """Return the measurement: how far along a direction a point lies."""
    angle = math.radians(settings.angle)
    return LinearMeasurement([[math.cos(angle), math.sin(angle)]], [settings.offset], settings.noise)


def likelihood(settings: Settings, points: Tensor) -> Tensor:
    """Return the likelihood of what was measured, of each of the points, ``(N,)``, up to a constant."""
    angle = math.radians(settings.angle)
    off = points @ torch.tensor([math.cos(angle), math.sin(angle)]) - settings.offset
    squares = (off / settings.noise).square() / 2
    return (squares.min() - squares).double().exp()


@dataclass(eq=False)
class Walk:
    """The particles of one sampler.

    Attributes:
        name: The sampler's.
        states: What is still to come.
        state: Where it stands; None before it began.
        done: Whether it is at its end.
    """

    name: str
    states: Iterator[State]
    state: State | None = None
    done: bool = False

    def advance(self, steps: int) -> list[State]:
        """Take steps, at most to the end, and return the states after each."""
        taken: list[State] = []
        while len(taken) < steps and not self.done:
            state = next(self.states, None)
            if state is None:
                self.done = True
            else:
                taken.append(state)
                self.state = state
        return taken


@dataclass(eq=False)
class Walks:
    """The particles of all samplers that were asked for.

    Attributes:
        learned_at: How many steps of training the score had taken that they follow.
        each: The walks by name.
        truth: The share that each mode should have.
    """

    learned_at: int
    truth: Tensor
    each: dict[str, Walk] = field(default_factory=dict)

    @classmethod
    def begun(cls, learning: Learning) -> Walks:
        """Return walks that have not begun yet.

        Raises:
            SettingError: The score is that of a network that is not there.
        """
        settings = learning.settings
        scores = learning.scores()
        if settings.score not in scores:
            raise SettingError("the network as printed is not trained: turn it on, or follow another score")
        model = scores[settings.score]
        if isinstance(model, nn.Module) and settings.score in learning.trainers:
            # training goes on, these particles follow what was learned when they began
            model = copy.deepcopy(model)
        condition = learning.condition(settings.score)
        model = learning.guided(settings.score, model)
        label = settings.label if condition else -1
        told = (lambda points: likelihood(settings, points)) if settings.measured else None
        walks = cls(learning.step, learning.source.true_shares(label, told))
        ends = learning.ends
        if settings.measured:
            walks.each[POSTERIOR] = Walk(POSTERIOR, _given(settings, model, condition, ends))
            return walks
        start = start_of(settings, ends[1])
        for name in settings.samplers:
            levels = levels_of(settings, name, ends)
            states = trajectory(
                model,
                levels,
                settings.particles,
                2,
                name,
                start,
                len(levels) > 1,
                torch.Generator().manual_seed(settings.seed + 1),
                condition=condition,
                **options_of(settings, name, levels, learning.plan.sigma_data),
            )
            walks.each[name] = Walk(name, states)
        return walks


def _given(
    settings: Settings, model: ScoreModel, condition: dict[str, int], ends: tuple[float, float]
) -> Iterator[State]:
    """Draw given the measurement, all at once when the first state is asked for; return the states in the plane."""
    measurement = measurement_of(settings)
    levels = create_noise_schedule(*ends, settings.levels, settings.grid)
    states: list[State] = []

    def keep(state: State) -> None:
        # of the candidates of each particle the first, in the coordinates of the measurement
        x = measurement.operator.points(state.x[:, 0])
        states.append(State(len(states), state.sigma, x, None, state.evaluations))

    n, generator = min(settings.particles, MOST_GIVEN), torch.Generator().manual_seed(settings.seed + 1)
    how: dict[str, Any] = {"condition": condition, "callback": keep, "generator": generator}
    drawn = sample_posterior(model, measurement, levels, n, n_sweeps=SWEEPS, **how)
    yield from states
    yield State(len(states), 0.0, drawn, None, states[-1].evaluations)
