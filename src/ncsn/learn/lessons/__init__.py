"""The lessons, one package a notebook, and finding what they declare by number.

Each has the same modules: the exercises from its 1st, its 3rd and its 5th on, the gates, and the questions.
"""

from collections.abc import Iterable
from itertools import chain
from typing import TypeVar

from ncsn.errors import unknown_name
from ncsn.learn.declarations import Exercise, Gate, Question
from ncsn.learn.lessons import architecture, diffusion, langevin, low_density

__all__ = ["LESSONS", "exercise_numbered", "gate_numbered", "question_numbered"]

LESSONS = (low_density.LESSON, architecture.LESSON, langevin.LESSON, diffusion.LESSON)

Item = TypeVar("Item", Exercise, Gate, Question)


def exercise_numbered(number: str) -> Exercise:
    """Return an exercise.

    Raises:
        ValueError: There is none with this number; the message names the nearest.
    """
    return _numbered("exercise", number, chain.from_iterable(lesson.exercises for lesson in LESSONS))


def gate_numbered(number: str) -> Gate:
    """Return a gate.

    Raises:
        ValueError: There is none with this number; the message names the nearest.
    """
    return _numbered("gate", number, chain.from_iterable(lesson.gates for lesson in LESSONS))


def question_numbered(number: str) -> Question:
    """Return a question.

    Raises:
        ValueError: There is none with this number; the message names the nearest.
    """
    return _numbered("question", number, chain.from_iterable(lesson.questions for lesson in LESSONS))


def _numbered(kind: str, number: object, items: Iterable[Item]) -> Item:
    known = {item.number: item for item in items}
    found = known.get(str(number))
    if found is None:
        raise unknown_name(kind, number, known)
    return found
