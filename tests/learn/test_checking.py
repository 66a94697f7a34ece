"""Exercises answer back: each thing that can be wrong is told, in order, and no learner is left without a way on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ncsn.learn import Case, Exercise, Mistake, check, gate, quiz
from ncsn.learn.checking import Result, examine, stands_in
from ncsn.learn.declarations import attempted
from ncsn.learn.lessons import exercise_numbered
from ncsn.learn.progress import Progress

Function = Callable[..., Any]


def cases(generator: torch.Generator) -> Iterator[Case]:
    yield Case("a batch of one", (torch.randn(1, 2, generator=generator), 3.0))
    yield Case("four rows", (torch.randn(4, 2, generator=generator), -2.0))
    yield Case("double precision", (torch.randn(3, 2, generator=generator, dtype=torch.float64), 0.5))


def scaled(x: Tensor, factor: float) -> Tensor:
    return factor * x


EXERCISE = Exercise(
    number="0.1",
    title="scaling",
    name="scale",
    cases=cases,
    truth=scaled,
    reference=scaled,
    against="multiplication",
    mistakes=(Mistake("a division.", lambda x, factor: x / factor),),
)


def told(function: Any, exercise: Exercise = EXERCISE) -> Result:
    result = examine(exercise, function)
    assert not result.passed
    assert result.use is exercise.reference
    return result


def row_by_row(x: Tensor, factor: float) -> Tensor:
    result = torch.empty_like(x)
    for i in range(len(x)):
        for j in range(x.shape[1]):
            result[i, j] = float(x[i, j]) * factor
    return result


def through_double(x: Tensor, factor: float) -> Tensor:
    return (x.double() * factor).to(x.dtype)


def through_numpy(x: Tensor, factor: float) -> Tensor:
    return torch.as_tensor(x.numpy() * np.asarray(factor, dtype=x.numpy().dtype))


def with_gradient(x: Tensor, factor: float) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad((x**2).sum() * factor / 2, x, create_graph=True)[0]


@pytest.mark.parametrize("function", [row_by_row, through_double, through_numpy, with_gradient])
def test_right_answers_pass_however_they_are_written(function: Function) -> None:
    result = examine(EXERCISE, function)
    assert result.passed, str(result)
    assert result.use is function
    assert result.title.startswith("0.1 passed: scale agrees with multiplication on 3 inputs")


def not_implemented(x: Tensor, factor: float) -> Tensor:
    raise NotImplementedError


@pytest.mark.parametrize(
    "function", [lambda x, f: None, lambda x, f: ..., lambda x, f: NotImplemented, not_implemented]
)
def test_what_is_not_written_is_not_attempted(function: Function) -> None:
    result = told(function)
    assert not result.attempted
    assert str(result) == (
        "0.1 not attempted: scale returns nothing yet\n    Until then the cells below go on with the library's scale."
    )


def some_way_out(x: Tensor, factor: float) -> Tensor | None:
    return factor * x if len(x) > 1 else None


def test_a_way_without_return_is_told() -> None:
    result = told(some_way_out)
    assert result.attempted
    assert "for a batch of one" in result.message
    assert "a way through it ends without a return" in result.message


def scale(x: Tensor, factor: float) -> Tensor:
    return undefined * x  # type: ignore[name-defined]  # noqa: F821


def test_an_error_is_told_with_its_line_and_input() -> None:
    result = told(scale)
    assert result.message == "scale raises NameError: name 'undefined' is not defined, for a batch of one"
    assert "In the line: return undefined * x" in result.notes[0]
    assert "factor = 3" in result.notes[0]


def test_wrong_arguments_are_told() -> None:
    assert "raises TypeError" in told(lambda x: x).message


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, f: (f * x).numpy(), "should be a torch.Tensor, not a numpy.ndarray, for a batch of one"),
        (lambda x, f: 3.0, "should be a torch.Tensor, not a float"),
        (lambda x, f: (f * x, x), "should return one value, not a tuple of 2"),
        (lambda x, f: (f * x).sum(1), "should have the shape (1, 2), not (1,)"),
        (lambda x, f: f * x[:, None] * x.new_ones(1, len(x), 1), "such as (N,) and (N, 1), broadcast to all pairs"),
        (lambda x, f: (f * x).float(), "is torch.float32 where the input is torch.float64, for double precision"),
        (lambda x, f: f * x / 0, "is infinite for a batch of one"),
        (lambda x, f: x * float("nan"), "is NaN for a batch of one"),
        (lambda x, f: x.mul_(f), "changes its input in place"),
        (lambda x, f: f * x + 1, "has another value than expected, for a batch of one"),
    ],
)
def test_each_kind_of_fault_is_told(function: Function, message: str) -> None:
    assert message in told(function).message


def test_the_first_kind_of_fault_is_told_first() -> None:
    def many_faults(x: Tensor, factor: float) -> Tensor:
        if len(x) == 1:
            return factor * x + 1
        return (factor * x).sum(1) if len(x) == 4 else (factor * x).float()

    # the value is wrong for the first input, but a wrong shape comes before it
    assert "should have the shape (4, 2), not (4,)" in told(many_faults).message


def test_a_usual_mistake_is_named_with_a_counterexample() -> None:
    result = told(lambda x, factor: x / factor)
    x = next(iter(cases(torch.Generator().manual_seed(0)))).arguments[0]
    assert x.shape == (1, 2)
    assert "This looks like a division." in result.notes
    assert "yours is [" in result.notes[0]
    assert "it should be near [" in result.notes[0]


@pytest.mark.parametrize(
    ("function", "note"),
    [
        (lambda x, f: -f * x, "Everywhere yours is the expected answer with the sign turned round."),
        (lambda x, f: 0.5 * f * x, "Everywhere yours is 0.5 times the expected answer."),
        (lambda x, f: 0 * x, "Yours is 0 everywhere."),
    ],
)
def test_a_common_factor_is_told(function: Function, note: str) -> None:
    assert note in told(function).notes


def test_the_counterexample_is_the_worst_row() -> None:
    def wrong_in_row_2(x: Tensor, factor: float) -> Tensor:
        result = factor * x
        if len(x) == 4:
            result[2] += 10
        return result

    assert "With x[2] = [" in told(wrong_in_row_2).notes[0]


@pytest.mark.parametrize("value", [None, 3, torch.zeros(2)])
def test_the_function_itself_is_asked_for(value: Any) -> None:
    result = told(value)
    assert "check takes the function scale itself" in result.message
    assert result.attempted == (value is not None)


def test_the_librarys_version_does_not_pass_for_the_learners() -> None:
    result = told(scaled)
    assert not result.attempted
    assert "which stands in for yours" in result.message


def draw(x: Tensor, factor: float) -> Tensor:
    return factor * torch.randn(20_000)


def moments(function: Function, x: Tensor, factor: float) -> dict[str, float]:
    draws = function(x, factor)
    return {"the mean": float(draws.mean()), "the standard deviation": float(draws.std())}


RANDOM = dataclasses.replace(
    EXERCISE,
    truth=lambda x, factor: torch.tensor([-abs(factor), abs(factor)]) * 0.5**0.5,
    reference=draw,
    observe=moments,
    tolerance=4 * 3 / 20_000**0.5,
    mistakes=(Mistake("a variance for a standard deviation.", lambda x, f: abs(f) ** 0.5 * torch.randn(20_000)),),
)


def test_random_answers_are_judged_by_their_statistics() -> None:
    # another way to draw the same
    result = examine(RANDOM, lambda x, f: torch.distributions.Normal(0.0, abs(f)).sample((20_000,)))
    assert result.passed, str(result)
    wrong = told(RANDOM.mistaken(RANDOM.mistakes[0]), RANDOM)
    assert "the standard deviation of scale has another value" in wrong.message
    assert "This looks like a variance for a standard deviation." in wrong.notes
    assert not told(lambda x, f: None, RANDOM).attempted
    state = torch.get_rng_state()
    examine(RANDOM, draw)
    assert torch.equal(state, torch.get_rng_state())


def test_observing_a_class() -> None:
    class Unfinished:
        def __call__(self, x: Tensor, factor: float) -> None: ...

    def observe(kind: type, x: Tensor, factor: float) -> Tensor:
        answer: Tensor = 2 * attempted(kind()(x, factor))
        return answer

    class Finished:
        def __call__(self, x: Tensor, factor: float) -> Tensor:
            return factor * x

    exercise = dataclasses.replace(EXERCISE, observe=observe, truth=Finished, reference=object)
    assert not told(Unfinished, exercise).attempted
    assert examine(exercise, Finished).passed


def right(x: Tensor, mean: Tensor, std: float) -> Tensor:
    return (mean - x) / std**2


def test_check_shows_writes_down_and_hands_back(capsys: pytest.CaptureFixture[str]) -> None:
    reference = exercise_numbered("1.1").reference
    assert check("1.1", lambda x, mean, std: None).use is reference
    assert stands_in("1.1")
    assert Progress.read().entries["exercises"] == {}
    assert check("1.1", lambda x, mean, std: -right(x, mean, std)).use is reference
    assert Progress.read().entries["exercises"] == {"1.1": {"passed": False, "tries": 1}}
    assert check("1.1", right).use is right
    assert not stands_in("1.1")
    # passed once is passed
    check("1.1", lambda x, mean, std: x)
    assert Progress.read().entries["exercises"] == {"1.1": {"passed": True, "tries": 3}}
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("1.1")]
    assert [line.split(":")[0] for line in lines] == ["1.1 not attempted", "1.1 not yet", "1.1 passed", "1.1 not yet"]


def test_html_says_the_same_and_escapes() -> None:
    result = told(lambda x, factor: x > [])
    html = result._repr_html_()
    assert "&#x27;&gt;&#x27; not supported" in html
    assert "✘" in html
    assert "not yet" in html


def test_unknown_numbers_name_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown exercise '1\.11'; did you mean '1\.1'"):
        check("1.11", right)
    with pytest.raises(ValueError, match="unknown gate"):
        gate("9.9", 0.0)
    with pytest.raises(ValueError, match="unknown question"):
        quiz("9.z")


def test_a_gate_holds_or_not(capsys: pytest.CaptureFixture[str]) -> None:
    check("1.3", lambda points, bins: exercise_numbered("1.3").reference(points, bins))
    assert gate("1.3", torch.tensor(0.00499)).passed
    assert Progress.read().passed("gates", "1.3")
    result = gate("1.3", 0.5)
    assert not result.passed
    assert "5,000 points cannot lie" in str(result)
    assert not gate("1.3", float("nan")).passed
    assert "Gate 1.3 holds: share of occupied cells in 6 dimensions 0.00499 (at most 0.005" in capsys.readouterr().out


def test_a_gate_kept_with_the_librarys_version_does_not_count() -> None:
    check("1.3", None)
    result = gate("1.3", 0.00499)
    assert result.passed
    assert "with the library's version of 1.3" in str(result)
    assert not Progress.read().passed("gates", "1.3")


def test_a_question_answers_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert quiz("1.a").chosen is None
    assert Progress.read().entries["questions"] == {}
    wrong = quiz("1.a", "a")
    assert not wrong.passed
    assert "for a neural network's energy nobody knows it" in str(wrong)
    assert quiz("1.a", " B) ").passed
    assert Progress.read().entries["questions"] == {"1.a": {"passed": True, "tries": 2}}
    with pytest.raises(ValueError, match=r"question 1\.a has the answers 'a', 'b', 'c', not 'd'"):
        quiz("1.a", "d")
