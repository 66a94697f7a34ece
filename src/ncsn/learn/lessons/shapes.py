"""What lessons share in telling a learner that two shapes do not line up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ncsn.learn.declarations import Function, call_directly

__all__ = ["telling_shapes"]


def telling_shapes(advice: str, observe: Callable[..., Any] = call_directly) -> Callable[..., Any]:
    """Return an ``observe`` that says more than PyTorch does where shapes do not broadcast.

    Args:
        advice: What is likely the matter; it follows PyTorch's own words.
        observe: What it does otherwise.
    """

    def observe_shapes(function: Function, *arguments: Any) -> Any:
        try:
            return observe(function, *arguments)
        except RuntimeError as error:
            if "must match" not in str(error):
                raise
            # the traceback still names the learner's line
            raise RuntimeError(f"{error} - {advice}").with_traceback(error.__traceback__) from None

    return observe_shapes
