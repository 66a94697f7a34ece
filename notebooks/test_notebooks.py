"""The notebooks run: with the solutions every check passes and every gate holds; as learners get them they run to the end."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import build
import nbformat
import pytest
from nbclient import NotebookClient

from ncsn.learn.declarations import Lesson
from ncsn.learn.lessons import LESSONS
from ncsn.learn.progress import Progress

PRESENT = [lesson for lesson in LESSONS if (build.SOURCES / f"{lesson.file}.py").exists()]
NAMES = [lesson.file for lesson in PRESENT]


def executed(lesson: Lesson, folder: Path, monkeypatch: pytest.MonkeyPatch, *, solved: bool) -> tuple[Any, Progress]:
    """Run a notebook in a folder of its own, and return it with the progress that it wrote."""
    monkeypatch.setenv("NCSN_PROGRESS", str(folder / "progress.json"))
    # on a busy machine, threads that wait for each other take many times as long
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.reads(build.build(build.SOURCES / f"{lesson.file}.py", solved=solved), as_version=4)
    begun = time.perf_counter()
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute()
    print(f"{lesson.file}, {'solved' if solved else 'learner'}: {time.perf_counter() - begun:.0f} s")  # noqa: T201
    return notebook, Progress.read(folder / "progress.json")


def printed(notebook: Any) -> str:
    """Return everything that the cells put out as text."""
    return json.dumps([cell.get("outputs", []) for cell in notebook.cells], ensure_ascii=False)


@pytest.mark.parametrize("lesson", PRESENT, ids=NAMES)
def test_with_solutions_every_check_passes(lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook, progress = executed(lesson, tmp_path, monkeypatch, solved=True)
    for kind in ("exercises", "gates", "questions"):
        numbers = [item.number for item in getattr(lesson, kind)]
        assert [number for number in numbers if not progress.passed(kind, number)] == [], printed(notebook)[-5000:]
    assert without_figure(notebook) == []
    assert verdict_before_figure(notebook) == []
    assert not any(output.get("name") == "stderr" for cell in notebook.cells for output in cell.get("outputs", []))


@pytest.mark.parametrize("lesson", PRESENT, ids=NAMES)
def test_as_learners_get_it_it_runs_to_the_end(lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook, progress = executed(lesson, tmp_path, monkeypatch, solved=False)
    assert progress.entries == {"exercises": {}, "gates": {}, "questions": {}}
    assert without_figure(notebook) == []
    assert verdict_before_figure(notebook) == []
    text = printed(notebook)
    for exercise in lesson.exercises:
        assert f"{exercise.number} not attempted" in text
    for gate in lesson.gates:
        assert f"Gate {gate.number} holds" in text
    for question in lesson.questions:
        assert f"Question {question.number} waits for an answer" in text


def without_figure(notebook: Any) -> list[str]:
    """Return the cells that draw a figure and show none, and those that show one twice."""
    wrong = []
    for cell in notebook.cells:
        shown = [output for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
        if cell.cell_type == "code" and len(shown) != cell.source.count("figure = "):
            wrong.append(cell.source)
    return wrong


def verdict_before_figure(notebook: Any) -> list[str]:
    """Return the cells that judge before they show what is judged."""
    wrong = []
    for cell in notebook.cells:
        kinds = [
            next(iter({"image/png", "text/html"} & output.get("data", {}).keys()), "")
            for output in cell.get("outputs", [])
        ]
        if "text/html" in kinds and "image/png" in kinds[kinds.index("text/html") :]:
            wrong.append(cell.source)
    return wrong


@pytest.mark.parametrize("lesson", PRESENT, ids=NAMES)
def test_the_notebook_shows_no_solution_and_no_output(lesson: Lesson) -> None:
    text = (build.HERE / f"{lesson.file}.ipynb").read_text(encoding="utf-8")
    assert "SOLUTION" not in text
    notebook = nbformat.reads(text, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert text == build.build(build.SOURCES / f"{lesson.file}.py")


@pytest.mark.parametrize("lesson", PRESENT, ids=NAMES)
def test_links_work_in_copies_and_the_set_up_cell_is_folded_away(lesson: Lesson) -> None:
    notebook = nbformat.read(build.HERE / f"{lesson.file}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not target.startswith("https://")]
    assert targets
    assert set(targets) <= {f"{each.file}.ipynb" for each in LESSONS}
    first, *others = (cell for cell in notebook.cells if cell.cell_type == "code")
    assert "Set-up" in first.source
    assert first.metadata["jupyter"] == {"source_hidden": True}
    assert not any(cell.metadata for cell in others)


def test_a_result_is_shown_once_wherever_it_stands_in_a_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCSN_PROGRESS", str(tmp_path / "progress.json"))
    lines = ["from ncsn.learn import check, quiz", 'quiz("1.a")', 'result = check("1.1", None)\n3', "result"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(line) for line in lines])
    NotebookClient(notebook, timeout=60).execute()
    shown = [[output for output in cell.outputs if "text/html" in output.get("data", {})] for cell in notebook.cells]
    assert [len(each) for each in shown] == [0, 1, 1, 1]
    assert "waits for an answer" in shown[1][0]["data"]["text/html"]


def test_markers() -> None:
    code = 'def f(x):\n    """Say."""\n    ### BEGIN SOLUTION\n    y = 2 * x\n    return y\n    ### END SOLUTION\n'
    assert build.without_solutions(code) == 'def f(x):\n    """Say."""\n    ...  # your code here\n'
    assert build.with_solutions(code) == 'def f(x):\n    """Say."""\n    y = 2 * x\n    return y\n'
    line = 'quiz("1.a", "b")  ### SOLUTION "b"'
    assert build.without_solutions(line) == 'quiz("1.a", ...)'
    assert build.with_solutions(line) == 'quiz("1.a", "b")'


def test_a_marker_without_its_partner_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "wrong.py"
    source.write_text("# %%\n### BEGIN SOLUTION\nx = 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"wrong\.py: a marker has no partner"):
        build.build(source)


def test_no_address_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "repository", lambda: None)
    assert build.badge("01_any") == ""
    assert "source = None" in build.setup_cell()
    monkeypatch.setattr(build, "repository", lambda: "https://github.com/someone/something")
    assert "github/someone/something/blob/main/notebooks/01_any.ipynb" in build.badge("01_any")
    assert "source = 'git+https://github.com/someone/something'" in build.setup_cell()
