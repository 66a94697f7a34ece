"""Files of every format: read, written, read again, and refused where they are damaged."""

import errno
import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from disks import disk_full_after
from PIL import Image

from ncsn.data import FORMATS, Dialect, load, save_samples, swiss_roll
from ncsn.data.formats import check_cells, has_labels
from ncsn.errors import DataError, RunError

from .common import loaded, seeded

MIXED = pd.DataFrame(
    {
        "whole": pd.array([1, None, 3], "Int64"),
        "length": [0.5, np.nan, 1e-300],
        "ripe": pd.array([True, None, False], "boolean"),
        "name": ["Zo\u00eb; 1,5", None, 'a "quoted" one'],
        "kind": pd.Categorical(["b", None, "a"], categories=["b", "a", "c"]),
        "day": pd.to_datetime(["2020-01-31", "", "1969-12-31"]),
    }
)
"""A table of every type, with a gap in each."""

FRAME = pd.DataFrame(
    {"size": [1, 2, 3, 4], "weight": [0.5, 1.25, 1e-3, 2.0], "ripe": [True, False, True, True], "kind": list("abab")}
)


# Every format


READABLE = [ending for ending, kind in FORMATS.items() if kind.read is not None]
TABLES = [ending for ending, kind in FORMATS.items() if kind.is_table]


@pytest.mark.parametrize("ending", READABLE)
@pytest.mark.parametrize("upper", [False, True], ids=["small", "capital"])
def test_what_is_written_is_read_again(tmp_path: Path, ending: str, upper: bool) -> None:
    path = tmp_path / f"rows{ending.upper() if upper else ending}"
    x = np.random.default_rng(0).normal(size=(40, 3)) * [1e-9, 1.0, 1e9]
    for values in (x, torch.from_numpy(x), pd.DataFrame(x, columns=["a", "b", "c"])):
        save_samples(values, path)
        data = load(path)
        assert data.name == "rows" and data.labels is None
        # text keeps every digit of a float64
        np.testing.assert_array_equal(np.asarray(data.values), x)
        assert isinstance(data.values, pd.DataFrame) == FORMATS[ending].is_table
        assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", READABLE)
@pytest.mark.parametrize("labels", [list("abca"), [2, 0, 1, 2]], ids=["text", "whole"])
def test_labels_are_written_where_the_format_has_a_place_for_them(
    tmp_path: Path, ending: str, labels: list[Any]
) -> None:
    path, x = tmp_path / f"a{ending}", np.arange(12.0).reshape(4, 3)
    assert has_labels(path) == FORMATS[ending].has_labels
    if not has_labels(path):
        with pytest.raises(DataError, match=f"{ending} has no place for labels"):
            save_samples(x, path, labels=labels)
        assert not path.exists()
        return
    save_samples(x, path, labels=labels, label_name="kind")
    data = loaded(path, label="kind")
    assert data.labels.tolist() == labels and data.label_name == "kind"
    np.testing.assert_array_equal(np.asarray(data.values), x)


@pytest.mark.parametrize("ending", [ending for ending in READABLE if ending not in TABLES])
def test_what_is_no_table_holds_images_and_their_type(tmp_path: Path, ending: str) -> None:
    images = np.arange(5 * 3 * 4 * 4, dtype=np.uint8).reshape(5, 3, 4, 4)
    save_samples(images, tmp_path / f"a{ending}")
    values = loaded(tmp_path / f"a{ending}").values
    assert values.dtype == np.uint8
    np.testing.assert_array_equal(values, images)


@pytest.mark.parametrize("ending", TABLES)
def test_tables_hold_no_images_but_the_types_of_their_columns(tmp_path: Path, ending: str) -> None:
    with pytest.raises(DataError, match=r"samples of shape \(4, 2, 2\) are no table; use .npy, .npz or .png"):
        save_samples(np.zeros((4, 2, 2)), tmp_path / f"a{ending}")
    frame = FRAME.drop(columns="kind")
    save_samples(frame, tmp_path / f"a{ending}")
    pd.testing.assert_frame_equal(loaded(tmp_path / f"a{ending}").values, frame)


@pytest.mark.parametrize("ending", [ending for ending in FORMATS if ending not in READABLE])
def test_what_is_only_drawn_is_not_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    for samples in (swiss_roll(20, seeded()), np.zeros((4, 6, 6))):
        save_samples(samples, path)
        with Image.open(path) as drawn:
            assert drawn.format == ending.removeprefix(".").upper()
    with pytest.raises(DataError, match=rf"unknown ending '\{ending}'; data comes as {' '.join(READABLE)} or a folder"):
        load(path)


