"""Networks F, anything called as ``network(x, c_noise, **condition)``, and the rows that make score models of them."""

from ncsn.networks.diffusers import DiffusersNetwork
from ncsn.networks.embeddings import FourierFeatures, SinusoidalPositionEmbeddings
from ncsn.networks.mlp import ResidualMLP
from ncsn.networks.page import NCSNScoreNetwork
from ncsn.networks.preconditioning import (
    EDM,
    PRECONDITIONINGS,
    Coefficients,
    ConsistencyModel,
    FlowEnd,
    NoisePrediction,
    PreconditionedScore,
    Preconditioning,
    RawScore,
    ScaledScore,
)
from ncsn.networks.unet import UNet, UNetFactory

__all__ = [
    "EDM",
    "PRECONDITIONINGS",
    "Coefficients",
    "ConsistencyModel",
    "DiffusersNetwork",
    "FlowEnd",
    "FourierFeatures",
    "NCSNScoreNetwork",
    "NoisePrediction",
    "PreconditionedScore",
    "Preconditioning",
    "RawScore",
    "ResidualMLP",
    "ScaledScore",
    "SinusoidalPositionEmbeddings",
    "UNet",
    "UNetFactory",
]
