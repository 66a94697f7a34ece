"""The commands with a method, a network and a sampler of one's own, from a module beside the data."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from own_parts import OWN

from ncsn.app.compare import compare_methods
from ncsn.data import load
from ncsn.errors import SettingError

from .common import Command

OWN_PARTS = Path(__file__).parents[1] / "files" / "own_parts.py"

TRAINED = ["train", "moons", "--points", "100", "--steps", "5"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the module and a run that uses it, trained by another process."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copy(OWN_PARTS, folder / "own_code.py")
    parts = ["--method", "own_code:OWN", "--network", "own_code:make_network"]
    line = [sys.executable, "-m", "ncsn", *TRAINED, "--label", "component", "--out", "run", *parts]
    subprocess.run(line, cwd=folder, check=True, capture_output=True)
    return folder


def test_a_run_with_parts_of_one_s_own_is_trained_sampled_and_judged(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)

    def as_anew(*arguments: object) -> int:
        """Run a command as a process would that has not met the module."""
        with monkeypatch.context() as patch:
            patch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(folder))])
            patch.delitem(sys.modules, "own_code", raising=False)
            code = command(*arguments)
            sys.modules.pop("own_code", None)
        return code

    config = json.loads((folder / "run" / "config.json").read_text())
    assert config["run"]["method"] == "own_code:OWN" and config["run"]["network"] == "own_code:make_network"
    assert config["method"]["sampler"] == {"part": "own_code:Euler", "share": 0.0}
    assert config["network"] == {"path": "own_code:make_network"}
    assert as_anew("sample", "run", "-n", 3, "-o", "out.npy") == 1
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1 and "if you trust it, allow it by allow=['own_code']" in error
    assert not (folder / "out.npy").exists()
    allowed = ["--allow", "own_code"]
    assert as_anew("sample", "run", "-n", 3, "-o", "out.npy", "--label", 1, *allowed) == 0
    assert np.load(folder / "out.npy").shape == (3, 2)
    assert as_anew("sample", "run", "-n", 3, "-o", "b.npy", "--sampler", "own_code:euler_steps", *allowed) == 0
    assert as_anew("evaluate", "run", "--json", *allowed) == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["train", "moons", "--out", "new", "--method", "own_code:Own"], "own_code:Own"),
        (["train", "moons", "--out", "new", "--method", "own_cod:OWN"], "own_cod:OWN"),
        (["train", "moons", "--out", "new", "--method", "own_code:Euler"], "method must be a name or a Method"),
        (["train", "moons", "--out", "new", "--network", "own_code:none"], "own_code:none"),
        (["sample", "run", "-n", "3", "-o", "x.npy", "--sampler", "own_code:none"], "own_code:none"),
        (["sample", "run", "-n", "3", "-o", "x.npy", "--sampler", "own_code:OWN"], "a sampler is a name"),
        (["compare", "moons", "--methods", "edm,own_code:none", "--out", "new"], "own_code:none"),
    ],
)
def test_paths_that_name_no_such_part_are_refused(
    arguments: list[str],
    word: str,
    folder: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in folder.iterdir() if path.name != "__pycache__")
    assert command(*arguments) == 2
    assert word in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == before


@pytest.mark.parametrize(
    ("network", "word"),
    [
        # a class is called with the shape, the plan and the number of classes, as a factory is
        ("own_code:Factory", "network=Factory, called as Factory(shape, plan, n_classes), fails: "),
        ("own_code:OWN", "network must be a module or make one, not Method("),
        (
            "own_code:weighted_error",
            "network=weighted_error, called as weighted_error(shape, plan, n_classes), fails: ",
        ),
    ],
)
@pytest.mark.parametrize("there", [False, True], ids=["new folder", "empty folder"])
def test_a_training_that_cannot_begin_leaves_no_folder(
    there: bool,
    network: str,
    word: str,
    folder: Path,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    if there:
        Path("run").mkdir()
    assert command(*TRAINED, "--out", "run", "--network", network) == 1
    error = capsys.readouterr().err
    assert word in error and "Traceback" not in error
    # what was there already stays, empty
    assert [path.name for path in tmp_path.rglob("*")] == ["run"] * there
    assert command(*TRAINED, "--out", "run") == 0


def test_a_comparison_takes_methods_of_one_s_own(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    line = ["compare", "moons", "--methods", "edm,own_code:OWN", "--out", "both", "--budget", 5, "--seeds", 1]
    assert command(*line, "--points", 100) == 0
    rows = pd.DataFrame(json.loads((folder / "both" / "comparison.json").read_text()))
    names = rows["method"].unique().tolist()
    assert len(names) == 2 and names[0] == "edm"
    assert rows["log_likelihood"].notna().all()


def test_methods_are_compared_as_objects_too() -> None:
    dataset = load("moons", n=100)
    table = compare_methods(dataset, ["ncsn", OWN], training_steps=3, seeds=[0], samples=50)
    assert table["method"].nunique() == 2 and "ncsn" in set(table["method"])
    refused: list[Callable[[], object]] = [
        lambda: compare_methods(dataset, [], training_steps=3),
        lambda: compare_methods(dataset, ["edm"], training_steps=3, seeds=[]),
    ]
    for call in refused:
        with pytest.raises(SettingError, match="name at least one method and one seed"):
            call()
    with pytest.raises(SettingError, match="unknown method 'edn'; did you mean 'edm'"):
        compare_methods(dataset, ["edn"], training_steps=3)
