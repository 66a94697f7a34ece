"""Samplers by the reverse stochastic differential equation, with and without Langevin correction (Song et al. 2021)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from ncsn.errors import check_count, check_number
from ncsn.samplers.ancestral import renoised
from ncsn.samplers.base import CountedModel, Noise, Sampler, State
from ncsn.score import denoised_from_score


@dataclass(frozen=True, repr=False)
class ReverseSDE(Sampler):
    """Solve the reverse SDE by Euler and Maruyama in the time sigma^2.

    In that time the variance-exploding SDE has the diffusion 1, and its reverse is dx = -s dt + dw, dt < 0. A step is
    x + (sigma^2 - sigma'^2) s + sqrt(sigma^2 - sigma'^2) z: the mean of `Ancestral` with eta = 1, with (sigma/sigma')^2
    times its variance. The distribution converges with first order (Song et al. 2021, eq. 6 and appendix E).
    """

    steps: ClassVar[int | str] = 250

    def step(
        self, model: CountedModel, x: Tensor, sigma: float, following: float, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        """Take one step, of one evaluation."""
        denoised = model.denoise(x, sigma)
        fresh = math.sqrt(sigma**2 - following**2)
        return renoised(x, denoised, (following / sigma) ** 2, fresh, noise), denoised


@dataclass(frozen=True, repr=False)
class PredictorCorrector(ReverseSDE):
    """Correct at each level by Langevin dynamics, then go down by reverse diffusion, `ReverseSDE`.

    The corrector is x + e s + sqrt(2 e) z with e = 2 (snr |z| / |s|)^2, norms averaged over groups of 64 samples, fewer
    where a sample has more than 64 values. Read in sigma it is the corrector of the VP and sub-VP SDE too, whose scale of
    x is the inverse of that of s and cancels, but for the factor alpha_t of the paper's algorithm 5: that is 1 - beta_t,
    next to 1, in the authors' code, and 1 here.

    L (M + 1) evaluations walk L levels with M corrector steps and denoise. Song et al. 2021, algorithms 2 and 4, in the
    order of the authors' code, which corrects at the first level too.

    Args:
        snr: Signal-to-noise ratio r of the corrector's steps.
        n_corrector_steps: Langevin steps at each level, the first and the last included; 0 is `ReverseSDE`.

    Raises:
        SettingError: ``snr`` is not positive, or ``n_corrector_steps`` is negative.
    """

    steps: ClassVar[int | str] = 100

    snr: float = 0.16
    n_corrector_steps: int = 1

    def __post_init__(self) -> None:
        check_number("snr", self.snr, above=0)
        check_count("n_corrector_steps", self.n_corrector_steps, least=0)

    @property
    def groups(self) -> bool:
        """Whether steps average over groups of samples."""
        return self.n_corrector_steps > 0

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        """Walk down all levels; yield the state after each step, one evaluation each."""
        count = 0
        for sigma, following in pairwise([*sigmas.tolist(), None]):
            for _ in range(self.n_corrector_steps):
                count += 1
                score = model.score(x, sigma)
                denoised = denoised_from_score(x, sigma, score)
                z = noise.like(x)
                size = 2 * (self.snr * _norms(z, noise) / _norms(score, noise)).square()
                x = torch.addcmul(x, size, score).addcmul_((2 * size).sqrt(), z)
                yield State(count, sigma, x, denoised, model.evaluations)
            if following is not None:
                count += 1
                x, denoised = self.step(model, x, sigma, following, noise)
                yield State(count, following, x, denoised, model.evaluations)


def _norms(rows: Tensor, noise: Noise) -> Tensor:
    """Return the mean of the norms in each row's group, broadcastable to the rows."""
    return noise.group_means(rows.flatten(1).norm(dim=1)).reshape(-1, *[1] * (rows.ndim - 1))
