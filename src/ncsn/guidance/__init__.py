"""Conditions put on a score model after its training: a class asked for more strongly, and values that are known."""

from ncsn.guidance.classes import ClassGuidance
from ncsn.guidance.known import Imputation, impute

__all__ = ["ClassGuidance", "Imputation", "impute"]
