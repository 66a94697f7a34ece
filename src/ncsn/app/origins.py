"""Where a run's data came from, and whether they are still what it was trained on."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from ncsn.data import DATASETS, Dataset
from ncsn.data.picked import chunks


@dataclass(frozen=True)
class Origin:
    """Where data came from, and what tells them from others.

    Attributes:
        path: The absolute path of the file or folder; None of a built-in set.
        digest: That of the values that were read, labels included; None of a built-in set, which has no file to change.
    """

    path: str | None = None
    digest: str | None = None

    @classmethod
    def of(cls, data: str, dataset: Dataset) -> Self:
        """Return where data that were loaded by a name or a path came from."""
        if data in DATASETS:
            return cls()
        return cls(str(Path(data).expanduser().absolute()), digest_of_values(dataset))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Rebuild it from what `to_dict` returned."""
        return cls(saved["path"], saved["digest"])


def digest_of_values(dataset: Dataset) -> str:
    """Return a digest of the values of a data set and of its labels, which any change of any of them changes."""
    digest = hashlib.sha256()
    values = dataset.values
    if isinstance(values, pd.DataFrame):
        digest.update(repr([str(name) for name in values.columns]).encode())
        for i in range(values.shape[1]):
            digest.update(_hashes(values.iloc[:, i]))
    else:
        digest.update(f"{values.dtype} {tuple(values.shape)}".encode())
        for part in chunks(values):
            digest.update(np.ascontiguousarray(part).data)
    if dataset.labels is not None:
        digest.update(_hashes(pd.Series(dataset.labels)))
    return digest.hexdigest()


def _hashes(cells: Any) -> bytes:
    return pd.util.hash_pandas_object(cells, index=False).to_numpy().tobytes()
