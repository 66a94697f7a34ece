"""Labels and their codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ncsn.data.labels import encode_labels, label_codes
from ncsn.errors import DataError, SettingError


@pytest.mark.parametrize(
    ("y", "classes", "codes"),
    [
        ([3, 1, 3], [1, 3], [1, 0, 1]),
        (np.array([[2.0], [0.0], [2.0]]), [0.0, 2.0], [1, 0, 1]),
        (["b", "a", "b"], ["a", "b"], [1, 0, 1]),
        (np.array(["b", "a", "b"], dtype=object), ["a", "b"], [1, 0, 1]),
        ([True, False, True], [False, True], [1, 0, 1]),
        (torch.tensor([5, 4, 5]), [4, 5], [1, 0, 1]),
        (pd.Series(["y", "x", "y"], dtype="category"), ["x", "y"], [1, 0, 1]),
        (pd.Series([7, 7, 7]), [7], [0, 0, 0]),
    ],
)
def test_labels_are_sorted_into_classes(y: Any, classes: list[Any], codes: list[int]) -> None:
    found, encoded = encode_labels(y, 3)
    assert found.tolist() == classes
    assert encoded.tolist() == codes


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1, 2], "2 labels for 3 rows; one label per row is needed"),
        (np.zeros((3, 2)), "6 labels for 3 rows"),
        ([1.0, np.nan, 2.0], "the label of row 2 is missing; give it one, or drop the row"),
        (["a", "b", None], "the label of row 3 is missing"),
        (pd.array([pd.NA, 1, 2], dtype="Int64"), "the label of row 1 is missing"),
        (
            np.array(["a", 1, 2], dtype=object),
            "labels must be all numbers or all text, not int, str; convert them first",
        ),
        (pd.date_range("2020-01-01", periods=3), "labels must be all numbers or all text, not"),
        ([1j, 2, 3], "labels must be all numbers or all text, not complex"),
        ([0.25, 1.0, 2.0], "labels are fractions, as of a regression; bin them into classes, or leave y out"),
    ],
)
def test_bad_labels_are_refused(y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode_labels(y, 3)


def test_a_label_becomes_its_code() -> None:
    text, whole = np.array(["a", "b", "c"]), np.array([2, 3, 5])
    assert label_codes(text, None, 4) is None
    for label, n, expected in (("b", 3, [1, 1, 1]), (["c", "a"], 2, [2, 0]), (np.array(["b"], dtype=object), 1, [1])):
        codes = label_codes(text, label, n)
        assert codes is not None
        assert codes.tolist() == expected
    for number in (5, 5.0, np.int64(5), torch.tensor(5)):
        codes = label_codes(whole, number, 2)
        assert codes is not None
        assert codes.tolist() == [2, 2]


def test_unknown_labels_are_refused() -> None:
    classes = np.array(["setosa", "versicolor"])
    with pytest.raises(SettingError, match=r"unknown label 'setsa'; did you mean 'setosa'\? known: setosa, versicolor"):
        label_codes(classes, "setsa", 3)
    with pytest.raises(SettingError, match="unknown label 4; known: 2, 3"):
        label_codes(np.array([2, 3]), [2, 4], 2)
    with pytest.raises(SettingError, match="2 labels for 3 rows; give one, or one for each"):
        label_codes(classes, ["setosa", "setosa"], 3)
    with pytest.raises(SettingError, match=r"fitted without labels; fit\(X, y\) makes it class-conditional"):
        label_codes(None, "setosa", 3)
