"""Containers: what goes in comes out, against pandas, NumPy and torch themselves."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from torch import Tensor

from ncsn.data import Container
from ncsn.errors import DataError, RunError

ROWS = torch.tensor([[-0.4, 0.6], [2.5, -1.2], [3.51, 300.7]], dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floating_tensors(dtype: torch.dtype) -> None:
    restored = Container.of(torch.zeros(2, 2, dtype=dtype)).restore(ROWS)
    assert restored.dtype == dtype
    assert torch.equal(restored, ROWS.to(dtype))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.int64, [[0, 1], [2, -1], [4, 301]]),
        (torch.int8, [[0, 1], [2, -1], [4, 127]]),
        (torch.uint8, [[0, 1], [2, 0], [4, 255]]),
        (torch.bool, [[False, True], [True, False], [True, True]]),
    ],
)
def test_whole_tensors_are_rounded_and_kept_within_their_type(dtype: torch.dtype, expected: list[list[int]]) -> None:
    restored = Container.of(torch.zeros(2, 2, dtype=dtype)).restore(ROWS)
    assert restored.dtype == dtype
    assert restored.tolist() == expected


def test_tensors_go_where_they_were_or_where_asked() -> None:
    container = Container.of(torch.zeros(2, 2, device="meta"))
    assert container.restore(ROWS).device.type == "meta"
    assert container.restore(ROWS, "cpu").device.type == "cpu"
    assert Container.from_dict(container.to_dict()).restore(ROWS).device.type == "cpu"


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float32", ROWS.numpy().astype(np.float32)),
        ("float64", ROWS.numpy()),
        ("int16", [[0, 1], [2, -1], [4, 301]]),
        ("uint8", [[0, 1], [2, 0], [4, 255]]),
        ("bool", [[False, True], [True, False], [True, True]]),
    ],
)
def test_arrays(dtype: str, expected: npt.ArrayLike) -> None:
    restored = Container.of(np.zeros((2, 2), dtype=dtype)).restore(ROWS)
    assert restored.dtype == dtype
    np.testing.assert_array_equal(restored, expected)


def test_lists_and_objects_count_as_arrays() -> None:
    assert Container.of([[1, 2], [3, 4]]).restore(ROWS).dtype == np.int64
    assert Container.of([[1, 2.5]]).restore(ROWS).dtype == np.float64
    assert Container.of(np.array([[1, 2.5]], dtype=object)).restore(ROWS).dtype == np.float64


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32"])
def test_values_beyond_the_largest_whole_number_stay_at_it(dtype: str) -> None:
    top = np.iinfo(dtype).max
    restored = Container.of(np.zeros((2, 1), dtype=dtype)).restore(
        torch.tensor([[1e30], [-1e30], [float(top)]]).double()
    )
    # the largest 64-bit number that is a float64 is 1,024 or 2,048 below the top
    assert 0 <= top - int(restored[0, 0]) < 4096
    assert int(restored[1, 0]) == np.iinfo(dtype).min
    assert restored[2, 0] > top // 2


def test_images_keep_their_shape() -> None:
    images = torch.rand(3, 2, 4, 5, dtype=torch.float64) * 255
    restored = Container.of(np.zeros((7, 2, 4, 5), dtype=np.uint8)).restore(images)
    np.testing.assert_array_equal(restored, images.numpy().round().astype(np.uint8))


FRAME = pd.DataFrame(
    {
        "float": [0.5, 1.5, 2.5],
        "single": np.array([0.5, 1.5, 2.5], dtype=np.float32),
        "whole": np.array([1, 2, 3], dtype=np.int16),
        "flag": [True, False, True],
        "nullable": pd.array([1, 2, 3], dtype="UInt8"),
        "nullable float": pd.array([1, 2, 3], dtype="Float32"),
        "nullable flag": pd.array([True, False, True], dtype="boolean"),
        "arrow": pd.array([1, 2, 3], dtype="int32[pyarrow]"),
        "arrow float": pd.array([1.5, 2, 3], dtype="double[pyarrow]"),
    },
    index=["x", "y", "z"],
)


def numbers(frame: pd.DataFrame) -> Tensor:
    return torch.tensor(frame.to_numpy(dtype=np.float64))


def test_frames_keep_columns_and_types() -> None:
    restored = Container.of(FRAME).restore(numbers(FRAME))
    pd.testing.assert_frame_equal(restored, FRAME.reset_index(drop=True))


def test_frames_round_and_bound_each_column_by_its_type() -> None:
    restored = Container.of(FRAME).restore(torch.full((1, 9), -1.6, dtype=torch.float64)).iloc[0].tolist()
    assert restored == [-1.6, np.float32(-1.6), -2, False, 0, np.float32(-1.6), False, -2, -1.6]


@pytest.mark.parametrize(
    "columns",
    [
        pd.Index(["a", "b", "ü"], name="names"),
        pd.RangeIndex(3),
        pd.Index([10, 20, 30]),
        pd.Index([0.5, 1.5, 2.5], name="level"),
        pd.date_range("2020-01-01", periods=3, freq="D"),
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["letter", None]),
        pd.Index(["a", 1, None], dtype=object),
    ],
    ids=["text", "range", "whole", "float", "dates", "levels", "mixed"],
)
def test_column_labels_survive_json(columns: Any) -> None:
    frame = pd.DataFrame(np.eye(3), columns=columns)
    container = Container.of(frame)
    pd.testing.assert_frame_equal(container.restore(numbers(frame)), frame)
    loaded = Container.from_dict(json.loads(json.dumps(container.to_dict())))
    pd.testing.assert_frame_equal(loaded.restore(numbers(frame)), frame, check_freq=False)
    loaded.check_columns(frame)


def test_types_survive_json() -> None:
    loaded = Container.from_dict(json.loads(json.dumps(Container.of(FRAME).to_dict())))
    pd.testing.assert_frame_equal(loaded.restore(numbers(FRAME)), FRAME.reset_index(drop=True))


def test_labels_without_a_plain_form_are_refused() -> None:
    container = Container.of(pd.DataFrame(np.eye(2), columns=[pd.Interval(0, 1), pd.Interval(1, 2)]))
    with pytest.raises(
        RunError, match=r"the column label Interval\(0, 1, .*\) cannot be saved; name that column by text"
    ):
        container.to_dict()


@pytest.mark.parametrize(
    ("column", "held"),
    [
        (pd.Series(["x", "y"]), "str"),
        (pd.Series(["1", "2"], dtype=object), "str"),
        (pd.Series([1, "y"], dtype=object), "str"),
        (pd.Series([[1], [2]]), "list"),
        (pd.Series([1, 2], dtype="category"), "category"),
        (pd.to_datetime(pd.Series(["2020-01-01", "2020-01-02"])), r"datetime64\[\w+\]"),
        (pd.Series([1 + 2j, 3]), "complex128"),
        (pd.Series(["x", "y"], dtype="string[pyarrow]"), "string"),
    ],
)
def test_columns_without_numbers_are_named(column: Any, held: str) -> None:
    with pytest.raises(DataError, match=rf"column 'b' holds {held}, not numbers; encode it, drop it, or pass it as y"):
        Container.of(pd.DataFrame({"a": [1.0, 2.0], "b": column}))


def test_objects_that_are_numbers_pass() -> None:
    frame = pd.DataFrame({"a": pd.Series([1, 2.5, None, pd.NA], dtype=object)})
    assert Container.of(frame).dtypes == ("object",)


def test_complex_tensors_and_columns_of_one_name_are_refused() -> None:
    with pytest.raises(DataError, match="X holds complex numbers; give real ones"):
        Container.of(torch.zeros(2, 2, dtype=torch.complex64))
    with pytest.raises(DataError, match="more than one column 'a'; rename or drop all but one"):
        Container.of(pd.DataFrame(np.eye(3), columns=["a", "b", "a"]))


def test_other_columns_are_refused_by_name() -> None:
    container = Container.of(pd.DataFrame(np.eye(3), columns=["a", "b", "c"]))
    container.check_columns(pd.DataFrame(np.zeros((1, 3)), columns=["a", "b", "c"]))
    container.check_columns(np.zeros((1, 3)))
    with pytest.raises(
        DataError, match=r"the columns lack \['c'\] and have besides \['d'\]; .* fitted on \['a', 'b', 'c'\]"
    ):
        container.check_columns(pd.DataFrame(np.eye(3), columns=["a", "b", "d"]))
    with pytest.raises(DataError, match=r"the columns lack \['b', 'c'\]; the model"):
        container.check_columns(pd.DataFrame(np.eye(1), columns=["a"]))
    with pytest.raises(DataError, match=r"in another order than fitted; reorder them as \['a', 'b', 'c'\]"):
        container.check_columns(pd.DataFrame(np.eye(3), columns=["b", "a", "c"]))
