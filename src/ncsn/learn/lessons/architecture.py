"""Lesson 2: what its notebook asks, and how answers are checked."""

from __future__ import annotations

from ncsn.learn.declarations import Lesson

__all__ = ["LESSON"]

LESSON = Lesson(
    number=2,
    title="A noise-conditioned score network: architecture and training",
    file="02_ncsn_architecture",
)
