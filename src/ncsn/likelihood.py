"""Log-density of a score model by the instantaneous change of variables along the probability-flow ODE."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ncsn.errors import SettingError, check_count, check_number, unknown_name
from ncsn.flow import integrate
from ncsn.noise.levels import check_levels
from ncsn.score import ScoreModel, condition_rows, evaluate, evaluation_mode
from ncsn.threads import threads_that_pay

__all__ = ["EXACT_TRACE_UP_TO", "log_density"]

EXACT_TRACE_UP_TO = 32
"""Dimensions up to which ``trace="auto"`` takes the exact trace, one Jacobian product for each."""

_TRACES = ("auto", "exact", "hutchinson")

_CHUNK_ROWS, _CHUNK_VALUES, _CHUNK_PIXELS = 2**14, 2**21, 2**18
"""Most Jacobian products, and values in them, that are computed together unless told; the last of rows with several axes, of
which a convolutional network of 64 channels keeps some 5 KB for each."""


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
        score_model: Any score model that autograd can differentiate by ``x``; a module is in evaluation mode while it is asked.
        x: Rows, ``(N, *shape)``.
        sigma_min: The level whose density is asked for; small, so that it is the data's.
        sigma_max: The level where the density is taken as N(mean, covariance + sigma_max^2 I).
        mean: Mean of the data, broadcastable to a row, or one for each row, ``(N, *shape)``.
        covariance: Covariance of the data's flattened rows, ``(D, D)``, or a variance, broadcastable to a row.
        trace: ``exact`` (one Jacobian product a dimension), ``hutchinson`` (random probes; unbiased), or ``auto``: exact up
            to 32 dimensions.
        n_probes: Hutchinson's probes, +-1 each, held fixed along the path.
        tolerance: Relative and absolute tolerance of the adaptive solver (Dormand-Prince 5), kept by every row.
        generator: Source of the probes; torch's default when None.
        chunk_size: Rows solved together; 16,384 Jacobian products or 2 million values of them when None, 262,144 of images.
        condition: Keyword arguments for the model, such as ``{"label": labels}``; a tensor has one entry a row.

    Returns:
        Log-densities of shape ``(N,)``.

    Raises:
        SettingError: Levels, counts, shapes or the tolerance do not fit, ``trace`` is unknown, or the score has no derivative.
        DivergenceError: A log-density is not finite.

    References:
        Song et al. 2021, appendix D.2; Hutchinson's estimator as in Grathwohl et al. 2019.

    >>> standard_normal = lambda x, sigma: -x / (1 + sigma**2)
    >>> log_density(standard_normal, torch.zeros(1, 2), 1e-3, 10.0, covariance=1.0)  # -log(2 pi)
    tensor([-1.8379])
    """
    check_levels(sigma_min, sigma_max)
    if trace not in _TRACES:
        raise unknown_name("trace", trace, _TRACES)
    check_count("n_probes", n_probes)
    if chunk_size is not None:
        check_count("chunk_size", chunk_size)
    check_number("tolerance", tolerance, above=0)
    if x.ndim < 2 or not x.numel():
        raise SettingError(f"x must hold rows of shape (N, *shape), not {tuple(x.shape)}")
    dim = x[0].numel()
    exact = trace == "exact" or (trace == "auto" and dim <= EXACT_TRACE_UP_TO)
    n_products = dim if exact else n_probes
    if chunk_size is None:
        values = _CHUNK_VALUES if x.ndim == 2 else _CHUNK_PIXELS
        chunk_size = max(1, min(_CHUNK_ROWS // n_products, values // (dim * n_products)))
    results = []
    for start in range(0, len(x), chunk_size):
        rows = x[start : start + chunk_size]
        probes = _probes(rows, n_products, exact, generator)
        told = condition_rows(condition, len(x), slice(start, start + chunk_size))
        with evaluation_mode(score_model), threads_that_pay(score_model, n_products * len(rows)):
            carried, gained = _carry(
                partial(evaluate, score_model, condition=told), rows, probes, sigma_min, sigma_max, tolerance
            )
        centre, spread = torch.as_tensor(mean).to(x), torch.as_tensor(covariance).to(x)
        centre = centre[start : start + chunk_size] if centre.ndim == x.ndim and len(centre) == len(x) else centre
        results.append(_gaussian(carried - centre, spread, sigma_max) + gained)
    return torch.cat(results)


def _probes(rows: Tensor, n_products: int, exact: bool, generator: torch.Generator | None) -> Tensor:
    """Return the vectors of the Jacobian products, ``(K, *rows.shape)``: the unit vectors, or random signs."""
    if exact:
        units = torch.eye(n_products, dtype=rows.dtype, device=rows.device).reshape(n_products, 1, *rows.shape[1:])
        # the trace is dim times the mean product with a unit vector, as it is the mean product with +-1 probes
        return math.sqrt(n_products) * units.expand(n_products, *rows.shape)
    device = rows.device if generator is None else generator.device
    signs = torch.randint(0, 2, (n_products, *rows.shape), generator=generator, device=device)
    return (2 * signs - 1).to(rows)


@torch.inference_mode(False)
@torch.no_grad()
def _carry(
    score_model: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    probes: Tensor,
    sigma_min: float,
    sigma_max: float,
    tolerance: float,
) -> tuple[Tensor, Tensor]:
    """Carry rows from ``sigma_min`` to ``sigma_max``; return them, and the log-density that they lost on the way."""
    # autograd refuses tensors that a caller made in inference mode, but not their copies
    x, probes = x.clone(), probes.clone()

    def derivative(sigma: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return d/dlog sigma of the rows, and their divergence."""
        # backward, because torch's forward mode takes three times as long and more
        with torch.enable_grad():
            rows = state[0].detach().requires_grad_()
            velocity = -sigma.square() * score_model(rows, sigma)
            if not velocity.requires_grad:
                raise SettingError("the score model cannot be differentiated by x: remove its torch.no_grad or detach")
            products = torch.autograd.grad(velocity, rows, probes, is_grads_batched=True)[0]
        return velocity.detach(), (products * probes).flatten(2).sum(dim=2).mean(dim=0)

    start = x, x.new_zeros(len(x))
    rows, gained = integrate(derivative, start, sigma_min, sigma_max, tolerance, of="log-density")
    return rows, gained


def _gaussian(residual: Tensor, covariance: Tensor, sigma: float) -> Tensor:
    """Return the log-density of N(0, covariance + sigma^2 I)."""
    rows = residual.flatten(1)
    dim = rows.shape[1]
    if covariance.shape == (dim, dim):
        total = covariance + sigma**2 * torch.eye(dim).to(rows)
        return torch.distributions.MultivariateNormal(torch.zeros(dim).to(rows), total).log_prob(rows)
    total = (covariance + sigma**2).expand_as(residual).flatten(1)
    return torch.distributions.Normal(torch.zeros(()).to(rows), total.sqrt()).log_prob(rows).sum(1)
