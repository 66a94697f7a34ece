"""The probability-flow ODE solved to a tolerance, with steps that a solver chooses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor
from torchdiffeq import odeint

from ncsn.errors import DivergenceError
from ncsn.samplers.base import CountedModel, Noise, State

__all__ = ["ode"]


def ode(model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise, *, tolerance: float = 1e-5) -> Iterator[State]:
    """Solve dx/dlog sigma = -sigma^2 s by Dormand and Prince's method of fifth order, with adaptive steps.

    Args:
        model: The score model.
        x: Start, ``(N, *shape)``.
        sigmas: Levels, descending. The solver stops at each, which takes 7 evaluations or more; two are enough.
        noise: Not used.
        tolerance: Largest error of a step, root mean square over the samples walked together, relative to their values
            and absolute in the data's units.

    Yields:
        The state at each level.

    Raises:
        ValueError: ``tolerance`` is not positive.
        DivergenceError: The score is not finite.

    References:
        Song et al. 2021, section 4.3, who took SciPy's solver of the same method and tolerance.
    """
    if not 0 < tolerance < float("inf"):
        raise ValueError(f"tolerance must be positive and finite, not {tolerance}")
    flow = _Flow(model)
    times = -sigmas.double().log()
    longest = float(times[-1] - times[0]) / 64
    for step, (start, end) in enumerate(pairwise(times), 1):
        # torchdiffeq's own first step may call the model beyond the level, as may its last unless told to stop
        options = {"first_step": 1.1 * longest, "step_t": end[None]}
        flow.accepted.clear()
        path = odeint(
            flow, x, torch.stack([start, end]), method="dopri5", rtol=tolerance, atol=tolerance, options=options
        )
        x, longest = path[-1], max(flow.accepted)
        yield State(step, float(sigmas[step]), x, flow.denoised, model.evaluations)


class _Flow:
    """The flow's velocity in the time -log sigma, and the steps that the solver took."""

    denoised: Tensor

    def __init__(self, model: CountedModel) -> None:
        self.model = model
        self.accepted: list[float] = []

    def __call__(self, time: Tensor, x: Tensor) -> Tensor:
        """Return sigma^2 s, which is the way from x to its denoised point."""
        sigma = (-time).exp().to(x)
        velocity = sigma.square() * self.model.score(x, sigma)
        if not bool(velocity.isfinite().all()):
            raise DivergenceError(
                f"the score is not finite at noise level {float(sigma):.4g}: train the network longer"
            )
        self.denoised = x + velocity
        return velocity

    def callback_accept_step(self, time: Tensor, x: Tensor, length: Tensor) -> None:
        """Note the length of a step; torchdiffeq calls this by its name."""
        self.accepted.append(float(length))
