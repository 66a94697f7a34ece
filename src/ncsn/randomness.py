"""Random states: what a user may give, and draws that leave PyTorch's global generators alone."""

from __future__ import annotations

import numbers
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ncsn.errors import SettingError

__all__ = ["drawn_from", "generator_of", "global_draws", "repeated_draws", "seed_from", "seed_of", "seeded"]


def seed_of(random_state: Any) -> int:
    """Return a seed: the whole number itself, or one drawn from a generator, or from torch's default one for None.

    Args:
        random_state: None, a whole number, a ``numpy.random.RandomState`` or a ``torch.Generator``.

    Raises:
        SettingError: It is none of these, or not between 0 and 2**32 - 1.
    """
    if random_state is None or isinstance(random_state, torch.Generator):
        device = None if random_state is None else random_state.device
        return int(torch.randint(2**31, (), generator=random_state, device=device))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if isinstance(random_state, numbers.Integral) and 0 <= int(random_state) < 2**32:
        return int(random_state)
    raise SettingError(
        "random_state must be None, a whole number from 0 to 2**32 - 1, a numpy RandomState or a torch.Generator, "
        f"not {random_state!r}"
    )


def generator_of(random_state: Any) -> torch.Generator | None:
    """Return a generator on the CPU for a random state, or None for torch's default one.

    Raises:
        SettingError: It is no random state.
    """
    if random_state is None or (isinstance(random_state, torch.Generator) and random_state.device.type == "cpu"):
        return random_state
    return torch.Generator().manual_seed(seed_of(random_state))


def seeded(how: dict[str, Any], random_state: Any, own: Any) -> dict[str, Any]:
    """Return arguments with a generator, if they have none, of a random state or, when that is None, the estimator's own.

    Raises:
        SettingError: There are both a generator and a random state.
    """
    if how.get("generator") is not None:
        if random_state is not None:
            raise SettingError("give generator or random_state, not both")
        return how
    return how | {"generator": generator_of(own if random_state is None else random_state)}


def standard_normal(like: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Draw standard normal numbers of a tensor's shape and type, where the generator is, and put them where the tensor is."""
    device = like.device if generator is None else generator.device
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=device).to(like.device)


def seed_from(*numbers: int) -> int:
    """Return a seed that is a hash of whole numbers, the same in every process."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


_NAMES = (
    "bernoulli bernoulli_ cauchy_ exponential_ geometric_ kaiming_normal_ kaiming_uniform_ log_normal_ multinomial normal "
    "normal_ orthogonal_ poisson rand randint randn random_ randperm sparse_ trunc_normal_ uniform_ xavier_normal_ "
    "xavier_uniform_"
)
_TAKES_GENERATOR = frozenset(_NAMES.split())


class _Active(threading.local):
    """The generators that this thread draws from, the latest last."""

    def __init__(self) -> None:
        self.generators: list[torch.Generator] = []


_ACTIVE = _Active()


@contextmanager
def own_draws(generator: torch.Generator) -> Iterator[None]:
    """Let `dropout` draw from a generator, in this thread."""
    _ACTIVE.generators.append(generator)
    try:
        yield
    finally:
        _ACTIVE.generators.pop()


def dropout(x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """Leave out a share of the values as `torch.nn.functional.dropout` does, by this thread's own generator if it has one."""
    if not training or p == 0 or not _ACTIVE.generators:
        return functional.dropout(x, p, training)
    kept = torch.empty_like(x).bernoulli_(1 - p, generator=_ACTIVE.generators[-1])
    return x * kept.div_(1 - p) if p < 1 else x * kept


class drawn_from(TorchFunctionMode):  # used as a verb: with drawn_from(generator)
    """Draw from a generator what torch would draw from its global one: a network's first weights, dropout.

    Within it, this thread's calls of `torch.rand`, `torch.randn` and the like, of `torch.nn.init` and of
    `torch.nn.functional.dropout` take the generator; what draws otherwise, as ``randn_like`` or attention with dropout, does
    not.

    Args:
        generator: The generator, on the device of the draws.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def __enter__(self) -> drawn_from:
        _ACTIVE.generators.append(self.generator)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        _ACTIVE.generators.pop()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of torch, with the generator if it draws."""
        kwargs = kwargs or {}
        if func is functional.dropout:
            return self._dropout(*args, **kwargs)
        if getattr(func, "__name__", None) in _TAKES_GENERATOR and kwargs.get("generator") is None:
            kwargs = kwargs | {"generator": self.generator}
        return func(*args, **kwargs)

    def _dropout(
        self, input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> torch.Tensor:
        return dropout(input, p, training)


_GLOBAL = threading.RLock()


@contextmanager
def global_draws(device: torch.device, seed: int) -> Iterator[None]:
    """Let a network of someone else's draw from PyTorch's global generators, seeded, and put them back at the end.

    One thread does so at a time, so that what it draws does not depend on the others.

    Args:
        device: Where it draws, besides the CPU.
        seed: The seed.
    """
    with _GLOBAL, torch.random.fork_rng([torch.cuda.current_device()] if device.type == "cuda" else []):
        # torch.manual_seed would also seed the devices that are not in use, for good
        torch.default_generator.manual_seed(seed)
        if device.type != "cpu":
            getattr(torch, device.type).manual_seed(seed)
        yield


@contextmanager
def repeated_draws(device: torch.device) -> Iterator[None]:
    """Let what is drawn within be drawn once more afterwards."""
    if not _ACTIVE.generators:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
        return
    generator = _ACTIVE.generators[-1]
    state = generator.get_state()
    yield
    generator.set_state(state)
