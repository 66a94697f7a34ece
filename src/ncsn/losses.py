"""What training minimises: denoising score matching with its weightings, and the consistency of a flow's end points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from ncsn.errors import unknown_name
from ncsn.score import ScoreModel, condition_rows, expand_sigma, noise_from_score

__all__ = [
    "WEIGHTINGS",
    "Consistency",
    "DenoisingScoreMatching",
    "Objective",
    "consistency_matching",
    "denoising_score_matching",
    "ncsn_loss",
]

HUBER_SOFTNESS = 0.1
"""c / sqrt(D) of the pseudo-Huber distance sqrt(|d|^2 + c^2) - c, at data of unit spread. Song & Dhariwal 2024 take 0.00054,
whose gradient hardly falls with the distance; in thousands of steps instead of hundreds of thousands that stays noisy."""

WEIGHTINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigma2": lambda sigma: sigma.square(),
    "uniform": torch.ones_like,
    "inverse": lambda sigma: sigma.square().reciprocal(),
    "edm": lambda sigma: sigma.square() * (1 + sigma.square()),
}
"""lambda(sigma), the weight of the squared score error; ``edm`` is Karras et al. 2022, table 1, at data of unit spread."""


def denoising_score_matching(
    score_model: ScoreModel,
    samples: Tensor,
    sigma: Tensor,
    noise: Tensor,
    *,
    weighting: str = "sigma2",
    exact: ScoreModel | None = None,
    exact_from: float = 0.0,
    exact_weight: float = 0.0,
    weight_from: float | None = None,
    **condition: Any,
) -> Tensor:
    """Return each row's weighted squared distance between the score and the denoising target -noise/sigma.

    Args:
        score_model: Called as ``score_model(x, sigma, **condition)``.
        samples: Clean data, ``(N, *shape)``.
        sigma: Noise level of each row, ``(N,)``.
        noise: Standard normal noise, the shape of ``samples``.
        weighting: A name of `WEIGHTINGS`.
        exact: The exact score of the data set (`exact.EmpiricalScore`), the mean of the denoising target over the data:
            the same minimum with less variance (the stable target field; Xu, Tong & Jaakkola 2023). None for none.
        exact_from: The level from which on it takes the target's place.
        exact_weight: How many times more the levels far above ``weight_from`` count, as their targets are free of noise;
            nothing without ``exact``.
        weight_from: The level at which half of that is reached; ``exact_from`` when None.
        **condition: Passed to the model and to ``exact``; a tensor has one entry a row.

    Returns:
        Losses of shape ``(N,)``, averaged over a row's dimensions.

    Raises:
        ValueError: The weighting is unknown, or ``sigma`` or a condition has not one entry a row.

    References:
        Vincent 2011; Song & Ermon 2019, eq. 5 and 6.
    """
    if weighting not in WEIGHTINGS:
        raise unknown_name("weighting", weighting, WEIGHTINGS)
    level = expand_sigma(sigma, samples)
    noisy = samples + level * noise
    target, weight = noise, WEIGHTINGS[weighting](sigma) / sigma.square()
    if exact is not None:
        late = (sigma >= exact_from).nonzero()[:, 0]
        score = exact(noisy[late], sigma[late], **condition_rows(condition, len(samples), late))
        target = noise.index_copy(0, late, noise_from_score(sigma[late], score))
        half = exact_from if weight_from is None else weight_from
        weight = weight * (1 + exact_weight * sigma.square() / (sigma.square() + half**2))
    # |s + noise/sigma|^2 = |sigma s + noise|^2 / sigma^2 keeps the target of order one at every level
    error = torch.addcmul(target, level, score_model(noisy, sigma, **condition))
    return weight * error.flatten(1).square().mean(dim=1)


def ncsn_loss(
    score_model: ScoreModel,
    samples: Tensor,
    sigmas: Tensor,
    use_weighting: bool = True,
    *,
    weighting: str = "sigma2",
    generator: torch.Generator | None = None,
    **condition: Any,
) -> Tensor:
    """Return the loss of a noise-conditional score network: one random level a row, averaged.

    Args:
        score_model: Called as ``score_model(x, sigma, **condition)``.
        samples: Clean data, ``(N, *shape)``.
        sigmas: Noise levels, ``(L,)``, each as likely.
        use_weighting: False is the same as ``weighting="uniform"``.
        weighting: ``sigma2`` (balanced levels), ``uniform``, ``inverse`` (stresses small levels) or ``edm``.
        generator: Source of randomness; torch's default when None.
        **condition: Passed to the model.

    Returns:
        Scalar loss. A zero score has loss 1 under ``sigma2``.

    Raises:
        ValueError: The weighting is unknown, or ``sigmas`` is not a 1-D tensor of levels.

    References:
        Song & Ermon 2019, eq. 6.

    >>> zero = lambda x, sigma: torch.zeros_like(x)
    >>> loss = ncsn_loss(zero, torch.zeros(100_000, 2), torch.tensor([5.0, 0.1]), generator=torch.Generator())
    >>> round(loss.item(), 1)
    1.0
    """
    if sigmas.ndim != 1 or not len(sigmas):
        raise ValueError(f"sigmas must be a 1-D tensor of noise levels, not of shape {tuple(sigmas.shape)}")
    # each level as often as the others, in random order: less variance than independent draws
    offset = torch.randint(len(sigmas), (), generator=generator, device=samples.device)
    index = (torch.randperm(len(samples), generator=generator, device=samples.device) + offset) % len(sigmas)
    sigma = sigmas.to(samples)[index]
    noise = torch.randn(samples.shape, generator=generator, device=samples.device, dtype=samples.dtype)
    weighting = weighting if use_weighting else "uniform"
    return denoising_score_matching(score_model, samples, sigma, noise, weighting=weighting, **condition).mean()


def consistency_matching(
    model: ScoreModel,
    samples: Tensor,
    sigma: Tensor,
    following: Tensor,
    noise: Tensor,
    *,
    teacher: ScoreModel | None = None,
    exact: ScoreModel | None = None,
    exact_from: float = 0.0,
    **condition: Any,
) -> Tensor:
    """Return each row's distance between the ends of the flow that a model sees from two neighbouring levels.

    From x at ``sigma`` the flow dx/dsigma = -sigma score is followed down to the level ``following``, where the model's own
    answer, held fixed, is the target. With a teacher's score in a step of Heun's this is distillation. Without one the
    denoising target -noise/sigma stands for the score, which leads to samples + following noise, and this is consistency
    training from scratch; as there, the data set's exact score takes its place where it is given.

    Args:
        model: A consistency model, called as ``model(x, sigma, **condition)``.
        samples: Clean data, ``(N, *shape)``.
        sigma: Noise level of each row, ``(N,)``.
        following: The lower level of each row, ``(N,)``.
        noise: Standard normal noise, the shape of ``samples``.
        teacher: The score model to distil; None to train from scratch.
        exact: The data set's exact score, as in `denoising_score_matching`; not used with a teacher.
        exact_from: The level from which on it is used.
        **condition: Passed to the model, to the teacher and to ``exact``; a tensor has one entry a row.

    Returns:
        Losses of shape ``(N,)``: pseudo-Huber distances times sigma / (sigma - following).

    References:
        Song et al. 2023, algorithms 2 and 3; Song & Dhariwal 2024 for the distance and the fixed target;
        their weight is 1 / (sigma - following), which stresses small levels more.
    """
    level, lower = expand_sigma(sigma, samples), expand_sigma(following, samples)
    x = samples + level * noise
    with torch.no_grad():
        if teacher is not None:
            slope = noise_from_score(sigma, teacher(x, sigma, **condition))
            ahead = noise_from_score(following, teacher(x + (lower - level) * slope, following, **condition))
            slope = (slope + ahead) / 2
        else:
            slope = noise
            if exact is not None:
                late = (sigma >= exact_from).nonzero()[:, 0]
                score = exact(x[late], sigma[late], **condition_rows(condition, len(samples), late))
                slope = noise.index_copy(0, late, noise_from_score(sigma[late], score))
        # the same draws for both answers, so that dropout leaves the same units out
        with torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
            target = model(x + (lower - level) * slope, following, **condition)
    difference = (model(x, sigma, **condition) - target).flatten(1)
    softness = HUBER_SOFTNESS * math.sqrt(difference.shape[1])
    distance = (difference.square().sum(dim=1) + softness**2).sqrt() - softness
    return sigma / (sigma - following) * distance


class Objective(Protocol):
    """What training minimises, given a batch of clean rows, levels and noise."""

    def __call__(
        self,
        model: ScoreModel,
        samples: Tensor,
        sigma: Tensor,
        noise: Tensor,
        *,
        exact: ScoreModel | None,
        progress: float,
        **condition: Any,
    ) -> Tensor:
        """Return the loss of each row, ``(N,)``; ``progress`` is the share of the training that is done."""


@dataclass(frozen=True)
class DenoisingScoreMatching:
    """The objective of every score model: `denoising_score_matching`, whose arguments these are."""

    weighting: str = "sigma2"
    exact_from: float = math.inf
    exact_weight: float = 30.0
    weight_from: float | None = None

    def __call__(
        self,
        model: ScoreModel,
        samples: Tensor,
        sigma: Tensor,
        noise: Tensor,
        *,
        exact: ScoreModel | None,
        progress: float,
        **condition: Any,
    ) -> Tensor:
        """Return the loss of each row; ``progress`` is not used."""
        return denoising_score_matching(
            model,
            samples,
            sigma,
            noise,
            weighting=self.weighting,
            exact=exact,
            exact_from=self.exact_from,
            exact_weight=self.exact_weight,
            weight_from=self.weight_from,
            **condition,
        )


@dataclass(frozen=True)
class Consistency:
    """The objective of consistency models: `consistency_matching` with levels that draw nearer as training goes on.

    Attributes:
        sigma_min: Where the flow ends.
        teacher: The score model to distil; None to train from scratch.
        exact_from: As in `consistency_matching`.
        first_gap: The share of sigma that lies between neighbouring levels at the beginning.
        last_gap: The same at the end; in between it falls geometrically.
    """

    sigma_min: float
    teacher: ScoreModel | None = field(default=None, repr=False)
    exact_from: float = math.inf
    first_gap: float = 0.5
    last_gap: float = 0.1

    def __call__(
        self,
        model: ScoreModel,
        samples: Tensor,
        sigma: Tensor,
        noise: Tensor,
        *,
        exact: ScoreModel | None,
        progress: float,
        **condition: Any,
    ) -> Tensor:
        """Return the loss of each row."""
        gap = self.first_gap * (self.last_gap / self.first_gap) ** progress
        # the lowest levels have nothing below them: they are moved up to have a level of their own
        sigma = sigma.clamp(min=self.sigma_min * (1 + gap))
        following = (sigma * (1 - gap)).clamp(min=self.sigma_min)
        return consistency_matching(
            model,
            samples,
            sigma,
            following,
            noise,
            teacher=self.teacher,
            exact=exact,
            exact_from=self.exact_from,
            **condition,
        )
