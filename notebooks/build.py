"""Make the learners' notebooks from their sources, and check that the ones in git are what the sources make.

    python notebooks/build.py                 # notebooks/*.ipynb, for learners: no solutions, no outputs
    python notebooks/build.py 01 03           # these alone
    python notebooks/build.py --check         # exit 1 if one of them differs from what its source makes
    python notebooks/build.py --solved DIR    # with the solutions

A source is a Python file in jupytext's percent format. In it:

- lines from ``### BEGIN SOLUTION`` to ``### END SOLUTION`` become ``...  # your code here`` for learners;
- in a line that ends in ``### SOLUTION "b"``, the text after the marker (here ``"b"``) becomes ``...`` for learners;
- a cell tagged ``solution`` is left out for learners;
- ``{{question 1.a}}`` is the text of a question of `ncsn.learn.lessons`, ``{{badge}}`` the button that opens the notebook
  in Colab (nothing while pyproject.toml names no repository), and a cell ``# {{setup}}`` is ``notebooks/setup_cell.py``,
  folded away.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jupytext
import nbformat

from ncsn.learn.lessons import question_numbered

HERE = Path(__file__).parent
SOURCES = HERE / "source"
PLACEHOLDER = "...  # your code here"
_BLOCK = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n(.*?)^[ \t]*### END SOLUTION[ \t]*(\n|\Z)", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"^(.*?)[ \t]*### SOLUTION[ \t]+(.+?)[ \t]*$", re.MULTILINE)
_LEFT_OVER = re.compile(r"### |\{\{(setup|badge|question)")
_COLLAPSED = {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
"""A cell whose source is folded away: in Colab, in JupyterLab and Notebook, and in books."""
_HEADING = re.compile(r"#{3,6} (?!BEGIN|END|SOLUTION)")


def repository() -> str | None:
    """Return the address of the project's repository as pyproject.toml states it, or None."""
    urls = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls", {})
    by_name = {name.lower(): str(address).rstrip("/") for name, address in urls.items()}
    return next((by_name[name] for name in ("repository", "source", "source code", "github") if name in by_name), None)


def badge(name: str) -> str:
    """Return the button that opens a notebook in Colab, or nothing where the repository is not on GitHub."""
    address = urlsplit(repository() or "")
    if address.netloc not in ("github.com", "www.github.com"):
        return ""
    path = address.path.removesuffix(".git")
    target = f"https://colab.research.google.com/github{path}/blob/main/notebooks/{name}.ipynb"
    return f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({target})"


def setup_cell() -> str:
    """Return the cell that installs what is missing."""
    text = (HERE / "setup_cell.py").read_text(encoding="utf-8")
    address = repository()
    return text.replace('"{{repository}}"', "None" if address is None else repr(f"git+{address}")).rstrip("\n")


def without_solutions(code: str) -> str:
    """Return a cell's code as learners get it."""
    code = _BLOCK.sub(lambda found: f"{found[1]}{PLACEHOLDER}{found[3]}", code)

    def emptied(found: re.Match[str]) -> str:
        before, solution, after = found[1].rpartition(found[2])
        if not solution:
            raise ValueError(f"{found[2]} is not in the line {found[0]!r}")
        return f"{before}...{after}"

    return _INLINE.sub(emptied, code)


def with_solutions(code: str) -> str:
    """Return a cell's code with the solutions and without their markers."""
    code = _BLOCK.sub(lambda found: found[2], code)
    return _INLINE.sub(lambda found: found[1], code)


def build(source: Path, *, solved: bool = False) -> str:
    """Return the notebook that a source makes, as the text of its file.

    Args:
        source: The source.
        solved: Whether with the solutions.

    Raises:
        ValueError: The source names an unknown question, or a marker has no partner.
    """
    made = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    cells: list[Any] = []
    for cell in made.cells:
        if "solution" in cell.metadata.get("tags", []) and not solved:
            continue
        text = _filled(cell.source, source.stem)
        if cell.cell_type == "code":
            text = with_solutions(text) if solved else without_solutions(text)
        is_setup = text.strip() == "# {{setup}}"
        text = setup_cell() if is_setup else text
        if _LEFT_OVER.search("".join(line for line in text.splitlines(True) if not _HEADING.match(line))):
            raise ValueError(f"{source.name}: a marker has no partner, or is unknown, in the cell:\n{text}")
        kind: Any = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        # a fixed id, so that the same source makes the same bytes
        cells.append(kind(text, id=f"cell-{len(cells):02d}", metadata=_COLLAPSED if is_setup else {}))
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)).rstrip("\n") + "\n"


def _filled(text: str, name: str) -> str:
    text = re.sub(r"^\{\{badge\}\}\n*", lambda _: f"{badge(name)}\n\n".lstrip("\n"), text, flags=re.MULTILINE)
    return re.sub(r"\{\{question ([\w.]+)\}\}", lambda found: question_numbered(found[1]).markdown(), text)


def main() -> None:
    """Write the notebooks, or check them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="how the file names of the notebooks begin; all when none is given")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a notebook is not up to date")
    parser.add_argument("--solved", type=Path, metavar="DIR", help="write the notebooks with the solutions into DIR")
    options = parser.parse_args()
    folder: Path = options.solved or HERE
    folder.mkdir(parents=True, exist_ok=True)
    stale = []
    for source in sorted(SOURCES.glob("*.py")):
        if options.names and not source.name.startswith(tuple(options.names)):
            continue
        target = folder / f"{source.stem}.ipynb"
        content = build(source, solved=options.solved is not None).encode()
        if target.exists() and target.read_bytes() == content:
            continue
        if options.check:
            stale.append(target.name)
        else:
            target.write_bytes(content)
            print(f"wrote {target}")  # noqa: T201
    if stale:
        sys.exit(f"not what their sources make: {', '.join(stale)}; run `make notebooks` and commit the result")


if __name__ == "__main__":
    main()
