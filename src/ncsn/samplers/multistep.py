"""Linear multistep solvers of the probability-flow ODE: what they share, and the one of Adams and Bashforth.

Data of the standard deviation d give the flow a linear part that can be followed exactly. With q = sqrt(1 + (sigma/d)^2) and
the denoised D it leaves y = x / q to be solved in the coordinate u = d arctan(sigma/d), at the velocity
-dy/du = (q / sigma) (D - x / q^2): zero for a Gaussian of that spread, and what EDM's networks learn. As d grows without bound,
q is 1, u is sigma and the velocity is minus the slope of x.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from torch import Tensor

from ncsn.errors import SettingError, check_count, check_number
from ncsn.samplers.base import CountedModel, Noise, Sampler, State

MOST_ORDER = 4
"""Highest order of `IPNDM`: beyond, extrapolation over several steps grows what is wrong in each velocity."""


@dataclass(frozen=True, repr=False)
class IPNDM(Sampler):
    """Adams and Bashforth's method, one evaluation a step: the velocities of the last steps are extrapolated by a polynomial.

    It was made for the slope of x by sigma, from lower orders up in the first steps (Liu et al. 2022, iPNDM; Zhang & Chen
    2023), here with the coefficients of uneven steps. With ``sigma_data`` the flow of a Gaussian of this spread is followed
    exactly, and only the rest is extrapolated, which is far more exact in few steps.

    Args:
        order: Velocities that a step takes, 1 to 4; 1 is Euler's method.
        sigma_data: Standard deviation of the data, whose mean is then taken to be 0; from the plan when None. Infinity, and
            None without a plan, is the published method.

    Raises:
        SettingError: ``order`` is out of range, or ``sigma_data`` is not positive.
    """

    order: int = 3
    sigma_data: float | None = None

    def __post_init__(self) -> None:
        check_count("order", self.order)
        if self.order > MOST_ORDER:
            raise SettingError(f"order must be at most {MOST_ORDER}, not {self.order}")
        if self.sigma_data not in (None, math.inf):
            check_number("sigma_data", self.sigma_data, above=0)

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        """Walk down all levels; yield the state after each step, one evaluation each."""
        spread = math.inf if self.sigma_data is None else self.sigma_data
        velocities: list[Tensor] = []
        places: list[float] = []
        for count, (sigma, following) in enumerate(pairwise(sigmas.tolist()), 1):
            denoised = model.denoise(x, sigma)
            velocities = [velocity(x, denoised, sigma, spread), *velocities][: self.order]
            places = [place(sigma, spread), *places][: self.order]
            weights = adams_bashforth(places, place(following, spread))
            x = moved(x, 1.0, weights, velocities, sigma, following, spread)
            yield State(count, following, x, denoised, model.evaluations)


def scale(sigma: float, spread: float) -> float:
    """Return q, how much wider than the data of a spread they are with their noise."""
    return math.hypot(1, sigma / spread)


def place(sigma: float, spread: float) -> float:
    """Return u, the coordinate of a level."""
    return sigma if math.isinf(spread) else spread * math.atan(sigma / spread)


def velocity(x: Tensor, denoised: Tensor, sigma: float, spread: float) -> Tensor:
    """Return -dy/du, the velocity on the way down."""
    wider = scale(sigma, spread)
    return (denoised - x / wider**2) * (wider / sigma)


def moved(
    x: Tensor,
    kept: float,
    weights: list[float],
    velocities: list[Tensor],
    sigma: float,
    following: float,
    spread: float,
) -> Tensor:
    """Return x at the following level: y times ``kept``, plus the velocities by their weights, the latest first."""
    y = x * (kept / scale(sigma, spread))
    for weight, each in zip(weights, velocities, strict=True):
        y = y + weight * each
    return y * scale(following, spread)


def adams_bashforth(places: list[float], following: float) -> list[float]:
    """Return the weights of the velocities at some coordinates in a step down from the first of them to the following one.

    They integrate the polynomial through the velocities.

    >>> [round(weight, 3) for weight in adams_bashforth([3.0, 4.0, 5.0], 2.0)]
    [1.917, -1.333, 0.417]
    """
    # in units of the step, so that the powers are of one size
    step = places[0] - following
    nodes = np.array([(places[0] - each) / step for each in places])
    integrals = 1 / np.arange(1, len(places) + 1)
    weights: list[float] = (step * np.linalg.solve(np.vander(nodes, increasing=True).T, integrals)).tolist()
    return weights
