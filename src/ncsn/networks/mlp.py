"""The residual perceptron that the estimator trains."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncsn.errors import SettingError, check_count, check_number
from ncsn.networks.embeddings import FourierFeatures, SinusoidalPositionEmbeddings, with_condition
from ncsn.networks.image_embedding import embedding_of
from ncsn.randomness import dropout


class ResidualMLP(nn.Module):
    """Residual blocks whose hidden layer is scaled and shifted by the noise level (FiLM; Perez et al. 2018).

    With ``gain`` the input times a number that depends on the noise level comes to their answer. Before training it is 0.

    Args:
        shape: Shape of one row, ``(D,)`` or an image's; images are flattened.
        width: Width of the blocks.
        n_blocks: Number of residual blocks.
        n_fourier: Number of random Fourier projections of the input; 0 for none.
        fourier_scale: Their standard deviation, in radians per unit of scaled input.
        embedding_dim: Length of the noise level's embedding.
        dropout: Share of each block's hidden units that training leaves out, against overfitting small data sets.
        gain: Whether the input is added, times a gain of the level.
        n_classes: Number of class labels, which count from 0; 0 for an unconditional network. Label -1 stands for no label.
        context_dim: Numbers in a context; 0 for none. A row of NaN stands for no context.
        context_shape: The shape of a context that is an image, ``(H, W)`` or ``(C, H, W)``; empty of numbers in a row.
        context_width: Channels of the encoder of such contexts, at their finest resolution.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int = 128,
        n_blocks: int = 4,
        *,
        n_fourier: int = 0,
        fourier_scale: float = 2.0,
        embedding_dim: int = 32,
        dropout: float = 0.0,
        gain: bool = False,
        n_classes: int = 0,
        context_dim: int = 0,
        context_shape: Sequence[int] = (),
        context_width: int = 16,
    ) -> None:
        super().__init__()
        least = {"width": (width, 1), "n_blocks": (n_blocks, 1), "n_classes": (n_classes, 0)}
        for name, (count, at_least) in (least | {"context_dim": (context_dim, 0)}).items():
            check_count(name, count, at_least)
        check_number("dropout", dropout, least=0)
        if dropout >= 1:
            raise SettingError(f"dropout must be below 1, not {dropout}")
        dim = math.prod(shape)
        self.n_classes = n_classes
        self.dropout = dropout
        self.fourier = FourierFeatures(dim, n_fourier, fourier_scale) if n_fourier else None
        self.input = nn.Linear(dim + 2 * n_fourier, width)
        self.embedding = SinusoidalPositionEmbeddings(embedding_dim, log_input=False)
        self.label_embedding = nn.Embedding(n_classes + 1, embedding_dim) if n_classes else None
        self.context_embedding = embedding_of(context_dim, context_shape, context_width, embedding_dim)
        self.modulation = nn.Linear(embedding_dim, 2 * width * n_blocks)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(n_blocks))
        self.residual = nn.ModuleList(nn.Linear(width, width) for _ in range(n_blocks))
        self.output = nn.Linear(width, dim)
        # much of an answer can be the input times a number, which the blocks would have to imitate
        self.gain = nn.Linear(embedding_dim, 1) if gain else None
        for last in (self.output, self.gain):
            if last is not None:
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers as it trains."""
        return self.dropout > 0

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        """Return the network's output.

        Args:
            x: Scaled input, ``(N, *shape)``.
            noise: The noise level's coordinate, ``()`` or ``(N,)``.
            label: Class, an integer or ``(N,)`` of them; -1 and None stand for no label.
            context: Contexts, ``(N, context_dim)`` or ``(N, *context_shape)``; rows of NaN and None stand for no context.

        Returns:
            The shape of ``x``.

        Raises:
            SettingError: There is a label or a context, but the network was made without.
            IndexError: A label is below -1 or not below ``n_classes`` (on a GPU torch's own assertion fails).
        """
        flat = x.flatten(1)
        features = flat if self.fourier is None else torch.cat([flat, self.fourier(flat)], dim=1)
        embedding = with_condition(self.embedding(noise), self.label_embedding, label, self.context_embedding, context)
        scales_and_shifts = self.modulation(embedding).chunk(2 * len(self.hidden), dim=-1)
        h = self.input(features)
        for i, (hidden, residual) in enumerate(zip(self.hidden, self.residual, strict=True)):
            scale, shift = scales_and_shifts[2 * i], scales_and_shifts[2 * i + 1]
            units = functional.silu(torch.addcmul(shift, hidden(h), 1 + scale))
            h = h + residual(dropout(units, self.dropout, self.training))
        answer = self.output(functional.silu(h))
        if self.gain is not None:
            answer = torch.addcmul(answer, self.gain(embedding), flat)
        return answer.reshape(x.shape)
