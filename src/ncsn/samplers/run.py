"""What runs any sampler: start, chunks, evaluations, the guard against divergence, and the last denoising."""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any, ParamSpec

import torch
from torch import Tensor

from ncsn.errors import DivergenceError, SettingError, check_count, unknown_name
from ncsn.noise import Levels
from ncsn.samplers.adaptive import ODE
from ncsn.samplers.ancestral import DDIM, Ancestral, ConsistentAnnealed
from ncsn.samplers.base import GROUP, CountedModel, Noise, Sampler, State, Steps
from ncsn.samplers.consistency import Multistep
from ncsn.samplers.langevin import AnnealedLangevin, Langevin
from ncsn.samplers.multistep import IPNDM
from ncsn.samplers.ode import DPMpp2M, Heun
from ncsn.samplers.sde import PredictorCorrector, ReverseSDE
from ncsn.score import ScoreModel, condition_rows, evaluation_mode
from ncsn.threads import threads_that_pay

AnySampler = str | Sampler | type[Sampler] | Steps
"""A name of `SAMPLERS`, a sampler or its class, or a generator function."""

Start = Tensor | Callable[[Tensor, Tensor], Tensor]
"""Where to start: samples, or a function of standard normal noise ``(n, *shape)`` and the positions ``(n,)`` of the rows."""

Arguments = ParamSpec("Arguments")

SAMPLERS: dict[str, type[Sampler]] = {
    "langevin": Langevin,
    "annealed_langevin": AnnealedLangevin,
    "consistent_annealed": ConsistentAnnealed,
    "predictor_corrector": PredictorCorrector,
    "ancestral": Ancestral,
    "ddim": DDIM,
    "reverse_sde": ReverseSDE,
    "heun": Heun,
    "dpmpp_2m": DPMpp2M,
    "ipndm": IPNDM,
    "ode": ODE,
    "consistency": Multistep,
}
"""Every sampler by its name."""

NOISE_BLOCK = 2**12
"""Values in a block of rows that share one stream of noise; a chunk is a whole number of blocks."""

CPU_CHUNK_ROWS, CHUNK_ROWS, CHUNK_VALUES = 2**11, 2**16, 2**22
"""Most rows, on a CPU and elsewhere, and values that are walked together unless told. The activations of a small network
stay in the cache of a CPU then, which saves a fifth of the time."""

CPU_CHUNK_PIXELS = 2**15
"""Most values of rows with several axes, such as images, a thread of a CPU. A convolutional network of 64 channels at full
resolution holds 2 to 3 KB for each: 0.1 GB here, of which most stays in the cache, and 8 GB elsewhere."""


