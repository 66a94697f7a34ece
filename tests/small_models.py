"""Small data, and models of them that are fitted in a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import norm
from torch import Tensor, nn

from ncsn import NCSN
from ncsn.training import Progress

Array = npt.NDArray[np.float64]

SMALL: dict[str, Any] = {"width": 8, "n_blocks": 1, "random_state": 0}

GAUSSIAN: dict[str, Any] = SMALL | {"training_steps": 1, "lr": 1e-12, "sigma_min": 0.01, "sigma_max": 20.0}
"""Settings of a network that stays at its start, where it is the score of the standard normal in standardised units."""


def gaussian(X: Any, y: Any = None, **settings: Any) -> NCSN:
    """Fit a network that stays at its start, where it is the score of the standard normal in standardised units."""
    return NCSN(**(GAUSSIAN | settings)).fit(X, y)


def white(n: int, dim: int, seed: int = 0) -> Array:
    """Return rows whose mean is 0 and whose covariance is the unit matrix, to rounding."""
    x = np.random.default_rng(seed).standard_normal((n, dim))
    x -= x.mean(0)
    return np.asarray(np.linalg.solve(np.linalg.cholesky(np.cov(x.T, bias=True).reshape(dim, dim)), x.T).T)


def log_normal(z: Array) -> Array:
    """Return the log-density at sigma_min = 0.01 that `gaussian` has, in standardised units."""
    return np.asarray(norm.logpdf(z, scale=np.hypot(1, 0.01)).reshape(len(z), -1).sum(1))


def clusters(n: int = 300) -> tuple[Array, npt.NDArray[np.str_]]:
    """Return two clusters in units of their own, labelled by their side."""
    rng = np.random.default_rng(0)
    side = rng.choice(["left", "right"], n)
    z = np.where(side == "left", -1.0, 1.0)[:, None] + 0.1 * rng.standard_normal((n, 2))
    return z * [3.0, 0.02] + [100.0, 0.0], side


def table(n: int = 400) -> Array:
    """Return independent normal columns in units of their own."""
    rng = np.random.default_rng(0)
    return np.asarray(rng.standard_normal((n, 3)) * [5.0, 0.1, 1.0] + [100.0, 0.0, -3.0])


def trained(random_state: Any, **settings: Any) -> NCSN:
    """Fit for a few steps, with dropout, so that all kinds of draws are made."""
    options = SMALL | {"training_steps": 5, "dropout": 0.2} | settings
    return NCSN(**(options | {"random_state": random_state})).fit(white(50, 2))


def flat_weights(network: nn.Module | None) -> Tensor:
    assert network is not None
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def weights(model: NCSN) -> Tensor:
    """Return all weights of a fitted model in one row."""
    return flat_weights(model.score_model_)


def interrupt_at(step: int) -> Callable[[Progress], None]:
    """Return a callback that is interrupted at a step."""

    def callback(progress: Progress) -> None:
        if progress.step >= step:
            raise KeyboardInterrupt

    return callback
