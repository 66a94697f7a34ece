"""Folders of pictures of which one is edited with its format in mind."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from campaign.edits import REFUSED, Edit

Generator = np.random.Generator


def _pixels(generator: Generator) -> Any:
    return generator.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)


def chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Return the chunks of a PNG file, names and contents."""
    found, place = [], 8
    while place < len(content):
        (size,) = struct.unpack_from(">I", content, place)
        found.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += 12 + size
    return found


def png(parts: list[tuple[bytes, bytes]]) -> bytes:
    """Return the PNG file of chunks, their checksums right."""
    whole = b"\x89PNG\r\n\x1a\n"
    for name, content in parts:
        whole += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return whole


def _saved(image: Image.Image, ending: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG" if ending == "jpg" else ending, **options)
    return file.getvalue()


def _folder(
    change: Callable[[Any, Generator], tuple[bytes, Any]], ending: str = "png", name: str = "1"
) -> Callable[[Path, Generator], tuple[Path, Any]]:
    """Return what makes a folder of four pictures, of which the second is what a function makes of its pixels."""

    def make(folder: Path, generator: Generator) -> tuple[Path, Any]:
        pixels = _pixels(generator)
        inside = folder / "pictures"
        inside.mkdir()
        content, truth = change(pixels[1], generator)
        for place in (0, 2, 3):
            Image.fromarray(pixels[place]).save(inside / f"{place}.png")
        (inside / f"{name}.{ending}").write_bytes(content)
        if isinstance(truth, np.ndarray):
            pixels[1] = truth
            truth = pixels.transpose(0, 3, 1, 2)
        return inside, truth

    return make


def _header(place: int, form: str, value: int) -> Callable[[Any, Generator], tuple[bytes, Any]]:
    """Return what changes a field of the header, the checksum right."""

    def change(pixels: Any, generator: Generator) -> tuple[bytes, Any]:
        parts = chunks(_saved(Image.fromarray(pixels), "png"))
        head = bytearray(parts[0][1])
        struct.pack_into(form, head, place, value)
        return png([(b"IHDR", bytes(head)), *parts[1:]]), None

    return change


def _turned(pixels: Any, generator: Generator) -> tuple[bytes, Any]:
    image, how = Image.fromarray(pixels), Image.Exif()
    how[274] = int(generator.integers(1, 9))
    content = _saved(image, "png", exif=how)
    with Image.open(io.BytesIO(content)) as turned:
        return content, np.asarray(ImageOps.exif_transpose(turned))


def _with_chunk(name: bytes, content: bytes) -> Callable[[Any, Generator], tuple[bytes, Any]]:
    def change(pixels: Any, generator: Generator) -> tuple[bytes, Any]:
        parts = chunks(_saved(Image.fromarray(pixels), "png"))
        return png([parts[0], (name, content), *parts[1:]]), None

    return change


def _without(chunk: bytes) -> Callable[[Any, Generator], tuple[bytes, Any]]:
    def change(pixels: Any, generator: Generator) -> tuple[bytes, Any]:
        parts = chunks(_saved(Image.fromarray(pixels), "png"))
        return png([part for part in parts if part[0] != chunk]), REFUSED if chunk in (b"IHDR", b"IDAT") else None

    return change


def _animated(pixels: Any, generator: Generator, ending: str) -> tuple[bytes, Any]:
    frames = [Image.fromarray(frame) for frame in _pixels(generator)]
    return _saved(frames[0], ending, save_all=True, append_images=frames[1:]), None


def _long_text(pixels: Any, generator: Generator) -> tuple[bytes, Any]:
    words = PngInfo()
    words.add_text("Comment", "x" * 3_000_000, zip=True)
    return _saved(Image.fromarray(pixels), "png", pnginfo=words), None


def _in_mode(mode: str, ending: str = "png") -> Callable[[Any, Generator], tuple[bytes, Any]]:
    """Return what saves the picture in a mode; a PNG file of a palette or of colours says its own colours."""

    def change(pixels: Any, generator: Generator) -> tuple[bytes, Any]:
        image = Image.fromarray(pixels).convert(mode)
        exact = ending == "png" and mode in ("P", "RGB", "L", "1")
        return _saved(image, ending), np.asarray(image.convert("RGB")) if exact else None

    return change


def _beside(names: dict[str, bytes], truth: bool = True) -> Callable[[Path, Generator], tuple[Path, Any]]:
    """Return what puts files beside four sound pictures, which have to be read as if these were not there, or refused."""
    whole = _folder(lambda pixels, generator: (_saved(Image.fromarray(pixels), "png"), pixels))

    def make(folder: Path, generator: Generator) -> tuple[Path, Any]:
        inside, said = whole(folder, generator)
        for name, content in names.items():
            (inside / name).parent.mkdir(exist_ok=True)
            (inside / name).write_bytes(content)
        return inside, said if truth else None

    return make


def _other_size(pixels: Any, generator: Generator) -> tuple[bytes, Any]:
    return _saved(Image.fromarray(pixels[: generator.integers(1, 8)]), "png"), REFUSED


def _zipped(folder: Path, generator: Generator) -> tuple[Path, Any]:
    with zipfile.ZipFile(folder / "pictures.zip", "w") as archive:
        for place, pixels in enumerate(_pixels(generator)):
            archive.writestr(f"{place}.png", _saved(Image.fromarray(pixels), "png"))
    return folder / "pictures.zip", None


def _sixteen_bits(pixels: Any, generator: Generator) -> tuple[bytes, Any]:
    return _saved(Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "png"), None


def _patched(ending: str, place: int, piece: bytes) -> Callable[[Any, Generator], tuple[bytes, Any]]:
    def change(pixels: Any, generator: Generator) -> tuple[bytes, Any]:
        content = _saved(Image.fromarray(pixels), ending)
        return content[:place] + piece + content[place + len(piece) :], None

    return change


def edits_of_pictures() -> list[Edit]:
    """Return every kind."""
    ways: dict[str, Callable[[Any, Generator], tuple[bytes, Any]]] = {
        "turned by EXIF": _turned,
        "two million pixels square": _header(0, ">I", 2_000_000),
        "no width": _header(0, ">I", 0),
        "twenty thousand wide": _header(0, ">I", 20_000),
        "higher than it is": _header(4, ">I", 64),
        "as high as can be said": _header(4, ">I", 2**32 - 1),
        "chunks without pixels": _without(b"IDAT"),
        "no header": _without(b"IHDR"),
        "no end": _without(b"IEND"),
        "a long text": _long_text,
        "a colour profile that is none": _with_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(80_000_000))),
        "a transparency that does not fit": _with_chunk(b"tRNS", b"\0"),
        "a gamma of zero": _with_chunk(b"gAMA", bytes(4)),
        "an EXIF block that is none": _with_chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"),
        "an animation of no frames": _with_chunk(b"acTL", bytes(8)),
        "sixteen bits": _sixteen_bits,
        "another size": _other_size,
        "a text": lambda pixels, generator: (b"no picture", REFUSED),
        "nothing": lambda pixels, generator: (b"", REFUSED),
    }
    ways |= {f"bit depth {depth}": _header(8, "B", depth) for depth in (0, 1, 3, 4, 16, 255)}
    ways |= {f"colour type {kind}": _header(9, "B", kind) for kind in (0, 1, 3, 4, 6, 7)}
    ways |= {f"header byte {place} of 9": _header(place, "B", 9) for place in (10, 11, 12)}
    ways |= {f"mode {mode}": _in_mode(mode) for mode in ("P", "L", "1", "RGBA", "LA", "RGB")}
    found = [Edit(f"png: {name}", _folder(way)) for name, way in ways.items()]
    others = {
        ("jpg", "CMYK"): _in_mode("CMYK", "jpg"),
        ("jpg", "grey"): _in_mode("L", "jpg"),
        ("jpg", "other tables"): _patched("jpg", 25, b"\0" * 30),
        ("jpg", "a marker alone"): lambda pixels, generator: (b"\xff\xd8\xff\xd9", REFUSED),
        ("jpg", "a PNG file inside"): lambda pixels, generator: (_saved(Image.fromarray(pixels), "png"), pixels),
        ("gif", "frames"): lambda pixels, generator: _animated(pixels, generator, "gif"),
        ("gif", "a screen of 65535 x 65535"): _patched("gif", 6, b"\xff\xff\xff\xff"),
        ("gif", "a screen of none"): _patched("gif", 6, b"\0\0\0\0"),
        ("gif", "no palette"): _patched("gif", 10, b"\0"),
        ("gif", "the head alone"): lambda pixels, generator: (b"GIF89a", REFUSED),
        ("png", "frames"): lambda pixels, generator: _animated(pixels, generator, "png"),
    }
    found += [Edit(f"{ending}: {name}", _folder(way, ending)) for (ending, name), way in others.items()]
    found += [
        Edit("folder: a file of macOS beside", _beside({"._0.png": b"\0\5\x16\7" + bytes(50), ".DS_Store": b"x"})),
        Edit("folder: a text beside", _beside({"notes.txt": b"hello"})),
        Edit("folder: a sub-folder beside", _beside({"more/9.png": b"no picture"}, truth=False)),
        Edit("folder: a name of 250 characters", _folder(_in_mode("RGB"), name="1" * 240)),
        Edit("folder: zipped", _zipped),
    ]
    return found
