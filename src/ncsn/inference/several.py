"""The posterior given several independent observations, of the scores given each."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ncsn.model import Model, Moments
from ncsn.score import NO_CONTEXT, denoised_from_score, evaluate, expand_sigma, score_from_denoised

DRAWS = 2000
"""Draws given each observation, of which its mean and its covariance are taken."""


class SeveralObservations(nn.Module):
    """The score of the posterior given several independent observations: GAUSS of Linhart et al. 2024.

    Posteriors multiply, over the prior once for each but one: p(theta | x_1..m) is as p(theta)^(1-m) prod_i p(theta | x_i). At
    a level of noise the means E[theta | theta_sigma, x_i] are put together as those of Gaussians are, each weighted by its
    precision 1/C_i + 1/sigma^2, C_i being the covariance given x_i. For Gaussians it is exact at every level, and for any
    posterior where the noise is small; sums of scores alone (Geffner et al. 2023) are wrong between.

    Args:
        score_model: Called as ``score_model(x, sigma, context=)``, where a context of NaN stands for none.
        contexts: What it is told of each observation, ``(m, C)``.
        covariances: Of the parameters given each observation, and then of the prior, ``(m + 1, D, D)``.
        means: Their means, ``(m + 1, D)``.

    Attributes:
        mean, covariance: Of the Gaussian that all together make, ``(D,)`` and ``(D, D)``.

    References:
        Linhart et al. 2024, "Diffusion posterior sampling for simulation-based inference in tall data settings", section 3;
        Geffner et al. 2023, "Compositional score modeling for simulation-based inference".
    """

    contexts: Tensor
    precisions: Tensor
    counts: Tensor
    precision: Tensor

    def __init__(self, score_model: nn.Module, contexts: Tensor, covariances: Tensor, means: Tensor) -> None:
        super().__init__()
        self.score_model = score_model
        m = len(contexts)
        self.register_buffer("contexts", torch.cat([contexts, torch.full_like(contexts[:1], NO_CONTEXT)]))
        self.register_buffer("counts", torch.tensor([1.0] * m + [1.0 - m], dtype=torch.float64))
        self.register_buffer("precisions", covariances.double().inverse())
        total = _not_wider(torch.einsum("m,mij->ij", self.counts, self.precisions), self.precisions[-1])
        self.register_buffer("precision", total)
        self.covariance = total.inverse()
        pulls = torch.einsum("m,mij,mj->i", self.counts, self.precisions, means.double())
        self.mean = self.covariance @ pulls

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the score, ``(N, D)``."""
        m, n = len(self.contexts), len(x)
        level = sigma if sigma.ndim == 0 else sigma.repeat(m)
        told = {"context": self.contexts.to(x).repeat_interleave(n, 0)}
        rows = x.repeat(m, 1)
        each = denoised_from_score(rows, level, evaluate(self.score_model, rows, level, told))
        noise = expand_sigma(sigma, x).double().square().reshape(-1, 1, 1)
        eye = torch.eye(x.shape[1], dtype=torch.float64, device=x.device)
        # times the noise's variance, which may be small
        weights = noise[:, None] * self.precisions + eye
        pull = torch.einsum(
            "m,nmij,mnj->ni", self.counts, weights.expand(n, -1, -1, -1), each.double().reshape(m, n, -1)
        )
        total = noise * self.precision + eye
        return score_from_denoised(x, sigma, torch.linalg.solve(total.expand(n, -1, -1), pull).to(x))


def _not_wider(precision: Tensor, prior: Tensor) -> Tensor:
    """Return a precision, raised where it falls below the prior's: by what was measured of draws it may not be positive."""
    half = torch.linalg.cholesky(prior)
    back = torch.linalg.solve_triangular(half, torch.eye(len(half)).to(half), upper=False)
    values, vectors = torch.linalg.eigh(back @ precision @ back.T)
    turned = half @ vectors
    return turned @ torch.diag(values.clamp(min=1.0)) @ turned.T


def given_several(model: Model, contexts: Tensor) -> Model:
    """Return the model of rows given several independent observations.

    Args:
        model: The model of rows given one.
        contexts: The observations, ``(m, C)``, in their own units.
    """
    told = model.contexts.encode(contexts) if model.contexts is not None else contexts
    generator = torch.Generator().manual_seed(0)
    drawn = model.sample(DRAWS * len(contexts), context=contexts.repeat_interleave(DRAWS, 0), generator=generator)
    rows = model.rows(drawn).cpu().double().reshape(len(contexts), DRAWS, -1)
    means = torch.cat([rows.mean(1), model.moments.means[:1].to(rows)])
    covariances = torch.cat([torch.stack([each.T.cov() for each in rows]), model.moments.covariances[:1].to(rows)])
    score_model = SeveralObservations(model.score_model, told.float(), covariances, means).to(model.device)
    moments = Moments(score_model.mean[None], score_model.covariance[None])
    return replace(model, score_model=score_model, moments=moments, contexts=None)
