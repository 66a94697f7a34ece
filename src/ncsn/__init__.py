"""Noise-conditional score networks and the family that grew from them.

The names below are imported when they are first used, so that ``ncsn --help`` does not wait for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncsn.data import load, swiss_roll
    from ncsn.estimator import NCSN
    from ncsn.exact import EmpiricalScore, GaussianMixtureScore
    from ncsn.losses import ncsn_loss
    from ncsn.metrics import compare
    from ncsn.networks import NCSNScoreNetwork, SinusoidalPositionEmbeddings
    from ncsn.plots import plot_multiscale_scores
    from ncsn.samplers import annealed_langevin_dynamics, sample, trajectory
    from ncsn.schedules import create_noise_schedule
    from ncsn.tuning import Plan, make_plan

_ROOMS = {
    "NCSN": "estimator",
    "EmpiricalScore": "exact",
    "GaussianMixtureScore": "exact",
    "NCSNScoreNetwork": "networks",
    "Plan": "tuning",
    "SinusoidalPositionEmbeddings": "networks",
    "annealed_langevin_dynamics": "samplers",
    "compare": "metrics",
    "create_noise_schedule": "schedules",
    "load": "data",
    "make_plan": "tuning",
    "ncsn_loss": "losses",
    "plot_multiscale_scores": "plots",
    "sample": "samplers",
    "swiss_roll": "data",
    "trajectory": "samplers",
}

__all__ = [
    "NCSN",
    "EmpiricalScore",
    "GaussianMixtureScore",
    "NCSNScoreNetwork",
    "Plan",
    "SinusoidalPositionEmbeddings",
    "annealed_langevin_dynamics",
    "compare",
    "create_noise_schedule",
    "load",
    "make_plan",
    "ncsn_loss",
    "plot_multiscale_scores",
    "sample",
    "swiss_roll",
    "trajectory",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'ncsn' has no attribute {name!r}")
    return getattr(import_module(f"ncsn.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return __all__
