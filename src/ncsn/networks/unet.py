"""The convolutional network for images: a UNet whose settings reach from MNIST on two cores to 64 x 64 on a GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncsn.data import augmentation_named
from ncsn.errors import SettingError, check_count, check_number
from ncsn.networks.convolutions import Convolution, normalised
from ncsn.networks.embeddings import SinusoidalPositionEmbeddings, with_augmentation, with_condition
from ncsn.networks.image_embedding import beside, channels_beside, channels_of, embedding_of
from ncsn.parts import Part, filled
from ncsn.randomness import dropout

HEAD_WIDTH = 32
"""Channels of an attention head, or as few more as divide a layer's evenly."""


class _Attention(nn.Module):
    """Self-attention over pixels (Vaswani et al. 2017), added to its input, by plain matrix products.

    For few pixels torch's fused attention is many thousands of small calls, a third of a step on a CPU.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.n_heads = next(n for n in range(max(1, width // HEAD_WIDTH), 0, -1) if width % n == 0)
        self.before = Convolution(width, 3 * width, 1)
        self.after = Convolution(width, width, 1, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        n, width, rows, columns = x.shape
        heads = self.before(normalised(x)).reshape(n, 3, self.n_heads, width // self.n_heads, rows * columns)
        query, key, value = heads.unbind(1)
        weights = (query.transpose(-1, -2) @ key / math.sqrt(query.shape[2])).softmax(-1)
        mixed = (value @ weights.transpose(-1, -2)).reshape(n, width, rows, columns)
        return x + self.after(mixed)


class _Block(nn.Module):
    """Two convolutions added to their input, the second's input scaled and shifted by the noise level and what is told."""

    def __init__(self, n_in: int, n_out: int, dropout: float, attends: bool) -> None:
        super().__init__()
        self.dropout = dropout
        self.first = Convolution(n_in, n_out)
        self.second = Convolution(n_out, n_out, zero=True)
        self.direct = Convolution(n_in, n_out, 1) if n_in != n_out else None
        self.attention = _Attention(n_out) if attends else None

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        h = self.first(functional.silu(normalised(x)))
        h = functional.silu(torch.addcmul(shift, normalised(h), 1 + scale))
        h = self.second(dropout(h, self.dropout, self.training))
        h = h + (x if self.direct is None else self.direct(x))
        return h if self.attention is None else self.attention(h)


