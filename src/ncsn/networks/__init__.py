"""Networks F, anything called as ``network(x, c_noise, **condition)``, and the rows that make score models of them."""

from ncsn.networks.context_mean import ContextMean
from ncsn.networks.diffusers import DiffusersNetwork
from ncsn.networks.diffusers_reading import from_diffusers
from ncsn.networks.diffusers_times import (
    DiffusersDDIM,
    DiffusersTimes,
    EDMVelocity,
    ScoreAtSigma,
    ddim_of,
    levels_of,
)
from ncsn.networks.diffusers_writing import to_diffusers
from ncsn.networks.embeddings import ContextEmbedding, FourierFeatures, SinusoidalPositionEmbeddings
from ncsn.networks.image_embedding import ImageEmbedding
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
    "ContextEmbedding",
    "ContextMean",
    "DiffusersDDIM",
    "DiffusersNetwork",
    "DiffusersTimes",
    "EDMVelocity",
    "FlowEnd",
    "FourierFeatures",
    "ImageEmbedding",
    "NCSNScoreNetwork",
    "NoisePrediction",
    "PreconditionedScore",
    "Preconditioning",
    "RawScore",
    "ResidualMLP",
    "ScaledScore",
    "ScoreAtSigma",
    "SinusoidalPositionEmbeddings",
    "UNet",
    "UNetFactory",
    "ddim_of",
    "from_diffusers",
    "levels_of",
    "to_diffusers",
]
