"""The table of methods: each is a row over the same parts, and nothing else asks which method it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ncsn.errors import unknown_name
from ncsn.losses import Consistency, DenoisingScoreMatching, Objective
from ncsn.networks import ResidualMLP
from ncsn.preconditioning import ConsistencyModel, PreconditionedScore
from ncsn.processes import PROCESSES, ProcessLevels, ddpm_levels
from ncsn.schedules import DiscreteLevels, LogNormalLevels, LogUniformLevels, TrainingLevels, create_noise_schedule
from ncsn.score import ScoreModel
from ncsn.tuning import Plan

__all__ = ["METHODS", "Method", "method_named"]

FINE_LEVELS = 100
"""Least number of levels of NCSNv2, whose technique 2 asks for hundreds in many dimensions and for none in few."""

SDE_LEVELS = 100
"""Levels that the samplers of the Score SDE walk; with correction, two evaluations each."""


WITH_SKIP = ("edm", "consistency")
"""Rows of preconditioning whose c_skip is below 1, so that they carry the linear part of the answer themselves."""


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Attributes:
        preconditioning: A name of `preconditioning.PRECONDITIONINGS`.
        levels: The noise levels that training draws from, given the plan.
        objective: What training minimises, given the plan and the score model to distil, which only some methods take.
        sampler: The sampler's name.
        grid: The levels that the sampler walks, given the plan and the number of steps.
        steps: That number, given the plan.
        reference: The paper.
        options: Options of the sampler, given the plan.
        model: What is made of the network.
        distils: Whether the method takes a teacher.
    """

    preconditioning: str
    levels: Callable[[Plan], TrainingLevels]
    objective: Callable[[Plan, ScoreModel | None], Objective]
    sampler: str
    grid: Callable[[Plan, int], Tensor]
    steps: Callable[[Plan], int]
    reference: str
    options: Callable[[Plan], dict[str, Any]] = lambda plan: {}
    model: type[PreconditionedScore] = PreconditionedScore
    distils: bool = False

    @property
    def gives_score(self) -> bool:
        """Whether the model is a score model, so that it has a log-density and takes every sampler but ``consistency``."""
        return self.model is not ConsistencyModel

    def lowest(self, plan: Plan) -> float:
        """Return the smallest level to ask the model for: that of the plan, or what training draws at the least."""
        return max(plan.sigma_min, float(self.levels(plan).quantile(torch.zeros((), dtype=torch.float64))))

    def build(self, plan: Plan, shape: Sequence[int], n_classes: int = 0) -> PreconditionedScore:
        """Make the untrained model.

        Args:
            plan: The settings, of which the network's size, the data's spread and sigma_min count here.
            shape: Shape of one row.
            n_classes: Number of class labels; 0 for none.
        """
        # Where c_skip is 1 the linear part is left to the network. Elsewhere a gain is no gain but in few features, where
        # Fourier features draw the detail: with few rows of many features it costs likelihood.
        gain = self.preconditioning not in WITH_SKIP or plan.n_fourier > 0
        network = ResidualMLP(
            shape,
            plan.width,
            plan.n_blocks,
            n_fourier=plan.n_fourier,
            dropout=plan.dropout,
            gain=gain,
            n_classes=n_classes,
        )
        return self.model(network, self.preconditioning, plan.sigma_data, plan.sigma_min)


# Levels to train on


def _discrete(plan: Plan) -> TrainingLevels:
    return DiscreteLevels.of(_geometric(plan, plan.n_sigmas))


def _fine_discrete(plan: Plan) -> TrainingLevels:
    return DiscreteLevels.of(_geometric(plan, _fine(plan)))


def _ddpm(betas: str) -> Callable[[Plan], TrainingLevels]:
    return lambda plan: DiscreteLevels.of(ddpm_levels(kind=betas))


def _log_uniform(plan: Plan) -> TrainingLevels:
    return LogUniformLevels(plan.sigma_min, plan.sigma_max)


def _log_normal(plan: Plan) -> TrainingLevels:
    return LogNormalLevels(plan.sigma_min, plan.sigma_max, plan.log_sigma_mean, plan.log_sigma_spread)


def _uniform_in_time(process: str) -> Callable[[Plan], TrainingLevels]:
    # beyond sigma_max the data are next to a Gaussian, which sampling starts from: the times above would teach nothing
    return lambda plan: ProcessLevels(PROCESSES[process], plan.sigma_min, plan.sigma_max)


# What is minimised


def _matching(plan: Plan, teacher: ScoreModel | None) -> Objective:
    return DenoisingScoreMatching("sigma2", plan.target_from)


def _edm_matching(plan: Plan, teacher: ScoreModel | None) -> Objective:
    return DenoisingScoreMatching("edm", plan.target_from, weight_from=plan.weight_from)


