"""The score network of the NCSN page, made sound."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncsn.errors import SettingError, check_count
from ncsn.networks.embeddings import SinusoidalPositionEmbeddings
from ncsn.networks.preconditioning import PreconditionedScore


class _Perceptron(nn.Module):
    """Linear layers on the input joined with the embedded noise level."""

    draws = False

    def __init__(self, input_dim: int, hidden_dims: Sequence[int], embedding_dim: int) -> None:
        super().__init__()
        self.input_dim = input_dim
        self.embedding = nn.Sequential(
            SinusoidalPositionEmbeddings(embedding_dim, log_input=False),
            nn.Linear(embedding_dim, embedding_dim),
            nn.SiLU(),
            nn.Linear(embedding_dim, embedding_dim),
        )
        widths = [input_dim + embedding_dim, *hidden_dims]
        self.first = nn.Linear(widths[0], widths[1])
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths[1:]))
        self.output = nn.Linear(widths[-1], input_dim)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        # without gradients the activations are overwritten, which spares half of the memory traffic
        inplace = not torch.is_grad_enabled()
        # the first layer on [x, embedding], split so that a level costs one row, however many rows of x share it
        of_x, of_level = self.first.weight.split([self.input_dim, self.first.in_features - self.input_dim], dim=1)
        # by the level itself nothing that is sorted can be differentiated
        repeats = noise.ndim == 1 and not noise.requires_grad
        levels, shared = noise.unique(return_inverse=True) if repeats else (noise, None)
        h = functional.linear(self.embedding(levels), of_level, self.first.bias)
        h = torch.addmm(h if shared is None else h.index_select(0, shared), x, of_x.T)
        h = functional.silu(h, inplace=inplace)
        for layer in self.hidden:
            h = functional.silu(layer(h), inplace=inplace)
        return self.output(h)


class NCSNScoreNetwork(PreconditionedScore):
    """A perceptron that returns the score at any noise level (Song & Ermon 2019), for data of about unit spread.

    Log sigma is embedded, the input is scaled to unit spread and the output is divided by sigma (Song & Ermon 2020,
    technique 3; Karras et al. 2022), so that one network spans scores from 0.2 to 100. A scalar sigma is embedded once, not
    once per row.

    Args:
        input_dim: Dimension D of the data.
        hidden_dims: Widths of the hidden layers, one or more.
        sigma_embed_dim: Length of the level's embedding, even and >= 4.

    Raises:
        SettingError: There is no hidden layer, or the embedding's length is odd or below 4.

    >>> network = NCSNScoreNetwork(input_dim=2, hidden_dims=[64, 64])
    >>> network(torch.zeros(5, 2), torch.tensor(0.5)).shape
    torch.Size([5, 2])
    """

    def __init__(self, input_dim: int, hidden_dims: Sequence[int] = (256, 256, 256), sigma_embed_dim: int = 64) -> None:
        check_count("input_dim", input_dim)
        if not hidden_dims:
            raise SettingError("hidden_dims must name the width of at least one hidden layer")
        super().__init__(_Perceptron(input_dim, hidden_dims, sigma_embed_dim), "edm")
        self.input_dim = input_dim
