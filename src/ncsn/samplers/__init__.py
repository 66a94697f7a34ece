"""Samplers: generators of steps down the noise levels, over any score model, and the driver that runs them."""

from ncsn.samplers.base import CountedModel, Noise, Sampler, State
from ncsn.samplers.driver import SAMPLERS, annealed_langevin_dynamics, sample, trajectory
from ncsn.samplers.langevin import annealed_langevin, langevin
from ncsn.samplers.ode import dpmpp_2m, heun

__all__ = [
    "SAMPLERS",
    "CountedModel",
    "Noise",
    "Sampler",
    "State",
    "annealed_langevin",
    "annealed_langevin_dynamics",
    "dpmpp_2m",
    "heun",
    "langevin",
    "sample",
    "trajectory",
]
