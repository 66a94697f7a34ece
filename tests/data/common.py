"""What several tests of data need."""

from typing import Any

import torch

from ncsn.data import load

# What comes back is a frame or an array, with labels or without: each test says which.
loaded: Any = load


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
