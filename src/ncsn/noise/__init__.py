"""Noise: families of levels, the forward processes read in sigma, and the step sizes of Langevin dynamics."""

from ncsn.noise.langevin_steps import (
    MAX_LEVEL_RATIO,
    langevin_step_size,
    level_ratio,
    num_levels,
    variance_ratio,
)
from ncsn.noise.levels import (
    SCHEDULES,
    Cosine,
    Geometric,
    Karras,
    Levels,
    Linear,
    LogNormal,
    Softened,
    UniformTime,
    create_noise_schedule,
)
from ncsn.noise.processes import PROCESSES, Process, SubVariancePreserving, VariancePreserving
from ncsn.noise.tables import DDPM, Discrete, Given, ddpm_levels

__all__ = [
    "DDPM",
    "MAX_LEVEL_RATIO",
    "PROCESSES",
    "SCHEDULES",
    "Cosine",
    "Discrete",
    "Geometric",
    "Given",
    "Karras",
    "Levels",
    "Linear",
    "LogNormal",
    "Process",
    "Softened",
    "SubVariancePreserving",
    "UniformTime",
    "VariancePreserving",
    "create_noise_schedule",
    "ddpm_levels",
    "langevin_step_size",
    "level_ratio",
    "num_levels",
    "variance_ratio",
]
