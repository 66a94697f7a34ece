"""Exact scores: Gaussian mixtures and data sets as score models like any other."""

from ncsn.exact.dataset import EmpiricalScore
from ncsn.exact.gaussians import GaussianMixtureScore

__all__ = ["EmpiricalScore", "GaussianMixtureScore"]
