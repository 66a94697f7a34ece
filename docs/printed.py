"""Run the commands whose output the pages show, and put in what they print now.

    python docs/printed.py             # a minute on one core

Such a block of text stands below a comment with its command, ``<!-- printed by: ncsn plan penguins.csv | head -9 -->``.
The commands are run in a folder with ``penguins.csv``, the same with semicolons as ``pinguine.csv``, and a run of it; and with
``patches``, pictures of 32 x 32 pixels in two sub-folders, cut from the photographs of scikit-learn.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from PIL import Image
from sklearn.datasets import load_sample_images

DOCS = Path(__file__).parent
SIDE = 32
_BLOCK = re.compile(
    r"(?P<before><!-- printed by: (?P<command>.+?) -->\n```text\n).*?(?=^```$)", re.MULTILINE | re.DOTALL
)


def printed(command: str, folder: Path) -> str:
    """Return what a command prints in a folder, errors included."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    options = {"shell": True, "cwd": folder, "env": environment, "text": True, "capture_output": True}
    done = subprocess.run(f"{{ {command}; }} 2>&1", **options)  # type: ignore[call-overload]
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def cut_patches(folder: Path) -> None:
    """Cut photographs into pictures, each photograph's in a sub-folder of its name."""
    photographs = load_sample_images()
    for path, pixels in zip(photographs.filenames, photographs.images, strict=True):
        part = folder / Path(path).stem
        part.mkdir(parents=True)
        height, width = pixels.shape[0] // SIDE * SIDE, pixels.shape[1] // SIDE * SIDE
        for top in range(0, height, SIDE):
            for left in range(0, width, SIDE):
                Image.fromarray(pixels[top : top + SIDE, left : left + SIDE]).save(part / f"{top}_{left}.png")


def main() -> None:
    """Rewrite the blocks that have changed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(DOCS / "penguins.csv", folder)
        pd.read_csv(DOCS / "penguins.csv").to_csv(folder / "pinguine.csv", sep=";", decimal=",", index=False)
        cut_patches(folder / "patches")
        print(printed("ncsn train penguins.csv --out runs/penguins | tail -1", folder), end="", flush=True)
        for page in (DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))):
            text = page.read_text(encoding="utf-8")
            new = _BLOCK.sub(lambda found: found["before"] + printed(found["command"], folder), text)
            if new != text:
                page.write_text(new, encoding="utf-8")
                print(f"changed {page}", flush=True)


if __name__ == "__main__":
    main()
