"""The table of methods: each is a row over the same parts, and nothing else asks which method it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ncsn.errors import unknown_name
from ncsn.networks import ResidualMLP
from ncsn.preconditioning import PreconditionedScore
from ncsn.schedules import DiscreteLevels, LogNormalLevels, LogUniformLevels, TrainingLevels, create_noise_schedule
from ncsn.tuning import Plan

__all__ = ["METHODS", "Method", "method_named"]


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Attributes:
        preconditioning: A name of `preconditioning.PRECONDITIONINGS`.
        levels: The noise levels that training draws from, given the plan.
        weighting: A name of `losses.WEIGHTINGS`.
        sampler: The sampler's name.
        schedule: The kind of schedule that the sampler walks (`schedules.create_noise_schedule`).
        steps: Number of levels walked, given the plan.
        options: Options of the sampler, given the plan.
        reference: The paper.
    """

    preconditioning: str
    levels: Callable[[Plan], TrainingLevels]
    weighting: str
    sampler: str
    schedule: str
    steps: Callable[[Plan], int]
    reference: str
    options: Callable[[Plan], dict[str, Any]] = lambda plan: {}

    def build(self, plan: Plan, shape: Sequence[int], n_classes: int = 0) -> PreconditionedScore:
        """Make the untrained score model.

        Args:
            plan: The settings, of which the network's size and the data's spread count here.
            shape: Shape of one row.
            n_classes: Number of class labels; 0 for none.
        """
        network = ResidualMLP(
            shape, plan.width, plan.n_blocks, n_fourier=plan.n_fourier, dropout=plan.dropout, n_classes=n_classes
        )
        return PreconditionedScore(network, self.preconditioning, plan.sigma_data)


def _discrete(plan: Plan) -> TrainingLevels:
    return DiscreteLevels.of(create_noise_schedule(plan.sigma_min, plan.sigma_max, plan.n_sigmas))


def _log_uniform(plan: Plan) -> TrainingLevels:
    return LogUniformLevels(plan.sigma_min, plan.sigma_max)


def _log_normal(plan: Plan) -> TrainingLevels:
    return LogNormalLevels(plan.sigma_min, plan.sigma_max, plan.log_sigma_mean, plan.log_sigma_spread)


def _levels_trained(plan: Plan) -> int:
    return plan.n_sigmas


def _own_steps(plan: Plan) -> int:
    return plan.sampling_steps


def _churn(plan: Plan) -> dict[str, Any]:
    return {"churn": plan.churn}


METHODS: dict[str, Method] = {
    "ncsn": Method(
        "scaled_score", _discrete, "sigma2", "annealed_langevin", "geometric", _levels_trained, "Song & Ermon 2019"
    ),
    "ve_sde": Method("scaled_score", _log_uniform, "sigma2", "heun", "geometric", _own_steps, "Song et al. 2021"),
    "edm": Method("edm", _log_normal, "edm", "heun", "karras", _own_steps, "Karras et al. 2022", _churn),
}
"""Every method by its name; to add one, add its row."""


def method_named(name: str) -> Method:
    """Look a method up.

    Raises:
        ValueError: The method is unknown; the message names the nearest ones.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]
