"""Samplers: objects that walk down the noise levels, over any score model, and the driver that runs them."""

from ncsn.samplers.adaptive import ODE
from ncsn.samplers.ancestral import DDIM, Ancestral, ConsistentAnnealed
from ncsn.samplers.base import CountedModel, Noise, Sampler, State
from ncsn.samplers.consistency import Multistep
from ncsn.samplers.fitted import FittedMultistep, fit_multistep
from ncsn.samplers.langevin import AnnealedLangevin, Langevin
from ncsn.samplers.multistep import IPNDM
from ncsn.samplers.ode import DPMpp2M, Heun
from ncsn.samplers.recording import Recorder
from ncsn.samplers.run import (
    SAMPLERS,
    AnySampler,
    annealed_langevin_dynamics,
    rows_at_once,
    sample,
    sampler_of,
    trajectory,
)
from ncsn.samplers.sde import PredictorCorrector, ReverseSDE

__all__ = [
    "DDIM",
    "IPNDM",
    "ODE",
    "SAMPLERS",
    "Ancestral",
    "AnnealedLangevin",
    "AnySampler",
    "ConsistentAnnealed",
    "CountedModel",
    "DPMpp2M",
    "FittedMultistep",
    "Heun",
    "Langevin",
    "Multistep",
    "Noise",
    "PredictorCorrector",
    "Recorder",
    "ReverseSDE",
    "Sampler",
    "State",
    "annealed_langevin_dynamics",
    "fit_multistep",
    "rows_at_once",
    "sample",
    "sampler_of",
    "trajectory",
]
