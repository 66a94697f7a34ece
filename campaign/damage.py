"""Damage to the bytes of a file, whatever its format."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes]


def _flipped(content: bytes, generator: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    for place in generator.integers(0, len(content), generator.integers(1, 9)):
        damaged[place] ^= 1 << int(generator.integers(8))
    return bytes(damaged)


def _overwritten(content: bytes, generator: np.random.Generator) -> bytes:
    """Put what often matters over some bytes: zeros, ones, the largest and smallest numbers, digits, quotes."""
    pieces = [
        b"\0",
        b"\xff",
        b"\x7f\xff\xff\xff",
        b"\xff" * 8,
        b"\0" * 8,
        b"\x80",
        b"9999999999",
        b"-1",
        b'"',
        b"\n",
        b"\xfe\xff",
        b"(",
    ]
    piece = pieces[generator.integers(len(pieces))] * int(generator.integers(1, 5))
    start = int(generator.integers(0, len(content)))
    return content[:start] + piece + content[start + len(piece) :]


def _cut_short(content: bytes, generator: np.random.Generator) -> bytes:
    return content[: generator.integers(0, len(content))]


def _cut_out(content: bytes, generator: np.random.Generator) -> bytes:
    start, end = sorted(generator.integers(0, len(content), 2))
    return content[:start] + content[end:]


def _repeated(content: bytes, generator: np.random.Generator) -> bytes:
    start, end = sorted(generator.integers(0, len(content), 2))
    return content[:end] + content[start:end] * int(generator.integers(1, 4)) + content[end:]


def _moved(content: bytes, generator: np.random.Generator) -> bytes:
    first, second, third = sorted(generator.integers(0, len(content), 3))
    return content[:first] + content[second:third] + content[first:second] + content[third:]


def _zeroed(content: bytes, generator: np.random.Generator) -> bytes:
    start, end = sorted(generator.integers(0, len(content), 2))
    return content[:start] + bytes(end - start) + content[end:]


def _noise_put_in(content: bytes, generator: np.random.Generator) -> bytes:
    start = int(generator.integers(0, len(content)))
    return content[:start] + generator.bytes(int(generator.integers(1, 200))) + content[start:]


def _headed(content: bytes, generator: np.random.Generator) -> bytes:
    """Flip bits among the first bytes, where formats say what they hold."""
    head = min(len(content), 128)
    return _flipped(content[:head], generator) + content[head:]


DAMAGES: dict[str, Damage] = {
    "bits flipped": _flipped,
    "bits of the head flipped": _headed,
    "bytes overwritten": _overwritten,
    "cut short": _cut_short,
    "a part cut out": _cut_out,
    "a part repeated": _repeated,
    "parts moved": _moved,
    "a part zeroed": _zeroed,
    "noise put in": _noise_put_in,
}


def damaged(content: bytes, others: list[bytes], generator: np.random.Generator) -> tuple[bytes, str]:
    """Return the content damaged in one of the ways, or spliced with another, and the way's name."""
    names = [*DAMAGES, "spliced"]
    name = names[generator.integers(len(names))]
    if name == "spliced":
        other = others[generator.integers(len(others))]
        return content[: generator.integers(1, len(content))] + other[generator.integers(0, len(other)) :], name
    return DAMAGES[name](content, generator), name
