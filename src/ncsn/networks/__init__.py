"""Networks: anything called as ``network(x, noise, **condition)`` that returns the shape of ``x``."""

from ncsn.networks.embeddings import FourierFeatures, SinusoidalPositionEmbeddings
from ncsn.networks.mlp import ResidualMLP
from ncsn.networks.ncsn import NCSNScoreNetwork

__all__ = ["FourierFeatures", "NCSNScoreNetwork", "ResidualMLP", "SinusoidalPositionEmbeddings"]
