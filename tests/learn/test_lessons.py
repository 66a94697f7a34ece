"""Every exercise of every lesson: its reference passes, and each usual mistake fails with its own message."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from ncsn.learn import lessons
from ncsn.learn.checking import examine
from ncsn.learn.comparing import leaves
from ncsn.learn.declarations import Exercise, Gate, Lesson, Mistake, Question
from ncsn.learn.lessons import LESSONS, exercise_numbered, gate_numbered, question_numbered

EXERCISES = [exercise for lesson in LESSONS for exercise in lesson.exercises]
MISTAKES = [(exercise, mistake) for exercise in EXERCISES for mistake in exercise.mistakes]
GATES = [gate for lesson in LESSONS for gate in lesson.gates]
QUESTIONS = [question for lesson in LESSONS for question in lesson.questions]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.number)
def test_the_library_passes_its_own_exercise(exercise: Exercise) -> None:
    # wrapped, because the reference itself is known as such
    result = examine(exercise, lambda *arguments: exercise.reference(*arguments))
    assert result.passed, str(result)
    assert result.use is not exercise.reference


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.number)
def test_the_answer_with_its_switches_is_right_by_default(exercise: Exercise) -> None:
    result = examine(exercise, exercise.mistaken())
    assert result.passed, str(result)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.number)
def test_nothing_is_not_an_attempt(exercise: Exercise) -> None:
    result = examine(exercise, lambda *arguments: None)
    assert (result.passed, result.attempted, result.use) == (False, False, exercise.reference)


@pytest.mark.parametrize(
    ("exercise", "mistake"),
    MISTAKES,
    ids=[f"{exercise.number}-{i}-{mistake.message[:30]}" for i, (exercise, mistake) in enumerate(MISTAKES)],
)
def test_each_usual_mistake_is_called_by_its_name(exercise: Exercise, mistake: Mistake) -> None:
    result = examine(exercise, exercise.mistaken(mistake))
    assert result.attempted
    assert not result.passed
    assert f"This looks like {mistake.message}" in result.notes, str(result)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.number)
def test_there_are_odd_inputs_and_double_precision(exercise: Exercise) -> None:
    cases = list(exercise.cases(torch.Generator().manual_seed(0)))
    assert len(cases) >= 3
    assert len({case.name for case in cases}) == len(cases)
    dtypes = {leaf.dtype for case in cases for leaf in leaves(case.arguments) if leaf.is_floating_point()}
    assert not dtypes or torch.float64 in dtypes


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.number)
def test_each_question_has_one_answer_and_a_reply_to_each_option(question: Question) -> None:
    assert sum(option.right for option in question.options) == 1
    assert 2 <= len(question.options) <= 4
    assert all(option.text and option.reply for option in question.options)
    assert question_numbered(question.number) is question


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.number)
def test_each_gate_has_a_limit_and_rests_on_exercises(gate: Gate) -> None:
    assert math.isfinite(gate.at_least) or math.isfinite(gate.at_most)
    assert all(exercise_numbered(number) for number in gate.needs)
    assert gate_numbered(gate.number) is gate


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.number)
def test_numbers_are_the_lessons_own_and_in_order(lesson: Lesson) -> None:
    for items in (lesson.exercises, lesson.gates, lesson.questions):
        numbers = [item.number for item in items]
        assert len(set(numbers)) == len(numbers)
        assert all(number.startswith(f"{lesson.number}.") for number in numbers)


def test_every_lesson_has_the_same_modules() -> None:
    packages = [path.parent for path in Path(lessons.__file__).parent.glob("*/__init__.py")]
    assert len(packages) == len(LESSONS)
    assert len({tuple(sorted(path.name for path in package.glob("*.py"))) for package in packages}) == 1
