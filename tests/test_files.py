"""Files are whole or not there, and every damage is found: against truncation, flipped bytes and full disks."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from disks import disk_full_after, unwritable
from safetensors.torch import load_file, save_file

from ncsn.errors import RunError
from ncsn.files import digest_of, pack_tensors, read_json, read_tensors, remove, write_bytes, write_files

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "flags": torch.tensor([True, False]),
    "none": torch.empty(0, 3, dtype=torch.float64),
}


def test_tensors_come_back_as_they_were_and_other_programs_can_read_them(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_bytes(path, pack_tensors(TENSORS, {"step": 3, "curve": [[50, 0.1]], "none": None}))
    tensors, metadata = read_tensors(path)
    assert metadata == {"step": 3, "curve": [[50, 0.1]], "none": None}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    assert torch.equal(load_file(path)["weight"], TENSORS["weight"])


def test_equal_tensors_give_equal_files_in_every_process() -> None:
    program = (
        "import torch; from ncsn.files import pack_tensors\n"
        "import hashlib; print(hashlib.sha256(pack_tensors({'ä': torch.arange(3.0)}, {'b': 1, 'a': 2})).hexdigest())"
    )
    line = [sys.executable, "-c", program]
    found = {subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()}
    found |= {hashlib.sha256(pack_tensors({"ä": torch.arange(3.0)}, {"b": 1, "a": 2})).hexdigest() for _ in range(20)}
    assert len(found) == 1


def test_names_are_put_on_the_disk_after_the_files_that_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, rename = os.fsync, os.replace

    def seen(file: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")
        sync(file)

    def renamed(old: Path, new: Path) -> None:
        done.append("rename")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", seen)
    monkeypatch.setattr(os, "replace", renamed)
    write_files({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert done == ["file", "file", "rename", "rename", "folder"]
    done.clear()
    remove(tmp_path / "a")
    assert done == ["folder"] and [path.name for path in tmp_path.iterdir()] == ["b"]
    remove(tmp_path / "a")
    with unwritable(tmp_path), pytest.raises(RunError, match=r"cannot remove .*/b: Permission denied; make its folder"):
        remove(tmp_path / "b")


def test_tensors_that_share_memory_are_kept_whole(tmp_path: Path) -> None:
    whole = torch.arange(10.0)
    write_bytes(tmp_path / "a", pack_tensors({"all": whole, "part": whole[::2], "turned": whole.reshape(2, 5).T}, {}))
    tensors, _ = read_tensors(tmp_path / "a")
    assert tensors["part"].tolist() == [0, 2, 4, 6, 8]
    assert tensors["turned"].tolist() == [[0, 5], [1, 6], [2, 7], [3, 8], [4, 9]]


def test_read_tensors_do_not_hang_on_the_file(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", pack_tensors(TENSORS, {}))
    tensors, _ = read_tensors(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"\0" * 1000)
    assert torch.equal(tensors["weight"], TENSORS["weight"])


def test_file_mode_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"content")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_write_clears_what_a_killed_one_left(tmp_path: Path) -> None:
    (tmp_path / ".a.part").write_bytes(b"half")
    write_bytes(tmp_path / "a", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_bytes(path, b"old")
    with (
        disk_full_after(1000),
        pytest.raises(RunError, match=r"cannot write .*a: File too large; free space") as caught,
    ):
        write_bytes(path, b"n" * 100_000)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("large", ["first", "second"])
def test_files_that_belong_together_change_together(tmp_path: Path, large: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_files({first: b"old 1", second: b"old 2"})
    contents = {first: b"new 1", second: b"new 2"}
    contents[tmp_path / large] *= 10_000
    with disk_full_after(1000), pytest.raises(RunError, match=large):
        write_files(contents)
    assert (first.read_bytes(), second.read_bytes()) == (b"old 1", b"old 2")
    assert set(tmp_path.iterdir()) == {first, second}


def test_unwritable_and_missing_folders(tmp_path: Path) -> None:
    with unwritable(tmp_path), pytest.raises(RunError, match=r"cannot write .*/a: Permission denied; .*another folder"):
        write_bytes(tmp_path / "a", b"content")
    with pytest.raises(RunError, match="No such file or directory"):
        write_bytes(tmp_path / "missing" / "a", b"content")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError, match="Not a directory"):
        write_bytes(tmp_path / "file" / "a", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_every_flipped_byte_of_the_tensors_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a"
    content = pack_tensors({"x": torch.arange(4.0)}, {"step": 3})
    start = 8 + int.from_bytes(content[:8], "little")
    assert len(content) == start + 16
    for position in range(start, len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(RunError, match=r"is damaged \(its digest differs\); restore it or train anew"):
            read_tensors(path)


def test_changed_metadata_are_found(tmp_path: Path) -> None:
    content = pack_tensors({"x": torch.arange(4.0)}, {"step": 3})
    assert content.count(b"3}") == 1
    (tmp_path / "a").write_bytes(content.replace(b"3}", b"4}"))
    with pytest.raises(RunError, match="its digest differs"):
        read_tensors(tmp_path / "a")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_truncated_tensors_are_refused(tmp_path: Path, share: float) -> None:
    content = pack_tensors(TENSORS | {"large": torch.zeros(1000)}, {})
    (tmp_path / "a").write_bytes(content[: int(share * len(content))])
    with pytest.raises(RunError, match=r"/a cannot be read or is damaged \(.*\); restore it or train anew") as caught:
        read_tensors(tmp_path / "a")
    assert "\n" not in str(caught.value)


def test_foreign_and_missing_files_are_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(2)}, tmp_path / "foreign")
    with pytest.raises(RunError, match="foreign was not written by ncsn; name a file or folder that was"):
        read_tensors(tmp_path / "foreign")
    save_file({"x": torch.zeros(2)}, tmp_path / "claimed", {"ncsn": "{}"})
    with pytest.raises(RunError, match="its digest differs"):
        read_tensors(tmp_path / "claimed")
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(RunError, match="is damaged"):
        read_tensors(tmp_path / "array.npy")
    with pytest.raises(RunError, match="missing is missing"):
        read_tensors(tmp_path / "missing")
    with pytest.raises(RunError, match="cannot be read"):
        read_tensors(tmp_path)


def test_json_comes_back_or_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(RunError, match=r"a.json is missing: this folder holds no finished run"):
        read_json(path)
    path.write_text(json.dumps({"grün": [1, None]}), encoding="utf-8")
    assert read_json(path) == {"grün": [1, None]}
    path.write_bytes(b'{"a": 1')
    with pytest.raises(RunError, match=r"a.json cannot be read or is damaged"):
        read_json(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match=r"a.json cannot be read or is damaged"):
        read_json(path)
    path.write_text("[1, 2]")
    with pytest.raises(RunError, match=r"is not a run's configuration"):
        read_json(path)


def test_digest_tells_values_names_types_and_shapes_apart() -> None:
    x = torch.arange(4.0)
    variants = [
        ({"x": x}, ()),
        ({"y": x}, ()),
        ({"x": x.double()}, ()),
        ({"x": x.reshape(2, 2)}, ()),
        ({"x": x + torch.tensor([0, 0, 0, 1e-6])}, ()),
        ({"x": x.view(torch.int32)}, ()),
        ({"x": x}, (1,)),
        ({"x": x}, ("1",)),
    ]
    assert len({digest_of(tensors, *facts) for tensors, facts in variants}) == len(variants)
    assert digest_of({"a": x, "b": x + 1}) == digest_of({"b": x + 1, "a": x.clone()})
