import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ncsn.app.cli import main

from .common import TABLE, Command


@pytest.fixture(scope="session", autouse=True)
def small_reports() -> Iterator[None]:
    """Draw and judge few rows: that there is a figure does not depend on their number."""
    few = {"app.summary.FIGURE_ROWS": 50, "app.summary.FIGURE_IMAGES": 12, "app.summary.TRUTH_ROWS": 500}
    few |= {"app.compare.HELD_OUT_POINTS": 1000, "app.compare.DENSITY_ROWS": 50}
    with pytest.MonkeyPatch.context() as patch:
        for name, number in few.items():
            patch.setattr(f"ncsn.{name}", number)
        yield


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Return a function that runs a command in an empty folder and returns its exit code."""
    monkeypatch.chdir(tmp_path)
    # wide enough that no message is wrapped
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["ncsn", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            main()
        assert isinstance(exit.value.code, int)
        return exit.value.code

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run trained by the command on a table with labels."""
    folder = tmp_path_factory.mktemp("finished")
    labelled = TABLE.assign(kind=np.where(np.arange(60) % 3 == 0, "a", "b"))
    labelled.to_csv(folder / "table.csv", index=False)
    arguments = ["train", "table.csv", "--out", "run", "--steps", "40", "--label", "kind", "--validation", "0.1"]
    subprocess.run(
        [sys.executable, "-m", "ncsn", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder / "run"
