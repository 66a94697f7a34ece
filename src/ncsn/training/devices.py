"""Where training runs: one device, or several processes, on Accelerate."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import broadcast_object_list

from ncsn.errors import SettingError, unknown_name
from ncsn.plan import PRECISIONS
from ncsn.training.processes import device_type, n_processes

T = TypeVar("T")

_ONE_AT_A_TIME = threading.Lock()
_running: list[object] = []


@contextmanager
def running(training: object) -> Iterator[None]:
    """Note that a training runs: as long as it does, no other thread may ask for another device or precision."""
    _running.append(training)
    try:
        yield
    finally:
        _running.remove(training)


def agreed(value: T, device: str | None = None) -> T:
    """Return the main process's value: without a seed that was given, each of several processes has drawn its own."""
    if n_processes() == 1:
        return value
    PartialState(cpu=device_type(device) == "cpu")
    return cast(T, broadcast_object_list([value])[0])


def make_accelerator(
    device: str | None = None, mixed_precision: str = "no", log: Any = None, folder: Path | None = None
) -> Accelerator:
    """Return an Accelerator for a device and a precision, whatever this process used before.

    Args:
        device: ``cpu``, ``cuda`` or ``mps``; the fastest there when None.
        mixed_precision: ``no``, ``bf16`` or ``fp16``.
        log: A tracker of Accelerate, by its name (``tensorboard``, ``wandb``, ...) or as an object, or several; none when None.
        folder: Where trackers that write files put them; the present folder when None.

    Raises:
        SettingError: The device or the precision is unknown or not there, this process is one of several, which keep what
            they began with, or another thread is training with others.
    """
    # Accelerate joins several processes on a CPU only where it is told that they are
    cpu = device_type(device) == "cpu"
    if mixed_precision not in PRECISIONS:
        raise unknown_name("mixed precision", mixed_precision, PRECISIONS)
    with _ONE_AT_A_TIME:
        # Accelerate keeps the first device and precision of a process for all later Accelerators, of all threads
        kept = AcceleratorState._shared_state
        same = (kept.get("_cpu"), kept.get("_mixed_precision")) == (cpu, mixed_precision)
        if PartialState._shared_state and not same and PartialState().num_processes == 1:
            if _running:
                raise SettingError(
                    "another training of this process runs with another device or precision: train after it, or elsewhere"
                )
            AcceleratorState._reset_state(reset_partial_state=True)
        try:
            accelerator = Accelerator(cpu=cpu, mixed_precision=mixed_precision, log_with=log, project_dir=folder or ".")
        except ValueError as error:
            raise SettingError(f"log {log!r}: {error}") from error
    if log is not None and not accelerator.log_with:
        raise SettingError(f"log {log!r} needs its package; pip install {log}")
    if device is not None and accelerator.device.type != device:
        raise SettingError(f"device {device!r} is not there; device=None takes {accelerator.device.type!r}")
    if mixed_precision != "no" and not accelerator.native_amp:
        raise SettingError(f"{accelerator.device.type} has no {mixed_precision}; take mixed_precision='no'")
    return accelerator
