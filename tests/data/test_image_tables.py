"""Parquet files with pictures, and folders as Hugging Face's datasets saves them, written by pyarrow and Pillow."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ncsn.data import load
from ncsn.errors import DataError

from .common import loaded

PIXELS = np.random.default_rng(0).integers(0, 256, (600, 4, 5, 3), dtype=np.uint8)
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def table(n: int = 6, first: int = 0, names: list[str] | None = None, **columns: Any) -> pa.Table:
    """Return images with labels 0, 1, 2, 0, ..., described as the library does where the classes have names."""
    cells = [{"bytes": png(pixels), "path": f"{i}.png"} for i, pixels in enumerate(PIXELS[first : first + n])]
    made = pa.table({"image": pa.array(cells, PICTURE), "label": [(first + i) % 3 for i in range(n)]} | columns)
    if names is None:
        return made
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    return made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def save_to_disk(folder: Path, *parts: pa.Table) -> Path:
    """Write a folder as ``Dataset.save_to_disk`` does."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05d}-of-{len(parts):05d}.arrow" for i in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, part.schema) as stream:
            stream.write_table(part, max_chunksize=4)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def expected(*rows: int) -> Any:
    return PIXELS[list(rows)].transpose(0, 3, 1, 2)


def test_pictures_in_a_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    # more rows than are read at once
    pq.write_table(table(600, size=[1] * 600), path)
    data = loaded(path, label="label")
    assert data.name == "a" and data.values.dtype == np.uint8 and data.notes == ("left out: size",)
    np.testing.assert_array_equal(data.values, expected(*range(600)))
    np.testing.assert_array_equal(data.labels, np.arange(600) % 3)
    plain = loaded(path)
    assert plain.labels is None and plain.notes == ("left out: label, size",)
    assert loaded(path, size=4).values.shape == (600, 3, 4, 4)
    with pytest.raises(DataError, match=r"a\.parquet: unknown column 'lable'; did you mean 'label'"):
        load(path, label="lable")
    assert load(path, label="lable", gaps=True).labels is None


def test_pictures_without_a_path_and_classes_with_names(tmp_path: Path) -> None:
    cells = [png(pixels) for pixels in PIXELS[:4]]
    described = table(4, names=["cat", "dog", "owl"]).drop_columns("image").append_column("shot", pa.array(cells))
    pq.write_table(described, tmp_path / "a.parquet")
    data = loaded(tmp_path / "a.parquet", label="label")
    np.testing.assert_array_equal(data.values, expected(0, 1, 2, 3))
    assert data.labels.tolist() == ["cat", "dog", "owl", "cat"] and data.label_name == "label"


@pytest.mark.parametrize(
    ("made", "how", "message"),
    [
        (table(label=[0, None, 1, 1, None, 0]), {"label": "label"}, "2 labels in column 'label' are missing"),
        (table(names=["cat", "dog"]), {"label": "label"}, "2 labels in column 'label' are missing"),
        (
            table(image=pa.array([None] * 6, PICTURE)),
            {},
            r"a\.parquet, row 1: column 'image' holds no image; drop the row",
        ),
        (
            table().rename_columns(["b", "label"]).append_column("c", table()["image"]),
            {},
            "b, c all hold images; call the",
        ),
        (table(0), {}, r"a\.parquet: 0 rows; at least 2 are needed"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, made: pa.Table, how: Any, message: str) -> None:
    pq.write_table(made, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message):
        load(tmp_path / "a.parquet", **how)


def test_damaged_pictures_are_named_by_their_rows(tmp_path: Path) -> None:
    cells = [{"bytes": png(pixels), "path": None} for pixels in PIXELS[:5]]
    for i in (1, 3):
        cells[i]["bytes"] = b"no picture"
    pq.write_table(pa.table({"image": pa.array(cells, PICTURE)}), tmp_path / "a.parquet")
    with pytest.raises(
        DataError, match=r"2 files cannot be read as images \(.*a\.parquet, row 2, .*a\.parquet, row 4\)"
    ):
        load(tmp_path / "a.parquet")


def test_a_saved_data_set(tmp_path: Path) -> None:
    names = ["cat", "dog", "owl"]
    folder = save_to_disk(tmp_path / "pets", table(5, names=names), table(4, 5, names=names))
    data = loaded(folder, label="label")
    assert data.name == "pets" and data.labels.tolist() == [names[i % 3] for i in range(9)]
    np.testing.assert_array_equal(data.values, expected(*range(9)))
    (folder / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(DataError, match=r"data-00001-of-00002\.arrow: cannot be read \(No such file or directory\)"):
        load(folder)
    (folder / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"state\.json: cannot be read as JSON, it may be damaged"):
        load(folder)


def test_of_several_splits_that_for_training_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    save_to_disk(folder / "test", table(3, 10))
    save_to_disk(folder / "train", table(4))
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["test", "train"]}))
    data = loaded(folder)
    assert data.notes == ("the split train is taken; besides there are test", "left out: label")
    np.testing.assert_array_equal(data.values, expected(0, 1, 2, 3))
    np.testing.assert_array_equal(loaded(folder / "test").values, expected(10, 11, 12))
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["test", "extra"]}))
    with pytest.raises(
        DataError, match="holds the splits test, extra and none for training; name a folder or file of one"
    ):
        load(folder)


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for i in (0, 1):
        pq.write_table(table(3, 3 * i), data / f"train-0000{i}-of-00002.parquet")
    pq.write_table(table(3, 100), data / "test-00000-of-00001.parquet")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "a.parquet").write_bytes(b"no table")
    found = loaded(tmp_path, label="label")
    np.testing.assert_array_equal(found.values, expected(*range(6)))
    assert found.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert found.notes == ("the split train is taken; besides there are test",)
    for file in data.iterdir():
        pq.write_table(pa.table({"a": [1, 2]}), file)
    with pytest.raises(DataError, match=r"no column of images in a; give one \.parquet file as a table"):
        load(tmp_path)
