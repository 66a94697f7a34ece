"""Random states: what a user may give, and random numbers that leave PyTorch's global generators as they were."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["generator_of", "reseed", "restored_generators", "seed_of"]


def seed_of(random_state: Any) -> int:
    """Return a seed: the whole number itself, or one drawn from a generator, or from torch's default one for None.

    Args:
        random_state: None, a whole number, a ``numpy.random.RandomState`` or a ``torch.Generator``.

    Raises:
        ValueError: It is none of these, or not between 0 and 2**32 - 1.
    """
    if random_state is None or isinstance(random_state, torch.Generator):
        device = None if random_state is None else random_state.device
        return int(torch.randint(2**31, (), generator=random_state, device=device))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if isinstance(random_state, numbers.Integral) and 0 <= int(random_state) < 2**32:
        return int(random_state)
    raise ValueError(
        "random_state must be None, a whole number from 0 to 2**32 - 1, a numpy RandomState or a torch.Generator, "
        f"not {random_state!r}"
    )


def generator_of(random_state: Any) -> torch.Generator | None:
    """Return a generator on the CPU for a random state, or None for torch's default one.

    Raises:
        ValueError: It is no random state.
    """
    if random_state is None or (isinstance(random_state, torch.Generator) and random_state.device.type == "cpu"):
        return random_state
    return torch.Generator().manual_seed(seed_of(random_state))


@contextmanager
def restored_generators(device: torch.device) -> Iterator[None]:
    """Give PyTorch's global generators, of the CPU and of a CUDA device, their state back at the end."""
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        yield


def reseed(device: torch.device, *numbers: int) -> None:
    """Seed PyTorch's global generators, of the CPU and of the device, by a hash of whole numbers.

    `torch.manual_seed` would also seed the devices that are not in use, for good.
    """
    seed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        getattr(torch, device.type).manual_seed(seed)
