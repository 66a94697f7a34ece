"""Lesson 3: what its notebook asks, and how answers are checked."""

from ncsn.learn.declarations import Lesson
from ncsn.learn.lessons.langevin.exercises_from_1 import RATIO, STEP
from ncsn.learn.lessons.langevin.exercises_from_3 import SAMPLER, SIZES
from ncsn.learn.lessons.langevin.exercises_from_5 import ADAPTIVE, DENOISE, VARIANCE
from ncsn.learn.lessons.langevin.gates import GATES
from ncsn.learn.lessons.langevin.questions import QUESTIONS

__all__ = ["LESSON"]

LESSON = Lesson(
    number=3,
    title="Annealed Langevin dynamics",
    file="03_annealed_langevin_dynamics",
    exercises=(STEP, RATIO, SIZES, SAMPLER, DENOISE, VARIANCE, ADAPTIVE),
    gates=GATES,
    questions=QUESTIONS,
)
