"""What training minimises: denoising score matching with its weightings, and the consistency of a flow's end points."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ncsn.errors import SettingError, check_count, check_number, unknown_name
from ncsn.parts import Part, named
from ncsn.randomness import repeated_draws
from ncsn.score import ScoreModel, condition_rows, expand_sigma, noise_from_score

__all__ = [
    "WEIGHTINGS",
    "Batch",
    "Consistency",
    "DenoisingScoreMatching",
    "Objective",
    "StableTarget",
    "Weighting",
    "denoising_score_matching",
    "ncsn_loss",
]

HUBER_SOFTNESS = 0.1
"""c / sqrt(D) of the pseudo-Huber distance sqrt(|d|^2 + c^2) - c, at data of unit spread. Song & Dhariwal 2024 take 0.00054,
whose gradient hardly falls with the distance; in thousands of steps instead of hundreds of thousands that stays noisy."""

Weighting = Callable[[Tensor], Tensor]
"""lambda(sigma): the weight of the squared score error at levels ``(N,)``."""

WEIGHTINGS: dict[str, Weighting] = {
    "sigma2": lambda sigma: sigma.square(),
    "uniform": torch.ones_like,
    "inverse": lambda sigma: sigma.square().reciprocal(),
    "edm": lambda sigma: sigma.square() * (1 + sigma.square()),
}
"""Each weighting by its name; ``edm`` is Karras et al. 2022, table 1, at data of unit spread."""


@dataclass(frozen=True, eq=False)
class Batch:
    """What a loss is given.

    Args:
        samples: Clean rows, ``(N, *shape)``.
        sigma: Noise level of each row, ``(N,)``.
        noise: Standard normal noise, the shape of ``samples``.
        condition: What the model is told, as keyword arguments; a tensor has one entry a row.
        exact: The exact score of the data as they are, or of some of their rows; None where it is not to be had. It is not
            told of an augmentation.
        progress: The share of the training that is done.

    Raises:
        ValueError: ``sigma`` has not one entry a row.
    """

    samples: Tensor
    sigma: Tensor
    noise: Tensor
    condition: Mapping[str, Any] = field(default_factory=dict)
    exact: ScoreModel | None = None
    progress: float = 0.0

    @cached_property
    def noisy(self) -> Tensor:
        """The rows with their noise."""
        return self.samples + expand_sigma(self.sigma, self.samples) * self.noise

    @cached_property
    def as_they_are(self) -> Tensor:
        """Which rows are the data's own, ``(N,)``: not images that an augmentation has moved."""
        told = self.condition.get("augmentation")
        return torch.ones_like(self.sigma, dtype=torch.bool) if told is None else ~told.any(dim=1)

    def of(self, rows: Tensor) -> Batch:
        """Return the part of it that has these positions, ``(M,)``."""
        condition = condition_rows(self.condition, len(self.sigma), rows)
        return replace(
            self, samples=self.samples[rows], sigma=self.sigma[rows], noise=self.noise[rows], condition=condition
        )


Objective = Callable[[ScoreModel, Batch], Tensor]
"""What training minimises: called as ``objective(model, batch)``, it returns the loss of each row, ``(N,)``."""


@dataclass(frozen=True, repr=False)
class StableTarget(Part):
    """The data set's exact score in the place of the denoising target, from a level on.

    It is the mean of that target over the data: the same minimum with less variance (Xu, Tong & Jaakkola 2023).

    Args:
        target_from: The level from which on it is used, infinity for never; from the plan when None, without one never.
        target_rows: Most rows of the data that it is taken over in a step; from the plan when None, without one 1,024.
        weight_from: The level at which half of the greater weight is reached; from the plan when None, without one
            ``target_from``.
        weight: How many times more the levels far above ``weight_from`` count, as their targets are free of noise.

    Raises:
        SettingError: A level, the count or the weight is out of range.
    """

    target_from: float | None = None
    target_rows: int | None = None
    weight_from: float | None = None
    weight: float = 30.0

    def __post_init__(self) -> None:
        check_number("weight", self.weight, least=0)
        if self.target_rows is not None:
            check_count("target_rows", self.target_rows)
        for name, level in (("target_from", self.target_from), ("weight_from", self.weight_from)):
            if level is not None and level != math.inf:
                check_number(name, level, least=0)

    def noise(self, batch: Batch) -> Tensor:
        """Return the noise of each row, replaced by its mean over the data where the level is high enough.

        Of images that were moved it stays: those that are moved alike are another data set for each move.
        """
        if batch.exact is None or self.target_from in (None, math.inf):
            return batch.noise
        late = ((batch.sigma >= self.target_from) & batch.as_they_are).nonzero()[:, 0]
        sigma = batch.sigma[late]
        told = {name: value for name, value in batch.condition.items() if name != "augmentation"}
        score = batch.exact(batch.noisy[late], sigma, **condition_rows(told, len(batch.sigma), late))
        return batch.noise.index_copy(0, late, noise_from_score(sigma, score))

    def factor(self, batch: Batch) -> Tensor | float:
        """Return how many times more each row counts."""
        half = self.target_from if self.weight_from is None else self.weight_from
        if batch.exact is None or half is None:
            return 1.0
        return 1 + self.weight * batch.sigma.square() / (batch.sigma.square() + half**2)


