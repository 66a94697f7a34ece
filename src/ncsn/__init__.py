"""Noise-conditional score networks and the family that grew from them."""

from ncsn.data import swiss_roll
from ncsn.estimator import NCSN
from ncsn.exact import EmpiricalScore, GaussianMixtureScore
from ncsn.losses import ncsn_loss
from ncsn.networks import NCSNScoreNetwork, SinusoidalPositionEmbeddings
from ncsn.samplers import annealed_langevin_dynamics, sample, trajectory
from ncsn.schedules import create_noise_schedule

__all__ = [
    "NCSN",
    "EmpiricalScore",
    "GaussianMixtureScore",
    "NCSNScoreNetwork",
    "SinusoidalPositionEmbeddings",
    "annealed_langevin_dynamics",
    "create_noise_schedule",
    "ncsn_loss",
    "sample",
    "swiss_roll",
    "trajectory",
]
