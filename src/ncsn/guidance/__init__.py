"""What is put on a score model after its training: what it has learned asked for more strongly, known values, measurements."""

from ncsn.guidance.classes import AutoGuidance, ClassGuidance
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
    "AutoGuidance",
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