def trajectory(
    score_model: ScoreModel,
    sigmas: Tensor,
    n_samples: int,
    data_dim: int | Sequence[int],
    sampler: AnySampler = "heun",
    x_init: Start | None = None,
    denoise_last: bool = True,
    generator: torch.Generator | None = None,
    *,
    chunk_size: int | None = None,
    callback: Callable[[State], None] | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    condition: dict[str, Any] | None = None,
    part: tuple[int, int] = (0, 1),
    **options: Any,
) -> Iterator[State]:
    """Run a sampler and return its states, the start first.

    Args:
        score_model: Any score model; a module is in evaluation mode while it is asked.
        sigmas: Noise levels, descending, ``(L,)``; exactly these are walked.
        n_samples: Number of samples. The first n of N samples of one seed are the same for every N (of ``ode``, up to its
            tolerance).
        data_dim: Dimension or shape of one sample.
        sampler: A name of `SAMPLERS`, a `Sampler`, or a generator function, called as ``sampler(model, x, sigmas, noise)``.
        x_init: Start at the first level, ``(n_samples, *shape)``, or a function that makes it of standard normal noise and
            the positions of the rows; N(0, sigmas[0]^2 I) when None.
        denoise_last: Whether to end with the posterior mean at the last level (Jolicoeur-Martineau et al. 2021).
        generator: Source of randomness; torch's default when None.
        chunk_size: Samples walked together, one chunk after the other, each from step 0, rounded up to whole blocks of 4,096
            values. All of them when None; of `sample` `rows_at_once`. The noise does not depend on it.
        callback: Called with each state, of each chunk in turn.
        device: Where to sample; that of ``x_init`` or ``sigmas`` when None.
        dtype: Type of the samples; that of ``x_init`` or ``sigmas`` when None.
        condition: Keyword arguments for the model, such as ``{"label": labels}``; a tensor has one entry a sample.
        part: Which of the samples to walk, ``(i, n)``: the i-th of n parts, from 0, of whole blocks. Together they are the
            samples of one walk, which several processes share out in this way.
        **options: Options of the sampler: its fields, or a function's keyword arguments.

    Returns:
        An iterator of states; the last one's ``x`` are the samples.

    Raises:
        SettingError: Unknown sampler, or counts, levels, options or shapes that do not fit.
        TypeError: The sampler has no such option.
        DivergenceError: The samples left the finite numbers.

    >>> standard_normal = lambda x, sigma: -x / (1 + sigma**2)
    >>> states = list(trajectory(standard_normal, torch.tensor([10.0, 1.0, 0.1]), 4, 2))
    >>> [(state.step, round(state.sigma, 1), state.evaluations) for state in states]
    [(0, 10.0, 0), (1, 1.0, 2), (2, 0.1, 4), (3, 0.0, 5)]
    """
    walk, groups = _steps_of(sampler_of(sampler, options))
    check_count("n_samples", n_samples)
    if chunk_size is not None:
        check_count("chunk_size", chunk_size)
    shape = _shape(data_dim)
    if isinstance(x_init, Tensor) and x_init.shape != (n_samples, *shape):
        raise SettingError(f"x_init must have the shape {(n_samples, *shape)}, not {tuple(x_init.shape)}")
    levels = _levels(sigmas, x_init, device, dtype)
    block = max(1, NOISE_BLOCK // math.prod(shape))
    chunk = block * -(-(chunk_size or n_samples) // block)
    first, end = _bounds(part, n_samples, block)
    source = None if generator is None else generator.device
    seed = int(torch.randint(2**62, (), generator=generator, device=source))

    def states() -> Iterator[State]:
        for start in range(first, end, chunk):
            n = min(chunk, end - start)
            # a sampler that averages over groups walks whole ones of the last block, the last sample standing in
            last = n % block
            walked = n - last + min(-(-last // GROUP) * GROUP, block) if groups else n
            rows = (start + torch.arange(walked)).clamp(max=n_samples - 1)
            noise = Noise(seed, start // block, block, levels.device)
            x = _start(x_init, rows, shape, levels, noise)
            model = CountedModel(score_model, condition_rows(condition, n_samples, rows))
            for state in _whole_walk(model, x, levels, walk(model, x, levels, noise), denoise_last):
                shown = state if walked == n else _first(state, n)
                if shown.step:
                    _check_finite(shown)
                if callback is not None:
                    callback(shown)
                yield shown

    return states()


def _arguments_of(
    other: Callable[Arguments, Iterator[State]],
) -> Callable[[Callable[..., Tensor]], Callable[Arguments, Tensor]]:
    """Give a function the arguments of another, which are then stated once."""

    def taking(function: Callable[..., Tensor]) -> Callable[Arguments, Tensor]:
        function.__signature__ = inspect.signature(other).replace(return_annotation="Tensor")  # type: ignore[attr-defined]
        return function

    return taking


@_arguments_of(trajectory)
def sample(*arguments: Any, **options: Any) -> Tensor:
    """Draw samples of a score model: run a sampler to its end.

    Args:
        *arguments: Those of `trajectory`, in their order.
        **options: Those of `trajectory`; ``chunk_size`` bounds the memory when None.

    Returns:
        Samples of shape ``(n_samples, *shape)``; of a ``part`` those of it.

    Raises:
        SettingError: Unknown sampler, or counts, levels, options or shapes that do not fit.
        TypeError: The sampler has no such option.
        DivergenceError: The samples left the finite numbers.

    >>> standard_normal = lambda x, sigma: -x / (1 + sigma**2)
    >>> sample(standard_normal, torch.tensor([10.0, 1.0, 0.1]), 5, (3, 2)).shape
    torch.Size([5, 3, 2])
    """
    given = inspect.signature(trajectory).bind(*arguments, **options).arguments
    levels = _levels(given["sigmas"], given.get("x_init"), given.get("device"), given.get("dtype"))
    shape = _shape(given["data_dim"])
    if given.get("chunk_size") is None:
        options["chunk_size"] = rows_at_once(shape, levels.device)
    chunks: list[Tensor] = []
    for state in trajectory(*arguments, **options):
        if state.step == 0:
            chunks.append(state.x)
        else:
            chunks[-1] = state.x
    # of few samples a part may have none
    return torch.cat(chunks) if chunks else levels.new_empty(0, *shape)


def rows_at_once(shape: Sequence[int], device: torch.device) -> int:
    """Return how many rows of a shape are walked together unless told: 2,048 on a CPU and 65,536 elsewhere, or 4 million values.

    Of rows with several axes, such as images, which convolutional networks take, a CPU walks 32,768 values a thread.

    >>> rows_at_once((2,), torch.device("cpu")), rows_at_once((3, 32, 32), torch.device("cuda"))
    (2048, 1365)
    """
    values = math.prod(shape)
    if device.type != "cpu":
        return max(1, min(CHUNK_ROWS, CHUNK_VALUES // values))
    most = CPU_CHUNK_PIXELS * torch.get_num_threads() if len(shape) > 1 else CHUNK_VALUES
    return max(1, min(CPU_CHUNK_ROWS, most // values))


def annealed_langevin_dynamics(
    score_model: ScoreModel,
    sigmas: Tensor,
    n_samples: int,
    data_dim: int | Sequence[int],
    n_steps_per_sigma: int = 100,
    step_size: float | None = None,
    device: torch.device | str = "cpu",
    **how: Any,
) -> Tensor:
    """Draw samples by annealed Langevin dynamics (Song & Ermon 2019, algorithm 1): the page's call.

    Args:
        score_model: Any score model.
        sigmas: Noise levels, descending, ``(L,)``.
        n_samples: Number of samples.
        data_dim: Dimension or shape of one sample.
        n_steps_per_sigma: Steps at each level.
        step_size: epsilon of alpha_i = epsilon (sigma_i / sigma_min)^2; by technique 4 when None.
        device: Where to sample.
        **how: Other arguments of `sample`, such as ``generator`` and ``denoise_last``.

    Returns:
        Samples of shape ``(n_samples, *shape)``.

    Raises:
        SettingError: Counts, levels or shapes that do not fit, or a step size that is not positive.
        DivergenceError: The samples left the finite numbers.
    """
    sampler = AnnealedLangevin(n_steps_per_sigma, step_size)
    return sample(score_model, sigmas, n_samples, data_dim, sampler, device=device, **how)


def sampler_of(sampler: AnySampler, options: dict[str, Any] | None = None) -> Sampler | Steps:
    """Return the sampler of a name with its options, or the one given with the options changed.

    Raises:
        SettingError: The name is unknown, or an option is out of range.
        TypeError: There is no such option.
    """
    options = options or {}
    kind: Any = SAMPLERS.get(sampler) if isinstance(sampler, str) else sampler
    if kind is None:
        raise unknown_name("sampler", sampler, SAMPLERS)
    walks = any(callable(getattr(kind, name, None)) for name in ("step", "walk"))
    if not walks and (isinstance(kind, type) or not callable(kind)):
        raise SettingError(f"a sampler is a name, an object with step or walk, or a generator function, not {kind!r}")
    known = [field.name for field in fields(kind)] if is_dataclass(kind) else []
    if not walks:
        parameters = list(inspect.signature(kind).parameters.values())[4:]
        known = [each.name for each in parameters if each.kind != each.VAR_KEYWORD]
        known += options if len(known) < len(parameters) else []
    for option in options:
        if option not in known:
            # a function with options says its name, not the tensors that it was given
            called: Any = sampler.func.__name__ if isinstance(sampler, partial) else sampler
            raise TypeError(f"sampler {called!r} has no option {option!r}; it has: {', '.join(known) or 'none'}")
    if isinstance(kind, type):
        return kind(**options)
    if not options:
        return kind
    return replace(kind, **options) if walks else partial(kind, **options)


def _steps_of(sampler: Any) -> tuple[Steps, bool]:
    """Return a sampler's walk, and whether it averages over groups."""
    if hasattr(sampler, "walk"):
        return sampler.walk, getattr(sampler, "groups", False)
    steps = partial(Sampler.walk, sampler) if hasattr(sampler, "step") else sampler
    return steps, getattr(sampler, "groups", False)


def _shape(data_dim: int | Sequence[int]) -> tuple[int, ...]:
    shape = tuple(data_dim) if isinstance(data_dim, Sequence) else (data_dim,)
    check_count("the number of axes in data_dim", len(shape))
    for size in shape:
        check_count("data_dim", size)
    return shape


def _bounds(part: tuple[int, int], n: int, block: int) -> tuple[int, int]:
    """Return where a part of ``n`` rows begins and ends, in whole blocks."""
    place, parts = part
    check_count("the number of parts", parts)
    if not 0 <= place < parts:
        raise SettingError(f"part must be one of {parts}, from 0 to {parts - 1}, not {place}")
    blocks = -(-n // block)
    return min(n, block * (blocks * place // parts)), min(n, block * (blocks * (place + 1) // parts))


def _levels(
    sigmas: Tensor, x_init: Start | None, device: torch.device | str | None, dtype: torch.dtype | None
) -> Tensor:
    """Return checked levels of the type and on the device of the samples."""
    if isinstance(sigmas, str | Levels):
        raise SettingError(f"sigmas are the levels themselves, a tensor, as {sigmas!r}.grid(n) returns it")
    levels = torch.as_tensor(sigmas)
    if isinstance(x_init, Tensor):
        device = device or x_init.device
        dtype = dtype or (x_init.dtype if x_init.is_floating_point() else None)
    if dtype is None and not levels.is_floating_point():
        dtype = torch.get_default_dtype()
    levels = levels.to(device=device, dtype=dtype)
    if levels.ndim != 1 or not len(levels) or not bool(((levels > 0) & levels.isfinite()).all()):
        raise SettingError("sigmas must be a 1-D tensor of positive, finite noise levels")
    if bool((levels.diff() >= 0).any()):
        raise SettingError("sigmas must descend; turn them round with sigmas.flip(0)")
    return levels


def _start(x_init: Start | None, rows: Tensor, shape: tuple[int, ...], levels: Tensor, noise: Noise) -> Tensor:
    if isinstance(x_init, Tensor):
        return x_init[rows.to(x_init.device)].to(levels)
    drawn = noise.like(torch.empty(len(rows), *shape, dtype=levels.dtype, device=levels.device))
    if x_init is None:
        return drawn * levels[0]
    start = x_init(drawn, rows).to(levels)
    if start.shape != drawn.shape:
        raise SettingError(f"x_init must return the shape {tuple(drawn.shape)}, not {tuple(start.shape)}")
    return start


def _first(state: State, n: int) -> State:
    denoised = None if state.denoised is None else state.denoised[:n]
    return replace(state, x=state.x[:n], denoised=denoised)


def _whole_walk(
    model: CountedModel, x: Tensor, sigmas: Tensor, steps: Iterator[State], denoise_last: bool
) -> Iterator[State]:
    """Yield the start, the sampler's states and the last denoising; the model is in evaluation mode while it is asked."""
    state, network = State(0, float(sigmas[0]), x, None, 0), model.score_model
    yield state
    while True:
        with torch.no_grad(), evaluation_mode(network), threads_that_pay(network, len(x)):
            following = next(steps, None)
        if following is None:
            break
        state = following
        yield state
    if denoise_last and state.sigma > 0:
        with torch.no_grad(), evaluation_mode(network), threads_that_pay(network, len(x)):
            x = model.denoise(state.x, sigmas[-1])
        yield State(state.step + 1, 0.0, x, x, model.evaluations)


def _check_finite(state: State) -> None:
    # the sum is not finite either where finite values overflow it, so it only says where to look closer
    if bool(state.x.sum().isfinite()):
        return
    rows = int((~state.x.flatten(1).isfinite().all(dim=1)).sum())
    if rows:
        raise DivergenceError(
            f"{rows} of {len(state.x)} samples are not finite at step {state.step}, noise level {state.sigma:.4g}: "
            "take a smaller step size, more levels or less guidance, or train the network longer"
        )
