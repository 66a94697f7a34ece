"""Log-density of a score model by the instantaneous change of variables along the probability-flow ODE."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vmap
from torchdiffeq import odeint

from ncsn.errors import DivergenceError
from ncsn.score import ScoreModel

__all__ = ["EXACT_TRACE_UP_TO", "log_density"]

EXACT_TRACE_UP_TO = 32
"""Dimensions up to which ``trace="auto"`` takes the exact trace, one Jacobian product for each."""


def log_density(
    score_model: ScoreModel,
    x: Tensor,
    sigma_min: float,
    sigma_max: float,
    *,
    mean: Tensor | float = 0.0,
    covariance: Tensor | float = 0.0,
    trace: str = "auto",
    n_probes: int = 16,
    tolerance: float = 1e-5,
    generator: torch.Generator | None = None,
    chunk_size: int | None = None,
    condition: dict[str, Any] | None = None,
) -> Tensor:
    """Return log p_sigma_min(x) in nats.

    The rows are carried from ``sigma_min`` up to ``sigma_max``, where p is a Gaussian, by dx/dsigma = -sigma s(x, sigma);
    on the way the log-density changes by the integral of the divergence.

    Args:
        score_model: Any score model that forward-mode differentiation can follow.
        x: Rows, ``(N, *shape)``.
        sigma_min: The level whose density is asked for; small, so that it is the data's.
        sigma_max: The level where the density is taken as N(mean, covariance + sigma_max^2 I).
        mean: Mean of the data, broadcastable to a row.
        covariance: Covariance of the data's flattened rows, ``(D, D)``, or a variance, broadcastable to a row.
        trace: ``exact`` (one Jacobian product a dimension), ``hutchinson`` (random probes; unbiased), or ``auto``: exact up
            to 32 dimensions.
        n_probes: Hutchinson's probes, +-1 each, held fixed along the path.
        tolerance: Relative and absolute tolerance of the adaptive solver (Dormand-Prince 5).
        generator: Source of the probes; torch's default when None.
        chunk_size: Rows solved together; about a million values of Jacobian products when None.
        condition: Keyword arguments for the model, such as ``{"label": labels}``.

    Returns:
        Log-densities of shape ``(N,)``.

    Raises:
        ValueError: The levels are out of order or ``trace`` is unknown.
        DivergenceError: A log-density is not finite.

    References:
        Song et al. 2021, appendix D.2; Hutchinson's estimator as in Grathwohl et al. 2019.

    >>> standard_normal = lambda x, sigma: -x / (1 + sigma**2)
    >>> log_density(standard_normal, torch.zeros(1, 2), 1e-3, 10.0, covariance=1.0)  # -log(2 pi)
    tensor([-1.8379])
    """
    if not 0 < sigma_min < sigma_max:
        raise ValueError(f"need 0 < sigma_min < sigma_max, not {sigma_min:g} and {sigma_max:g}")
    if trace not in ("auto", "exact", "hutchinson"):
        raise ValueError(f"trace must be 'auto', 'exact' or 'hutchinson', not {trace!r}")
    dim = x[0].numel()
    exact = trace == "exact" or (trace == "auto" and dim <= EXACT_TRACE_UP_TO)
    n_products = dim if exact else n_probes
    if chunk_size is None:
        chunk_size = max(1, 2**21 // (dim * n_products))
    if isinstance(score_model, torch.nn.Module):
        score_model.eval()
    results = []
    for start in range(0, len(x), chunk_size):
        rows = x[start : start + chunk_size]
        here = {
            name: value[start : start + chunk_size] if isinstance(value, Tensor) and value.ndim else value
            for name, value in (condition or {}).items()
        }
        if exact:
            probes = torch.eye(dim, dtype=x.dtype, device=x.device).reshape(dim, 1, *x.shape[1:])
            probes = probes.expand(dim, *rows.shape)
        else:
            draws = torch.randint(0, 2, (n_probes, *rows.shape), generator=generator, device=x.device)
            probes = (2 * draws - 1).to(x.dtype)
        with torch.no_grad():
            results.append(
                _solve(score_model, rows, probes, exact, (sigma_min, sigma_max), mean, covariance, tolerance, here)
            )
    log_p = torch.cat(results)
    if not bool(log_p.isfinite().all()):
        raise DivergenceError(f"{int((~log_p.isfinite()).sum())} of {len(x)} log-densities are not finite")
    return log_p


def _solve(
    score_model: ScoreModel,
    x: Tensor,
    probes: Tensor,
    exact: bool,
    levels: tuple[float, float],
    mean: Tensor | float,
    covariance: Tensor | float,
    tolerance: float,
    condition: dict[str, Any],
) -> Tensor:
    axes = tuple(range(2, probes.ndim))

    def derivative(log_sigma: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return d/dlog sigma of the rows and of the log-density collected on the way."""
        sigma = log_sigma.exp().to(x.dtype)

        def velocity(y: Tensor) -> Tensor:
            return -sigma.square() * score_model(y, sigma, **condition)

        def along(probe: Tensor) -> tuple[Tensor, Tensor]:
            pushed: tuple[Tensor, Tensor] = jvp(velocity, (state[0],), (probe,))
            return pushed

        value, products = vmap(along, out_dims=(None, 0))(probes)  # type: ignore[arg-type]  # None is documented
        divergences = (products * probes).sum(dim=axes)
        return value, divergences.sum(0) if exact else divergences.mean(0)

    ends = torch.tensor(levels, dtype=torch.float64).log().to(x)
    # the solver's own first step may leave the levels, and so may its last one unless told where to stop
    options = {"first_step": float(ends[1] - ends[0]) / 64, "step_t": ends}
    state = (x, x.new_zeros(len(x)))
    path, gained = odeint(derivative, state, ends, method="dopri5", rtol=tolerance, atol=tolerance, options=options)
    return _gaussian(path[-1] - mean, torch.as_tensor(covariance).to(x), levels[1]) + gained[-1]


def _gaussian(residual: Tensor, covariance: Tensor, sigma: float) -> Tensor:
    """Return the log-density of N(0, covariance + sigma^2 I)."""
    rows = residual.flatten(1)
    dim = rows.shape[1]
    if covariance.shape == (dim, dim) and residual.ndim == 2:
        total = covariance + sigma**2 * torch.eye(dim).to(rows)
        return torch.distributions.MultivariateNormal(torch.zeros(dim).to(rows), total).log_prob(rows)
    total = (covariance + sigma**2).expand_as(residual).flatten(1)
    return torch.distributions.Normal(torch.zeros(()).to(rows), total.sqrt()).log_prob(rows).sum(1)
