"""What the networks of images have in common: a convolution, and a normalisation that is fast on a CPU too."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def normalised(x: Tensor) -> Tensor:
    """Return images ``(N, C, H, W)`` of which every pixel has mean 0 and variance 1 over its channels.

    On a CPU group norm takes 42% of a step in bf16 and is slower there than in single precision; this takes next to nothing.
    """
    return functional.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)


class Convolution(nn.Module):
    """A convolution that keeps the size of an image, in the type of its input; its kernels are the rows of a matrix."""

    def __init__(self, n_in: int, n_out: int, size: int = 3, *, zero: bool = False) -> None:
        super().__init__()
        self.size = size
        # in the order in which channels-last kernels lie
        self.weight = nn.Parameter(torch.empty(n_out, size * size * n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))
        if zero:
            nn.init.zeros_(self.weight)
        else:
            nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Return images of as many pixels, ``(N, n_out, H, W)``."""
        kernels = self.weight.to(x.dtype).reshape(-1, self.size, self.size, x.shape[1]).permute(0, 3, 1, 2)
        return functional.conv2d(x, kernels, self.bias.to(x.dtype), padding=self.size // 2)
