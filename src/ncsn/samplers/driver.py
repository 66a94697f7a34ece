"""The driver of all samplers: start, chunks, noise, evaluations, the guard against divergence.

A sampler is a generator function ``sampler(model, x, sigmas, noise, **options)`` that walks ``x`` down the levels
``sigmas`` and yields a `State` after each step; `trajectory` runs one, `sample` runs one in chunks to its end.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ncsn.errors import DivergenceError, unknown_name
from ncsn.score import ScoreModel, denoised_from_score

__all__ = ["CountedModel", "Noise", "Sampler", "State", "sample", "trajectory"]

NOISE_BLOCK = 1024
"""Rows that share one stream of noise; a chunk is a whole number of blocks."""


@dataclass(frozen=True)
class State:
    """Where a sampler stands after a step.

    Attributes:
        step: Steps taken, from 1; 0 is the start.
        sigma: The noise level that ``x`` is at.
        x: The samples, ``(N, *shape)``.
        denoised: The model's latest estimate of the clean data, or None before the first.
        evaluations: Calls of the score model so far.
    """

    step: int
    sigma: float
    x: Tensor
    denoised: Tensor | None
    evaluations: int


class CountedModel:
    """A score model under a condition that counts its evaluations.

    Args:
        score_model: Called as ``score_model(x, sigma, **condition)``.
        condition: Keyword arguments of every call, such as ``label``.
    """

    def __init__(self, score_model: ScoreModel, condition: dict[str, Any] | None = None) -> None:
        self.score_model = score_model
        self.condition = condition or {}
        self.evaluations = 0

    def score(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the score at ``x`` and a scalar ``sigma``."""
        self.evaluations += 1
        return self.score_model(x, sigma, **self.condition)

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the posterior mean of the clean data."""
        return denoised_from_score(x, sigma, self.score(x, sigma))


class Noise:
    """Standard normal noise whose rows do not depend on how the samples are cut into chunks.

    Args:
        seeds: One seed for each block of `NOISE_BLOCK` rows.
        device: Where the noise is drawn.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def like(self, x: Tensor) -> Tensor:
        """Draw noise of the shape and type of ``x``."""
        out = torch.empty_like(x)
        for block, generator in zip(out.split(NOISE_BLOCK), self.generators, strict=True):
            block.normal_(generator=generator)
        return out


Sampler = Callable[..., Iterator[State]]
"""Called as ``sampler(model, x, sigmas, noise, **options)``; yields the state after each step."""


def sampler_named(name: str, options: dict[str, Any]) -> Sampler:
    """Look a sampler up and check that it knows the options.

    Raises:
        ValueError: The sampler is unknown.
        TypeError: It has no such option.
    """
    from ncsn.samplers import SAMPLERS

    if name not in SAMPLERS:
        raise unknown_name("sampler", name, SAMPLERS)
    known = list(inspect.signature(SAMPLERS[name]).parameters)[4:]
    for option in options:
        if option not in known:
            raise TypeError(f"sampler {name!r} has no option {option!r}; it has: {', '.join(known) or 'none'}")
    return SAMPLERS[name]