# Reading


@pytest.mark.parametrize("ending", ["csv", "parquet", "CSV"])
def test_tables_keep_their_columns_and_types(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"fruit.{ending}"
    FRAME.to_parquet(path) if ending == "parquet" else FRAME.to_csv(path, index=False)
    data = loaded(path, label="kind")
    assert data.name == "fruit" and data.label_name == "kind" and list(data.labels) == list("abab")
    assert list(data.values.columns) == ["size", "weight", "ripe"]
    assert [column.kind for column in data.values.dtypes] == ["i", "f", "b"]
    pd.testing.assert_frame_equal(data.values, FRAME.drop(columns="kind"))
    assert load(path.parent / path.name, label="kind").values.shape == (4, 3)


def test_a_numeric_label_keeps_its_type_and_an_index_with_a_name_is_a_column(tmp_path: Path) -> None:
    FRAME.set_index("size").to_parquet(tmp_path / "a.parquet")
    data = loaded(tmp_path / "a.parquet", label="kind")
    assert list(data.values) == ["size", "weight", "ripe"]
    FRAME.drop(columns="kind").to_csv(tmp_path / "a.csv", index=False)
    assert loaded(tmp_path / "a.csv", label="size").labels.dtype == np.int64


def test_nullable_columns_keep_their_type_and_their_gaps(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": pd.array([1, 2, 3], "Int64"), "b": pd.array([True, False, True], "boolean")})
    frame.to_parquet(tmp_path / "a.parquet")
    assert loaded(tmp_path / "a.parquet").values.dtypes.tolist() == [pd.Int64Dtype(), pd.BooleanDtype()]
    frame.loc[1, "b"] = pd.NA
    frame.to_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(loaded(tmp_path / "a.parquet").values, frame)


def test_a_parquet_table_comes_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    MIXED.to_parquet(path)
    data = loaded(path)
    pd.testing.assert_frame_equal(data.values, MIXED)
    assert data.notes == () and data.dialect is None


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            [[1, 2], [3], [4]],
            "column 'odd' holds ndarray objects; a cell holds a number, a text, a date or a truth value",
        ),
        ([{"a": 1}, {"a": 2}, None], "column 'odd' holds dict objects"),
        ([b"x", b"y", b"z"], "column 'odd' holds bytes objects"),
        (
            [1.0, math.inf, -math.inf],
            "a: 2 cells are infinite, the first in row 2, column 'odd'; fill them, empty them",
        ),
        (pd.array([1.0, None, math.inf], "Float64"), "an infinite cell in row 3, column 'odd'"),
    ],
)
def test_what_is_no_value_is_refused(tmp_path: Path, column: Any, message: str) -> None:
    pd.DataFrame({"x": [1.0, 2.0, 3.0], "odd": column}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message):
        load(tmp_path / "a.parquet")


def test_complex_numbers_are_refused_in_a_frame() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "z": [1j, 2.0]})
    with pytest.raises(DataError, match=r"a\.parquet: column 'z' holds complex numbers"):
        check_cells(Path("a.parquet"), frame)


def test_a_year_may_name_a_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("2001,kind\n1,a\n2,b\n")
    assert list(loaded(tmp_path / "a.csv", label="kind").values) == ["2001"]


