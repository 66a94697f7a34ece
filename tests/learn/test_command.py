"""Progress on the learner's machine, and the command that hands out the notebooks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import webbrowser
from pathlib import Path

import pytest
import torch

from ncsn.app.cli import main
from ncsn.errors import RunError
from ncsn.learn import command
from ncsn.learn.lessons import LESSONS
from ncsn.learn.progress import Progress, ProgressWarning, progress_path

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ncsn", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
    return int(stopped.value.code or 0)


def test_progress_is_kept_beside_the_notebooks_or_where_the_variable_says(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert progress_path() == Path(".ncsn/progress.json")
    assert progress_path(elsewhere) == elsewhere / ".ncsn" / "progress.json"
    monkeypatch.setenv("NCSN_PROGRESS", str(elsewhere / "mine.json"))
    Progress.read().record("exercises", "1.1", True)
    assert json.loads((elsewhere / "mine.json").read_text())["exercises"] == {"1.1": {"passed": True, "tries": 1}}
    assert not (elsewhere / ".ncsn").exists()
    assert [path.name for path in elsewhere.iterdir()] == ["mine.json"]


@pytest.mark.parametrize(
    "damage",
    [b"", b'{"exercises": {"1.1"', b"\xff\xfe", b"[]", b'{"gates": 3}', b'{"questions": {"1.a": {"tries": "x"}}}'],
)
def test_a_damaged_file_is_kept_and_progress_begins_anew(elsewhere: Path, damage: bytes) -> None:
    path = elsewhere / "progress.json"
    for count in (1, 2):
        path.write_bytes(damage)
        with pytest.warns(ProgressWarning, match=f"is kept as progress-damaged-{count}.json, and progress begins anew"):
            progress = Progress.read(path)
        assert progress.entries == {"exercises": {}, "gates": {}, "questions": {}}
        progress.record("gates", "1.3", True)
        assert Progress.read(path).passed("gates", "1.3")
        assert (elsewhere / f"progress-damaged-{count}.json").read_bytes() == damage


def test_a_folder_that_cannot_be_written_is_told_and_nothing_more(elsewhere: Path) -> None:
    (elsewhere / "file").write_text("in the way")
    progress = Progress.read(elsewhere / "other" / "progress.json")
    blocked = Progress(elsewhere / "file" / "progress.json", progress.entries)
    with pytest.warns(ProgressWarning, match="progress is not kept"):
        blocked.record("exercises", "1.1", True)
    assert (elsewhere / "file").read_text() == "in the way"


def test_notebooks_are_copied_once_and_a_learners_own_is_kept(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("learn", "--out", "mine", "--no-open") == 0
    first = elsewhere / "mine" / f"{LESSONS[0].file}.ipynb"
    assert first.read_bytes() == (ROOT / "notebooks" / first.name).read_bytes()
    assert f"{first.name}: written" in capsys.readouterr().out
    first.write_text("my own work")
    assert run("learn", "--out", "mine", "--no-open") == 0
    out = capsys.readouterr().out
    assert first.read_text() == "my own work"
    assert f"{first.name}: yours, kept" in out
    assert "To begin one afresh, rename yours" in out


def test_progress_as_a_table(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Progress.read(progress_path(elsewhere / "mine")).record("exercises", "1.1", True)
    assert run("learn", "--progress", "--out", "mine") == 0
    out = capsys.readouterr().out
    assert f"1 of {len(LESSONS[0].exercises)}" in out
    assert "next: 1.2 the score of a mixture" in out
    assert not list((elsewhere / "mine").glob("*.ipynb"))


def jupyter_that_ends_with(code: int, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Put a Jupyter in place that only notes down how it was called."""
    calls: list[list[str]] = []

    def call(arguments: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        calls.append(arguments)
        return subprocess.CompletedProcess(arguments, code)

    monkeypatch.setattr(subprocess, "run", call)
    monkeypatch.setattr(command, "jupyter", lambda: ["jupyter-lab"])
    return calls


def no_browser() -> None:
    raise webbrowser.Error("could not locate runnable browser")


def test_root_and_a_machine_without_a_browser_are_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = jupyter_that_ends_with(0, monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    monkeypatch.setattr(webbrowser, "get", no_browser)
    assert run("learn", "--out", "mine") == 0
    assert calls == [["jupyter-lab", "mine", "--allow-root", "--no-browser"]]
    out = capsys.readouterr().out
    assert "You are root" in out
    assert "Open the address with a token" in out
    assert "ssh -L 8888:localhost:8888" in out


def test_a_jupyter_that_does_not_run_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jupyter_that_ends_with(3, monkeypatch)
    assert run("learn", "--out", "mine") == 1
    assert "Jupyter stopped with code 3; its last lines above say why" in capsys.readouterr().err


def test_jupyter_opens_the_folder_or_the_way_there_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = jupyter_that_ends_with(0, monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(webbrowser, "get", lambda: None)
    assert run("learn", "--out", "mine") == 0
    assert calls == [["jupyter-lab", "mine"]]
    monkeypatch.setattr(command, "jupyter", lambda: None)
    assert run("learn", "--out", "mine") == 0
    assert 'pip install jupyterlab && jupyter lab "mine"' in capsys.readouterr().out
    assert len(calls) == 1


def test_a_folder_that_cannot_be_made_is_one_clear_line(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / "file").write_text("")
    assert run("learn", "--out", "file", "--no-open") == 1
    assert "cannot make folder file" in capsys.readouterr().err


def test_an_installation_without_notebooks_says_so(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    monkeypatch.setattr(command, "__file__", str(elsewhere / "a" / "b" / "c" / "command.py"))
    monkeypatch.setattr("importlib.metadata.files", lambda name: None)
    with pytest.raises(RunError, match="install ncsn again"):
        command.shipped_notebooks()


def environment_without_ncsn(folder: Path) -> Path:
    """Make an environment with everything that is installed here but ncsn, and return its Python."""
    shadow = folder / "packages"
    shadow.mkdir()
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "ncsn" not in path.name:
            (shadow / path.name).symlink_to(path)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    packages = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    Path(packages, "shadow.pth").write_text(f"{shadow}\n")
    return python


def checkout(folder: Path) -> Path:
    """Copy what git knows of the project."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True)
    for name in names.stdout.decode().splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the environment is made of links")
def test_the_set_up_cell_installs_what_is_missing_and_nothing_else(elsewhere: Path) -> None:
    notebook = json.loads((ROOT / "notebooks" / f"{LESSONS[0].file}.ipynb").read_text())
    cell = "".join(next(cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"))
    python = environment_without_ncsn(elsewhere)
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def execute(folder: Path, *arguments: str) -> str:
        done = subprocess.run([python, *arguments], cwd=folder, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # no address and no checkout: it says what to do, and installs nothing
    alone = elsewhere / "alone"
    alone.mkdir()
    assert "pip install PATH/TO/THE/FOLDER" in execute(alone, "-c", cell)
    # from the checkout that the notebook lies in
    copied = checkout(elsewhere / "copied")
    ready = f"ready: ncsn 0.1.0 with torch {torch.__version__}\n"
    assert execute(copied / "notebooks", "-c", cell) == ready
    installed = sorted(
        path.name for path in Path(execute(alone, "-c", "import ncsn; print(ncsn.__file__)")).parents[1].iterdir()
    )
    assert [name for name in installed if not name.startswith("ncsn")] == ["shadow.pth"]
    # with both there, nothing is installed any more
    assert execute(alone, "-c", "import subprocess; del subprocess.run\n" + cell) == ready
    # the installation brings the notebooks along
    execute(alone, "-m", "ncsn", "learn", "--no-open", "--out", "mine")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert (alone / "mine" / path.name).read_bytes() == path.read_bytes()
