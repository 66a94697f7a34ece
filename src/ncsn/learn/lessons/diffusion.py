"""Lesson 4: what its notebook asks, and how answers are checked."""

from __future__ import annotations

from ncsn.learn.declarations import Lesson

__all__ = ["LESSON"]

LESSON = Lesson(
    number=4,
    title="From NCSN to diffusion models",
    file="04_ncsn_to_diffusion_models",
)
