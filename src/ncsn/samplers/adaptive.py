"""The probability-flow ODE solved to a tolerance, with steps that a solver chooses."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torchdiffeq import odeint

from ncsn.errors import DivergenceError, check_number
from ncsn.samplers.base import CountedModel, Noise, Sampler, State


@dataclass(frozen=True, repr=False)
class ODE(Sampler):
    """Solve dx/dlog sigma = -sigma^2 s by Dormand and Prince's method of fifth order, with adaptive steps.

    The solver stops at each level, which takes 7 evaluations or more; two levels are enough (Song et al. 2021, section 4.3,
    who took SciPy's solver of the same method and tolerance).

    Args:
        tolerance: Largest error of a step, root mean square over the samples walked together, relative to their values
            and absolute in the data's units.

    Raises:
        SettingError: ``tolerance`` is not positive.
    """

    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, above=0)

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        """Walk down all levels; yield the state at each. A score that is not finite is a `DivergenceError`."""
        flow = _Flow(model)
        times = -sigmas.double().log()
        longest = float(times[-1] - times[0]) / 64
        for count, (start, end) in enumerate(pairwise(times), 1):
            # torchdiffeq's own first step may call the model beyond the level, as may its last unless told to stop
            options = {"first_step": 1.1 * longest, "step_t": end[None]}
            flow.accepted.clear()
            span, tolerance = torch.stack([start, end]), self.tolerance
            path = odeint(flow, x, span, method="dopri5", rtol=tolerance, atol=tolerance, options=options)
            x, longest = path[-1], max(flow.accepted)
            yield State(count, float(sigmas[count]), x, flow.denoised, model.evaluations)


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
