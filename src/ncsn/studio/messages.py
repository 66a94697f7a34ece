"""What goes between the page and Python: a question as JSON, an answer as one block of bytes.

An answer is the length of its head (4 bytes, the lowest first), the head as JSON, filled up with blanks to a multiple of 4
bytes, and the numbers of all arrays. ``head["arrays"]`` says of each its name, type (``f4`` or ``u1``), shape and where it begins
among the numbers, in bytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def packed(head: Mapping[str, Any], arrays: Mapping[str, Tensor | bytes]) -> bytes:
    """Return an answer.

    Args:
        head: Plain values; what is not finite becomes null.
        arrays: Numbers, in single precision, or bytes as they are, by name.
    """
    told, parts, start = [], [], 0
    for name, array in arrays.items():
        values: NDArray[Any] = (
            np.frombuffer(array, np.uint8)
            if isinstance(array, bytes)
            else np.ascontiguousarray(array.detach().numpy(), "<f4")
        )
        told.append({"name": name, "type": values.dtype.str[1:], "shape": list(values.shape), "start": start})
        parts.append(values.tobytes() + bytes(-values.nbytes % 4))
        start += len(parts[-1])
    text = json.dumps(_finite({**head, "arrays": told}), separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<I", len(text)) + text + b"".join(parts)


def unpacked(answer: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the head and the arrays of an answer."""
    (length,) = struct.unpack_from("<I", answer)
    head = json.loads(answer[4 : 4 + length])
    arrays = {
        each["name"]: np.frombuffer(
            answer, "<" + each["type"], int(np.prod(each["shape"])), 4 + length + each["start"]
        ).reshape(each["shape"])
        for each in head.pop("arrays")
    }
    return head, arrays


def _finite(value: Any) -> Any:
    """Return plain values as JSON has them, which knows no infinity."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value if not isinstance(value, float) or np.isfinite(value) else None
