"""Samples given a linear measurement with Gaussian noise: known values in the measurement's own coordinates."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from ncsn.errors import SettingWarning, check_count
from ncsn.guidance.gibbs import Sweep, particle_gibbs
from ncsn.guidance.known import EachParticle
from ncsn.guidance.linear import LinearMeasurement
from ncsn.samplers import State, rows_at_once, sample
from ncsn.score import ScoreModel, condition_rows, denoised_from_score, evaluate, evaluation_mode

PILOT = 256
"""Samples of the model itself by which the errors of its denoising are measured."""

REMEMBERED = 0.1
"""How much of where the sweeps began may be left in the samples before they are called too few."""


@dataclass(frozen=True)
class Diagnosis:
    """Whether particles and sweeps were enough.

    Attributes:
        left: The share of the first sweep, which is an ordinary particle filter, that is left in the samples: a sweep whose
            estimate of the likelihood has the relative variance v forgets 1 / (1 + v) of the one before (after Andrieu, Lee &
            Vihola 2018). 1 where there was one sweep.
        drift: By how many standard errors the mean of the samples still moved in the second half of the sweeps, in the
            coordinate in which it moved most; 0 where there are fewer than 30 samples. Only what the particles never
            found goes unseen by the first, and only this tells of it.
        usual: What the drift seldom passes where nothing moves.
    """

    left: float
    drift: float
    usual: float

    @classmethod
    def of(cls, sweeps: Sequence[Sequence[Sweep]]) -> Self:
        """Make it of the chunks of each sweep."""
        variances = [float(torch.cat([chunk.variance for chunk in sweep]).mean()) for sweep in sweeps[1:]]
        left = math.prod(variance / (1 + variance) for variance in variances)
        middle, last = (
            torch.cat([chunk.x for chunk in sweep]).flatten(1) for sweep in (sweeps[(len(sweeps) - 1) // 2], sweeps[-1])
        )
        moved = (last - middle).double()
        errors = moved.std(0) / math.sqrt(len(moved))
        # what is known does not move, up to its digits
        free = errors > 1e-6 * last.abs().mean(0)
        drift = (
            float((moved.mean(0)[free] / errors[free]).abs().max()) if len(moved) >= 30 and bool(free.any()) else 0.0
        )
        return cls(left, drift, 2 + math.sqrt(2 * math.log(2 * moved.shape[1])))

    def warn(self) -> None:
        """Warn where the sweeps were several and yet too few."""
        what = []
        if REMEMBERED < self.left < 1:
            what.append(f"{self.left:.0%} of where the sweeps began is left in the samples")
        if self.drift > self.usual:
            what.append(f"the mean of the samples still moved by {self.drift:.1f} standard errors in the last sweeps")
        if what:
            advice = "take more particles or sweeps (n_particles=, n_sweeps=)"
            warnings.warn(f"{' and '.join(what)}: {advice}", SettingWarning, stacklevel=3)


def sample_posterior(
    score_model: ScoreModel,
    measurement: LinearMeasurement,
    sigmas: Tensor,
    n_samples: int,
    *,
    n_particles: int | None = None,
    n_sweeps: int = 6,
    condition: dict[str, Any] | None = None,
    callback: Callable[[State], None] | None = None,
    diagnose: Callable[[Diagnosis], None] | None = None,
    **how: Any,
) -> Tensor:
    """Draw samples of p(x | y), y a linear measurement with Gaussian noise.

    In the coordinates of the measurement's singular vectors each value that was measured with noise of tau is what the path
    of the noise had at the level tau: known from there upward, and free below. Such values are drawn by particle Gibbs, as
    `Imputation` draws what is missing, of which it is the case tau = 0. It takes n_sweeps L + 1 evaluations of the model, each
    on n_particles points a sample; beforehand 3 L on 256 of the model's own samples, from which the steps have their variances
    (Bao et al. 2022, theorem 1) and particles their weights by where they lead.

    Args:
        score_model: Any score model.
        measurement: What was measured, in the units of the score model.
        sigmas: Noise levels, descending, ``(L,)``, from well above the spread of the data to below its finest scale; 50 are
            enough for most. A tau below the last counts as none.
        n_samples: Number of samples. The first n of N samples of one seed are the same for every N.
        n_particles: Candidates for each sample, at least 2. When None 16, or as many as the measurement tells nats, up to 32.
        n_sweeps: Walks down the levels.
        condition: Keyword arguments for the model, such as ``{"label": labels}``; a tensor has one entry a sample.
        callback: Called with each state, in the coordinates of the measurement; those of a sweep's end are `Sweep`s.
        diagnose: Called with a `Diagnosis` at the end, which is also warned of where sweeps or particles were too few.
        **how: ``denoise_last``, ``generator`` and ``chunk_size`` of `samplers.sample`.

    Returns:
        Samples of the shape of the measurement's points, ``(n_samples, *shape)``; what was measured without noise is as
        measured.

    Raises:
        DataError: The measurement is of another number of samples.
        SettingError: Counts or levels do not fit.
        DivergenceError: A score led out of the finite numbers.

    >>> from ncsn.exact import GaussianMixtureScore
    >>> from ncsn.noise import create_noise_schedule
    >>> standard = GaussianMixtureScore([1.0], [[0.0, 0.0]], 1.0)
    >>> total = LinearMeasurement([[1.0, 1.0]], [2.0], sigma=1.0)
    >>> drawn = sample_posterior(standard, total, create_noise_schedule(0.01, 10.0, 30), 300)
    >>> bool((drawn.mean(0) - 2 / 3).abs().max() < 0.2)  # y / (2 + sigma^2)
    True
    """
    check_count("n_samples", n_samples)
    check_count("n_sweeps", n_sweeps)
    shape = tuple(measurement.operator.scales.shape)
    turned = _Turned(score_model, measurement)
    errors = denoising_errors(turned, sigmas, shape, pilot_condition(condition, n_samples))
    known = measurement.known(n_samples).to(sigmas)
    levels = measurement.levels.to(sigmas)
    if n_particles is None:
        n_particles = min(32, max(16, math.ceil(_information(errors[0], levels.clamp(min=sigmas[-1])))))
    check_count("n_particles", n_particles)
    sweeps: list[Sweep] = []

    def watch(state: State) -> None:
        if isinstance(state, Sweep):
            sweeps.append(state)
        if callback is not None:
            callback(state)

    drawn = sample(
        EachParticle(turned),
        sigmas,
        n_samples,
        (n_particles, *shape),
        partial(particle_gibbs, n_sweeps=n_sweeps, known_at=levels, errors=errors),
        known.unsqueeze(1).expand(-1, n_particles, *shape),
        condition=condition,
        callback=watch,
        **how,
    )[:, 0]
    diagnosis = Diagnosis.of([sweeps[sweep::n_sweeps] for sweep in range(n_sweeps)])
    if diagnose is not None:
        diagnose(diagnosis)
    diagnosis.warn()
    exact = levels <= sigmas[-1]
    return measurement.operator.points(torch.where(exact, known, drawn))


def denoising_errors(
    score_model: ScoreModel, sigmas: Tensor, shape: Sequence[int], condition: dict[str, Any] | None = None
) -> Tensor:
    """Return the mean squared error of the denoised by level and value, of the model's own samples, ``(L, *shape)``.

    Args:
        score_model: Any score model.
        sigmas: Noise levels, descending, ``(L,)``.
        shape: The shape of a sample.
        condition: Keyword arguments for the model, for 256 rows.
    """
    generator = torch.Generator(sigmas.device).manual_seed(0)
    clean = sample(score_model, sigmas, PILOT, shape, generator=generator, condition=condition)
    size = rows_at_once(shape, clean.device)
    errors = []
    with torch.no_grad(), evaluation_mode(score_model):
        for sigma in sigmas:
            noise = torch.randn(clean.shape, generator=generator, dtype=clean.dtype, device=clean.device)
            total = torch.zeros_like(clean[0])
            for start in range(0, PILOT, size):
                rows = slice(start, start + size)
                x = clean[rows] + sigma * noise[rows]
                score = evaluate(score_model, x, sigma, condition_rows(condition, PILOT, rows))
                total += (denoised_from_score(x, sigma, score) - clean[rows]).square().sum(0)
            errors.append(total / PILOT)
    return torch.stack(errors)


def pilot_condition(condition: dict[str, Any] | None, n: int) -> dict[str, Any]:
    """Return the conditions of ``n`` samples for the 256 of `denoising_errors`, as often as they fit."""
    return condition_rows(condition, n, torch.arange(PILOT) % n)


def _information(spread: Tensor, levels: Tensor) -> float:
    """Return about how many nats values of a variance tell that are known with noise of these levels."""
    return float((spread / levels.square()).log1p().sum()) / 2


class _Turned(nn.Module):
    """The score model in the coordinates of a measurement."""

    def __init__(self, score_model: ScoreModel, measurement: LinearMeasurement) -> None:
        super().__init__()
        self.score_model = score_model
        self.any_dtype = getattr(score_model, "any_dtype", False)
        self.operator = measurement.operator

    def forward(self, z: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        """Return the score in the coordinates."""
        return self.operator.coordinates(self.score_model(self.operator.points(z), sigma, **condition))
