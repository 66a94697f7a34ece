"""The documentation is true: its code runs, its commands exist, its reference lists every public name."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import click
import matplotlib
import pytest
import typer

import ncsn.model.training_data
from ncsn.app.cli import app
from ncsn.plan import Plan, make_plan

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))
from public_names import public_names  # noqa: E402

PAGES = [ROOT / "README.md"] + [
    page for page in sorted((ROOT / "docs").rglob("*.md")) if "notebooks" not in page.relative_to(ROOT / "docs").parts
]
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, *languages: str) -> list[str]:
    """Return a page's blocks of code in some languages."""
    return [code for language, code in _FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def quick_plan(rows: Any, **given: Any) -> Plan:
    """Plan as ever, but for ten steps of a narrow network."""
    return make_plan(rows, **given | {"training_steps": 10, "width": given.get("width") or 16, "n_blocks": 1})


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "docs" / "penguins.csv", tmp_path)
    monkeypatch.setattr(ncsn.model.training_data, "make_plan", quick_plan)
    monkeypatch.setattr(matplotlib, "use", lambda backend: None)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for number, code in enumerate(blocks(page, "python"), 1):
        exec(compile(code, f"{name_of(page)}, block {number}", "exec"), namespace)


COMMANDS = [
    (name_of(page), line.split("#")[0].strip())
    for page in PAGES
    for code in blocks(page, "", "bash", "console")
    for line in code.splitlines()
    if line.split("#")[0].strip().removeprefix("$ ").startswith("ncsn ")
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_parse(page: str, line: str) -> None:
    words = shlex.split(line.removeprefix("$ "))[1:]
    command: Any = typer.main.get_command(app)
    chosen = command.get_command(click.Context(command), words[0])
    assert chosen is not None, f"{page}: there is no command {words[0]!r}"
    try:
        chosen.make_context(words[0], words[1:])
    except click.exceptions.ClickException as error:
        pytest.fail(f"{page}: {line}: {error.format_message()}")


def test_there_are_commands() -> None:
    named = {line.removeprefix("$ ").split()[1] for _, line in COMMANDS}
    assert named >= {"demo", "plan", "train", "sample", "evaluate", "impute", "compare", "learn"}


SHOWN = {
    name
    for page in (ROOT / "docs" / "reference").glob("*.md")
    for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
}


def test_every_public_name_is_in_the_reference() -> None:
    """A page of the reference shows all that a package lists; so each package that lists names has to be on one."""
    assert [name for name in public_names() if name.rpartition(".")[0] not in SHOWN] == []


def test_the_reference_names_packages_and_not_the_files_in_them() -> None:
    packages = {name.rpartition(".")[0] for name in public_names()}
    # what the commands are made of is not listed, and shown module by module
    assert {name for name in SHOWN - packages if not name.startswith("ncsn.app.")} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_images_are_there_and_described(page: Path) -> None:
    for alternative, target in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).is_file(), target
        assert len(alternative) > 30, f"{target}: say what the figure shows"
