"""Files that are either whole or not there: bytes, JSON and tensors."""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from ncsn.errors import RunError, in_one_line

__all__ = [
    "VERSION",
    "digest_of",
    "is_left_behind",
    "pack_tensors",
    "plain_value",
    "read_json",
    "read_tensors",
    "remove",
    "write_bytes",
    "write_files",
]

VERSION = version("ncsn")
"""This library's version, read once: later the process may have lost the right to read where it is installed."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or not there.

    Raises:
        RunError: The folder cannot be written or the disk is full; what was there before stays.
    """
    write_files({path: content})


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: none takes its name before all are on the disk.

    Raises:
        RunError: A folder cannot be written or the disk is full; what was there before stays.
    """
    # a fixed name, so that what a killed process left behind goes with the next write
    parts = {path: path.with_name(f".{path.name}.part") for path in contents}
    path = Path()
    try:
        for path, content in contents.items():
            with open(parts[path], "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, part in parts.items():
            os.replace(part, path)
        for folder in {path.parent for path in contents}:
            _keep_names(folder)
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another folder"
        ) from error
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink()


def remove(path: Path) -> None:
    """Remove a file, if it is there, so that it does not come back after a power cut.

    Raises:
        RunError: The folder cannot be written.
    """
    try:
        path.unlink(missing_ok=True)
        _keep_names(path.parent)
    except OSError as error:
        raise RunError(f"cannot remove {path}: {error.strerror or error}; make its folder writable") from error


def is_left_behind(path: Path) -> bool:
    """Return whether a file is one that a killed process had not finished writing."""
    return path.name.startswith(".") and path.suffix == ".part"


def _keep_names(folder: Path) -> None:
    """Put the names in a folder on the disk, without which a power cut takes a file that was written whole."""
    if not hasattr(os, "O_DIRECTORY"):
        # Windows keeps names with the files
        return
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def digest_of(tensors: Mapping[str, Tensor], *facts: object) -> str:
    """Return a digest of tensors and of the printed form of facts, the same in every process."""
    digest = hashlib.sha256(repr(facts).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def pack_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> bytes:
    """Return the content of a safetensors file with metadata and a digest of both, for `read_tensors`."""
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps(metadata)
    packed: bytes = to_safetensors(whole, {"ncsn": text, "sha256": digest_of(whole, text)})
    # safetensors writes the metadata in an order that differs from process to process
    size = int.from_bytes(packed[:8], "little")
    header = json.loads(packed[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    ordered = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    ordered += b" " * (-len(ordered) % 8)
    return len(ordered).to_bytes(8, "little") + ordered + packed[8 + size :]


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and the metadata that `pack_tensors` packed.

    Raises:
        RunError: The file is missing, cannot be read, is damaged or not from here.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            # clones, because the tensors are the mapped file, and change with it
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: this folder holds no finished run") from error
    except (SafetensorError, OSError) as error:
        raise RunError(
            f"{path} cannot be read or is damaged ({in_one_line(error)}); restore it or train anew"
        ) from error
    if "ncsn" not in header:
        raise RunError(f"{path} was not written by ncsn; name a file or folder that was")
    if header.get("sha256") != digest_of(tensors, header["ncsn"]):
        raise RunError(f"{path} is damaged (its digest differs); restore it or train anew")
    return tensors, json.loads(header["ncsn"])


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: this folder holds no finished run") from error
    except (OSError, RecursionError, ValueError) as error:
        raise RunError(
            f"{path} cannot be read or is damaged ({in_one_line(error)}); restore it or train anew"
        ) from error
    if not isinstance(content, dict):
        raise RunError(f"{path} is not a run's configuration; name the folder of a run")
    return content


def plain_value(value: Any) -> Any:
    """Return a parameter as JSON knows it; an object that it does not know is None."""
    if isinstance(value, Mapping):
        return {str(name): plain_value(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(entry) for entry in value]
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, str | int | float | bool) else None
