"""Draws as ArviZ takes them, where it is installed."""

import sys

import numpy as np
import pytest

from ncsn.errors import DataError, SettingError
from ncsn.inference import to_arviz


def test_draws_keep_their_names_and_chains() -> None:
    pytest.importorskip("arviz_base")
    draws = np.random.default_rng(0).standard_normal((4, 100, 2))
    tree = to_arviz(draws, names=["rate", "scale"], observed=[1.0, 2.0])
    assert tree["posterior"].sizes == {"chain": 4, "draw": 100}
    np.testing.assert_array_equal(tree["posterior"]["scale"], draws[..., 1])
    np.testing.assert_array_equal(tree["observed_data"]["x"], [1.0, 2.0])
    assert to_arviz(draws[0])["posterior"]["theta"].shape == (1, 100, 2)


def test_without_arviz_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arviz_base", None)
    with pytest.raises(SettingError, match=r"needs ArviZ: pip install 'ncsn\[arviz\]'"):
        to_arviz(np.zeros((3, 2)))


def test_what_is_no_set_of_draws_is_refused() -> None:
    with pytest.raises(DataError, match=r"draws must be .* not \(3,\)"):
        to_arviz(np.zeros(3))
    with pytest.raises(SettingError, match="1 names for 2 parameters"):
        to_arviz(np.zeros((3, 2)), names=["a"])
