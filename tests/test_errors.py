"""The messages of errors: what is wrong, and what would be right."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from torch import nn

from ncsn import NCSN
from ncsn.errors import (
    DataError,
    DivergenceError,
    RunError,
    SettingError,
    check_count,
    check_number,
    unknown_name,
)
from ncsn.networks.contract import say_what_is_trained


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("geometrc", "unknown schedule 'geometrc'; did you mean 'geometric'? known: geometric, linear, karras"),
        ("karas", "unknown schedule 'karas'; did you mean 'karras'? known: geometric, linear, karras"),
        ("zzz", "unknown schedule 'zzz'; known: geometric, linear, karras"),
        (None, "unknown schedule None; known: geometric, linear, karras"),
    ],
)
def test_unknown_names_come_with_the_nearest(name: Any, hint: str) -> None:
    error = unknown_name("schedule", name, ["geometric", "linear", "karras"])
    assert type(error) is SettingError
    assert str(error) == hint


def test_unknown_name_offers_all_that_are_near() -> None:
    message = str(unknown_name("sampler", "langevins", iter(["langevin", "annealed_langevin", "heun"])))
    assert "did you mean 'langevin' or 'annealed_langevin'? known: langevin, annealed_langevin, heun" in message


@pytest.mark.parametrize("value", [1, 7, np.int64(3), np.uint8(1)])
def test_counts_that_count(value: Any) -> None:
    check_count("n", value)


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", None, True, np.int64(0), np.float64(2)])
def test_counts_that_do_not(value: Any) -> None:
    with pytest.raises(SettingError, match=r"^n_levels must be a whole number of at least 1, not ") as caught:
        check_count("n_levels", value)
    assert str(caught.value).endswith(repr(value))


def test_counts_may_begin_at_nothing() -> None:
    check_count("n", 0, least=0)
    with pytest.raises(SettingError, match="n must be a whole number of at least 0, not -1"):
        check_count("n", -1, least=0)


@pytest.mark.parametrize("value", [1, 0.5, np.float32(2), np.int64(3), 1e300, Fraction(1, 3)])
def test_numbers_within_their_bounds(value: Any) -> None:
    check_number("x", value)
    check_number("x", value, above=0)
    check_number("x", value, least=0)


@pytest.mark.parametrize(
    ("bounds", "values", "message"),
    [
        ({}, [math.inf, -math.inf, math.nan, "1", None, True, 1j], "x must be a finite number, not "),
        ({"above": 0}, [0, -0.5, math.inf, math.nan, "1", None], "x must be a positive finite number, not "),
        ({"above": 1}, [1, 0.5, math.nan], "x must be a finite number above 1, not "),
        ({"least": 0}, [-1e-9, math.inf, math.nan, False], "x must be a finite number of at least 0, not "),
    ],
)
def test_numbers_out_of_bounds(bounds: dict[str, float], values: list[Any], message: str) -> None:
    for value in values:
        with pytest.raises(SettingError) as caught:
            check_number("x", value, **bounds)
        assert str(caught.value) == f"{message}{value!r}"


def test_errors_are_caught_by_their_python_kind() -> None:
    assert issubclass(SettingError, ValueError)
    assert issubclass(DataError, ValueError)
    assert issubclass(RunError, RuntimeError)
    assert issubclass(DivergenceError, RuntimeError)
    assert not issubclass(DivergenceError, RunError)


def test_warnings_name_the_line_of_the_program_however_deep_they_arise() -> None:
    net = nn.Linear(2, 2)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = net

        def forward(self, x: Any, sigma: Any) -> Any:
            return self.layer(x)

    with pytest.warns(UserWarning, match="is trained as the score") as direct:
        say_what_is_trained(net)
    # by way of scikit-learn's face, torch's inference mode and the fit
    with pytest.warns(UserWarning, match="is trained as the score") as deep:
        NCSN(Net(), training_steps=1, random_state=0).fit(np.random.default_rng(0).normal(size=(20, 2)))
    assert direct[0].filename == deep[0].filename == __file__