class UNet(nn.Module):
    """A UNet (Ronneberger et al. 2015) with residual blocks that are told the noise level (Ho et al. 2020; Song et al. 2021).

    Its answer is 0 before training. Under autocast it computes in that type throughout, otherwise in that of its weights.
    Images of any size are filled up at their lower and right edges, to halve evenly, and cut back.

    Args:
        shape: Shape of an image, ``(H, W)`` or ``(C, H, W)``.
        width: Channels at the finest resolution.
        multipliers: Channels at each resolution, which is half of the one before, in multiples of ``width``.
        n_blocks: Residual blocks at each resolution on the way down, and on the way up.
        patch: Side of the squares of pixels that become channels at first (pixel-unshuffle): 1 for none.
        attention: Number of the coarsest resolutions whose blocks have self-attention.
        dropout: Share of each block's hidden values that training leaves out.
        n_classes: Number of class labels, which count from 0; 0 for an unconditional network. Label -1 stands for no label.
        context_dim: Numbers in a context; 0 for none. A row of NaN stands for no context.
        context_shape: The shape of a context that is an image, ``(H, W)`` or ``(C, H, W)``; empty of numbers in a row.
        context_width: Channels of the encoder of such contexts, at their finest resolution.
        context_beside: Times that they are enlarged, to stand beside the image at the input as channels of their own, as in
            SR3 and Palette (Saharia et al. 2021, 2022); 0 for the embedding alone.
        embedding_dim: Length of the noise level's embedding; 4 ``width`` when None.
        augmentation_dim: Length of the vector that says how an image was moved; 0 for a network that is not told.

    Raises:
        SettingError: A setting is out of range, or the shape is none of images.

    >>> UNet((3, 28, 31), width=16, multipliers=(1, 2))(torch.zeros(2, 3, 28, 31), torch.tensor(0.5)).shape
    torch.Size([2, 3, 28, 31])
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int = 64,
        multipliers: Sequence[int] = (1, 2),
        n_blocks: int = 2,
        *,
        patch: int = 1,
        attention: int = 1,
        dropout: float = 0.0,
        n_classes: int = 0,
        context_dim: int = 0,
        context_shape: Sequence[int] = (),
        context_width: int = 16,
        context_beside: int = 0,
        embedding_dim: int | None = None,
        augmentation_dim: int = 0,
    ) -> None:
        super().__init__()
        check_count("width", width, 4)
        for name, count in {"n_blocks": n_blocks, "patch": patch}.items():
            check_count(name, count, 1)
        may_be_zero = {"n_classes": n_classes, "context_dim": context_dim, "context_beside": context_beside}
        for name, count in (may_be_zero | {"augmentation_dim": augmentation_dim, "attention": attention}).items():
            check_count(name, count, 0)
        check_number("dropout", dropout, least=0)
        if dropout >= 1:
            raise SettingError(f"dropout must be below 1, not {dropout}")
        if len(shape) not in (2, 3):
            raise SettingError(f"a UNet takes images, (H, W) or (C, H, W), not rows of shape {tuple(shape)}")
        if not multipliers:
            raise SettingError("multipliers must name at least one resolution, such as (1, 2)")
        channels = channels_of(shape) * patch**2
        self.context_beside, self.told = context_beside, channels_beside(shape, context_shape, context_beside)
        widths = [width * multiplier for multiplier in multipliers]
        embedding_dim = embedding_dim or 4 * width
        self.patch, self.dropout, self.n_classes, self.augmentation_dim = patch, dropout, n_classes, augmentation_dim
        self.n_resolutions, self.n_blocks = len(widths), n_blocks
        self.level = SinusoidalPositionEmbeddings(64, log_input=False)
        self.embedding = nn.Sequential(nn.Linear(64, embedding_dim), nn.SiLU(), nn.Linear(embedding_dim, embedding_dim))
        self.label_embedding = nn.Embedding(n_classes + 1, embedding_dim) if n_classes else None
        self.context_embedding = embedding_of(context_dim, context_shape, context_width, embedding_dim, embedding_dim)
        # without a bias: zeros, an image as it is, say nothing
        self.augmentation = nn.Linear(augmentation_dim, embedding_dim, bias=False) if augmentation_dim else None
        self.input = Convolution(channels + self.told * patch**2, widths[0])
        self.down, self.middle, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        n_in, coarsest = widths[0], len(widths) - 1
        for i, n_out in enumerate(widths):
            for _ in range(n_blocks):
                blocks = self.middle if i == coarsest else self.down
                blocks.append(_Block(n_in, n_out, dropout, i > coarsest - attention))
                n_in = n_out
        for i in reversed(range(coarsest)):
            for _ in range(n_blocks):
                self.up.append(_Block(n_in + widths[i], widths[i], dropout, i > coarsest - attention))
                n_in = widths[i]
        self.splits = [len(b.second.bias) for b in (*self.down, *self.middle, *self.up) for _ in range(2)]
        self.modulation = nn.Linear(embedding_dim, sum(self.splits))
        self.output = Convolution(widths[0], channels, zero=True)

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers as it trains."""
        return self.dropout > 0

    def matrices(self) -> list[nn.Parameter]:
        """Return the kernels within the blocks, which `torch.optim.Muon` trains in fewer steps than Adam."""
        blocks = (*self.down, *self.middle, *self.up)
        return [part.weight for block in blocks for part in block.modules() if isinstance(part, Convolution)]

    def forward(
        self,
        x: Tensor,
        noise: Tensor,
        label: Tensor | None = None,
        context: Tensor | None = None,
        augmentation: Tensor | None = None,
    ) -> Tensor:
        """Return the network's output, of the shape of ``x``.

        Args:
            x: Scaled images, ``(N, *shape)``.
            noise: The noise level's coordinate, ``()`` or ``(N,)``.
            label: Class, an integer or ``(N,)`` of them; -1 and None stand for no label.
            context: Contexts, ``(N, context_dim)`` or ``(N, *context_shape)``; rows of NaN and None stand for no context.
            augmentation: How each image was moved, ``(N, augmentation_dim)``; zeros and None stand for images as they are.

        Raises:
            SettingError: There is a label, a context or an augmentation, but the network was made without.
        """
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        with torch.autocast(kind, enabled=False):
            level = self.embedding(self.level(noise.to(x.dtype).expand(len(x))))
            embedding = with_condition(level, self.label_embedding, label, self.context_embedding, context)
            embedding = with_augmentation(embedding, self.augmentation, augmentation)
            answer = self._answer(x.to(dtype), self.modulation(functional.silu(embedding)).to(dtype), context)
        return answer.to(x.dtype)

    def _answer(self, x: Tensor, scales_and_shifts: Tensor, context: Tensor | None) -> Tensor:
        images = x if x.ndim == 4 else x.unsqueeze(1)
        if self.context_beside:
            images = beside(images, context, self.told, self.context_beside)
        height, width = images.shape[2:]
        even = self.patch * 2 ** (self.n_resolutions - 1)
        images = functional.pad(images, (0, -width % even, 0, -height % even), mode="replicate")
        h = self.input(functional.pixel_unshuffle(images, self.patch).contiguous(memory_format=torch.channels_last))
        pairs = iter(scales_and_shifts[:, :, None, None].split(self.splits, dim=1))
        kept = []
        for i, block in enumerate(self.down):
            h = block(h, next(pairs), next(pairs))
            kept.append(h)
            if (i + 1) % self.n_blocks == 0:
                h = functional.avg_pool2d(h, 2)
        for block in self.middle:
            h = block(h, next(pairs), next(pairs))
        for i, block in enumerate(self.up):
            if i % self.n_blocks == 0:
                h = functional.interpolate(h, scale_factor=2.0, mode="nearest")
            h = block(torch.cat([h, kept.pop()], dim=1), next(pairs), next(pairs))
        answer = functional.pixel_shuffle(self.output(functional.silu(normalised(h))), self.patch)
        return answer[:, :, :height, :width].reshape(x.shape)


@dataclass(frozen=True, repr=False)
class UNetFactory(Part):
    """Makes UNets: ``NCSN(network=UNetFactory(n_blocks=2))``. Arguments are those of `UNet`, from the plan when None."""

    width: int | None = None
    multipliers: tuple[int, ...] | None = None
    n_blocks: int | None = None
    patch: int | None = None
    attention: int | None = None
    dropout: float | None = None

    def __call__(self, shape: Sequence[int], plan: Any, n_classes: int) -> UNet:
        """Return a network for rows of a shape."""
        sizes = vars(filled(self, plan))
        told = {
            name: getattr(plan, name) for name in ("context_dim", "context_shape", "context_width", "context_beside")
        }
        told["augmentation_dim"] = augmentation_named(plan.augmentation).dim
        return UNet(shape, **sizes, n_classes=n_classes, **told)
