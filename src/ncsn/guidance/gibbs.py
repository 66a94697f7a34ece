"""Particle Gibbs on the paths of the noise: values that are known, each from a noise level of its own."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ncsn.errors import SettingError
from ncsn.samplers import CountedModel, Noise, State

RESAMPLE_BELOW = 0.25
"""Share of effective particles below which a row's particles are resampled."""


@dataclass(frozen=True)
class Sweep(State):
    """The state at the end of a sweep.

    Attributes:
        variance: Of each row the relative variance, as it is estimated, of the sweep's estimate of how likely the known
            values are, ``(N,)``: the sum of 1/ESS - 1/K over the times of resampling.
    """

    variance: Tensor


def particle_gibbs(
    model: CountedModel,
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    n_sweeps: int,
    known_at: Tensor | None = None,
    errors: Tensor | None = None,
) -> Iterator[State]:
    """Draw what is not known, by particles that walk down the levels, sweep after sweep; `Imputation` says how.

    A value that was measured with Gaussian noise of tau is what the path of the noise had at the level tau. From there
    upward the path is known, that value and further noise; below it is free, of the present row a Brownian bridge.

    Args:
        model: A score model of particles.
        x: Each row as often as it has particles, ``(N, K, *shape)``, K at least 2; NaN where a value is not known.
        sigmas: Levels, descending, at least two.
        noise: Source of noise.
        n_sweeps: Walks down the levels.
        known_at: The noise tau of each known value, broadcastable to ``shape``; 0 when None. The levels should include
            them; a value with less noise than the last level is known there.
        errors: Mean squared error of the denoised by level and value, ``(L, *shape)``: it gives the steps their variances,
            and particles are also resampled by where they lead. When None the variance is the mean of what is exact where
            the data are narrower and where they are wider than the level.

    Yields:
        The state after each step: the particles, and at the end of a sweep, as a `Sweep`, the one drawn for each row,
        ``(N, 1, *shape)``.
    """
    if min(x.shape[1], len(sigmas)) < 2:
        raise SettingError(
            f"a walk of particles needs two particles and two levels, not {x.shape[1]} and {len(sigmas)}"
        )
    paths, last = _Paths(x[:, :1], sigmas, known_at, errors), len(sigmas) - 1
    row = paths.values
    count = 0
    for sweep in range(n_sweeps):
        retained = min(sweep, 1)
        path, particles = paths.start(x, row, retained, model, noise)
        log_weights = paths.surprise_at_the_start(particles)
        variance = torch.zeros_like(log_weights[:, 0])
        for level in range(last):
            denoised = model.denoise(particles, sigmas[level])
            ahead = paths.ahead(level, particles, denoised)
            index, log_weights, uneven = resampled(log_weights, ahead, noise, retained)
            particles, denoised, variance = taken(particles, index), taken(denoised, index), variance + uneven
            drawn = noise.like(particles)
            path = paths.below(level, row, path, drawn[:, :1])
            log_weights = log_weights - paths.surprise(level, path, particles, denoised)
            particles = torch.where(
                _followed(paths.known_at(level + 1), particles, retained),
                path,
                paths.stepped(level, particles, denoised, drawn),
            )
            count += 1
            if level + 1 < last:
                yield State(count, float(sigmas[level + 1]), particles, denoised, model.evaluations)
        row = taken(particles, by_weight(log_weights, noise.like(log_weights[:, :1])))
        variance = variance + _unevenness(log_weights)[:, 0]
        yield Sweep(count, float(sigmas[-1]), row, denoised, model.evaluations, variance)


