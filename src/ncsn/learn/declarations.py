"""What a lesson consists of, as plain declarations: exercises, gates and questions. Nothing here checks anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

__all__ = [
    "Case",
    "Exercise",
    "Function",
    "Gate",
    "Lesson",
    "Mistake",
    "Option",
    "Question",
    "Unfit",
    "attempted",
    "call_directly",
    "is_missing",
]

Function = Callable[..., Any]
"""A learner's function, or one that stands in for it."""


class Unfit(Exception):
    """What an ``observe`` finds wrong with an answer, as it reads after the function's name."""


def call_directly(function: Function, *arguments: Any) -> Any:
    """Return ``function(*arguments)``: how most exercises are observed."""
    return function(*arguments)


def is_missing(value: Any) -> bool:
    """Return whether a value stands for an answer that was not written yet: None, ``...`` or NotImplemented."""
    return value is None or value is ... or value is NotImplemented


def attempted(value: Any) -> Any:
    """Return a value, for an ``observe`` that works on with it.

    Raises:
        NotImplementedError: The value stands for an answer that was not written yet.
    """
    if is_missing(value):
        raise NotImplementedError("nothing is returned")
    return value


@dataclass(frozen=True)
class Case:
    """One input to try a function on.

    Attributes:
        name: What is special about it, as it reads after "for": ``"a batch of one"``.
        arguments: What the function is called with, in order; tensors and generators are copied for each call.
        tolerance: Replaces the exercise's tolerance; None keeps it.
    """

    name: str
    arguments: tuple[Any, ...]
    tolerance: float | None = None


@dataclass(frozen=True)
class Mistake:
    """A usual mistake, and how it is made.

    Attributes:
        message: What to tell, as a hint and never as code: it follows "This looks like ".
        made: The switches of the exercise's ``written`` that are set wrongly, each as one would, or a whole function for an
            answer of another kind. An answer that equals the outcome on all cases is taken to have this mistake; mistakes
            made by switches are also looked for two at a time.
        sign: ``sign(wrong)``, for a mistake that has many forms, called with the pairs (yours, truth) of the cases that went
            wrong: the answer is taken to have it if this holds, too.
    """

    message: str
    made: Mapping[str, Any] | Function
    sign: Callable[[list[tuple[Any, Any]]], bool] | None = None

    @property
    def switches(self) -> frozenset[str]:
        """The switches that it is made by; none where it is a whole function."""
        return frozenset(self.made) if isinstance(self.made, Mapping) else frozenset()


@dataclass(frozen=True)
class Exercise:
    """A function that a learner writes, and how it is checked.

    Attributes:
        number: The number in the notebook, such as ``"1.2"``.
        title: A few words.
        name: The name that the notebook gives the function.
        cases: Makes the inputs from a seeded generator; each exercise has a few, odd ones included.
        truth: The independent truth, with the arguments' names; called with everything in double precision.
        reference: The library's version, which stands in for an answer that does not pass.
        against: What the truth is, as it reads after "agrees with".
        written: The answer with its switches: keyword arguments, right by default, for the places where answers go wrong (a
            sign, a power of sigma, a factor, a reduction, a count). The reference when None.
        mistakes: The usual mistakes, the likeliest first.
        tolerance: Largest difference allowed, relative to 1 + |truth|.
        observe: Called as ``observe(function, *arguments)``, it returns what is compared: for functions with random
            answers their statistics, for classes what their objects do (with `attempted` around what methods return). It
            sees the learner's function, the wrong ones and the truth alike. It may return a dictionary: its keys are what
            the values are called in messages.
        double_truth: False calls the truth in the precision of the case, for functions that draw random numbers
            themselves, as draws differ by precision. PyTorch's global generator is seeded before each call.
    """

    number: str
    title: str
    name: str
    cases: Callable[[torch.Generator], Iterable[Case]]
    truth: Function
    reference: Function
    against: str
    written: Function | None = None
    mistakes: tuple[Mistake, ...] = ()
    tolerance: float = 1e-5
    observe: Callable[..., Any] = call_directly
    double_truth: bool = True

    def mistaken(self, *mistakes: Mistake) -> Function:
        """Return the answer with these mistakes; of several, all are made by switches."""
        settings: dict[str, Any] = {}
        for mistake in mistakes:
            if not isinstance(mistake.made, Mapping):
                return mistake.made
            settings |= mistake.made
        return partial(self.written or self.reference, **settings)


@dataclass(frozen=True)
class Gate:
    """A limit that a measured result has to keep.

    Attributes:
        number: The number in the notebook, such as ``"1.5a"``.
        title: What is measured, with its unit if it has one.
        at_least: Smallest value that passes.
        at_most: Largest value that passes.
        reference: What the library's own answer or the exact solution reaches, to be shown beside.
        advice: What to look at where the limit is not kept.
        needs: Numbers of the exercises that the value rests on.
    """

    number: str
    title: str
    at_least: float = -math.inf
    at_most: float = math.inf
    reference: str = ""
    advice: str = ""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Option:
    """One answer to choose, and what to say to whoever chooses it.

    Attributes:
        text: The answer.
        reply: Why it is right, or where the thought goes wrong.
        right: Whether it is the right one.
    """

    text: str
    reply: str
    right: bool = False


@dataclass(frozen=True)
class Question:
    """A multiple-choice question; its options are called a, b, c in order.

    Attributes:
        number: The number in the notebook, such as ``"1.a"``.
        text: The question, in Markdown.
        options: The answers, exactly one of them right.
    """

    number: str
    text: str
    options: tuple[Option, ...]

    @property
    def letters(self) -> str:
        """The letters of the options, in order."""
        return "abcdefgh"[: len(self.options)]

    @property
    def answer(self) -> str:
        """The letter of the right option."""
        return next(letter for letter, option in zip(self.letters, self.options, strict=True) if option.right)

    def markdown(self) -> str:
        """Return the question and its options as Markdown, for the notebook."""
        lines = [f"**Question {self.number}.** {self.text}", ""]
        lines += [f"- **{letter}** {option.text}" for letter, option in zip(self.letters, self.options, strict=True)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Lesson:
    """A notebook with its exercises, gates and questions.

    Attributes:
        number: 1 to 4.
        title: The notebook's title.
        file: The notebook's file name without its ending.
        exercises: In the order of the notebook.
        gates: In the order of the notebook.
        questions: In the order of the notebook, predictions included.
    """

    number: int
    title: str
    file: str
    exercises: tuple[Exercise, ...] = ()
    gates: tuple[Gate, ...] = ()
    questions: tuple[Question, ...] = ()
