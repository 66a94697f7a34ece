"""The errors that a user can cause; each message says what is wrong and what to do."""

import difflib
import math
import numbers
from collections.abc import Iterable
from typing import Any

__all__ = [
    "DataError",
    "DivergenceError",
    "RunError",
    "SettingError",
    "SettingWarning",
    "check_count",
    "check_number",
    "in_one_line",
    "is_other_process_gone",
    "is_out_of_memory",
    "unknown_name",
]

_MEMORY = ("can't allocate memory", "out of memory", "not enough memory", "storage size calculation overflowed")
"""What PyTorch says where it lacks memory, on a CPU by an error of no kind of its own."""


_GONE = ("connection closed by peer", "connection reset by peer", "connection refused", "broken pipe", "socket closed")
"""What PyTorch's ways between processes say where there is no other end."""


class _OneLine(Exception):
    """An error whose message is one line, whatever stands in the names that it holds."""

    def __init__(self, message: object = "") -> None:
        super().__init__(" ".join(str(message).splitlines()))


class SettingError(_OneLine, ValueError):
    """A setting is unknown, out of range, or does not go with the others."""


class SettingWarning(UserWarning):
    """A setting is allowed, and hardly what was meant; the message says what to do instead."""


class DataError(_OneLine, ValueError):
    """The data cannot be used as they are (missing, empty, not finite, wrong shape or type)."""


class RunError(_OneLine, RuntimeError):
    """A run folder or checkpoint cannot be read, written or continued."""


class DivergenceError(RuntimeError):
    """Training or sampling left the finite numbers; the message names the step and the noise level."""


def in_one_line(error: BaseException) -> str:
    r"""Return what an error says, whatever it is, in one line of at most 300 characters.

    >>> in_one_line(ValueError("size mismatch:\n\tcopying a param"))
    'size mismatch: copying a param'
    >>> in_one_line(MemoryError())
    'MemoryError'
    """
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= 300 else f"{said[:299]}…"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory of the machine, or of its GPU, is too small."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in said for words in _MEMORY)
    )


def is_other_process_gone(error: BaseException) -> bool:
    """Return whether an error says that one of several processes, which work together, has ended."""
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in _GONE)


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Refuse what is not a whole number of at least ``least``.

    Args:
        name: What the message calls the value.
        value: The value.
        least: The smallest that is allowed.

    Raises:
        SettingError: It is not such a number.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < least:
        raise SettingError(f"{name} must be a whole number of at least {least}, not {value!r}")


def check_number(name: str, value: Any, *, above: float | None = None, least: float | None = None) -> None:
    """Refuse what is not a finite number above, or of at least, a bound.

    Args:
        name: What the message calls the value.
        value: The value.
        above: What it must be above, or None.
        least: What it must not be below, or None.

    Raises:
        SettingError: It is not such a number.
    """
    number = not isinstance(value, bool) and isinstance(value, numbers.Real)
    finite = number and math.isfinite(float(value))
    if finite and (above is None or value > above) and (least is None or value >= least):
        return
    kind = "a positive finite number" if above == 0 else "a finite number"
    bound = f" of at least {least:g}" if least is not None else f" above {above:g}" if above else ""
    raise SettingError(f"{name} must be {kind}{bound}, not {value!r}")


def unknown_name(kind: str, name: object, known: Iterable[str]) -> SettingError:
    """Build the error for an unknown name, with the nearest known ones.

    Args:
        kind: What the name stands for, such as ``"sampler"``.
        name: What was asked for.
        known: The names that exist.

    Returns:
        The error to raise.

    >>> str(unknown_name("schedule", "geometrc", ["geometric", "linear"]))
    "unknown schedule 'geometrc'; did you mean 'geometric'? known: geometric, linear"
    """
    known = list(known)
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(match) for match in near)}?" if near else ";"
    return SettingError(f"unknown {kind} {name!r}{hint} known: {', '.join(known)}")
