"""Embeddings of the noise level and of the input."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ncsn.errors import SettingError
from ncsn.score import NO_LABEL, is_no_context


class SinusoidalPositionEmbeddings(nn.Module):
    """Sines and cosines of log sigma at geometric frequencies (Vaswani et al. 2017, section 3.5).

    The logarithm gives every octave of noise the same room; raw sigma, from 0.01 to 50, would leave the small levels
    indistinguishable.

    Args:
        dim: Length of the embedding, even and >= 4.
        max_frequency: Highest frequency, in radians per unit of log sigma.
        log_input: Whether the input is sigma (True) or already a logarithm or time (False).

    Raises:
        SettingError: ``dim`` is odd or below 4.

    >>> SinusoidalPositionEmbeddings(8)(torch.tensor([0.1, 1.0, 10.0])).shape
    torch.Size([3, 8])
    """

    frequencies: Tensor

    def __init__(self, dim: int, max_frequency: float = 8.0, *, log_input: bool = True) -> None:
        super().__init__()
        if dim < 4 or dim % 2:
            raise SettingError(f"the embedding's dim must be even and at least 4, not {dim}")
        self.dim = dim
        self.log_input = log_input
        # from one period over about 60 octaves to the highest frequency
        exponents = torch.linspace(math.log(0.15), math.log(max_frequency), dim // 2)
        self.register_buffer("frequencies", exponents.exp(), persistent=False)

    def extra_repr(self) -> str:
        """Name the length."""
        return f"{self.dim}, log_input={self.log_input}"

    def forward(self, sigma: Tensor) -> Tensor:
        """Return the embedding ``(*sigma.shape, dim)`` of noise levels > 0."""
        coordinate = sigma.log() if self.log_input else sigma
        angles = coordinate.unsqueeze(-1) * self.frequencies.to(sigma.dtype)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class ContextEmbedding(nn.Module):
    """A small perceptron that embeds a context: numbers that a network is told. A row of NaN stands for no context.

    Args:
        context_dim: Numbers in a context; where there are ``layers``, its shape.
        dim: Length of the embedding.
        width: Width of the perceptron's layers.
        layers: What embeds contexts in its place.
    """

    def __init__(
        self, context_dim: int | Sequence[int], dim: int, width: int = 64, *, layers: nn.Sequential | None = None
    ) -> None:
        super().__init__()
        self.shape = (context_dim,) if isinstance(context_dim, int) else tuple(context_dim)
        self.layers = layers or nn.Sequential(
            nn.Linear(self.shape[0], width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, dim)
        )
        self.nothing = nn.Parameter(torch.zeros(dim))

    def forward(self, context: Tensor | None) -> Tensor:
        """Return the embeddings, ``(N, dim)``, of contexts ``(N, *shape)``; ``(dim,)`` of None.

        Raises:
            SettingError: The contexts have another shape.
        """
        if context is None:
            return self.nothing
        if tuple(context.shape[1:]) != self.shape:
            shape = ", ".join(map(str, self.shape))
            raise SettingError(f"contexts must have the shape (N, {shape}), not {tuple(context.shape)}")
        context = context.to(self.nothing)
        unknown = is_no_context(context)
        # without the NaN, which would reach the gradients
        known = context.masked_fill(unknown.reshape(-1, *[1] * len(self.shape)), 0)
        return torch.where(unknown[:, None], self.nothing, self.encoded(known))

    def encoded(self, context: Tensor) -> Tensor:
        """Return the embeddings of contexts without NaN."""
        embedded: Tensor = self.layers(context)
        return embedded


def with_condition(
    embedding: Tensor,
    labels: nn.Embedding | None,
    label: Tensor | None,
    contexts: ContextEmbedding | None,
    context: Tensor | None,
) -> Tensor:
    """Add what a network is told of the class and the context to the embedding of the noise level.

    Args:
        embedding: The noise level's embedding, ``(dim,)`` or ``(N, dim)``.
        labels: Embeddings of no label and then of each class, ``(1 + n_classes, dim)``; None of a network without classes.
        label: Class, an integer or ``(N,)`` of them; -1 and None stand for no label.
        contexts: What embeds contexts; None of a network without.
        context: Contexts, ``(N, *shape)``; rows of NaN and None stand for no context.

    Raises:
        SettingError: There is a label, but the network has no classes; or a context, but it takes none.
    """
    if labels is not None:
        told: Tensor = labels(1 + torch.as_tensor(NO_LABEL if label is None else label, device=embedding.device))
        embedding = embedding + told
    elif label is not None:
        raise SettingError("a label was given to a network without classes; make it with n_classes")
    if contexts is not None:
        embedding = embedding + contexts(context)
    elif context is not None:
        raise SettingError("a context was given to a network that takes none; make it with context_dim")
    return embedding


def with_augmentation(embedding: Tensor, layer: nn.Linear | None, augmentation: Tensor | None) -> Tensor:
    """Add what a network is told of how an image was moved to the embedding of the noise level.

    Args:
        embedding: The embedding so far, ``(N, dim)``.
        layer: From the vector that says it to the embedding; None of a network that is not told.
        augmentation: The vectors, ``(N, augmentation_dim)``; zeros and None stand for images as they are.

    Raises:
        SettingError: There are vectors, but the network does not take them.
    """
    if augmentation is None:
        return embedding
    if layer is None:
        raise SettingError("an augmentation was given to a network that is not told; make it with augmentation_dim")
    told: Tensor = layer(augmentation.to(embedding.dtype))
    return embedding + told


class FourierFeatures(nn.Module):
    """Sines and cosines of random projections, so that a small network can draw fine detail (Tancik et al. 2020).

    Args:
        dim: Width of the input.
        n_features: Number of projections; 2 ``n_features`` values come out.
        scale: Standard deviation of the projections' entries, in radians per unit of input.
    """

    projection: Tensor

    def __init__(self, dim: int, n_features: int, scale: float) -> None:
        super().__init__()
        self.register_buffer("projection", torch.randn(dim, n_features) * scale)
        self.scale = scale

    def extra_repr(self) -> str:
        """Name the shape and the scale."""
        dim, n_features = self.projection.shape
        return f"{dim}, {n_features}, scale={self.scale:g}"

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``(N, 2 n_features)`` of ``x`` of shape ``(N, dim)``."""
        angles = x @ self.projection
        return torch.cat([angles.sin(), angles.cos()], dim=-1)
