"""The messages of errors: what is wrong, and what would be right."""

from typing import Any

import numpy as np
import pytest

from ncsn.errors import DataError, DivergenceError, RunError, check_count, unknown_name


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
    assert type(error) is ValueError
    assert str(error) == hint


def test_unknown_name_offers_all_that_are_near() -> None:
    message = str(unknown_name("sampler", "langevins", iter(["langevin", "annealed_langevin", "heun"])))
    assert "did you mean 'langevin' or 'annealed_langevin'? known: langevin, annealed_langevin, heun" in message


@pytest.mark.parametrize("value", [1, 7, np.int64(3), np.uint8(1)])
def test_counts_that_count(value: Any) -> None:
    check_count("n", value)


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", None, True, np.int64(0), np.float64(2)])
def test_counts_that_do_not(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^n_levels must be a whole number of at least 1, not ") as caught:
        check_count("n_levels", value)
    assert str(caught.value).endswith(repr(value))


def test_errors_are_caught_by_their_python_kind() -> None:
    assert issubclass(DataError, ValueError)
    assert issubclass(RunError, RuntimeError)
    assert issubclass(DivergenceError, RuntimeError)
    assert not issubclass(DivergenceError, RunError)
