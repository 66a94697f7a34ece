"""Held-out rows: kept in type and order, in proportion, and never all or none."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ncsn.data import split
from ncsn.errors import DataError, SettingError


@pytest.mark.parametrize("convert", [lambda x: x, torch.from_numpy, lambda x: pd.DataFrame(x, columns=["a", "b"])])
def test_split_keeps_type_rows_and_seed(convert: Callable[[Any], Any]) -> None:
    x = np.arange(200.0).reshape(100, 2)
    train, held_out, train_labels, held_out_labels = split(convert(x), np.arange(100) % 5, 0.2, seed=3)
    assert type(train) is type(convert(x)) and (len(train), len(held_out)) == (80, 20)
    both = np.concatenate([np.asarray(train), np.asarray(held_out)])
    assert np.array_equal(np.sort(both[:, 0]), x[:, 0])
    assert np.array_equal(held_out_labels, np.asarray(held_out)[:, 0] // 2 % 5) and len(train_labels) == 80
    again = split(convert(x), np.arange(100) % 5, 0.2, seed=3)
    assert np.array_equal(np.asarray(again.held_out), np.asarray(held_out))
    assert not np.array_equal(np.asarray(split(convert(x), None, 0.2, seed=4).held_out), np.asarray(held_out))


def test_split_is_proportional_by_class_even_for_rare_ones() -> None:
    labels = np.array(["a"] * 70 + ["b"] * 29 + ["c"])
    counts = []
    for seed in range(50):
        held = split(np.zeros((100, 1)), labels, 0.2, seed=seed).held_out_labels
        assert len(held) == 20 and 13 <= (held == "a").sum() <= 15 and 5 <= (held == "b").sum() <= 7
        counts.append((held == "c").sum())
    # the only one of its class is always left to train on
    assert not any(counts)
    # Every row is held back equally often.
    held = np.concatenate([split(np.arange(20)[:, None], np.arange(20) % 2, 5, seed=s).held_out for s in range(400)])
    assert np.abs(np.bincount(held[:, 0], minlength=20) - 100).max() < 4.5 * math.sqrt(75)


@pytest.mark.parametrize("seed", range(5))
def test_no_class_is_held_back_whole(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(30), generator.integers(30, 34, 70)])
    parts = split(np.arange(100), generator.permutation(labels), 0.3, seed=seed)
    assert set(parts.train_labels) == set(labels) and len(parts.held_out) == 30
    assert sorted([*parts.train, *parts.held_out]) == list(range(100))
    twos = np.repeat(np.arange(10), 2)
    assert set(split(twos, twos, 0.5, seed=seed).train_labels) == set(range(10))
    with pytest.raises(
        DataError, match=r"10 classes of 20 rows are too few rows each to hold 11 back and leave one of"
    ):
        split(twos, twos, 11, seed=seed)


@pytest.mark.parametrize(
    ("n", "holdout", "expected"), [(2, 0.2, 1), (2, 0.99, 1), (10, 3, 3), (10, 9, 9), (1000, 0.5, 500)]
)
def test_split_never_leaves_a_side_empty(n: int, holdout: float, expected: int) -> None:
    train, held_out, train_labels, _ = split(np.arange(n), None, holdout)
    assert (len(train), len(held_out)) == (n - expected, expected) and train_labels is None


def test_split_refuses() -> None:
    with pytest.raises(DataError, match="1 row cannot be split"):
        split(np.zeros((1, 2)))
    with pytest.raises(DataError, match="3 labels for 4 rows"):
        split(np.zeros((4, 2)), np.zeros(3))
    for holdout in (0, 4, -1, 0.0, 1.0, -0.5, math.nan, 2.5):
        with pytest.raises(SettingError, match="holdout must be a share between 0 and 1, or from 1 to 3 of the 4 rows"):
            split(np.zeros((4, 2)), None, holdout)
