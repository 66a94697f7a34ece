"""Lesson 3: what its notebook asks, and how answers are checked."""

from __future__ import annotations

from ncsn.learn.declarations import Lesson

__all__ = ["LESSON"]

LESSON = Lesson(
    number=3,
    title="Annealed Langevin dynamics",
    file="03_annealed_langevin_dynamics",
)