def _check_target(target: object) -> None:
    if not isinstance(target, StableTarget):
        raise SettingError(f"target must be a StableTarget, not {target!r}")


@dataclass(frozen=True, repr=False)
class DenoisingScoreMatching(Part):
    """The weighted squared distance between the score and the denoising target -noise/sigma, of each row.

    It is averaged over a row's dimensions (Vincent 2011; Song & Ermon 2019, eq. 5 and 6).

    Args:
        weighting: A name of `WEIGHTINGS`, or a function of the levels.
        target: What takes the target's place where the exact score of the data is known.

    Raises:
        SettingError: The weighting is unknown.
    """

    takes_score: ClassVar[bool] = True
    draws: ClassVar[bool] = False

    weighting: str | Weighting = "sigma2"
    target: StableTarget = field(default_factory=StableTarget)

    def __post_init__(self) -> None:
        if not callable(named("weighting", self.weighting, WEIGHTINGS)):
            raise unknown_name("weighting", self.weighting, WEIGHTINGS)
        _check_target(self.target)

    def __call__(self, model: ScoreModel, batch: Batch) -> Tensor:
        """Return the loss of each row, ``(N,)``."""
        weight = named("weighting", self.weighting, WEIGHTINGS)(batch.sigma) / batch.sigma.square()
        if weight.shape != batch.sigma.shape:
            raise SettingError(
                f"the weighting must return {tuple(batch.sigma.shape)}, as the levels, not {tuple(weight.shape)}"
            )
        level = expand_sigma(batch.sigma, batch.samples)
        # |s + noise/sigma|^2 = |sigma s + noise|^2 / sigma^2 keeps the target of order one at every level
        score = model(batch.noisy, batch.sigma, **batch.condition)
        error = torch.addcmul(self.target.noise(batch), level, score)
        return weight * self.target.factor(batch) * error.flatten(1).square().mean(dim=1)


def denoising_score_matching(
    score_model: ScoreModel,
    samples: Tensor,
    sigma: Tensor,
    noise: Tensor,
    weighting: str | Weighting = "sigma2",
    **condition: Any,
) -> Tensor:
    """Return each row's loss, ``(N,)``: `DenoisingScoreMatching` of clean rows, their levels ``(N,)`` and noise.

    >>> zero = lambda x, sigma: torch.zeros_like(x)
    >>> denoising_score_matching(zero, torch.zeros(2, 1), torch.tensor([0.1, 5.0]), torch.tensor([[1.0], [2.0]]))
    tensor([1., 4.])
    """
    return DenoisingScoreMatching(weighting)(score_model, Batch(samples, sigma, noise, condition))


