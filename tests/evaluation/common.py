"""Random rows for the tests of measures."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).normal(size=shape)
