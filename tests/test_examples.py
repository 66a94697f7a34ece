"""The examples run: each writes its table, with every cell filled in, and its figure."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch

EXAMPLES = Path(__file__).parents[1] / "examples"
ROWS = {"schedules": 4, "adaptive_steps": 8, "conditional": 8, "animation": 6, "ncsn_vs_ddpm": 4}
MORE = {"animation": ("animation.gif", "animation.html")}


def run(name: str, out: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    """Run an example as a script, in this process: starting another takes longer than the example."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--out", str(out), *options])
    with torch.random.fork_rng():
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    plt.close("all")


@pytest.mark.parametrize("name", ROWS)
def test_an_example_writes_its_table_and_its_figure(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(name, tmp_path / "new", monkeypatch, "--quick")
    header, _, *rows = (tmp_path / "new" / f"{name}.md").read_text(encoding="utf-8").splitlines()
    assert len(rows) == ROWS[name]
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == header.count("|") - 1
        assert all(cells)
        assert "nan" not in cells
    assert (tmp_path / "new" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    for file in MORE.get(name, ()):
        assert (tmp_path / "new" / file).stat().st_size > 10_000


def test_every_example_is_tested() -> None:
    scripts = {path.stem for path in EXAMPLES.glob("*.py") if 'if __name__ == "__main__"' in path.read_text("utf-8")}
    assert scripts == set(ROWS)


def test_the_quick_run_has_one_seed_and_no_seeds_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run("conditional", tmp_path, monkeypatch, "--seeds", "0")
    assert "--seeds must be at least 1" in capsys.readouterr().err