@dataclass(frozen=True, repr=False)
class Consistency(Part):
    """Each row's distance between the ends of the flow that a model sees from two neighbouring levels.

    From x at sigma the flow dx/dsigma = -sigma score is followed down to the next level, where the model's own answer, held
    fixed, is the target. With a teacher's score in a step of Heun's this is distillation. Without one the denoising target
    -noise/sigma stands for the score, which leads to samples + following noise, and this is consistency training from
    scratch; there the data set's exact score takes its place where it is given. The levels draw nearer as training goes on.

    The loss is a pseudo-Huber distance times sigma / (sigma - following) (Song et al. 2023, algorithms 2 and 3; Song &
    Dhariwal 2024 for the distance and the fixed target, whose weight 1 / (sigma - following) stresses small levels more).

    Args:
        sigma_min: Where the flow ends; from the plan when None.
        first_gap: The share of sigma that lies between neighbouring levels at the beginning.
        last_gap: The same at the end; in between it falls geometrically. 0.2 with a teacher, whose second-order step
            follows the flow over a wider gap, and 0.1 without, but no more than ``first_gap``, when None.
        target: As in `DenoisingScoreMatching`, without its weight; not used with a teacher.
        teacher: The score model to distil, which `NCSN.fit` is given; it is not saved with the method.

    Raises:
        SettingError: A gap is not between 0 and 1, or they widen; ``sigma_min`` is not positive and finite.
    """

    takes_teacher: ClassVar[bool] = True
    takes_score: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    sigma_min: float | None = None
    first_gap: float = 0.5
    last_gap: float | None = None
    target: StableTarget = field(default_factory=StableTarget)
    teacher: ScoreModel | None = field(default=None, repr=False, metadata={"saved": False})

    def __post_init__(self) -> None:
        _check_target(self.target)
        if self.sigma_min is not None:
            check_number("sigma_min", self.sigma_min, above=0)
        last = self.first_gap if self.last_gap is None else self.last_gap
        if not 0 < last <= self.first_gap < 1:
            raise SettingError(f"gaps must narrow between 1 and 0, not go from {self.first_gap} to {last}")

    @property
    def _last_gap(self) -> float:
        if self.last_gap is not None:
            return self.last_gap
        return min(self.first_gap, 0.1 if self.teacher is None else 0.2)

    def taught_by(self, teacher: ScoreModel) -> Consistency:
        """Return the objective that distils a score model."""
        return replace(self, teacher=teacher)

    def __call__(self, model: ScoreModel, batch: Batch) -> Tensor:
        """Return the loss of each row, ``(N,)``."""
        if self.sigma_min is None:
            raise SettingError(f"{self!r} needs sigma_min, or a plan")
        gap = self.first_gap * (self._last_gap / self.first_gap) ** batch.progress
        # the lowest levels have nothing below them: they are moved up to have a level of their own
        sigma = batch.sigma.clamp(min=self.sigma_min * (1 + gap))
        return self.between(model, replace(batch, sigma=sigma), (sigma * (1 - gap)).clamp(min=self.sigma_min))

    def between(self, model: ScoreModel, batch: Batch, following: Tensor) -> Tensor:
        """Return the loss of each row between its own level and the one that follows, ``(N,)`` each."""
        sigma, told = batch.sigma, batch.condition
        step = expand_sigma(following - sigma, batch.samples)
        x = batch.noisy
        with torch.no_grad():
            if self.teacher is not None:
                slope = noise_from_score(sigma, self.teacher(x, sigma, **told))
                ahead = noise_from_score(following, self.teacher(x + step * slope, following, **told))
                slope = (slope + ahead) / 2
            else:
                slope = self.target.noise(batch)
            # the same draws for both answers, so that dropout leaves the same units out
            with repeated_draws(x.device):
                target = model(x + step * slope, following, **told)
        difference = (model(x, sigma, **told) - target).flatten(1)
        softness = HUBER_SOFTNESS * math.sqrt(difference.shape[1])
        distance = (difference.square().sum(dim=1) + softness**2).sqrt() - softness
        return sigma / (sigma - following) * distance


def ncsn_loss(
    score_model: ScoreModel,
    samples: Tensor,
    sigmas: ArrayLike | Tensor,
    use_weighting: bool = True,
    *,
    weighting: str | Weighting = "sigma2",
    generator: torch.Generator | None = None,
    **condition: Any,
) -> Tensor:
    """Return the loss of a noise-conditional score network: one random level a row, averaged.

    Args:
        score_model: Called as ``score_model(x, sigma, **condition)``.
        samples: Clean data, ``(N, *shape)``.
        sigmas: Noise levels, ``(L,)``, each as likely.
        use_weighting: False is the same as ``weighting="uniform"``.
        weighting: ``sigma2`` (balanced levels), ``uniform``, ``inverse`` (stresses small levels), ``edm``, or a function.
        generator: Source of randomness; torch's default when None.
        **condition: Passed to the model.

    Returns:
        Scalar loss. A zero score has loss 1 under ``sigma2``.

    Raises:
        SettingError: The weighting is unknown, or ``sigmas`` is not a 1-D tensor of levels.

    References:
        Song & Ermon 2019, eq. 6.

    >>> zero = lambda x, sigma: torch.zeros_like(x)
    >>> loss = ncsn_loss(zero, torch.zeros(100_000, 2), torch.tensor([5.0, 0.1]), generator=torch.Generator())
    >>> round(loss.item(), 1)
    1.0
    """
    sigmas = torch.as_tensor(sigmas)
    if sigmas.ndim != 1 or not len(sigmas):
        raise SettingError(f"sigmas must be a 1-D tensor of noise levels, not of shape {tuple(sigmas.shape)}")
    # each level as often as the others, in random order: less variance than independent draws
    offset = torch.randint(len(sigmas), (), generator=generator, device=samples.device)
    index = (torch.randperm(len(samples), generator=generator, device=samples.device) + offset) % len(sigmas)
    sigma = sigmas.to(samples)[index]
    noise = torch.randn(samples.shape, generator=generator, device=samples.device, dtype=samples.dtype)
    weighting = weighting if use_weighting else "uniform"
    return denoising_score_matching(score_model, samples, sigma, noise, weighting, **condition).mean()
