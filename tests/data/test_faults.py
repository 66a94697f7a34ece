"""Damaged files of every format: one line of `DataError` each, whatever the library stumbles over, or data that can be used."""

import gzip
import io
import json
import os
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ncsn.data import load, look_at
from ncsn.errors import DataError

TABLE = pd.DataFrame(
    {
        "length": [0.5, 1.5, np.nan, 2.5],
        "n": [1, 2, 3, 2**60],
        "name": ["Zoë", 'a "b"', "c,d", "e"],
        "ripe": [True, False] * 2,
    }
)
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)


def _picture(kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(PIXELS[0]).save(content, kind, **options)
    return content.getvalue()


def _animation() -> bytes:
    content = io.BytesIO()
    first, *others = map(Image.fromarray, PIXELS)
    first.save(content, "GIF", save_all=True, append_images=others)
    return content.getvalue()


def _written(write: Callable[[Any], Any]) -> bytes:
    content = io.BytesIO()
    write(content)
    return content.getvalue()


def _images() -> pa.Table:
    cells = pa.array([{"bytes": _picture("PNG"), "path": None}] * 3)
    info = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    table = pa.table({"image": cells, "label": [0, 1, 0]})
    return table.replace_schema_metadata({"huggingface": json.dumps(info)})


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


_IDX = b"\0\0\x08\x03" + np.array([4, 6, 5], ">u4").tobytes() + PIXELS[..., 0].tobytes()
FILES: dict[str, bytes] = {
    "a.csv": TABLE.to_csv(index=False).encode(),
    "b.csv": TABLE.to_csv(index=False, sep=";", decimal=",").encode("utf-16"),
    "a.tsv.gz": gzip.compress(TABLE.to_csv(index=False, sep="\t").encode(), mtime=0),
    "a.parquet": _written(TABLE.to_parquet),
    "images.parquet": _written(lambda file: pq.write_table(_images(), file)),
    "a.npy": _written(lambda file: np.save(file, np.arange(12.0).reshape(4, 3))),
    "images.npy": _written(lambda file: np.save(file, PIXELS)),
    "a.npz": _written(lambda file: np.savez(file, x=np.arange(12.0).reshape(4, 3), y=np.arange(4))),
    "b.npz": _written(lambda file: np.savez_compressed(file, x=PIXELS, y=np.array(list("abab")))),
    "train-images-idx3-ubyte": _IDX,
    "train-images-idx3-ubyte.gz": gzip.compress(_IDX, mtime=0),
    "saved/data.arrow": _stream(_images()),
    "saved/state.json": json.dumps({"_data_files": [{"filename": "data.arrow"}]}).encode(),
    "pictures/a.gif": _animation(),
    **{f"pictures/a.{kind}": _picture(kind) for kind in ("png", "bmp", "tiff", "ppm", "webp")},
    "pictures/a.jpg": _picture("JPEG", exif=Image.Exif()),
}
"""A good file of each format, small."""

LABELS = {
    "a.csv": "name",
    "a.parquet": "name",
    "images.parquet": "label",
    "a.npz": "y",
    "b.npz": "y",
    "saved/data.arrow": "label",
}


ROUNDS = 60
"""Damaged copies of each."""


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Return a file's content with some of it changed, lost, doubled or cut off."""
    made = bytearray(content)
    for _ in range(random.integers(1, 4)):
        start = int(random.integers(max(1, len(made))))
        length = int(random.integers(1, 24))
        match random.integers(6):
            case 0:
                made[start : start + 1] = random.bytes(1)
            case 1:
                made[start : start + length] = random.bytes(length)
            case 2:
                del made[start : start + length]
            case 3:
                made[start:start] = made[start : start + length]
            case 4:
                del made[start:]
            case _:
                # what formats are made of: counts, brackets, quotes
                made[start : start + 1] = bytes(
                    random.choice(list(b"\0\xff\x7f\x80(){}[],;:'\"\n\r0919-+.eE")) for _ in range(1)
                )
    return bytes(made)


def outcome(path: Path, label: str | None = None) -> str:
    """Load a file, and return what was said: nothing if it could be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            data = load(path, label=label)
            np.asarray(data.values)
        except DataError as error:
            return str(error)
    assert len(data.values) >= 2
    return ""


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_refused_in_one_line_or_read(tmp_path: Path, name: str) -> None:
    whole = {
        other: content for other, content in FILES.items() if "/" in name and Path(other).parent == Path(name).parent
    }
    if name.startswith("pictures/"):
        whole = {"pictures/other.png": _picture("PNG")}
    for other, content in {**whole, name: FILES[name]}.items():
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_bytes(content)
    path = tmp_path / (Path(name).parts[0])
    assert outcome(path, LABELS.get(name)) == ""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    refused = 0
    for _ in range(ROUNDS):
        (tmp_path / name).write_bytes(damaged(FILES[name], random))
        said = outcome(path, LABELS.get(name))
        assert len(said.splitlines()) <= 1
        for advice in ("allow_pickle", "max_header_size", "MAX_IMAGE_PIXELS", "DOS attack", "unsafe", "trust"):
            assert advice not in said
        refused += bool(said)
    assert refused


def _archive(member: bytes, name: str = "x.npy", at: dict[bytes, dict[int, int]] | None = None) -> bytes:
    """Return a zip archive of one member, with bytes after its marks changed."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, member)
    made = bytearray(content.getvalue())
    for mark, changes in (at or {}).items():
        for offset, value in changes.items():
            made[made.find(mark) + offset] = value
    return bytes(made)


def _header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00v\x00" + text.encode().ljust(117) + b"\n"


_ROWS = _written(lambda file: np.save(file, np.eye(3)))
_LOCAL, _CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", _header("(" * 110), "cannot be read as .npy, it may be damaged; save it anew"),
        (
            "a.npy",
            _header("{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000, 1000), }"),
            "cannot be read as",
        ),
        ("a.npy", b"no array", "it may be damaged (it holds Python's objects or no numbers); save it anew"),
        ("a.npz", _archive(b"hello", "x"), "'x' is no array; write the archive with numpy.savez"),
        ("a.npz", _archive(b""), "'x' is no array; write the archive with numpy.savez"),
        ("a.npz", _archive(_ROWS, at={_LOCAL: {6: 1}, _CENTRAL: {8: 1}}), "encrypted, password required"),
        ("a.npz", _archive(_ROWS, at={_LOCAL: {8: 99}, _CENTRAL: {10: 99}}), "compression method is not supported"),
    ],
    ids=["nested header", "more than memory", "no array", "text", "empty member", "encrypted", "unknown compression"],
)
def test_what_numpy_stumbles_over(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        load(tmp_path / name)
    assert message in str(error.value) and str(error.value).startswith(f"{tmp_path / name}: ")


def test_pictures_too_large_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    for side in (10_000, 30_000):
        size = 2 * side.to_bytes(4, "big")
        chunks = [(b"IHDR", size + b"\x01\0\0\0\0"), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b"")]
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks))
        assert outcome(tmp_path).endswith("a.png: a picture of more than 89 million pixels; make it smaller first")


def test_places_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for name, message in {
        "n" * 300 + ".csv": "n" * 40 + "..." + "n" * 36 + ".csv: cannot be read (File name too long)",
        "~nouserhere/x.csv": "~nouserhere/x.csv: there is no such user's home",
        "a\0b.csv": "'a\\x00b.csv' is no name of a file (embedded null byte)",
        str(tmp_path / "none.csv"): f"no such file or folder: {tmp_path / 'none.csv'}",
        str(tmp_path / "pipe.csv"): "neither a file nor a folder",
    }.items():
        for read in (load, look_at):
            with pytest.raises(DataError) as error:
                read(name)
            assert message in str(error.value)

    def refuse(*_: Any, **__: Any) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.csv").write_text("a\n1\n2\n")
    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(DataError, match=r"cannot be read \(Permission denied\); change its permissions, or copy it$"):
        load(tmp_path / "a.csv")
