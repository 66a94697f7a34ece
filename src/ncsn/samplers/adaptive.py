"""The probability-flow ODE solved to a tolerance, with steps that a solver chooses."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torchdiffeq import odeint

from ncsn.errors import DivergenceError, check_number
from ncsn.samplers.base import CountedModel, Noise, Sampler, State
from ncsn.score import condition_rows, evaluate


@dataclass(frozen=True, repr=False)
class ODE(Sampler):
    """Solve dx/dlog sigma = -sigma^2 s by Dormand and Prince's method of fifth order, with adaptive steps.

    The solver stops at each level, which takes 7 evaluations or more; two levels are enough (Song et al. 2021, section 4.3,
    who took SciPy's solver of the same method and tolerance).

    On a CPU each block of the noise, of 4,096 values, is solved by itself, so that the samples do not depend on which are
    walked together; elsewhere all together, where they do up to the tolerance.

    Args:
        tolerance: Largest error of a step, root mean square over the samples solved together, relative to their values
            and absolute in the data's units.

    Raises:
        SettingError: ``tolerance`` is not positive.
    """

    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, above=0)

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        """Walk down all levels; yield the state at each. A score that is not finite is a `DivergenceError`."""
        times = -sigmas.double().log()
        size = noise.block if x.device.type == "cpu" else len(x)
        flows = [
            _Flow(model, slice(start, start + size), x, float(times[-1] - times[0]) / 64)
            for start in range(0, len(x), size)
        ]
        for count, (start, end) in enumerate(pairwise(times), 1):
            for flow in flows:
                flow.solve(start, end, self.tolerance)
            x, denoised = torch.cat([flow.x for flow in flows]), torch.cat([flow.denoised for flow in flows])
            yield State(count, float(sigmas[count]), x, denoised, model.evaluations)


class _Flow:
    """The way of some rows along the flow in the time -log sigma: where they are, and the steps that the solver took."""

    denoised: Tensor

    def __init__(self, model: CountedModel, rows: slice, x: Tensor, longest: float) -> None:
        self.model, self.x, self.longest = model, x[rows], longest
        self.condition = condition_rows(model.condition, len(x), rows)
        self.accepted: list[float] = []

    def solve(self, start: Tensor, end: Tensor, tolerance: float) -> None:
        """Carry the rows from one time to another."""
        # torchdiffeq's own first step may call the model beyond the level, as may its last unless told to stop
        options = {"first_step": 1.1 * self.longest, "step_t": end[None]}
        self.accepted.clear()
        span = torch.stack([start, end])
        path = odeint(self, self.x, span, method="dopri5", rtol=tolerance, atol=tolerance, options=options)
        self.x, self.longest = path[-1], max(self.accepted)

    def __call__(self, time: Tensor, x: Tensor) -> Tensor:
        """Return sigma^2 s, which is the way from x to its denoised point."""
        sigma = (-time).exp().to(x)
        self.model.evaluations += 1
        velocity = sigma.square() * evaluate(self.model.score_model, x, sigma, self.condition)
        if not bool(velocity.isfinite().all()):
            raise DivergenceError(
                f"the score is not finite at noise level {float(sigma):.4g}: train the network longer"
            )
        self.denoised = x + velocity
        return velocity

    def callback_accept_step(self, time: Tensor, x: Tensor, length: Tensor) -> None:
        """Note the length of a step; torchdiffeq calls this by its name."""
        self.accepted.append(float(length))
