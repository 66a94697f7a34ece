"""What lies in a folder, to be compared with another."""

from __future__ import annotations

import hashlib
from pathlib import Path

from safetensors import safe_open

from ncsn.files import digest_of


def digests(folder: Path) -> dict[str, str]:
    """Return a digest of each file of a run; of tensors their own, whatever the order in the file.

    Files whose names begin with a dot, locks and what a killed process was writing, are no part of it.
    """
    found = {}
    for path in sorted(path for path in folder.rglob("[!.]*") if path.is_file()):
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                found[str(path.relative_to(folder))] = digest_of(tensors, sorted((file.metadata() or {}).items()))
        else:
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Return the names of files that only one has, or that differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
