"""Sound data files, small ones of each kind, to be damaged."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image


@dataclass(frozen=True)
class Seed:
    """A sound file, or a folder of which one file is damaged.

    Args:
        name: What it is.
        path: The file or folder.
        label: Its column or array of labels, if it is read with one.
        inner: The file of the folder that is damaged, or None.
    """

    name: str
    path: Path
    label: str | None = None
    inner: str | None = None

    def place(self, path: Path) -> Path:
        """Return the file to damage, of a copy at a path."""
        return path if self.inner is None else path / self.inner

    @property
    def content(self) -> bytes:
        """Its bytes."""
        return self.place(self.path).read_bytes()

    def copy(self, folder: Path) -> Path:
        """Copy it into a folder; return the copy."""
        target = folder / self.path.name
        if self.path.is_dir():
            shutil.copytree(self.path, target)
        else:
            shutil.copy(self.path, target)
        return target


def table(generator: np.random.Generator, n: int = 12) -> pd.DataFrame:
    """Return a table of numbers, whole numbers, categories, dates and gaps."""
    frame = pd.DataFrame({"size": generator.normal(100, 5, n).round(2), "count": generator.integers(0, 9, n)})
    frame["kind"] = generator.choice(["red", "green, dark", 'blue "sky"'], n)
    frame["day"] = (pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.integers(0, 400, n), "D")).astype(
        "datetime64[us]"
    )
    frame["gap"] = np.where(generator.random(n) < 0.2, np.nan, generator.normal(size=n).round(3))
    return frame


def seeds(folder: Path) -> list[Seed]:
    """Write the sound files into a new folder."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    frame, matrix = table(generator), generator.normal(size=(12, 3))
    images = generator.integers(0, 256, (12, 6, 6), dtype=np.uint8)
    found = []
    for name, separator, label in (
        ("t.csv", ",", None),
        ("l.csv", ",", "kind"),
        ("s.csv", ";", None),
        ("t.tsv", "\t", None),
    ):
        frame.to_csv(folder / name, sep=separator, decimal="," if separator == ";" else ".", index=False)
        found.append(Seed(name, folder / name, label))
    (folder / "t.csv.gz").write_bytes(gzip.compress((folder / "t.csv").read_bytes(), mtime=0))
    arrays: dict[str, Any] = {"m.npy": matrix, "i.npy": images, "f.npy": np.asfortranarray(matrix)}
    for name, values in arrays.items():
        np.save(folder / name, values)
    np.savez(folder / "x.npz", x=matrix, y=generator.integers(0, 2, 12))
    np.savez_compressed(folder / "c.npz", images)
    frame.to_parquet(folder / "t.parquet", index=False)
    frame.to_parquet(folder / "z.parquet", index=False, compression="gzip")
    head = bytes([0, 0, 8, 3]) + b"".join(number.to_bytes(4, "big") for number in images.shape)
    (folder / "i-idx3-ubyte").write_bytes(head + images.tobytes())
    found += [
        Seed(name, folder / name) for name in ("t.csv.gz", "m.npy", "i.npy", "f.npy", "c.npz", "t.parquet", "z.parquet")
    ]
    found += [Seed("x.npz", folder / "x.npz", "y"), Seed("l.parquet", folder / "t.parquet", "kind")]
    found.append(Seed("i-idx3-ubyte", folder / "i-idx3-ubyte"))
    return [*found, *_pictures(folder, generator)]


def _pictures(folder: Path, generator: np.random.Generator) -> list[Seed]:
    found = []
    for ending, mode in (("png", "RGB"), ("png", "P"), ("png", "L"), ("jpg", "RGB"), ("gif", "P")):
        name = f"{ending}_{mode}"
        (folder / name).mkdir()
        for place in range(4):
            pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).convert(mode).save(folder / name / f"{place}.{ending}")
        found.append(Seed(f"folder of {name}", folder / name, inner=f"1.{ending}"))
    return found
