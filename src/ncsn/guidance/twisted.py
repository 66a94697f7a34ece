"""Samples given any differentiable log-likelihood: the twisted diffusion sampler (Wu et al. 2023)."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ncsn.errors import SettingError, check_count
from ncsn.guidance.gibbs import by_weight, resampled, taken
from ncsn.guidance.known import EachParticle
from ncsn.guidance.measured import denoising_errors, pilot_condition
from ncsn.guidance.reconstruction import differentiable
from ncsn.samplers import CountedModel, Noise, State, sample
from ncsn.score import ScoreModel

LogLikelihood = Callable[[Tensor], Tensor]
"""Called with points ``(N, *shape)``; returns log p(y | x) of each, up to a constant, ``(N,)``."""


def sample_twisted(
    score_model: ScoreModel,
    log_likelihood: LogLikelihood,
    sigmas: Tensor,
    n_samples: int,
    shape: Sequence[int],
    *,
    n_particles: int = 32,
    n_places: int = 16,
    condition: dict[str, Any] | None = None,
    **how: Any,
) -> Tensor:
    """Draw samples of p(x) times a likelihood, by particles that are steered, weighted and resampled.

    Each sample has particles of its own. A step goes down by the score and by the gradient of what the likelihood is to be
    from there, and weights amend what that gets wrong (algorithm 1): exact in the limit of particles and levels, and of few
    particles as good as their weights are even. What is to be is the mean of the likelihood over a Gaussian about the
    denoised, of the width that the denoised is off by (the paper's has none, and is too sure of itself at high levels; Song
    et al. 2023). Where the likelihood is a linear measurement, `sample_posterior` is nearer to the truth. It takes L
    evaluations of the model and as many derivatives, each on n_particles points a sample, and 3 L on 256 beforehand.

    Args:
        score_model: Any score model that autograd can differentiate by ``x``.
        log_likelihood: Called with points ``(M, *shape)``; returns the log-likelihood of each, ``(M,)``, up to a constant.
        sigmas: Noise levels, descending, ``(L,)``; 100 or more.
        n_samples: Number of samples.
        shape: The shape of one.
        n_particles: Particles of each sample, at least 2: the error falls as one over their number.
        n_places: Places about the denoised, whose mean likelihood is taken; an even number.
        condition: Keyword arguments for the model; a tensor has one entry a sample.
        **how: ``generator``, ``chunk_size`` and ``callback`` of `samplers.sample`.

    Returns:
        Samples, ``(n_samples, *shape)``, denoised.

    Raises:
        SettingError: Counts or levels do not fit, the likelihood is not one number a point, or something has no derivative.
        DivergenceError: A score or a likelihood led out of the finite numbers.

    >>> from ncsn.exact import GaussianMixtureScore
    >>> from ncsn.noise import create_noise_schedule
    >>> standard = GaussianMixtureScore([1.0], [[0.0]], 1.0)
    >>> above = lambda x: torch.nn.functional.logsigmoid(20 * x).sum(1)  # x > 0, nearly
    >>> drawn = sample_twisted(standard, above, create_noise_schedule(0.01, 10.0, 50), 400, (1,))
    >>> bool((drawn.mean() - (2 / torch.pi) ** 0.5).abs() < 0.15)
    True
    """
    check_count("n_particles", n_particles, least=2)
    check_count("n_samples", n_samples)
    check_count("n_places", n_places, least=2)
    if n_places % 2:
        raise SettingError(f"n_places must be even, as places come in opposite pairs, not {n_places}")
    errors = denoising_errors(score_model, sigmas, shape, pilot_condition(condition, n_samples))
    half = torch.randn((n_places // 2, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    places = torch.cat([half, -half]).to(errors) * errors.sqrt().unsqueeze(1)
    return sample(
        EachParticle(score_model),
        sigmas,
        n_samples,
        (n_particles, *shape),
        partial(_twisted, log_likelihood=log_likelihood, places=places),
        denoise_last=False,
        condition=condition,
        **how,
    )[:, 0]


def _twisted(
    model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise, *, log_likelihood: LogLikelihood, places: Tensor
) -> Iterator[State]:
    """Walk particles ``(N, K, *shape)`` down; the last state holds one for each sample, denoised."""
    log_weights = x.new_zeros(x.shape[:2])
    score, denoised, twist, pull = _twist(model, x, sigmas[0], log_likelihood, places[0])
    log_weights = log_weights + twist
    for count, (sigma, following) in enumerate(pairwise(sigmas), 1):
        index, log_weights, _ = resampled(log_weights, torch.zeros_like(log_weights), noise, 0)
        x, score, pull, twist = (taken(each, index) for each in (x, score, pull, twist))
        gap = sigma.square() - following.square()
        # as in `particle_gibbs`, between what is exact where the data are narrower and where they are wider
        variance = gap * (1 + (following / sigma).square()) / 2
        drawn = noise.like(x)
        # weights amend any steering; by more than the noise it would leave where the gradient holds
        length = (variance * pull.square().flatten(2).mean(2)).sqrt()
        pull = pull / length.clamp(min=1).reshape(*length.shape, *[1] * (x.ndim - 2))
        steered = x + gap * score + variance * pull + variance.sqrt() * drawn
        # the log-density of the step without the steering, minus that with it
        amends = (drawn.square() - (drawn + variance.sqrt() * pull).square()).flatten(2).sum(2) / 2
        x, before = steered, twist
        score, denoised, twist, pull = _twist(model, x, following, log_likelihood, places[count])
        log_weights = log_weights + amends + twist - before
        yield State(count, float(following), x, denoised, model.evaluations)
    chosen = taken(denoised, by_weight(log_weights, noise.like(log_weights[:, :1])))
    yield State(len(sigmas), 0.0, chosen, chosen, model.evaluations)


@torch.inference_mode(False)
def _twist(
    model: CountedModel, x: Tensor, sigma: Tensor, log_likelihood: LogLikelihood, places: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the score, the denoised, its log-likelihood ``(N, K)`` and the gradient of that by x."""
    with torch.enable_grad():
        score, points, denoised = differentiable(model.score, x, sigma)
        around = denoised.unsqueeze(2) + places
        each = log_likelihood(around.flatten(0, 2))
        if each.shape != (around.shape[:3].numel(),):
            raise SettingError(
                f"the log-likelihood must be one number for each point, {(around.shape[:3].numel(),)}, not {tuple(each.shape)}"
            )
        likelihood = each.unflatten(0, around.shape[:3]).logsumexp(2)
        if not likelihood.requires_grad:
            raise SettingError("the log-likelihood cannot be differentiated by x: remove its torch.no_grad or detach")
        pull = torch.autograd.grad(likelihood.sum(), points)[0]
    return score.detach(), denoised.detach(), likelihood.detach(), pull
