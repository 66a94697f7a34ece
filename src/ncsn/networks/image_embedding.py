"""Contexts that are images: a small convolutional encoder, and channels beside the image that is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncsn.errors import SettingError, check_count
from ncsn.networks.convolutions import Convolution
from ncsn.networks.embeddings import ContextEmbedding

COARSEST_SIDE = 4
"""Pixels on the longer side to which an encoder halves: coarse enough to be few numbers, fine enough to say where."""

WIDEST = 4
"""Most channels of an encoder, in widths."""


def channels_of(shape: Sequence[int]) -> int:
    """Return the channels of images of a shape ``(H, W)`` or ``(C, H, W)``."""
    return 1 if len(shape) == 2 else shape[0]


class ImageEmbedding(ContextEmbedding):
    """A small convolutional encoder of a context that is an image. An image of NaN stands for no context.

    Convolutions between halvings by the mean, until the longer side has 4 pixels, then two layers of all that is left.

    Args:
        shape: Shape of a context, ``(H, W)`` or ``(C, H, W)``.
        dim: Length of the embedding.
        width: Channels at the finest resolution; they double with each halving, to 4 times as many.

    Raises:
        SettingError: The shape is none of images, or the width is not positive.

    >>> ImageEmbedding((3, 20, 28), dim=8)(torch.zeros(2, 3, 20, 28)).shape
    torch.Size([2, 8])
    """

    def __init__(self, shape: Sequence[int], dim: int, width: int = 16) -> None:
        check_count("context_width", width)
        if len(shape) not in (2, 3):
            raise SettingError(f"a context is a row of numbers or an image, (H, W) or (C, H, W), not {tuple(shape)}")
        sides, n_out = torch.Size(shape[-2:]), width
        layers: list[nn.Module] = [Convolution(channels_of(shape), width), nn.SiLU()]
        while max(sides) > COARSEST_SIDE:
            n_in, n_out = n_out, min(2 * n_out, WIDEST * width)
            layers += [nn.AvgPool2d(2, ceil_mode=True), Convolution(n_in, n_out), nn.SiLU()]
            sides = torch.Size(math.ceil(side / 2) for side in sides)
        n_flat = n_out * math.prod(sides)
        layers += [nn.Flatten(), nn.Linear(n_flat, dim), nn.SiLU(), nn.Linear(dim, dim)]
        super().__init__(shape, dim, layers=nn.Sequential(*layers))

    def encoded(self, context: Tensor) -> Tensor:
        """Return the embeddings of images without NaN."""
        return super().encoded(context if context.ndim == 4 else context.unsqueeze(1))


def embedding_of(
    context_dim: int, shape: Sequence[int], width: int, dim: int, hidden: int = 64
) -> ContextEmbedding | None:
    """Return what embeds contexts for a network: images, rows of numbers, or None without.

    Args:
        context_dim: Numbers in a context; 0 for none.
        shape: The shape of a context that is an image; empty of numbers in a row.
        width: Channels of the encoder of images.
        dim: Length of the embedding.
        hidden: Width of the layers of the perceptron for rows of numbers.
    """
    if shape:
        return ImageEmbedding(shape, dim, width)
    return ContextEmbedding(context_dim, dim, hidden) if context_dim else None


def channels_beside(shape: Sequence[int], context_shape: Sequence[int], times: int) -> int:
    """Return how many channels contexts are that stand beside images of a shape, enlarged so many times; 0 times for none.

    Raises:
        SettingError: They do not get the images' size.
    """
    if not times:
        return 0
    if [times * side for side in context_shape[-2:]] != list(shape[-2:]):
        raise SettingError(
            f"contexts of shape {tuple(context_shape)}, {times} times as large, do not stand beside images of shape "
            f"{tuple(shape)}: take context_beside=0"
        )
    return channels_of(context_shape)


def beside(images: Tensor, context: Tensor | None, channels: int, times: int) -> Tensor:
    """Return images ``(N, C, H, W)`` with contexts as further channels, enlarged so many times; zeros where there is none."""
    if context is None:
        told = images.new_zeros(len(images), channels, *images.shape[2:])
    else:
        few = context.to(images).reshape(len(context), channels, *context.shape[-2:])
        # a pixel of a smaller image is told of the square that it stands for
        told = functional.interpolate(few.nan_to_num(), scale_factor=float(times), mode="nearest")
    return torch.cat([images, told], dim=1)
