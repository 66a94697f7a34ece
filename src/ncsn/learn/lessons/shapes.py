"""What lessons share in telling a learner that two shapes do not line up."""

from __future__ import annotations

from typing import Any

from ncsn.learn.declarations import Function

__all__ = ["telling_shapes"]


def telling_shapes(advice: str) -> Function:
    """Return an ``observe`` that says more than PyTorch does where shapes do not broadcast.

    Args:
        advice: What is likely the matter; it follows PyTorch's own words.
    """

    def observe(function: Function, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except RuntimeError as error:
            if "must match" not in str(error):
                raise
            # the traceback still names the learner's line
            raise RuntimeError(f"{error} - {advice}").with_traceback(error.__traceback__) from None

    return observe
