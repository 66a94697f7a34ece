"""Wrong answers are called by their names, one mistake or two, and none by another's; messages say what is the matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from learn.wrong_answers import Layers, loss_of
from learn.wrong_later_answers import WRONG
from ncsn.learn import check, gate, whose
from ncsn.learn.checking import Result, examine
from ncsn.learn.lessons import exercise_numbered
from ncsn.learn.progress import Progress


def names(result: Result) -> list[str]:
    """Return what an answer is said to look like, a sentence for each mistake."""
    told = [
        note
        for note in result.notes
        if note.startswith(("This looks like", "Everywhere yours is", "Yours is 0", "Seen"))
    ]
    return [line for note in told for line in note.splitlines()]


@pytest.mark.parametrize(
    ("number", "answer", "told"),
    [(number, answer, told) for number, _, answer, told in WRONG],
    ids=[f"{number}-{done}" for number, done, _, _ in WRONG],
)
def test_a_wrong_answer_is_called_by_its_name(number: str, answer: Callable[..., Any], told: tuple[str, ...]) -> None:
    result = examine(exercise_numbered(number), answer)
    assert result.attempted
    assert not result.passed
    found = names(result)
    assert all(any(words in line for line in found) for words in told), str(result)
    # no name but those of what was done; a fit is one sentence, whatever its factors
    assert len(found) == (1 if found and found[0].startswith("Everywhere") else len(told)), str(result)


def test_most_wrong_answers_have_a_name() -> None:
    assert len(WRONG) >= 78
    assert sum(bool(told) for *_, told in WRONG) >= 65 / 78 * len(WRONG)


# what is not a wrong value


def gaussian_without_return(x: Tensor, mean: Tensor, std: float) -> None:
    (mean - x) / std**2


def loss_without_return(score: Any, x: Tensor, noise: Tensor, sigma: float) -> None:
    loss = (score(x + sigma * noise) + noise / sigma).square().mean()  # noqa: F841


@pytest.mark.parametrize(("number", "answer"), [("1.1", gaussian_without_return), ("1.4", loss_without_return)])
def test_a_forgotten_return_is_told_and_is_a_try(number: str, answer: Callable[..., Any]) -> None:
    result = check(number, answer)
    assert result.attempted
    assert "a return is missing" in result.message
    assert Progress.read().entries["exercises"][number] == {"passed": False, "tries": 1}


class WithoutReturn(Layers):
    def forward(self, x: Tensor, sigma: Tensor) -> Any:
        super().forward(x, sigma)


class InAList(nn.Module):
    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.layers = [nn.Linear(dim, width), nn.Linear(width, dim)]

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.layers[1](self.layers[0](x).relu()) / sigma.reshape(-1, 1)


MESSAGES: list[tuple[str, Callable[..., Any], str]] = [
    (
        "1.4",
        lambda score, x, noise, s: (score(x + s * noise) + noise / s).square().mean().item(),
        "dsm_loss should return a tensor without axes, not a number: .item()",
    ),
    (
        "1.4",
        lambda score, x, noise, s: (score(x + s * noise) + noise / s).square(),
        "not the shape (1, 1): a mean is missing",
    ),
    (
        "2.4",
        lambda model, x, s, noise: float(
            (s[:, None] * model(x + s[:, None] * noise, s) + noise).square().mean().detach()
        ),
        ".item() and float(...) cut the loss off",
    ),
    (
        "4.5",
        lambda network, x0, t, noise, ab: (network(x0, t) - noise).square().mean().item(),
        ".item() and float(...) cut the loss off",
    ),
    (
        "2.1",
        lambda low, high, n: [high * (low / high) ** (i / (n - 1)) for i in range(n)],
        "should return a tensor, not a list of 3, for three levels",
    ),
    ("2.6", InAList, "keeps layers in a plain list, self.layers, where PyTorch does not see them"),
    ("2.6", WithoutReturn, "its forward returns nothing: it is not written yet, or a return is missing"),
    (
        "2.6",
        lambda dim, width: Layers(dim, width, nn.Softplus()),
        "falls short of this, for a batch of one: scores can have either sign and any size",
    ),
]


@pytest.mark.parametrize(
    ("number", "answer", "message"), MESSAGES, ids=[f"{number}-{i}" for i, (number, *_) in enumerate(MESSAGES)]
)
def test_what_is_the_matter_is_told(number: str, answer: Callable[..., Any], message: str) -> None:
    result = examine(exercise_numbered(number), answer)
    assert result.attempted
    assert not result.passed
    assert message in str(result)
    assert "raises" not in result.message


def levels_and_one(low: float, high: float, n: int) -> Tensor:
    return torch.logspace(0, 1, n + 1)


def stacked_places(score: Any, x: Tensor, step: float, n_steps: int) -> Tensor:
    return torch.stack([x] * (n_steps + 1))


@pytest.mark.parametrize(("number", "answer"), [("2.1", levels_and_one), ("1.6", stacked_places)])
def test_a_wrong_count_is_not_taken_for_axes_that_do_not_line_up(number: str, answer: Callable[..., Any]) -> None:
    result = examine(exercise_numbered(number), answer)
    assert "should have the shape" in result.message
    assert "do not line up" not in str(result)


def test_the_counterexample_of_a_step_names_its_inputs() -> None:
    def no_step(network: Any, optimizer: Any, x: Tensor, sigma: Tensor, noise: Tensor) -> float:
        return float(loss_of(network, x, sigma, noise).detach())

    notes = examine(exercise_numbered("2.7"), no_step).notes
    # three batches of one point in the plane
    assert notes[0].startswith("With x = [[[")
    assert "sigma = [[" in notes[0]
    assert "optimizer" not in notes[0]


def test_a_number_is_asked_for_where_a_list_comes() -> None:
    result = examine(exercise_numbered("1.3"), lambda points, bins: [0.5])
    assert "should return one value, not a list of 1" in result.message


def test_legends_say_whose_function_is_drawn() -> None:
    def right(x: Tensor, mean: Tensor, std: float) -> Tensor:
        return (mean - x) / std**2

    check("1.1", right)
    assert whose("1.1") == "yours"
    check("1.1", None)
    assert whose("1.1") == "the library's"
    check("1.1", right)
    with pytest.raises(ValueError, match="unknown exercise"):
        whose("1.99")


def test_a_gate_takes_a_loss_as_it_is() -> None:
    loss = torch.tensor(1e-9, requires_grad=True) * 2
    assert gate("4.1", loss).value == pytest.approx(2e-9)


# what is found by fitting


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda x, m, s: (m - x) * s, "Everywhere yours is std^3 times the expected answer."),
        (
            lambda x, m, s: (x - m) / s**4 * x.shape[1],
            "D times the expected answer divided by std^2, with the sign turned round.",
        ),
        (lambda x, m, s: 3 * (m - x) / s**2.5, "3 times the expected answer divided by the root of std."),
        (lambda x, m, s: 0 * x, "Yours is 0 everywhere."),
        (lambda x, m, s: (m - x) / s**2.2, ""),
    ],
)
def test_a_product_of_powers_is_found(answer: Callable[..., Any], told: str) -> None:
    found = names(examine(exercise_numbered("1.1"), answer))
    assert [line for line in found if told in line] if told else found == []


PARTS: list[tuple[str, Callable[..., Any], str]] = [
    ("3.1", lambda x, s, a, z: x + 2 * a * s + a**0.5 * z, "the factor of score is 4 times what it should be."),
    (
        "3.1",
        lambda x, s, a, z: x + a / 2 * s + a * z / 3,
        "the factor of noise is 0.3333 times the root of alpha times what it should be.",
    ),
    (
        "2.2",
        lambda x, s, z: s[:, None] * x + z,
        "the factor of x is sigma times what it should be; the factor of noise is what it should be divided by sigma.",
    ),
    ("4.3", lambda x0, t, z, ab: (1 - ab[t][:, None]).sqrt() * z, "x0 is left out."),
    (
        "4.3",
        lambda x0, t, z, ab: ab[t][:, None].sqrt() * (x0 + z),
        "the factor of noise is another than it should be.",
    ),
    (
        "4.7",
        lambda x, s, f, g, dt, z, stochastic: (
            x - (f - g**2 * s * (2 if stochastic else 1)) * dt + stochastic * g * dt**0.5 * z
        ),
        "the factor of score is 2 times what it should be.",
    ),
]


@pytest.mark.parametrize(
    ("number", "answer", "told"), PARTS, ids=[f"{number}-{i}" for i, (number, *_) in enumerate(PARTS)]
)
def test_the_parts_of_a_sum_are_seen_one_by_one(number: str, answer: Callable[..., Any], told: str) -> None:
    assert names(examine(exercise_numbered(number), answer)) == [f"Seen part by part: {told}"]
