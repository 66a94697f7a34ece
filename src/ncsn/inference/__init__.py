"""Simulation-based inference: the posterior of a simulator's parameters, and the checks whether it is right."""

from ncsn.inference.calibration import (
    Calibration,
    PredictiveCheck,
    calibrate,
    expected_coverage,
    posterior_predictive,
    simulation_based_calibration,
    tarp,
)
from ncsn.inference.chains import to_arviz
from ncsn.inference.network import ObservationAtInput
from ncsn.inference.posterior import Posterior
from ncsn.inference.prior import Prior
from ncsn.inference.ranks import RankCheck
from ncsn.inference.several import SeveralObservations
from ncsn.inference.simulation import Simulator

__all__ = [
    "Calibration",
    "ObservationAtInput",
    "Posterior",
    "PredictiveCheck",
    "Prior",
    "RankCheck",
    "SeveralObservations",
    "Simulator",
    "calibrate",
    "expected_coverage",
    "posterior_predictive",
    "simulation_based_calibration",
    "tarp",
    "to_arviz",
]
