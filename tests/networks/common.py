"""Networks whose every weight counts, and points to ask them at."""

import math
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ncsn.networks import NCSNScoreNetwork, PreconditionedScore, ResidualMLP

SIGMAS = torch.tensor([0.01, 0.3, 20.0])

N = TypeVar("N", bound=nn.Module)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=dtype)


def shaken(network: N) -> N:
    """Give every weight a random value, so that no part of the network is silent as it is at the start."""
    with torch.no_grad():
        for weights in network.parameters():
            fan_in = weights.shape[-1] if weights.ndim > 1 else 4
            weights.copy_(points(*weights.shape, seed=weights.numel()) / math.sqrt(fan_in))
    return network


class Recorder(TorchDispatchMode):
    """Records the names of the operations and the sizes of what they return."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[str, torch.Size]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.calls.append((func.overloadpacket.__name__, result.shape))
        return result

    def sizes(self, name: str) -> list[torch.Size]:
        return [shape for called, shape in self.calls if called == name]


def score_networks(dtype: torch.dtype = torch.float32) -> list[nn.Module]:
    torch.manual_seed(0)
    return [
        shaken(NCSNScoreNetwork(3, (32, 16), 8)).to(dtype),
        shaken(PreconditionedScore(ResidualMLP((3,), 16, 2, n_fourier=5, dropout=0.5, embedding_dim=8)))
        .to(dtype)
        .eval(),
    ]