def _consistency(plan: Plan, teacher: ScoreModel | None) -> Objective:
    # a teacher's second-order step follows the flow over a wider gap than the first-order one without
    return Consistency(plan.sigma_min, teacher, plan.target_from, last_gap=0.1 if teacher is None else 0.2)


# Grids to sample on


def _geometric(plan: Plan, n: int) -> Tensor:
    return create_noise_schedule(plan.sigma_min, plan.sigma_max, n)


def _karras(plan: Plan, n: int) -> Tensor:
    return create_noise_schedule(plan.sigma_min, plan.sigma_max, n, "karras")


def _bent(plan: Plan, n: int) -> Tensor:
    # geometric where the flow still chooses among places, and wider and wider below, where it only narrows
    bend = 0.1 * plan.sigma_data
    low, high = (math.log1p(math.sqrt(sigma / bend)) for sigma in (plan.sigma_min, plan.sigma_max))
    levels = bend * torch.linspace(high, low, n, dtype=torch.float64).expm1().square()
    return levels.float()


def _leaps(plan: Plan, n: int) -> Tensor:
    return _karras(plan, n + 1)


def _some_of_ddpm(betas: str) -> Callable[[Plan, int], Tensor]:
    def grid(plan: Plan, n: int) -> Tensor:
        levels = ddpm_levels(kind=betas)
        if n > len(levels):
            raise ValueError(f"DDPM has {len(levels):,} levels; steps must not be above, but is {n:,}")
        # few steps are spent below sigma_max, above which the data are next to a Gaussian that is known
        highest = int((levels >= plan.sigma_max).sum().clamp(min=1)) - 1
        first = min(highest, len(levels) - n)
        return levels[torch.linspace(first, len(levels) - 1, n).round().long()].float()

    return grid


def _even_times(process: str) -> Callable[[Plan, int], Tensor]:
    return lambda plan, n: _uniform_in_time(process)(plan).quantile(torch.linspace(1, 0, n))


# Numbers of steps, and options


def _levels_trained(plan: Plan) -> int:
    return plan.n_sigmas


def _fine(plan: Plan) -> int:
    return max(FINE_LEVELS, plan.n_sigmas)


def _langevin_steps(plan: Plan) -> dict[str, Any]:
    return {"n_steps_per_sigma": plan.n_steps_per_sigma}


def _few_langevin_steps(plan: Plan) -> dict[str, Any]:
    return {"n_steps_per_sigma": 5}


def _ddpm_method(betas: str, reference: str) -> Method:
    return Method(
        preconditioning="noise_vp",
        levels=_ddpm(betas),
        objective=_matching,
        sampler="ancestral",
        grid=_some_of_ddpm(betas),
        steps=lambda plan: 1000,
        reference=reference,
    )


def _sde_method(
    preconditioning: str, levels: Callable[[Plan], TrainingLevels], grid: Callable[[Plan, int], Tensor]
) -> Method:
    return Method(
        preconditioning=preconditioning,
        levels=levels,
        objective=_matching,
        sampler="predictor_corrector",
        grid=grid,
        steps=lambda plan: SDE_LEVELS,
        reference="Song et al. 2021",
    )


METHODS: dict[str, Method] = {
    "ncsn": Method(
        preconditioning="scaled_score",
        levels=_discrete,
        objective=_matching,
        sampler="annealed_langevin",
        grid=_geometric,
        steps=_levels_trained,
        reference="Song & Ermon 2019",
        options=_langevin_steps,
    ),
    "ncsnv2": Method(
        preconditioning="scaled_score",
        levels=_fine_discrete,
        objective=_matching,
        sampler="annealed_langevin",
        grid=_geometric,
        steps=_fine,
        reference="Song & Ermon 2020",
        options=_few_langevin_steps,
    ),
    "ddpm": _ddpm_method("linear", "Ho, Jain & Abbeel 2020"),
    "ddpm_cosine": _ddpm_method("cosine", "Nichol & Dhariwal 2021"),
    "ve_sde": _sde_method("scaled_score", _log_uniform, _geometric),
    "vp_sde": _sde_method("noise_vp", _uniform_in_time("vp"), _even_times("vp")),
    "subvp_sde": _sde_method("noise_sub_vp", _uniform_in_time("sub_vp"), _even_times("sub_vp")),
    "edm": Method(
        preconditioning="edm",
        levels=_log_normal,
        objective=_edm_matching,
        sampler="dpmpp_2m",
        grid=_bent,
        steps=lambda plan: plan.sampling_steps,
        reference="Karras et al. 2022",
        options=lambda plan: {"churn": plan.churn},
    ),
    "consistency": Method(
        preconditioning="consistency",
        levels=_log_normal,
        objective=_consistency,
        sampler="consistency",
        grid=_leaps,
        steps=lambda plan: 2,
        reference="Song et al. 2023",
        model=ConsistencyModel,
        distils=True,
    ),
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
