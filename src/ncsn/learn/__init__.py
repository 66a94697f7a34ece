"""The learning path: exercises that answer back, gates for trained results, questions, and progress that stays here.

In a notebook::

    from ncsn.learn import check, gate, quiz

    my_function = check("1.2", my_function).use    # yours if it passes, else the library's, and it says so
    gate("1.5a", measured)                         # a measured value against its limit
    quiz("1.a", "b")                               # a question; ... shows it
    whose("1.2")                                   # "yours" or "the library's", for a legend

What a lesson consists of stands in `ncsn.learn.lessons`, one package a notebook.
"""

from ncsn.learn.checking import Result, check, whose
from ncsn.learn.declarations import Case, Exercise, Gate, Lesson, Mistake, Option, Question
from ncsn.learn.gates import GateResult, gate
from ncsn.learn.progress import Progress, progress_path
from ncsn.learn.quizzes import QuizResult, quiz

__all__ = [
    "Case",
    "Exercise",
    "Gate",
    "GateResult",
    "Lesson",
    "Mistake",
    "Option",
    "Progress",
    "Question",
    "QuizResult",
    "Result",
    "check",
    "gate",
    "progress_path",
    "quiz",
    "whose",
]
