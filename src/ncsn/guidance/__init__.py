"""Conditions put on a score model after its training: a class asked for more strongly, values that are known, measurements."""

from ncsn.guidance.classes import ClassGuidance
from ncsn.guidance.dps import DPS
from ncsn.guidance.fourier import Convolution, Frequencies
from ncsn.guidance.known import Imputation, impute
from ncsn.guidance.linear import LinearMeasurement
from ncsn.guidance.measured import Diagnosis, sample_posterior
from ncsn.guidance.mmps import MomentMatchingGuidance
from ncsn.guidance.operators import Blur, Downsampling, Mask, Matrix, Operator, Separable
from ncsn.guidance.pgdm import PseudoinverseGuidance
from ncsn.guidance.twisted import sample_twisted

__all__ = [
    "DPS",
    "Blur",
    "ClassGuidance",
    "Convolution",
    "Diagnosis",
    "Downsampling",
    "Frequencies",
    "Imputation",
    "LinearMeasurement",
    "Mask",
    "Matrix",
    "MomentMatchingGuidance",
    "Operator",
    "PseudoinverseGuidance",
    "Separable",
    "impute",
    "sample_posterior",
    "sample_twisted",
]
