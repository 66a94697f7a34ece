"""Run the notebooks with their solutions, and write what comes out as pages of the site.

    python docs/notebooks.py          # docs/notebooks/*.md: one to two minutes; nothing where nothing has changed
    python docs/notebooks.py 01 03    # these alone
    python docs/notebooks.py --unrun  # the pages without what the notebooks print and draw, where none is of them: seconds

A page is made again where its notebook or the library has changed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

_SIBLING = re.compile(r"\]\((\w+)\.ipynb\)")

HERE = Path(__file__).parent
ROOT = HERE.parent
PAGES = HERE / "notebooks"

# what a figure shows becomes its alternative text
DESCRIBE = """
%matplotlib inline
from matplotlib.figure import Figure

def describe(figure, printer, cycle):
    words = [figure.get_suptitle()]
    for ax in figure.axes:
        legend = ax.get_legend()
        labels = [text.get_text() for text in legend.get_texts()] if legend else []
        words += [ax.get_title(), ax.get_xlabel(), ax.get_ylabel(), *labels]
    printer.text("Figure: " + "; ".join(dict.fromkeys(" ".join(word.split()) for word in words if word.strip())))

get_ipython().display_formatter.formatters["text/plain"].for_type(Figure, describe)
"""


def digest(*paths: Path) -> str:
    """Return a digest of files."""
    found = hashlib.sha256()
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def executed(path: Path, run: bool = True) -> Any:
    """Run a notebook in a folder of its own, or leave it unrun, and return it without its set-up."""
    notebook: Any = nbformat.read(path, as_version=4)
    if run:
        notebook.cells.insert(0, nbformat.v4.new_code_cell(DESCRIBE))
        with tempfile.TemporaryDirectory() as folder:
            os.environ["NCSN_PROGRESS"] = str(Path(folder, "progress.json"))
            NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
        del notebook.cells[0]
    # readers of the page have nothing to install
    notebook.cells = [cell for cell in notebook.cells if "hide-input" not in cell.metadata.get("tags", [])]
    return notebook


def page(notebook: Any, name: str, mark: str) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and its figures by file name."""
    described = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            # Python-Markdown reads what <details> holds, and lists below a line of text, only where told to
            cell.source = cell.source.replace("<details>", '<details markdown="1">')
            cell.source = _SIBLING.sub(r"](\1.md)", cell.source)
            cell.source = re.sub(
                r"^(?![ \t]*(?:[-*>|]|\d+\.))(.*\S.*)\n(?=(?:[-*]|\d+\.) )", r"\1\n\n", cell.source, flags=re.MULTILINE
            )
            continue
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                described.append(output.data["text/plain"])
    text, resources = MarkdownExporter().from_notebook_node(
        notebook, resources={"unique_key": name, "output_files_dir": f"{name}_files"}
    )
    alternatives = iter(described)
    text = re.sub(r"!\[(?:png|.*?)\]\((?=[^)]*_files/)", lambda _: f"![{_plain(next(alternatives))}](", text)
    return f"{text.strip()}\n\n<!-- {mark} -->\n", resources["outputs"]


def _plain(text: str) -> str:
    return text.replace("[", "(").replace("]", ")").replace("$", "").replace("\\", "")


def main() -> None:
    """Make the pages that are not up to date."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    library = digest(*sorted((ROOT / "src").rglob("*.py")))
    PAGES.mkdir(exist_ok=True)
    chosen, run = tuple(word for word in sys.argv[1:] if word != "--unrun"), "--unrun" not in sys.argv
    with tempfile.TemporaryDirectory() as folder:
        solved = Path(folder)
        subprocess.run(
            [sys.executable, ROOT / "notebooks" / "build.py", "--solved", solved], check=True, capture_output=True
        )
        notebooks = sorted(solved.glob("*.ipynb"))
        for left_over in PAGES.glob("*.md"):
            if left_over.stem not in [notebook.stem for notebook in notebooks]:
                left_over.unlink()
        for notebook in notebooks:
            target = PAGES / f"{notebook.stem}.md"
            made_from = digest(notebook, Path(__file__))
            mark = f"{made_from} {library if run else 'unrun'}"
            if chosen and not notebook.name.startswith(chosen):
                continue
            there = target.read_text(encoding="utf-8").splitlines()[-1] if target.exists() else ""
            # by another library's run it will do where nothing is to be run
            if there == f"<!-- {mark} -->" or (not run and there.startswith(f"<!-- {made_from} ")):
                continue
            print(f"{'running' if run else 'writing'} {notebook.stem}", flush=True)
            text, figures = page(executed(notebook, run), notebook.stem, mark)
            shutil.rmtree(PAGES / f"{notebook.stem}_files", ignore_errors=True)
            for name, content in figures.items():
                (PAGES / name).parent.mkdir(exist_ok=True)
                (PAGES / name).write_bytes(content)
            target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
