"""Questions that answer back: each option has its own reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ncsn.learn.declarations import Question
from ncsn.learn.display import Shown, as_text, box, show
from ncsn.learn.lessons import question_numbered
from ncsn.learn.progress import Progress

__all__ = ["QuizResult", "quiz"]


@dataclass(frozen=True)
class QuizResult(Shown):
    """The reply to an answer.

    Attributes:
        question: The question.
        chosen: The letter chosen, or None.
        passed: Whether it is the right one.
    """

    question: Question
    chosen: str | None
    passed: bool

    @property
    def title(self) -> str:
        """The verdict."""
        if self.chosen is None:
            choices = ", ".join(repr(letter) for letter in self.question.letters)
            return f"Question {self.question.number} waits for an answer: put {choices} in place of the dots"
        return f"Question {self.question.number}: {self.chosen} is {'right' if self.passed else 'not it'}"

    @property
    def notes(self) -> list[str]:
        """The reply to the option chosen."""
        if self.chosen is None:
            return []
        return [self.question.options[self.question.letters.index(self.chosen)].reply]

    def __str__(self) -> str:
        return as_text(self.title, self.notes)

    def _repr_html_(self) -> str:
        return box("open" if self.chosen is None else "good" if self.passed else "bad", self.title, self.notes)


def quiz(number: str, answer: Any = ...) -> QuizResult:
    """Answer a question, show the reply, and write the answer down.

    Args:
        number: The question's number in the notebook.
        answer: The letter of an option; ``...`` for none yet.

    Returns:
        The reply.

    Raises:
        ValueError: There is no question with this number, or no option with this letter.
    """
    question = question_numbered(number)
    if answer is ... or answer is None:
        result = QuizResult(question, None, False)
    else:
        letter = str(answer).strip().lower().removesuffix(")")
        if len(letter) != 1 or letter not in question.letters:
            choices = ", ".join(repr(each) for each in question.letters)
            raise ValueError(f"question {number} has the answers {choices}, not {answer!r}")
        result = QuizResult(question, letter, letter == question.answer)
        Progress.read().record("questions", number, result.passed)
    show(result)
    return result
