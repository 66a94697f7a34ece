"""The kind of device that training takes, and how many processes share it: what can be told before Accelerate is loaded."""

import os

import torch

from ncsn.errors import unknown_name

DEVICES = ("cpu", "cuda", "mps")


def device_type(device: str | None = None) -> str:
    """Return the kind of device that training takes: the one asked for, or the fastest there.

    Raises:
        SettingError: The device is unknown.
    """
    if device is not None:
        if device not in DEVICES:
            raise unknown_name("device", device, DEVICES)
        return device
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def n_processes() -> int:
    """Return how many processes this one trains and samples with, itself included."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    # as torchrun and accelerate launch say before they have met
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Return whether this process is the only one, or the first of several: the one that writes files."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank() == 0
    return n_processes() == 1 or os.environ.get("RANK", "0") == "0"
