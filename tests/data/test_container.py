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
from ncsn.data.tables import describe
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


def container_of(frame: pd.DataFrame) -> Container:
    """Return the container of a frame, all columns of which are numbers."""
    given = {str(name): "number" for name in frame.columns}
    table = describe(frame, given)
    return Container.of_frame(frame, [column.name for column in table], [column.type for column in table])


def numbers(frame: pd.DataFrame) -> Tensor:
    return torch.tensor(frame.to_numpy(dtype=np.float64))


def test_frames_keep_columns_and_types() -> None:
    container = container_of(FRAME)
    restored = container.restore(numbers(FRAME))
    pd.testing.assert_frame_equal(restored, FRAME.reset_index(drop=True))
    np.testing.assert_array_equal(container.numbers(FRAME), numbers(FRAME))


def test_frames_round_and_bound_each_column_by_its_type_and_what_was_seen() -> None:
    restored = container_of(FRAME).restore(torch.full((1, 9), -1.6, dtype=torch.float64)).iloc[0].tolist()
    assert restored == [0.5, 0.5, 1, False, 1, 1.0, False, 1, 1.5]
    restored = container_of(FRAME).restore(torch.full((1, 9), 2.2, dtype=torch.float64)).iloc[0].tolist()
    assert restored == [2.2, np.float32(2.2), 2, True, 2, 2.0, True, 2, 2.2]


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
    container = container_of(frame)
    pd.testing.assert_frame_equal(container.restore(numbers(frame)), frame)
    np.testing.assert_array_equal(container.numbers(frame), numbers(frame))
    loaded = Container.from_dict(json.loads(json.dumps(container.to_dict())))
    pd.testing.assert_frame_equal(loaded.restore(numbers(frame)), frame, check_freq=False)
    loaded.check_columns(frame)


def test_types_survive_json() -> None:
    loaded = Container.from_dict(json.loads(json.dumps(container_of(FRAME).to_dict())))
    pd.testing.assert_frame_equal(loaded.restore(numbers(FRAME)), FRAME.reset_index(drop=True))


def test_labels_without_a_plain_form_are_refused() -> None:
    container = container_of(pd.DataFrame(np.eye(2), columns=[pd.Interval(0, 1), pd.Interval(1, 2)]))
    with pytest.raises(
        RunError, match=r"the column label Interval\(0, 1, .*\) cannot be saved; name that column by text"
    ):
        container.to_dict()


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (
            {"a": ["x"]},
            r"column 'a' holds what is no number \(.*'x'\); the model was fitted on whole numbers from 1 to 3",
        ),
        (
            {"a": pd.to_datetime(["2020-01-01"])},
            r"column 'a' holds datetime64\[us\], no numbers; the model was fitted on",
        ),
        ({"a": [1j]}, "column 'a' holds complex128, no numbers"),
        ({"b": [20200131]}, "column 'b' holds int64; the model was fitted on dates from 2020-01-30 to 2020-02-01"),
        ({"b": ["soon"]}, r"column 'b' holds what is no such date \(.*soon.*\); the model was fitted on dates"),
        ({"b": pd.to_timedelta(["1h"])}, r"column 'b' holds timedelta64\[us\]; the model was fitted on dates"),
    ],
)
def test_cells_that_a_column_cannot_hold_are_named(new: dict[str, Any], message: str) -> None:
    days = pd.to_datetime(["2020-01-30", "2020-01-31", "2020-02-01"])
    frame = pd.DataFrame({"a": [1, 2, 3], "b": days})
    table = describe(frame)
    container = Container.of_frame(frame, list("ab"), [column.type for column in table])
    assert container.numbers(frame[:1]).tolist() == [[1, 1580342400]]
    with pytest.raises(DataError, match=message):
        container.numbers(pd.DataFrame({"a": [1], "b": days[:1]} | new))


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="X holds complex numbers; give real ones"):
        Container.of(torch.zeros(2, 2, dtype=torch.complex64))
    with pytest.raises(DataError, match="Complex data not supported: X holds complex numbers; give real ones"):
        Container.of(np.zeros((2, 2), dtype=complex))


def test_other_columns_are_refused_by_name() -> None:
    container = container_of(pd.DataFrame(np.eye(3), columns=["a", "b", "c"]))
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


def test_columns_that_were_left_out_may_be_there_or_not() -> None:
    frame = pd.DataFrame(np.eye(4), columns=["a", "b", "c", 4])
    container = Container.of_frame(frame, ["a", "c"], container_of(frame[["a", "c"]]).types)
    loaded = Container.from_dict(json.loads(json.dumps(container.to_dict())))
    for other in (frame, frame[["a", "c"]], frame[["b", "a", "c"]]):
        for known in (container, loaded):
            known.check_columns(other)
            assert known.numbers(other).tolist() == frame[["a", "c"]].to_numpy().tolist()
    with pytest.raises(DataError, match=r"another order than fitted; reorder them as \['a', 'c'\]"):
        container.check_columns(frame[["c", "a", "b"]])
    with pytest.raises(DataError, match=r"the columns have besides \['d'\]"):
        container.check_columns(frame.assign(d=1.0))
