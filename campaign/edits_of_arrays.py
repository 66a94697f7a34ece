"""Edited files of arrays, ``.npy`` and ``.npz``."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from campaign.edits import REFUSED, Edit, Generator

VALUES = np.arange(36.0).reshape(12, 3)
BODY = VALUES.tobytes()


def npy(head: str, content: bytes, version: tuple[int, int] = (1, 0)) -> bytes:
    """Return an ``.npy`` file with a head of any text."""
    text = head.encode("latin-1") + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(text)) + text + content


def head_of(shape: str = "(12, 3)", descr: str = "'<f8'", order: str = "False") -> str:
    """Return a head's text."""
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def _edit(
    name: str, file: str, content: bytes | Callable[[Generator], bytes], truth: Any = None, label: str | None = None
) -> Edit:
    def make(folder: Path, generator: Generator) -> tuple[Path, Any]:
        (folder / file).write_bytes(content(generator) if callable(content) else content)
        return folder / file, truth

    return Edit(f"{Path(file).suffix[1:]}: {name}", make, label)


def npy_edits() -> list[Edit]:
    """Return the kinds of ``.npy`` files."""
    whole = np.arange(2**53 + 1, 2**53 + 25).reshape(8, 3)
    shapes = [
        "(12, 4)",
        f"({10**12}, 3)",
        f"({10**12}, {10**12})",
        f"({2**63}, 3)",
        "(-1, 3)",
        "(0, 3)",
        "(12, 0)",
        "()",
    ]
    shapes += [
        "'ab'",
        "None",
        "(True, 3)",
        f"({'9' * 5000}, 3)",
        "[12, 3]",
        f"(12, 3{', 1' * 60})",
        "(13, 3)",
        "(12.0, 3)",
    ]
    types = [
        "'O'",
        "'V8'",
        "'<c16'",
        "'<M8[s]'",
        "'<U2'",
        "'S8'",
        "'nonsense'",
        "'<f16'",
        "[('a', '<f8')]",
        "None",
        "8",
    ]
    types += ["'<i9'", "('<f8', (2,))", "[('a', 'O')]", "'<f8' * 10**9", "'|T8'", "'" + "b1," * 1000 + "'"]
    heads = ["", "{", "(" * 100_000, "[" * 5000 + "]" * 5000, "{'descr': ", "\0" * 50, '"""', "{}", "1", "\\", "é" * 20]
    heads += [head_of()[:-1] + "'more': 1}", "lambda: 0", "{[]: 1}", "-" * 50_000 + "1"]
    strange = {f"shape {shape[:30]}": npy(head_of(shape), BODY) for shape in shapes}
    strange |= {f"type {kind[:30]}": npy(head_of(descr=kind), BODY) for kind in types}
    strange |= {f"head {head[:20]!r}": npy(head, BODY, (2, 0)) for head in heads}
    strange |= {f"version {version}": npy(head_of(), BODY, version) for version in ((0, 0), (3, 0), (9, 9), (2, 0))}
    gap = np.where(VALUES == 7, np.nan, VALUES).tobytes()
    known: dict[str, tuple[bytes, Any]] = {
        "columns first": (npy(head_of(order="True"), VALUES.T.tobytes()), VALUES),
        "big endian": (npy(head_of(descr="'>f8'"), VALUES.astype(">f8").tobytes()), VALUES),
        "whole numbers beyond 2^53": (npy(head_of("(8, 3)", "'<i8'"), whole.tobytes()), whole),
        "the head is said to be 4 GB": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + BODY, REFUSED),
        "a value is not a number": (npy(head_of(), gap), REFUSED),
        "text": (b"1,2,3\n4,5,6\n", REFUSED),
        "a pickle": (b"\x80\x04]\x94(K\x01K\x02e.", REFUSED),
    }
    found = [_edit(name, "m.npy", content) for name, content in strange.items()]
    found += [_edit(name, "m.npy", content, truth) for name, (content, truth) in known.items()]
    fewer = npy(head_of(), BODY)
    return [*found, _edit("fewer values than said", "m.npy", lambda g: fewer[: -int(g.integers(1, 200))], REFUSED)]


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as opened:
        for name, content in members.items():
            opened.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def _with_field(content: bytes, local: int, central: int, value: int) -> bytes:
    """Return a zip file with a two-byte field of its members changed, in both places where it stands."""
    changed = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        start = content.find(mark)
        while start >= 0:
            struct.pack_into("<H", changed, start + offset, value)
            start = content.find(mark, start + 4)
    return bytes(changed)


def npz_edits() -> list[Edit]:
    """Return the kinds of ``.npz`` files."""
    sound, short = npy(head_of(), BODY), npy(head_of("(5,)"), BODY[:40])
    whole = archive({"x.npy": sound})
    strange = {f"compression method {method}": _with_field(whole, 8, 10, method) for method in (1, 8, 12, 14, 97, 99)}
    strange |= {f"flags {flags:#x}": _with_field(whole, 6, 8, flags) for flags in (1, 8, 32, 64, 0x2041)}
    members = {
        "a text in place of the array": {"x.npy": b"hello"},
        "a member that is no array": {"x.txt": b"hello"},
        "a member without a name": {"": sound},
        "a path as a name": {"../../x.npy": sound},
        "a folder": {"x/": b"", "x.npy": sound},
        "an empty member": {"x.npy": b""},
        "an archive in the archive": {"x.npz": whole},
        "an array of 8 TB said": {"x.npy": npy(head_of(f"({10**12},)"), BODY)},
        "an unclosed head": {"x.npy": npy("{'descr': (", BODY)},
        "brackets without end": {"x.npy": npy("(" * 60_000, BODY)},
        "objects": {"x.npy": npy(head_of(descr="'O'"), BODY)},
        "a very long name": {"n" * 60_000 + ".npy": sound},
    }
    strange |= {name: archive(parts) for name, parts in members.items()}
    known: dict[str, tuple[bytes, Any, str | None]] = {
        "no arrays": (archive({}), REFUSED, None),
        "two arrays": (archive({"p.npy": sound, "q.npy": sound}), REFUSED, None),
        "labels of fewer rows": (archive({"x.npy": sound, "y.npy": short}), REFUSED, "y"),
        "labels that are no array": (archive({"x.npy": sound, "y.txt": b"abc"}), REFUSED, "y.txt"),
        "a wrong checksum": (whole.replace(BODY[80:88], b"\1" * 8), REFUSED, None),
        "compressed": (archive({"x.npy": sound}, zipfile.ZIP_DEFLATED), VALUES, None),
        "bzip2": (archive({"x.npy": sound}, zipfile.ZIP_BZIP2), VALUES, None),
        "lzma": (archive({"x.npy": sound}, zipfile.ZIP_LZMA), VALUES, None),
    }
    found = [_edit(name, "x.npz", content) for name, content in strange.items()]
    return found + [_edit(name, "x.npz", *case) for name, case in known.items()]
