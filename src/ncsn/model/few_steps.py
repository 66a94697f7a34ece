"""Few steps of a fitted model: the solver that is fitted to it, on noise that is always the same."""

import math

import torch
from torch import Tensor

from ncsn.model.fitted import Fitted
from ncsn.noise import Geometric
from ncsn.samplers import FittedMultistep, fit_multistep

FINE_LEVELS = 50
"""Levels of the fine path that a solver is fitted to."""

FEWEST_ROWS, MOST_ROWS, VALUES = 64, 512, 2**14
"""Rows that it is fitted on, at least and at most, and values of them in between: some dozen weights need no more."""


def fit_few_steps(fitted: Fitted, steps: int, labelled: bool) -> FittedMultistep:
    """Return the solver of so many evaluations fitted to a model; the same for the same weights.

    Args:
        fitted: The model.
        steps: Number of evaluations.
        labelled: Whether it is asked for classes, which are then as many rows each.
    """
    shape, classes = fitted.encoding.shape, fitted.encoding.classes
    n = max(FEWEST_ROWS, min(MOST_ROWS, VALUES // math.prod(shape)))
    noise = torch.randn(n, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    codes = torch.arange(n) % len(classes) if labelled and classes is not None else None

    def start(sigma: float) -> Tensor:
        return fitted.moments.place(noise, sigma, codes).to(fitted.device, torch.float32)

    sigmas = Geometric(sigma_min=fitted.lowest, sigma_max=fitted.plan.sigma_max).grid(FINE_LEVELS).to(fitted.device)
    told = fitted.told(codes, n)
    return fit_multistep(fitted.score_model, sigmas, steps, start, sigma_data=fitted.plan.sigma_data, condition=told)
