"""Samplers: generators of steps down the noise levels, over any score model, and the driver that runs them."""

from ncsn.samplers.driver import CountedModel, Noise, Sampler, State, sample, trajectory
from ncsn.samplers.langevin import annealed_langevin, annealed_langevin_dynamics, langevin
from ncsn.samplers.ode import dpmpp_2m, euler, heun

SAMPLERS: dict[str, Sampler] = {
    "langevin": langevin,
    "annealed_langevin": annealed_langevin,
    "euler": euler,
    "heun": heun,
    "dpmpp_2m": dpmpp_2m,
}
"""Every sampler by its name; to add one, write the generator function and name it here."""

__all__ = [
    "SAMPLERS",
    "CountedModel",
    "Noise",
    "Sampler",
    "State",
    "annealed_langevin",
    "annealed_langevin_dynamics",
    "dpmpp_2m",
    "euler",
    "heun",
    "langevin",
    "sample",
    "trajectory",
]
