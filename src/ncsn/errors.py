"""The errors that a user can cause; each message says what is wrong and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["DataError", "DivergenceError", "RunError", "unknown_name"]


class DataError(ValueError):
    """The data cannot be used as they are (missing, empty, not finite, wrong shape or type)."""


class RunError(RuntimeError):
    """A run folder or checkpoint cannot be read, written or continued."""


class DivergenceError(RuntimeError):
    """Training or sampling left the finite numbers; the message names the step and the noise level."""


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
