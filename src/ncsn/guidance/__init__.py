"""What is put on a score model after its training: what it has learned asked for more strongly, and values that are known."""

from ncsn.guidance.classes import AutoGuidance, ClassGuidance
from ncsn.guidance.known import Imputation, impute

__all__ = ["AutoGuidance", "ClassGuidance", "Imputation", "impute"]
