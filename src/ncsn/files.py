"""Files that are either whole or not there: bytes, JSON and tensors."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from ncsn.errors import RunError

__all__ = ["read_json", "read_tensors", "write_bytes", "write_tensors"]


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or not there.

    Raises:
        RunError: The folder cannot be written or the disk is full; what was there before stays.
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise RunError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another folder"
        ) from error


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors as safetensors, atomically, with metadata.

    Raises:
        RunError: The file cannot be written.
    """
    content = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_bytes(path, to_safetensors(content, {"ncsn": json.dumps(metadata)}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Raises:
        RunError: The file is missing, damaged or not from here.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})["ncsn"])
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: this folder holds no finished run") from error
    except (SafetensorError, KeyError, OSError, json.JSONDecodeError) as error:
        raise RunError(f"{path} is damaged or was not written by ncsn ({error}); restore it or train anew") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: this folder holds no finished run") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunError(f"{path} is damaged ({error}); restore it or train anew") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} is not a run's configuration; name the folder of a run")
    return content
