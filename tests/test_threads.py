"""Small networks take few threads, whatever the machine has, and what a user says goes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from ncsn import (
    NCSN,
    EmpiricalScore,
    NCSNScoreNetwork,
    PreconditionedScore,
    ResidualMLP,
    log_density,
    sample,
    swiss_roll,
)
from ncsn.flow import carry
from ncsn.noise import Geometric
from ncsn.threads import threads_that_pay
from ncsn.training import Recipe, Trainer

MANY = 3


@pytest.fixture(autouse=True)
def many(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let PyTorch have several threads, and nothing in the environment say how many."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(MANY)
    yield
    torch.set_num_threads(before)


class Watched(nn.Module):
    """A small network that notes with how many threads it is called, for its copies too."""

    seen: ClassVar[set[int]] = set()

    def __init__(self, size: int = 8) -> None:
        super().__init__()
        self.layer = nn.Linear(size, size)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        self.seen.add(torch.get_num_threads())
        return self.layer(x)


LEVELS = torch.tensor([10.0, 1.0, 0.1])


@pytest.mark.parametrize(
    "use",
    [
        lambda model: sample(model, LEVELS, 4, 8),
        lambda model: carry(model, torch.zeros(4, 8), 0.1, 10.0),
        lambda model: log_density(model, torch.zeros(4, 8), 0.1, 10.0, covariance=1.0),
        lambda model: NCSN(model, sigma_min=0.1, sigma_max=5.0, n_sigmas=3).train_step(torch.zeros(4, 8)),
        lambda model: Trainer(
            model, torch.randn(50, 8), Recipe(Geometric(sigma_min=0.1, sigma_max=5.0), 3, 16, 1e-3)
        ).run(),
    ],
    ids=["sampling", "flow", "densities", "a step", "training"],
)
def test_small_networks_take_one_thread_and_all_are_there_after(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = PreconditionedScore(Watched())
    Watched.seen.clear()
    use(model)
    assert Watched.seen == {1}
    assert torch.get_num_threads() == MANY
    Watched.seen.clear()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    use(model)
    assert Watched.seen == {MANY}
    assert torch.get_num_threads() == MANY


def test_each_hundred_million_multiplications_are_worth_a_thread() -> None:
    wide = nn.Linear(1000, 1000, bias=False)
    for rows, threads in ((1, 1), (199, 1), (200, 2), (399, 3), (10_000, 3)):
        with threads_that_pay(wide, rows):
            assert torch.get_num_threads() == threads
    torch.set_num_threads(2)
    with threads_that_pay(wide, 10_000):
        assert torch.get_num_threads() == 2


def test_convolutions_and_what_has_no_weights_keep_all() -> None:
    for model in (nn.Conv2d(1, 1, 3), EmpiricalScore(torch.zeros(3, 2)), lambda x, sigma: -x):
        with threads_that_pay(model, 1):
            assert torch.get_num_threads() == MANY


def test_they_are_put_back_where_something_is_raised() -> None:
    with pytest.raises(ZeroDivisionError), threads_that_pay(nn.Linear(1, 1), 1):
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == MANY


def test_one_inside_another_may_take_more_and_gives_them_back_to_it() -> None:
    with threads_that_pay(nn.Linear(1, 1), 1):
        with threads_that_pay(nn.Linear(1000, 1000), 1000):
            assert torch.get_num_threads() == MANY
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == MANY


def test_what_a_callback_asks_for_stays() -> None:
    with threads_that_pay(nn.Linear(1, 1), 1):
        torch.set_num_threads(2)
    assert torch.get_num_threads() == 2


def test_several_python_threads_give_back_what_the_user_has() -> None:
    first_in, second_out = threading.Event(), threading.Event()
    inside: list[int] = []
    after: list[int] = []

    def first() -> None:
        with threads_that_pay(nn.Linear(1, 1), 1):
            first_in.set()
            assert second_out.wait(10)
        after.append(torch.get_num_threads())

    def second() -> None:
        # it begins while the first has one, and ends before it
        with threads_that_pay(nn.Linear(1000, 1000), 10_000):
            inside.append(torch.get_num_threads())
        after.append(torch.get_num_threads())

    one = threading.Thread(target=first)
    one.start()
    assert first_in.wait(10)
    other = threading.Thread(target=second)
    other.start()
    other.join(10)
    second_out.set()
    one.join(10)
    assert inside == [MANY] and after == [MANY, MANY] and torch.get_num_threads() == MANY


def test_the_page_and_the_plane_are_small() -> None:
    models = NCSNScoreNetwork(2, [128, 128, 128]), PreconditionedScore(ResidualMLP((2,), 128, 3))
    for model in models:
        with threads_that_pay(model, 512):
            assert torch.get_num_threads() == 1
    seen = set()
    NCSN(training_steps=50).fit(swiss_roll(200), callback=lambda progress: seen.add(torch.get_num_threads()))
    assert seen == {MANY}