def test_bad_labels(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match=r"unknown column 'kinds'; did you mean 'kind'\?"):
        load(tmp_path / "a.csv", label="kinds")
    (tmp_path / "b.csv").write_text("x,kind\n1,a\n2,\n")
    with pytest.raises(DataError, match="1 labels in column 'kind' are missing"):
        load(tmp_path / "b.csv", label="kind")
    (tmp_path / "c.csv").write_text("x\n1\n2\n")
    with pytest.raises(DataError, match="no column besides the labels, 'x'"):
        load(tmp_path / "c.csv", label="x")


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "npy", "npz"])
def test_empty_and_damaged_files(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.touch()
    with pytest.raises(DataError, match="the file is empty"):
        load(path)
    path.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(DataError, match="cannot be read" if ending != "csv" else r"a.csv: line 1 holds '\\x00'"):
        load(path)
    good = tmp_path / f"good.{ending}"
    save_samples(np.random.default_rng(0).normal(size=(500, 3)), good)
    if ending != "csv":
        path.write_bytes(good.read_bytes()[:-700])
        with pytest.raises(DataError, match="cannot be read"):
            load(path)
        if ending != "parquet":
            damaged = bytearray(good.read_bytes())
            damaged[0:4] = b"junk"
            path.write_bytes(damaged)
            with pytest.raises(DataError, match="cannot be read"):
                load(path)


def test_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for shape in ((5,), (5, 3), (5, 4, 4), (5, 3, 4, 4)):
        values = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
        np.save(path, values)
        loaded = load(path).values
        assert loaded.dtype == np.int32 and loaded.shape == (shape if len(shape) > 1 else (5, 1))
    bad: list[tuple[Any, str]] = [
        (np.float64(3), "a single number"),
        (np.array([["a"], ["b"]]), "not numeric"),
        (np.array([1j, 2]), "not numeric"),
        (np.zeros((1, 3)), "1 row; at least 2"),
        (np.zeros((0, 3)), "0 rows; at least 2"),
        (np.zeros((4, 0)), "no numeric column"),
        (np.array([[1, 2], [3, np.nan]]), "missing or infinite cell in row 2, column 2"),
        (np.full((3, 2, 2), np.inf), "12 cells are missing or infinite, the first in row 1;"),
    ]
    for unfit, message in bad:
        np.save(path, unfit)
        with pytest.raises(DataError, match=message):
            load(path)
    with pytest.raises(DataError, match=r"an \.npy file has no label 'y'"):
        load(path, label="y")
    np.save(path, np.array([{}, 1], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read as"):
        load(path)


def test_archives(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    x, y = np.arange(12.0).reshape(4, 3), np.array(list("abab"))
    np.savez(path, stuff=x)
    assert np.array_equal(load(path).values, x) and load(path).name == "a"
    np.savez(path, stuff=x, y=y)
    data = loaded(path, label="y")
    assert np.array_equal(data.values, x) and np.array_equal(data.labels, y) and data.label_name == "y"
    with pytest.raises(DataError, match=r"call one array 'x' \(found: stuff, y\)"):
        load(path)
    with pytest.raises(DataError, match="no array called 'z'; there are stuff, y"):
        load(path, label="z")
    np.savez(path, x=x, y=y[:2])
    assert load(path).name == "a[x]"
    with pytest.raises(DataError, match=r"'y' has shape \(2,\); one label per row, \(4,\)"):
        load(path, label="y")
    np.savez(path)
    with pytest.raises(DataError, match="found: none"):
        load(path)
    (tmp_path / "b.npy").write_bytes(path.read_bytes())
    with pytest.raises(DataError, match=r"this is an \.npz file"):
        load(tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", x)
    with pytest.raises(DataError, match=r"this is an \.npy file"):
        load((tmp_path / "c.npy").rename(tmp_path / "c.npz"))


# Writing


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_saved_tables_come_back(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    frame = FRAME.drop(columns="kind")
    save_samples(frame, path, labels=FRAME["kind"], label_name="kind")
    data = loaded(path, label="kind")
    pd.testing.assert_frame_equal(data.values, frame)
    assert list(data.labels) == list("abab")
    x = swiss_roll(50, seeded())
    save_samples(x, path)
    assert list(load(path).values) == ["x1", "x2"]
    assert np.array_equal(loaded(path).values.to_numpy().astype(np.float32), x.numpy())
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [ending for ending in TABLES if ending != ".parquet"])
def test_a_table_of_every_type_is_written_as_text(tmp_path: Path, ending: str) -> None:
    save_samples(MIXED, tmp_path / f"a{ending}")
    values = loaded(tmp_path / f"a{ending}").values
    plain = MIXED.assign(
        name=MIXED["name"], kind=MIXED["kind"].astype(MIXED["name"].dtype), day=MIXED["day"].dt.strftime("%Y-%m-%d")
    )
    pd.testing.assert_frame_equal(values, plain, check_exact=True)


def test_a_dialect_is_written(tmp_path: Path) -> None:
    dialect = Dialect(";", ",", ".", "utf-16", "\r\n")
    frame = pd.DataFrame({"a": pd.array([1.5, None], "Float64"), "b": [1000.25, 2.0], "c": ["\u00fc", "x;y"]})
    frame["d"] = pd.Categorical([0.5, 1.5])
    frame["e"] = pd.Series([2.5, None], dtype=object)
    text = 'a;b;c;d;e\r\n1,5;1000,25;\u00fc;0,5;2,5\r\n;2,0;"x;y";1,5;\r\n'
    save_samples(frame, tmp_path / "a.csv", dialect=dialect)
    assert (tmp_path / "a.csv").read_bytes() == text.encode("utf-16")
    save_samples(frame, tmp_path / "a.tsv.gz", dialect=dialect)
    tabs = text.replace('"x;y"', "x|y").replace(";", "\t").replace("|", ";")
    assert gzip.decompress((tmp_path / "a.tsv.gz").read_bytes()) == tabs.encode("utf-16")
    save_samples(frame, tmp_path / "a.parquet", dialect=dialect)
    assert loaded(tmp_path / "a.parquet").dialect is None
    with pytest.raises(DataError, match=r"a\.csv: '\u0142' cannot be written in cp1252; use UTF-8"):
        save_samples(frame.replace("\u00fc", "\u0142"), tmp_path / "a.csv", dialect=Dialect(encoding="cp1252"))


def test_saved_arrays_come_back(tmp_path: Path) -> None:
    x = torch.rand(6, 3, 4, 4, generator=seeded())
    for name in ("a.npy", "a.npz", "A.NPZ"):
        save_samples(x, tmp_path / name)
        assert np.array_equal(load(tmp_path / name).values, x.numpy())
    save_samples(x, tmp_path / "a.npz", labels=np.array(list("abcdef"), dtype=object), label_name="kind")
    assert "".join(loaded(tmp_path / "a.npz", label="kind").labels) == "abcdef"
    save_samples(FRAME.drop(columns="kind"), tmp_path / "b.npy")
    assert loaded(tmp_path / "b.npy").values.dtype == np.float64
    save_samples(x, tmp_path / "a.npz", labels=torch.arange(6), label_name="kind")
    assert loaded(tmp_path / "a.npz", label="kind").labels.tolist() == list(range(6))


def test_saving_refuses(tmp_path: Path) -> None:
    x = np.zeros((4, 2))
    for path in ("a.xls", "a", "a.npy.gz", "a.gz"):
        with pytest.raises(DataError, match=r"unknown ending .*; samples are written as \.csv"):
            save_samples(x, tmp_path / path)
    for ending in ("npy", "png"):
        with pytest.raises(DataError, match="no place for labels"):
            save_samples(x, tmp_path / f"a.{ending}", labels=np.zeros(4))
    with pytest.raises(DataError, match=r"labels have shape \(3,\); one per sample, \(4,\)"):
        save_samples(x, tmp_path / "a.csv", labels=np.zeros(3))
    with pytest.raises(DataError, match=r"samples of shape \(4, 2, 2\) are no table"):
        save_samples(np.zeros((4, 2, 2)), tmp_path / "a.csv")
    for name, frame in (("a.npz", x), ("a.csv", FRAME)):
        with pytest.raises(DataError, match=r"the name '\w+' is taken; choose another label_name"):
            save_samples(frame, tmp_path / name, labels=np.zeros(4), label_name="x" if name == "a.npz" else "kind")
    with pytest.raises(DataError, match="there are no samples to write"):
        save_samples(x[:0], tmp_path / "a.csv")
    for ending in (".npy", ".npz", ".png"):
        for column in ("name", "kind", "day"):
            with pytest.raises(
                DataError, match=f"column '{column}' holds .*, {ending} only numbers; use .csv or .parquet"
            ):
                save_samples(MIXED[["length", column]], tmp_path / f"a{ending}")
    with pytest.raises(DataError, match=r"a.parquet: cannot be written as .parquet .*; use .csv"):
        save_samples(pd.DataFrame({"a": [1, "b"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="some images are not finite"):
        save_samples(np.full((3, 4, 4), np.nan), tmp_path / "a.png")
    with pytest.raises(RunError, match="No such file or directory"):
        save_samples(x, tmp_path / "no" / "a.csv")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="Not a directory"):
        save_samples(x, tmp_path / "file" / "a.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(RunError, match=r"cannot write .*folder.csv: .*; free space or choose another folder"):
        save_samples(x, tmp_path / "folder.csv")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.csv"]


@pytest.mark.parametrize("ending", FORMATS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    save_samples(np.zeros((3, 2)), path)
    before = path.read_bytes()
    message = rf"cannot write {path}: File too large; free space or choose another folder"
    with disk_full_after(4096), pytest.raises(RunError, match=message) as error:
        save_samples(np.random.default_rng(0).normal(size=(5000, 2)), path)
    assert isinstance(error.value.__cause__, OSError) and error.value.__cause__.errno == errno.EFBIG
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == [path.name]


def test_samples_are_on_the_disk_before_they_have_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "a.npy", []
    # what a killed process left goes with the next write
    (tmp_path / ".a.npy.part").write_bytes(b"half")

    def fsync(descriptor: int) -> None:
        seen.append(path.exists())

    monkeypatch.setattr("os.fsync", fsync)
    save_samples(np.zeros((3, 2)), path)
    # the file before it has its name, the folder after
    assert seen == [False, True]
    assert [file.name for file in tmp_path.iterdir()] == ["a.npy"]
