"""The errors that a user can cause; each message says what is wrong and what to do."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterable
from typing import Any

__all__ = ["DataError", "DivergenceError", "RunError", "check_count", "unknown_name"]


class DataError(ValueError):
    """The data cannot be used as they are (missing, empty, not finite, wrong shape or type)."""


class RunError(RuntimeError):
    """A run folder or checkpoint cannot be read, written or continued."""


class DivergenceError(RuntimeError):
    """Training or sampling left the finite numbers; the message names the step and the noise level."""


def check_count(name: str, value: Any) -> None:
    """Refuse what is not a whole number of at least 1.

    Args:
        name: What the message calls the value.
        value: The value.

    Raises:
        ValueError: It is not a whole number of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")


def unknown_name(kind: str, name: object, known: Iterable[str]) -> ValueError:
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
    return ValueError(f"unknown {kind} {name!r}{hint} known: {', '.join(known)}")
