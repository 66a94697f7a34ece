"""Pseudoinverse guidance (Song, Vahdat, Mardani & Kautz 2023)."""

from collections.abc import Callable

from torch import Tensor

from ncsn.errors import check_number
from ncsn.guidance.linear import LinearMeasurement
from ncsn.guidance.reconstruction import MeasuredGuidance
from ncsn.score import ScoreModel


class PseudoinverseGuidance(MeasuredGuidance):
    """A score model given a measurement, by a Gaussian of one width about the denoised: PiGDM.

    p(x0 | x) is taken as N(D, r^2 I) with r^2 = sigma^2 sd^2 / (sigma^2 + sd^2), so that grad log p(y | x) is
    J^T A^T (r^2 A A^T + sigma_y^2 I)^-1 (y - A D) (equation 7; the paper has sd = 1). It takes one evaluation of the model
    and one derivative. To compare with: its samples are not those of p(x | y).

    Args:
        score_model: Any score model that autograd can differentiate by ``x``.
        measurement: What was measured, one for all samples.
        sigma_data: The standard deviation sd of the data.

    Raises:
        DataError: There is a measurement for each sample.
        SettingError: ``sigma_data`` is not positive.
    """

    def __init__(self, score_model: ScoreModel, measurement: LinearMeasurement, sigma_data: float = 1.0) -> None:
        super().__init__(score_model, measurement)
        check_number("sigma_data", sigma_data, above=0)
        self.sigma_data = float(sigma_data)

    def likelihood_score(self, off: Tensor, sigma: Tensor, pull: Callable[[Tensor], Tensor]) -> Tensor:
        """Return J^T A^T (r^2 A A^T + sigma_y^2 I)^-1 (y - A D)."""
        width = sigma.square() * self.sigma_data**2 / (sigma.square() + self.sigma_data**2)
        return pull(off / (width + self.levels.to(off).square()))
