"""The NCSN page's trainer, written anew from its description with its faults: the baseline that `ncsn` is held against.

Raw sigma is embedded once per particle, the network returns the raw score, and there is no moving average and no denoising.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ncsn.studio.printed import PrintedNetwork

NCSNScoreNetwork = PrintedNetwork


class NCSN:
    """The page's trainer and sampler."""

    def __init__(
        self, score_net: PrintedNetwork, sigma_min: float, sigma_max: float, n_sigmas: int, lr: float = 1e-3
    ) -> None:
        self.network = score_net
        self.sigmas = torch.logspace(math.log10(sigma_max), math.log10(sigma_min), n_sigmas)
        self.optimizer = torch.optim.Adam(score_net.parameters(), lr=lr)

    def train_step(self, x: Tensor) -> float:
        """Take one step of Adam on the sigma^2-weighted loss."""
        self.optimizer.zero_grad()
        sigma = self.sigmas[torch.randint(len(self.sigmas), (len(x),))][:, None]
        noise = torch.randn_like(x)
        score = self.network(x + sigma * noise, sigma[:, 0])
        loss = (sigma**2 * (score + noise / sigma) ** 2).mean()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def sample(self, n_samples: int, n_steps_per_sigma: int, step_size: float) -> Tensor:
        """Draw by annealed Langevin dynamics from N(0, sigma_max^2)."""
        x = torch.randn(n_samples, self.network.input_dim) * self.sigmas[0]
        for sigma in self.sigmas:
            alpha = step_size * (sigma / self.sigmas[-1]) ** 2
            for _ in range(n_steps_per_sigma):
                x = langevin_step(self.network, x, sigma, alpha)
        return x


def langevin_step(network: nn.Module, x: Tensor, sigma: Tensor, alpha: Tensor) -> Tensor:
    """Take one Langevin step as the page does, the level expanded to one per particle."""
    noise = torch.randn_like(x)
    score = network(x, sigma.expand(len(x)))
    return x + alpha / 2 * score + alpha.sqrt() * noise
