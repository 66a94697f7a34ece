"""Lesson 1: what its notebook asks, and how answers are checked."""

from ncsn.learn.declarations import Lesson
from ncsn.learn.lessons.low_density.exercises_from_1 import GAUSSIAN, MIXTURE
from ncsn.learn.lessons.low_density.exercises_from_3 import LOSS, OCCUPIED
from ncsn.learn.lessons.low_density.exercises_from_5 import ERROR, FOLLOW
from ncsn.learn.lessons.low_density.gates import GATES
from ncsn.learn.lessons.low_density.questions import QUESTIONS

__all__ = ["LESSON"]

LESSON = Lesson(
    number=1,
    title="Score estimation and the low-density problem",
    file="01_score_estimation_low_density",
    exercises=(GAUSSIAN, MIXTURE, OCCUPIED, LOSS, ERROR, FOLLOW),
    gates=GATES,
    questions=QUESTIONS,
)
