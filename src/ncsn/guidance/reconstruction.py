"""What guides by a measurement of the denoised has in common: the model's answer, with its derivative at hand."""

import abc
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.errors import SettingError
from ncsn.guidance.linear import LinearMeasurement
from ncsn.score import ScoreModel, denoised_from_score, evaluate, expand_sigma


class MeasuredGuidance(nn.Module, abc.ABC):
    """A score model given a measurement: the score, and what stands for grad log p(y | x) at each level.

    Args:
        score_model: Any score model that autograd can differentiate by ``x``.
        measurement: What was measured, one for all samples.

    Raises:
        DataError: There is a measurement for each sample.
    """

    def __init__(self, score_model: ScoreModel, measurement: LinearMeasurement) -> None:
        super().__init__()
        self.score_model = score_model
        self.any_dtype = getattr(score_model, "any_dtype", False)
        self.operator = measurement.operator
        self.known = measurement.known(1)
        self.levels = measurement.levels

    @abc.abstractmethod
    def likelihood_score(self, off: Tensor, sigma: Tensor, pull: Callable[[Tensor], Tensor]) -> Tensor:
        """Return what stands for grad log p(y | x), ``(N, *shape)``.

        Args:
            off: What was measured minus what is measured of the denoised, in coordinates, 0 where nothing is.
            sigma: The level, broadcastable to ``off``.
            pull: Takes coordinates v to J^T V v, with J the derivative of the denoised by x.
        """

    @torch.inference_mode(False)
    def forward(self, x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        """Return the score given the measurement.

        Args:
            x: Points, ``(N, *shape)``.
            sigma: Noise level, a scalar or ``(N,)``.
            **condition: Keyword arguments of the model.
        """
        with torch.enable_grad():
            score, points, denoised = differentiable(self.score_model, x, sigma, condition)
            seen = self.operator.coordinates(denoised)
        looks = self.levels.isfinite().to(x.device)
        off = torch.where(looks, self.known.to(x) - seen.detach(), 0)

        def pull(v: Tensor) -> Tensor:
            return torch.autograd.grad(seen, points, torch.where(looks, v, 0), retain_graph=True)[0]

        return score.detach() + self.likelihood_score(off, expand_sigma(sigma, x), pull)


def differentiable(
    score_model: ScoreModel, x: Tensor, sigma: Tensor, condition: dict[str, Any] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the score at a copy of the points, that copy, and the denoised, which autograd can differentiate by it.

    Raises:
        SettingError: The score model has no derivative.
    """
    points = x.detach().clone().requires_grad_()
    score = evaluate(score_model, points, sigma, condition)
    if not score.requires_grad:
        raise SettingError("the score model cannot be differentiated by x: remove its torch.no_grad or detach")
    return score, points, denoised_from_score(points, sigma, score)