class _Paths:
    """The paths of the noise, as far as they are known, and the particles' steps beside them."""

    def __init__(self, values: Tensor, sigmas: Tensor, known_at: Tensor | None, errors: Tensor | None) -> None:
        self.values, self.known = values, ~values.isnan()
        self.sigmas = sigmas
        at = sigmas.new_zeros(()) if known_at is None else known_at.to(sigmas)
        self.at = at.clamp(min=sigmas[-1]).expand(values.shape[2:])
        self.errors = errors
        # in these times, from the last level on, a path is a Brownian motion
        self.times = sigmas.square() - sigmas[-1].square()
        self.since = self.at.square() - sigmas[-1].square()

    def known_at(self, level: int) -> Tensor:
        """Return which values are known at a level, ``(N, 1, *shape)``."""
        return self.known & (self.at <= self.sigmas[level])

    def start(self, x: Tensor, row: Tensor, retained: int, model: CountedModel, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return the path of each row and the particles at the first level."""
        time, sigma = self.times[0], self.sigmas[0]
        # what is known above the first level only is on the way from the row to its value there
        share = (time / self.since.clamp(min=time)).where(self.since > time, 1)
        spread = (time - self.since).where(self.since <= time, time * (1 - share)).sqrt()
        path = torch.where(self.known, torch.lerp(row, self.values, share), row)
        path = path + torch.where(self.known, spread, time.sqrt()) * noise.like(row)
        follows = _followed(self.known_at(0), x, retained)
        particles = torch.where(follows, path, sigma * noise.like(x))
        # the first level is not quite noise alone: its mean is that of the data
        centre = model.denoise(particles, sigma)
        return path, torch.where(follows, path, centre + sigma * noise.like(x))

    def surprise_at_the_start(self, particles: Tensor) -> Tensor:
        """Return log weights ``(N, K)`` by what is known above the first level only."""
        further = (self.since - self.times[0]).clamp(min=0)
        return -_surprise(self.values - particles, further, self.known & (further > 0))

    def step(self, level: int, start: Tensor, end: Tensor, x: Tensor, denoised: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of a step between levels below, by the denoised of this one."""
        ratio = (end / start).square()
        error = start.square() / 2 if self.errors is None else self.errors[level]
        return torch.lerp(denoised, x, ratio), end.square() * (1 - ratio) + (1 - ratio).square() * error

    def ahead(self, level: int, x: Tensor, denoised: Tensor) -> Tensor:
        """Return log weights ``(N, K)`` by what one step to where the values are known would make of them."""
        if self.errors is None:
            return x.new_zeros(x.shape[:2])
        sigma = self.sigmas[level]
        mean, variance = self.step(level, sigma, self.at.clamp(max=sigma), x, denoised)
        return -_surprise(self.values - mean, variance, self.known & (self.at < sigma))

    def surprise(self, level: int, path: Tensor, x: Tensor, denoised: Tensor) -> Tensor:
        """Return minus the log-density ``(N, K)`` of what is known down to the next level, given the particles at this."""
        sigma, following = self.sigmas[level], self.sigmas[level + 1]
        end = self.at.clamp(min=following, max=sigma)
        mean, variance = self.step(level, sigma, end, x, denoised)
        target = torch.where(self.at > following, self.values, path)
        return _surprise(target - mean, variance, self.known & (self.at < sigma))

    def stepped(self, level: int, x: Tensor, denoised: Tensor, drawn: Tensor) -> Tensor:
        """Return free particles at the next level; what is known in between goes on from there."""
        sigma, following = self.sigmas[level], self.sigmas[level + 1]
        between = self.known & (self.at < sigma) & (self.at > following)
        start = self.at.clamp(min=following, max=sigma).where(self.at > following, sigma)
        mean, variance = self.step(level, start, following, torch.where(between, self.values, x), denoised)
        return mean + variance.sqrt() * drawn

    def below(self, level: int, row: Tensor, path: Tensor, drawn: Tensor) -> Tensor:
        """Return the path at the next level: down to the known value at its level, from there to the row at the last."""
        time, following = self.times[level], self.times[level + 1]
        still, between = self.since <= following, (self.since > following) & (self.since < time)
        start = torch.where(self.known & between, self.since, time)
        end = torch.where(self.known & still, self.since, 0)
        path = torch.where(self.known & between, self.values, path)
        kept = (following - end) / (start - end)
        path = torch.lerp(torch.where(self.known & still, self.values, row), path, kept)
        return path + ((following - end) * (1 - kept)).sqrt() * drawn


def _followed(known: Tensor, particles: Tensor, retained: int) -> Tensor:
    """Return what follows the path: of all particles what is known, of the retained ones everything."""
    follows = known.expand_as(particles).clone()
    follows[:, :retained] = True
    return follows


def _surprise(off: Tensor, variance: Tensor, known: Tensor) -> Tensor:
    """Return minus the log-density of known values, but for what particles have in common, ``(N, K)``."""
    return torch.where(known, off.square() / variance, 0).flatten(2).sum(2) / 2


def resampled(log_weights: Tensor, ahead: Tensor, noise: Noise, retained: int) -> tuple[Tensor, Tensor, Tensor]:
    """Redraw the particles, but for the first ``retained``, of the rows whose weights are uneven.

    Returns:
        The place of each one's parent, ``(N, K)``, the weights that are left, and how uneven they were, ``(N,)``.
    """
    weights = log_weights + ahead
    count = weights.shape[1]
    unevenness = _unevenness(weights)
    redraw = unevenness + 1 / count > 1 / (RESAMPLE_BELOW * count)
    # drawn for every row and step, so that the noise does not depend on which rows are walked together
    index, same = by_weight(weights, noise.like(weights)), torch.arange(count, device=weights.device)
    index[:, :retained] = same[:retained]
    index = torch.where(redraw, index, same)
    left = torch.where(redraw, -taken(ahead, index), log_weights)
    return index, left, torch.where(redraw, unevenness, 0)[:, 0]


def _unevenness(log_weights: Tensor) -> Tensor:
    """Return 1/ESS - 1/K of weights ``(N, K)``, ``(N, 1)``."""
    return log_weights.softmax(1).square().sum(1, keepdim=True) - 1 / log_weights.shape[1]


def by_weight(log_weights: Tensor, normal: Tensor) -> Tensor:
    """Draw places of particles by weight, one for each standard normal number."""
    edges = log_weights.softmax(1).cumsum(1)
    index = torch.searchsorted(edges, torch.special.ndtr(normal) * edges[:, -1:])
    return index.clamp(max=edges.shape[1] - 1)


def taken(particles: Tensor, index: Tensor) -> Tensor:
    """Return the particles at these places, ``(N, K', *shape)``."""
    return torch.take_along_dim(particles, index.reshape(*index.shape, *[1] * (particles.ndim - 2)), 1)
