"""Moment matching posterior sampling (Rozet, Andry, Lanusse & Louppe 2024)."""

from collections.abc import Callable

import torch
from torch import Tensor

from ncsn.errors import check_count
from ncsn.guidance.linear import LinearMeasurement
from ncsn.guidance.reconstruction import MeasuredGuidance
from ncsn.score import ScoreModel


class MomentMatchingGuidance(MeasuredGuidance):
    """A score model given a measurement, by the Gaussian of the denoised's own covariance: MMPS.

    p(x0 | x) is taken as N(D, sigma^2 J), J being the derivative of D by x (Tweedie's covariance), so that grad log p(y | x)
    is J^T A^T (sigma_y^2 I + A sigma^2 J A^T)^-1 (y - A D) (equation 13), solved by conjugate gradients (algorithm 3).
    It takes one evaluation of the model and a derivative for each iteration and one more. To compare with: its samples are
    p(x | y)'s of a Gaussian p(x) only.

    Args:
        score_model: Any score model that autograd can differentiate by ``x``.
        measurement: What was measured, one for all samples.
        n_iterations: Iterations of conjugate gradients; as many as coordinates are measured solve it.

    Raises:
        DataError: There is a measurement for each sample.
        SettingError: ``n_iterations`` is not positive.
    """

    def __init__(self, score_model: ScoreModel, measurement: LinearMeasurement, n_iterations: int = 3) -> None:
        super().__init__(score_model, measurement)
        check_count("n_iterations", n_iterations)
        self.n_iterations = n_iterations

    def likelihood_score(self, off: Tensor, sigma: Tensor, pull: Callable[[Tensor], Tensor]) -> Tensor:
        """Return J^T A^T (sigma_y^2 I + A sigma^2 J A^T)^-1 (y - A D)."""
        looks = self.levels.isfinite().to(off.device)
        noise = torch.where(looks, self.levels.to(off), 0).square()

        def covariance(v: Tensor) -> Tensor:
            spread = self.operator.coordinates(sigma.square() * pull(v))
            return noise * v + torch.where(looks, spread, 0)

        return pull(_conjugate_gradients(covariance, off, self.n_iterations))


def _conjugate_gradients(apply: Callable[[Tensor], Tensor], b: Tensor, n_iterations: int) -> Tensor:
    """Return x with A x = b, each row by itself (Hestenes & Stiefel 1952)."""
    x, residual = torch.zeros_like(b), b
    direction = residual
    size = _dot(residual, residual)
    for _ in range(n_iterations):
        image = apply(direction)
        # what is solved already, or where A is no covariance, stays as it is
        curvature = _dot(direction, image)
        step = torch.where(curvature > 0, size / curvature, 0)
        x, residual = x + step * direction, residual - step * image
        following = _dot(residual, residual)
        direction = residual + torch.where(size > 0, following / size, 0) * direction
        size = following
    return x


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.ndim - 1))
