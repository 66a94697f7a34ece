"""The driver of all samplers: their table, and what they share: start, chunks, evaluations, the guard against divergence.

A sampler is a generator function ``sampler(model, x, sigmas, noise, **options)`` that walks ``x`` down the levels
``sigmas`` and yields a `State` after each step; `trajectory` runs one and yields its states, `sample` runs one to its end.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ncsn.errors import DivergenceError, check_count, unknown_name
from ncsn.samplers.adaptive import ode
from ncsn.samplers.ancestral import ancestral, consistent_annealed, ddim
from ncsn.samplers.base import CountedModel, Noise, Sampler, State
from ncsn.samplers.consistency import consistency
from ncsn.samplers.langevin import annealed_langevin, langevin
from ncsn.samplers.ode import dpmpp_2m, heun
from ncsn.samplers.sde import predictor_corrector, reverse_sde
from ncsn.score import ScoreModel, condition_rows

__all__ = ["SAMPLERS", "annealed_langevin_dynamics", "sample", "trajectory"]

SAMPLERS: dict[str, Sampler] = {
    "langevin": langevin,
    "annealed_langevin": annealed_langevin,
    "consistent_annealed": consistent_annealed,
    "predictor_corrector": predictor_corrector,
    "ancestral": ancestral,
    "ddim": ddim,
    "reverse_sde": reverse_sde,
    "heun": heun,
    "dpmpp_2m": dpmpp_2m,
    "ode": ode,
    "consistency": consistency,
}
"""Every sampler by its name; to add one, write the generator function and name it here."""

NOISE_BLOCK = 2**12
"""Values in a block of rows that share one stream of noise; a chunk is a whole number of blocks."""

CPU_CHUNK_ROWS, CHUNK_ROWS, CHUNK_VALUES = 2**11, 2**16, 2**22
"""Most rows, on a CPU and elsewhere, and values that `sample` walks together unless told. The activations of a small
network stay in the cache of a CPU then, which saves a fifth of the time."""


def trajectory(
    score_model: ScoreModel,
    sigmas: Tensor,
    n_samples: int,
    data_dim: int | Sequence[int],
    sampler: str | Sampler = "heun",
    x_init: Tensor | None = None,
    denoise_last: bool = True,
    generator: torch.Generator | None = None,
    *,
    chunk_size: int | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    condition: dict[str, Any] | None = None,
    **options: Any,
) -> Iterator[State]:
    """Run a sampler and return its states, the start first.

    Args:
        score_model: Any score model; all arguments but ``chunk_size`` are those of `sample`.
        sigmas: Noise levels, descending, ``(L,)``.
        n_samples: Number of samples.
        data_dim: Dimension or shape of one sample.
        sampler: A name of `SAMPLERS`, or a sampler of your own.
        x_init: Start at the first level, ``(n_samples, *shape)``.
        denoise_last: Whether to end with the posterior mean at the last level.
        generator: Source of randomness.
        chunk_size: Samples walked together, one chunk after the other, each from step 0; all when None.
        device: Where to sample.
        dtype: Type of the samples.
        condition: Keyword arguments for the model.
        **options: Options of the sampler.

    Returns:
        An iterator of states; the last one's ``x`` are the samples.

    Raises:
        ValueError: Unknown sampler, or counts, levels or shapes that do not fit.
        TypeError: The sampler has no such option.
        DivergenceError: The samples left the finite numbers.

    >>> standard_normal = lambda x, sigma: -x / (1 + sigma**2)
    >>> states = list(trajectory(standard_normal, torch.tensor([10.0, 1.0, 0.1]), 4, 2))
    >>> [(state.step, round(state.sigma, 1), state.evaluations) for state in states]
    [(0, 10.0, 0), (1, 1.0, 2), (2, 0.1, 4), (3, 0.0, 5)]
    """
    steps = _sampler_named(sampler, options)
    check_count("n_samples", n_samples)
    if chunk_size is not None:
        check_count("chunk_size", chunk_size)
    shape = _shape(data_dim)
    if x_init is not None and x_init.shape != (n_samples, *shape):
        raise ValueError(f"x_init must have the shape {(n_samples, *shape)}, not {tuple(x_init.shape)}")
    levels = _levels(sigmas, x_init, device, dtype)
    if isinstance(score_model, torch.nn.Module):
        score_model.eval()
    block = max(1, NOISE_BLOCK // math.prod(shape))
    chunk = block * -(-(chunk_size or n_samples) // block)
    seeds = torch.randint(
        2**62, (-(-n_samples // block),), generator=generator, device=None if generator is None else generator.device
    ).tolist()

    def states() -> Iterator[State]:
        for start in range(0, n_samples, chunk):
            rows = slice(start, min(start + chunk, n_samples))
            noise = Noise(seeds[start // block : (start + chunk) // block], block, levels.device)
            if x_init is None:
                empty = torch.empty(rows.stop - start, *shape, dtype=levels.dtype, device=levels.device)
                x = noise.like(empty) * levels[0]
            else:
                x = x_init[rows].to(levels)
            model = CountedModel(score_model, condition_rows(condition, n_samples, rows))
            yield from _walk(model, x, levels, steps(model, x, levels, noise, **options), denoise_last)

    return states()


def sample(
    score_model: ScoreModel,
    sigmas: Tensor,
    n_samples: int,
    data_dim: int | Sequence[int],
    sampler: str | Sampler = "heun",
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
        score_model: Any score model; a module is put into evaluation mode.
        sigmas: Noise levels, descending, ``(L,)``; exactly these are walked.
        n_samples: Number of samples.
        data_dim: Dimension or shape of one sample.
        sampler: A name of `SAMPLERS`, or a sampler of your own.
        x_init: Start at the first level, ``(n_samples, *shape)``; N(0, sigmas[0]^2 I) when None.
        denoise_last: Whether to end with the posterior mean at the last level (Jolicoeur-Martineau et al. 2021).
        generator: Source of randomness; torch's default when None.
        chunk_size: Samples walked together, rounded up to a whole number of blocks of 4,096 values; 2,048 on a CPU and
            65,536 elsewhere, or 4 million values, when None. The noise does not depend on it.
        callback: Called with each state, of each chunk in turn.
        device: Where to sample; that of ``x_init`` or ``sigmas`` when None.
        dtype: Type of the samples; that of ``x_init`` or ``sigmas`` when None.
        condition: Keyword arguments for the model, such as ``{"label": labels}``; a tensor has one entry a sample.
        **options: Options of the sampler.

    Returns:
        Samples of shape ``(n_samples, *shape)``.

    Raises:
        ValueError: Unknown sampler, or counts, levels or shapes that do not fit.
        TypeError: The sampler has no such option.
        DivergenceError: The samples left the finite numbers.

    >>> standard_normal = lambda x, sigma: -x / (1 + sigma**2)
    >>> sample(standard_normal, torch.tensor([10.0, 1.0, 0.1]), 5, (3, 2)).shape
    torch.Size([5, 3, 2])
    """
    if chunk_size is None:
        rows = CPU_CHUNK_ROWS if _levels(sigmas, x_init, device, dtype).device.type == "cpu" else CHUNK_ROWS
        chunk_size = max(1, min(rows, CHUNK_VALUES // math.prod(_shape(data_dim))))
    chunks: list[Tensor] = []
    for state in trajectory(
        score_model,
        sigmas,
        n_samples,
        data_dim,
        sampler,
        x_init,
        denoise_last,
        generator,
        chunk_size=chunk_size,
        device=device,
        dtype=dtype,
        condition=condition,
        **options,
    ):
        if callback is not None:
            callback(state)
        if state.step == 0:
            chunks.append(state.x)
        else:
            chunks[-1] = state.x
    return torch.cat(chunks)


def annealed_langevin_dynamics(
    score_model: ScoreModel,
    sigmas: Tensor,
    n_samples: int,
    data_dim: int | Sequence[int],
    n_steps_per_sigma: int = 100,
    step_size: float | None = None,
    device: torch.device | str = "cpu",
    *,
    denoise_last: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw samples by annealed Langevin dynamics: the page's call of ``sample(..., sampler="annealed_langevin")``.

    Args:
        score_model: Any score model.
        sigmas: Noise levels, descending, ``(L,)``.
        n_samples: Number of samples.
        data_dim: Dimension or shape of one sample.
        n_steps_per_sigma: Steps at each level.
        step_size: epsilon of alpha_i = epsilon (sigma_i / sigma_min)^2; by technique 4 when None.
        device: Where to sample.
        denoise_last: Whether to end with the posterior mean at the last level.
        generator: Source of randomness; torch's default when None.

    Returns:
        Samples of shape ``(n_samples, *shape)``.

    Raises:
        ValueError: Counts, levels or shapes that do not fit, or a step size that is not positive.
        DivergenceError: The samples left the finite numbers.

    References:
        Song & Ermon 2019, algorithm 1.
    """
    return sample(
        score_model,
        sigmas,
        n_samples,
        data_dim,
        "annealed_langevin",
        denoise_last=denoise_last,
        generator=generator,
        device=device,
        n_steps_per_sigma=n_steps_per_sigma,
        step_size=step_size,
    )


def _sampler_named(sampler: str | Sampler, options: dict[str, Any]) -> Sampler:
    """Return the sampler of a name, or the one given, once it is known to have the options."""
    if isinstance(sampler, str) and sampler not in SAMPLERS:
        raise unknown_name("sampler", sampler, SAMPLERS)
    steps = SAMPLERS[sampler] if isinstance(sampler, str) else sampler
    known = list(inspect.signature(steps).parameters)[4:]
    for option in options:
        if option not in known:
            raise TypeError(f"sampler {sampler!r} has no option {option!r}; it has: {', '.join(known) or 'none'}")
    return steps


def _shape(data_dim: int | Sequence[int]) -> tuple[int, ...]:
    shape = tuple(data_dim) if isinstance(data_dim, Sequence) else (data_dim,)
    check_count("the number of axes in data_dim", len(shape))
    for size in shape:
        check_count("data_dim", size)
    return shape


def _levels(
    sigmas: Tensor, x_init: Tensor | None, device: torch.device | str | None, dtype: torch.dtype | None
) -> Tensor:
    """Return checked levels of the type and on the device of the samples."""
    levels = torch.as_tensor(sigmas)
    if x_init is not None:
        device = device or x_init.device
        dtype = dtype or (x_init.dtype if x_init.is_floating_point() else None)
    if dtype is None and not levels.is_floating_point():
        dtype = torch.get_default_dtype()
    levels = levels.to(device=device, dtype=dtype)
    if levels.ndim != 1 or not len(levels) or not bool(((levels > 0) & levels.isfinite()).all()):
        raise ValueError("sigmas must be a 1-D tensor of positive, finite noise levels")
    if bool((levels.diff() >= 0).any()):
        raise ValueError("sigmas must descend; turn them round with sigmas.flip(0)")
    return levels


def _walk(
    model: CountedModel, x: Tensor, sigmas: Tensor, steps: Iterator[State], denoise_last: bool
) -> Iterator[State]:
    """Yield the start, the sampler's states and the last denoising, each checked to be finite."""
    state = State(0, float(sigmas[0]), x, None, 0)
    yield state
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
    # the sum is not finite either where finite values overflow it, so it only says where to look closer
    if bool(state.x.sum().isfinite()):
        return
    rows = int((~state.x.flatten(1).isfinite().all(dim=1)).sum())
    if rows:
        raise DivergenceError(
            f"{rows} of {len(state.x)} samples are not finite at step {state.step}, noise level {state.sigma:.4g}: "
            "take a smaller step size or more levels, or train the network longer"
        )