def _prepare(
    score_model: ScoreModel,
    sigmas: Tensor,
    n_samples: int,
    data_dim: int | Sequence[int],
    x_init: Tensor | None,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> tuple[Tensor, tuple[int, ...]]:
    if n_samples < 1:
        raise ValueError(f"the number of samples must be at least 1, not {n_samples}")
    shape = (data_dim,) if isinstance(data_dim, int) else tuple(data_dim)
    if x_init is not None:
        if x_init.shape != (n_samples, *shape):
            raise ValueError(f"x_init must have shape {(n_samples, *shape)}, not {tuple(x_init.shape)}")
        device, dtype = device or x_init.device, dtype or x_init.dtype
    sigmas = torch.as_tensor(sigmas)
    sigmas = sigmas.to(device=device or sigmas.device, dtype=dtype or sigmas.dtype)
    if sigmas.ndim != 1 or len(sigmas) == 0 or not bool((sigmas > 0).all() and sigmas.isfinite().all()):
        raise ValueError("sigmas must be a 1-D tensor of positive, finite noise levels")
    if bool((sigmas.diff() >= 0).any()):
        raise ValueError("sigmas must descend; turn them round with sigmas.flip(0)")
    if isinstance(score_model, torch.nn.Module):
        score_model.eval()
    return sigmas, shape


def _walk(
    sampler: Sampler,
    model: CountedModel,
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    denoise_last: bool,
    options: dict[str, Any],
) -> Iterator[State]:
    """Yield the start, the sampler's states and the last denoising, each checked to be finite."""
    state = State(0, float(sigmas[0]), x, None, 0)
    yield state
    steps = sampler(model, x, sigmas, noise, **options)
    while True:
        with torch.no_grad():
            following = next(steps, None)
        if following is None:
            break
        state = following
        _check_finite(state)
        yield state
    if denoise_last and state.sigma > 0:
        with torch.no_grad():
            x = model.denoise(state.x, sigmas[-1])
        state = State(state.step + 1, 0.0, x, x, model.evaluations)
        _check_finite(state)
        yield state


def _check_finite(state: State) -> None:
    if bool(state.x.sum().isfinite()):
        return
    rows = int((~state.x.flatten(1).isfinite().all(dim=1)).sum())
    raise DivergenceError(
        f"{rows} of {len(state.x)} samples are not finite at step {state.step}, noise level {state.sigma:.4g}: "
        "take a smaller step size or more levels, or train the network longer"
    )


def trajectory(
    score_model: ScoreModel,
    sigmas: Tensor,
    n_samples: int,
    data_dim: int | Sequence[int],
    sampler: str = "heun",
    x_init: Tensor | None = None,
    denoise_last: bool = True,
    generator: torch.Generator | None = None,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    condition: dict[str, Any] | None = None,
    **options: Any,
) -> Iterator[State]:
    """Run a sampler and yield its state after each step, the start first.

    Args:
        score_model: Any score model.
        sigmas: Noise levels, descending, ``(L,)``; exactly these are walked.
        n_samples: Number of samples.
        data_dim: Dimension or shape of one sample.
        sampler: A name of `SAMPLERS`.
        x_init: Start at the first level, ``(n_samples, *shape)``; N(0, sigmas[0]^2 I) when None.
        denoise_last: Whether to end with the posterior mean at the last level (Jolicoeur-Martineau et al. 2021).
        generator: Source of randomness; torch's default when None.
        device: Where to sample; that of ``x_init`` or ``sigmas`` when None.
        dtype: Type of the samples; that of ``x_init`` or ``sigmas`` when None.
        condition: Keyword arguments for the model, such as ``{"label": labels}``; a tensor has one entry a sample.
        **options: Options of the sampler.

    Yields:
        States; the last one's ``x`` are the samples.

    Raises:
        ValueError: Unknown sampler, or levels or shapes that do not fit.
        TypeError: The sampler has no such option.
        DivergenceError: The samples left the finite numbers.

    >>> standard_normal = lambda x, sigma: -x / (1 + sigma**2)
    >>> states = list(trajectory(standard_normal, torch.tensor([10.0, 1.0, 0.1]), 4, 2))
    >>> [(state.step, round(state.sigma, 1), state.evaluations) for state in states]
    [(0, 10.0, 0), (1, 1.0, 2), (2, 0.1, 4), (3, 0.0, 5)]
    """
    for states in _chunks(
        score_model, sigmas, n_samples, data_dim, sampler, x_init, denoise_last, generator, n_samples, device, dtype,
        condition, options,
    ):  # fmt: skip
        yield from states


def sample(
    score_model: ScoreModel,
    sigmas: Tensor,
    n_samples: int,
    data_dim: int | Sequence[int],
    sampler: str = "heun",
    x_init: Tensor | None = None,
    denoise_last: bool = True,
    generator: torch.Generator | None = None,
    *,
    chunk_size: int | None = None,
    callback: Callable[[State], None] | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    condition: dict[str, Any] | None = None,
    **options: Any,
) -> Tensor:
    """Draw samples of a score model.

    Args:
        score_model: Any score model.
        sigmas: Noise levels, descending, ``(L,)``; exactly these are walked.
        n_samples: Number of samples.
        data_dim: Dimension or shape of one sample.
        sampler: A name of `SAMPLERS`.
        x_init: Start at the first level, ``(n_samples, *shape)``; N(0, sigmas[0]^2 I) when None.
        denoise_last: Whether to end with the posterior mean at the last level (Jolicoeur-Martineau et al. 2021).
        generator: Source of randomness; torch's default when None.
        chunk_size: Samples walked together, rounded up to a multiple of 1,024; about 4 million values when None. It
            does not change the samples.
        callback: Called with each state, of each chunk in turn.
        device: Where to sample; that of ``x_init`` or ``sigmas`` when None.
        dtype: Type of the samples; that of ``x_init`` or ``sigmas`` when None.
        condition: Keyword arguments for the model, such as ``{"label": labels}``; a tensor has one entry a sample.
        **options: Options of the sampler.

    Returns:
        Samples of shape ``(n_samples, *shape)``.

    Raises:
        ValueError: Unknown sampler, or levels or shapes that do not fit.
        TypeError: The sampler has no such option.
        DivergenceError: The samples left the finite numbers.

    >>> standard_normal = lambda x, sigma: -x / (1 + sigma**2)
    >>> sample(standard_normal, torch.tensor([10.0, 1.0, 0.1]), 5, (3, 2)).shape
    torch.Size([5, 3, 2])
    """
    finished = []
    for states in _chunks(
        score_model, sigmas, n_samples, data_dim, sampler, x_init, denoise_last, generator, chunk_size, device, dtype,
        condition, options,
    ):  # fmt: skip
        for state in states:
            if callback is not None:
                callback(state)
        finished.append(state.x)
    return torch.cat(finished)


def _chunks(
    score_model: ScoreModel,
    sigmas: Tensor,
    n_samples: int,
    data_dim: int | Sequence[int],
    sampler: str,
    x_init: Tensor | None,
    denoise_last: bool,
    generator: torch.Generator | None,
    chunk_size: int | None,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
    condition: dict[str, Any] | None,
    options: dict[str, Any],
) -> Iterator[Iterator[State]]:
    """Yield the walk of each chunk of samples."""
    steps = sampler_named(sampler, options)
    sigmas, shape = _prepare(score_model, sigmas, n_samples, data_dim, x_init, device, dtype)
    if chunk_size is None:
        chunk_size = 2**22 // max(1, torch.Size(shape).numel())
    elif chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, not {chunk_size}")
    chunk_size = max(1, -(-chunk_size // NOISE_BLOCK)) * NOISE_BLOCK
    seed_device = generator.device if generator is not None else None
    n_blocks = -(-n_samples // NOISE_BLOCK)
    seeds = torch.randint(2**62, (n_blocks,), generator=generator, device=seed_device).tolist()
    for start in range(0, n_samples, chunk_size):
        stop = min(start + chunk_size, n_samples)
        noise = Noise(seeds[start // NOISE_BLOCK : -(-stop // NOISE_BLOCK)], sigmas.device)
        if x_init is None:
            x = noise.like(torch.empty(stop - start, *shape, device=sigmas.device, dtype=sigmas.dtype)) * sigmas[0]
        else:
            x = x_init[start:stop].to(sigmas)
        here = {
            name: value[start:stop] if isinstance(value, Tensor) and value.ndim else value
            for name, value in (condition or {}).items()
        }
        yield _walk(steps, CountedModel(score_model, here), x, sigmas, noise, denoise_last, options)
