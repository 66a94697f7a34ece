"""Run the commands whose output the pages show, and put in what they print now.

    python docs/printed.py             # a minute on one core

Such a block of text stands below a comment with its command, ``<!-- printed by: ncsn plan penguins.csv | head -9 -->``.
The commands are run in a folder with ``penguins.csv``, the same with semicolons as ``pinguine.csv``, and a run of it.
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

DOCS = Path(__file__).parent
_BLOCK = re.compile(
    r"(?P<before><!-- printed by: (?P<command>.+?) -->\n```text\n).*?(?=^```$)", re.MULTILINE | re.DOTALL
)


def printed(command: str, folder: Path) -> str:
    """Return what a command prints in a folder, errors included."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    options = {"shell": True, "cwd": folder, "env": environment, "text": True, "capture_output": True}
    done = subprocess.run(f"{{ {command}; }} 2>&1", **options)  # type: ignore[call-overload]
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def main() -> None:
    """Rewrite the blocks that have changed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(DOCS / "penguins.csv", folder)
        pd.read_csv(DOCS / "penguins.csv").to_csv(folder / "pinguine.csv", sep=";", decimal=",", index=False)
        print(printed("ncsn train penguins.csv --out runs/penguins | tail -1", folder), end="", flush=True)
        for page in (DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))):
            text = page.read_text(encoding="utf-8")
            new = _BLOCK.sub(lambda found: found["before"] + printed(found["command"], folder), text)
            if new != text:
                page.write_text(new, encoding="utf-8")
                print(f"changed {page}", flush=True)


if __name__ == "__main__":
    main()
