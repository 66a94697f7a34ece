"""Lesson 2: what its notebook asks, and how answers are checked."""

from ncsn.learn.declarations import Lesson
from ncsn.learn.lessons.architecture.exercises_from_1 import LEVELS, NOISE
from ncsn.learn.lessons.architecture.exercises_from_3 import LOSS, MEAN_TARGET
from ncsn.learn.lessons.architecture.exercises_from_5 import EMBEDDING, NETWORK, STEP
from ncsn.learn.lessons.architecture.gates import GATES
from ncsn.learn.lessons.architecture.questions import QUESTIONS

__all__ = ["LESSON"]

LESSON = Lesson(
    number=2,
    title="A noise-conditioned score network: architecture and training",
    file="02_ncsn_architecture",
    exercises=(LEVELS, NOISE, MEAN_TARGET, LOSS, EMBEDDING, NETWORK, STEP),
    gates=GATES,
    questions=QUESTIONS,
)
