"""``ncsn learn``: the notebooks in a folder of one's own, opened, and how far one has come."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import webbrowser
from pathlib import Path

from ncsn.errors import RunError
from ncsn.files import write_bytes
from ncsn.learn.lessons import LESSONS
from ncsn.learn.progress import Progress, progress_path

__all__ = ["copy_notebooks", "jupyter", "learn", "shipped_notebooks"]


def shipped_notebooks() -> list[Path]:
    """Return the learners' notebooks: those of the checkout that this runs from, else those of the installation.

    Raises:
        RunError: There are none.
    """
    files = [f"{lesson.file}.ipynb" for lesson in LESSONS]
    checkout = Path(__file__).parents[3] / "notebooks"
    found = [checkout / file for file in files]
    if not (checkout / "source").is_dir():
        # data files of the distribution, wherever the installer put them
        installed = importlib.metadata.files("ncsn") or []
        found = [Path(str(path.locate())) for path in installed if path.name in files]
    found = sorted(path for path in found if path.is_file())
    if not found:
        raise RunError("the notebooks are missing from this installation; install ncsn again")
    return found


def copy_notebooks(out: Path) -> dict[Path, str]:
    """Copy the notebooks into a folder, leaving alone what is there.

    Args:
        out: The folder; it is made where it is missing.

    Returns:
        What was done, by file: ``written``, ``there already``, or ``yours, kept`` where the file there is another.

    Raises:
        RunError: The folder cannot be made or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make folder {out}: {error.strerror or error}; choose another with --out") from error
    done = {}
    for notebook in shipped_notebooks():
        target = out / notebook.name
        content = notebook.read_bytes()
        if not target.exists():
            write_bytes(target, content)
            done[target] = "written"
        else:
            done[target] = "there already" if target.read_bytes() == content else "yours, kept"
    return done


def jupyter() -> list[str] | None:
    """Return the start of the command that opens notebooks, or None where Jupyter is not installed."""
    here = Path(sys.executable).parent
    for name in ("jupyter-lab", "jupyter-notebook"):
        found = shutil.which(name, path=str(here)) or shutil.which(name)
        if found:
            return [found]
    return None


def learn(out: Path, *, opens: bool = True) -> None:
    """Copy the notebooks, show progress, and open the notebooks where Jupyter is installed.

    Args:
        out: The folder for the notebooks.
        opens: Whether to open them.

    Raises:
        RunError: The notebooks cannot be copied, or Jupyter does not run.
    """
    done = copy_notebooks(out)
    lines = [f"{path}: {what}" for path, what in done.items()]
    if "yours, kept" in done.values():
        lines.append("To begin one afresh, rename yours and run this again.")
    sys.stdout.write("\n".join([*lines, "", table(out), ""]))
    if not opens:
        return
    command = jupyter()
    if command is None:
        sys.stdout.write(f"\nJupyter is not installed here; to open the notebooks: {_how_to_open(out)}\n")
        return
    options, told = _circumstances()
    sys.stdout.write("\n".join(["", f"opening {out}; stop with Ctrl-C", *told, ""]))
    sys.stdout.flush()
    code = subprocess.run([*command, str(out), *options], check=False).returncode
    if code:
        raise RunError(
            f"Jupyter stopped with code {code}; its last lines above say why, and the notebooks lie in {out}"
        )


def _circumstances() -> tuple[list[str], list[str]]:
    """Return the options that Jupyter needs as it runs here, and what to tell about them."""
    options, told = [], []
    if getattr(os, "geteuid", lambda: 1)() == 0:
        options.append("--allow-root")
        told.append("You are root, and so is what the notebooks run; Jupyter is told to allow it.")
    try:
        webbrowser.get()
    except webbrowser.Error:
        options.append("--no-browser")
        told.append(
            "No browser was found here. Open the address with a token, http://localhost:8888/..., that Jupyter prints below; "
            "from another machine, first make a tunnel there: ssh -L 8888:localhost:8888 THIS-MACHINE"
        )
    return options, told


def table(out: Path) -> str:
    """Return the table of progress of the notebooks in a folder, or of the working folder where it has none."""
    path = progress_path(out)
    return Progress.read(path if path.exists() else progress_path()).table(LESSONS)


def _how_to_open(out: Path) -> str:
    return f'{Path(sys.executable).name} -m pip install jupyterlab && jupyter lab "{out}"'
