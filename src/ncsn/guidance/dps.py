"""Diffusion posterior sampling (Chung, Kim, Mccann, Klasky & Ye 2023)."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ncsn.errors import check_number
from ncsn.guidance.linear import LinearMeasurement
from ncsn.guidance.reconstruction import differentiable
from ncsn.samplers import Ancestral, CountedModel, Noise


@dataclass(frozen=True, repr=False, eq=False)
class DPS(Ancestral):
    """`Ancestral` steps, each followed by one down the distance of the denoised to the measurement.

    x' - zeta grad_x |y - A D(x)|, the norm that of each sample by itself: the authors' code; algorithm 1, whose step is
    zeta / |y - A D| of the squared norm, has half its zeta. The noise of the measurement has no part in it. It takes one
    evaluation and one derivative a step. To compare with: its samples are not those of p(x | y).

    Args:
        measurement: What was measured, one for all samples.
        zeta: Length of the step.

    Raises:
        DataError: At the walk, there is a measurement for each sample.
        SettingError: ``zeta`` is negative.
    """

    measurement: LinearMeasurement = field(kw_only=True)
    zeta: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("zeta", self.zeta, least=0)

    @torch.inference_mode(False)
    def step(
        self, model: CountedModel, x: Tensor, sigma: float, following: float, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        """Take one step."""
        y = self.measurement.measurements(1)
        with torch.enable_grad():
            _, points, denoised = differentiable(model.score, x, x.new_tensor(sigma))
            seen = self.measurement.operator.apply(denoised)
            off = torch.where(self.measurement.is_read.to(x.device), y.to(seen) - seen, 0)
            distances = off.flatten(1).norm(dim=1)
            slopes = torch.autograd.grad(distances.sum(), points)[0]
        stepped, _ = super().step(_Answered(denoised.detach()), x, sigma, following, noise)
        return stepped - self.zeta * slopes, denoised.detach()


class _Answered(CountedModel):
    """A model whose answer is there already."""

    def __init__(self, denoised: Tensor) -> None:
        self.denoised = denoised

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Return it."""
        return self.denoised
