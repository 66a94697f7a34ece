"""Runs: whole, resumed as if never stopped, distilled, judged."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from ncsn.app.runs import RunSettings, train_run
from ncsn.app.uses import evaluate_run
from ncsn.errors import DataError, RunError, SettingError
from ncsn.training import Progress

from .common import Command


def test_a_run_is_whole(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == {
        "model.safetensors", "config.json", "metrics.jsonl", "report.html", "figures", "README.md"
    }  # fmt: skip
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["step"] == 40 and np.isfinite([lines[0]["loss"], lines[0]["held_out_loss"]]).all()
    assert "comparison" in lines[-1]
    report = (finished / "report.html").read_text()
    assert "Kept are the averaged weights of step 40" in report
    assert "data:image/png;base64" in report and "http://" not in report and "https://" not in report
    assert b"pickle" not in (finished / "model.safetensors").read_bytes()


def test_killed_and_resumed_ends_as_if_never_stopped(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["train", "moons", "--points", "300", "--steps", "250", "--seed", "5", "--out"]
    often = "from ncsn.training import trainer; trainer.CHECKPOINT_EVERY = 50; from ncsn.app.cli import main; main()"
    line = [sys.executable, "-c", often, *arguments, "stopped"]
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    checkpoint = Path("stopped/checkpoint.safetensors")
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists(), "the run ended before it could be killed"
    monkeypatch.setattr("ncsn.training.trainer.CHECKPOINT_EVERY", 50)
    assert command(*arguments, "stopped", "--resume") == 0
    assert command(*arguments, "whole") == 0
    whole, resumed = (load_file(f"{folder}/model.safetensors") for folder in ("whole", "stopped"))
    assert whole.keys() == resumed.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], resumed[name])
    assert Path("whole/metrics.jsonl").read_bytes() == Path("stopped/metrics.jsonl").read_bytes()


def test_a_teacher_of_a_table_is_known_again_however_its_sums_were_taken(command: Command) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).random((200, 3)), columns=["a", "b", "c"])
    frame.to_csv("table.csv", index=False)
    assert command("train", "table.csv", "--out", "teacher", "--steps", 5) == 0
    student = ["train", "table.csv", "--method", "consistency", "--steps", 5]
    assert command(*student, "--out", "student", "--teacher", "teacher") == 0
    assert command(*student, "--out", "other", "--teacher", "student") == 1
    assert not Path("other").exists()


def test_a_consistency_run_is_distilled_resumed_sampled_and_judged(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["moons", "--points", 200, "--steps", 20]
    assert command("train", *data, "--out", "teacher") == 0
    assert command("train", *data, "--out", "student", "--method", "consistency", "--teacher", "teacher") == 0
    assert command("sample", "student", "-n", 7, "-o", "out.npy") == 0
    assert np.load("out.npy").shape == (7, 2)
    capsys.readouterr()
    assert command("evaluate", "student", "--json") == 0
    assert json.loads(capsys.readouterr().out)["log_likelihood"] is None
    assert {path.stem for path in Path("student/figures").iterdir()} == {"samples", "training_curve"}


def test_a_run_called_from_python_says_nothing_and_returns_its_judgement(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = RunSettings("moons", "edm", steps=3, label="component", holdout=0.2, points=60, seed=0)
    evaluation = train_run(settings, tmp_path / "run")
    assert evaluation is not None
    assert evaluation.comparison.n_held_out == 12
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["evaluation"] == json.loads(json.dumps(evaluation.to_dict())) and config["run"] == asdict(settings)
    again = evaluate_run(tmp_path / "run")
    assert again.log_likelihood == pytest.approx(evaluation.log_likelihood, rel=1e-3)
    out, err = capfd.readouterr()
    assert not out and not err
    dataset, parts = settings.split()
    assert (len(parts.train), len(parts.held_out), dataset.name) == (48, 12, "moons")
    assert set(parts.train_labels) == {0, 1}
    with pytest.raises(RunError, match="is not empty, it may hold another run"):
        train_run(settings, tmp_path / "run")
    # as if it had been killed between the last two files that it removes
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"left")
    with pytest.raises(RunError, match="holds a finished run; there is nothing to resume"):
        train_run(settings, tmp_path / "run", resume=True)
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_a_training_is_shown_by_what_is_given(tmp_path: Path) -> None:
    told: list[object] = []

    @contextmanager
    def shown(title: str) -> Iterator[Callable[[Progress], None]]:
        told.append(title)
        yield lambda progress: told.append((progress.step, progress.steps))

    settings = RunSettings("moons", "edm", steps=3, label=None, holdout=0.2, points=60, seed=0)
    train_run(settings, tmp_path / "run", shown=shown)
    assert told == ["training on moons", (3, 3)]


def test_a_stopped_run_goes_on_with_the_same_settings_alone(tmp_path: Path) -> None:
    settings = RunSettings("moons", "edm", steps=3, label=None, holdout=0.2, points=60, seed=0)

    @contextmanager
    def stopped(title: str) -> Iterator[Callable[[Progress], None]]:
        def stop(progress: Progress) -> None:
            raise KeyboardInterrupt

        yield stop

    with pytest.raises(KeyboardInterrupt):
        train_run(settings, tmp_path / "run", shown=stopped)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"checkpoint.safetensors", "settings.json"}
    with pytest.raises(RunError, match="holds a run that was stopped; finish it with"):
        evaluate_run(tmp_path / "run")
    with pytest.raises(RunError, match="was started with seed 0, not 1; resume it with the same settings"):
        train_run(replace(settings, seed=1), tmp_path / "run", resume=True)
    resumed = train_run(settings, tmp_path / "run", resume=True)
    assert resumed == train_run(settings, tmp_path / "whole")


def test_a_run_that_cannot_go_on_keeps_what_it_has(tmp_path: Path) -> None:
    settings = RunSettings("moons", "edm", steps=3, label=None, holdout=0.2, points=60, seed=0)
    folder = tmp_path / "run"

    @contextmanager
    def refused(title: str) -> Iterator[Callable[[Progress], None]]:
        def refuse(progress: Progress) -> None:
            raise SettingError("no more")

        yield refuse

    # after its last step there is a checkpoint, which stays
    with pytest.raises(SettingError, match="no more"):
        train_run(settings, folder, shown=refused)
    assert {path.name for path in folder.iterdir()} == {"checkpoint.safetensors", "settings.json"}
    train_run(settings, folder, resume=True)


@pytest.mark.parametrize("error", [DataError, SettingError])
def test_what_else_a_folder_holds_is_left(tmp_path: Path, error: type[Exception]) -> None:
    settings = RunSettings("moons", "edm", steps=3, label=None, holdout=0.2, points=60, seed=0)
    folder = tmp_path / "run"

    def stopped_by(stop: BaseException) -> Callable[[str], AbstractContextManager[Callable[[Progress], None]]]:
        @contextmanager
        def shown(title: str) -> Iterator[Callable[[Progress], None]]:
            if title:
                raise stop
            yield lambda progress: None

        return shown

    killed, refused = stopped_by(KeyboardInterrupt()), stopped_by(error("nothing to train"))
    with pytest.raises(KeyboardInterrupt):
        train_run(settings, folder, shown=killed)
    (folder / "notes.txt").touch()
    with pytest.raises(error, match="nothing to train"):
        train_run(settings, folder, resume=True, shown=refused)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
