"""A run can always be finished or used: whatever stops it, at whatever stage, and whatever its names are."""

from __future__ import annotations

import json
import multiprocessing
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from disks import disk_full_after
from filelock import FileLock

from ncsn.app import runs
from ncsn.app.claims import LOCK, MARKER, claimed
from ncsn.app.origins import Origin
from ncsn.app.runs import RunSettings, train_run
from ncsn.app.uses import evaluate_run, sample_run
from ncsn.data import load
from ncsn.errors import DivergenceError, RunError
from ncsn.training import Progress

from .common import Command

SETTINGS = RunSettings("moons", "edm", steps=3, label=None, holdout=0.2, points=60, seed=0)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    train_run(SETTINGS, folder)
    return folder


@pytest.fixture(autouse=True)
def figures_closed() -> Iterator[None]:
    """Close the figures of what was stopped before it wrote them."""
    yield
    plt.close("all")


@contextmanager
def stopped(title: str) -> Iterator[Callable[[Progress], None]]:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    yield stop


def table(path: Path, names: tuple[str, ...] = ("a", "b")) -> pd.DataFrame:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, len(names))), columns=list(names))
    frame.to_csv(path, index=False)
    return frame


def test_equal_runs_are_equal_byte_for_byte(whole: Path, tmp_path: Path) -> None:
    train_run(SETTINGS, tmp_path / "again")
    first, second = files_of(whole), files_of(tmp_path / "again")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


# After the training

AFTER = {
    "the judgement": ("ncsn.app.runs.judge", MemoryError()),
    "the samples": ("ncsn.app.summary.plot_samples", ValueError("\n$x$\n^\nParseException: Expected end")),
    "the walk from noise": ("ncsn.app.summary.plot_annealing", DivergenceError("step 3 is not finite")),
    "losses by level": ("ncsn.app.summary.plot_loss_by_level", np.linalg.LinAlgError("no convergence")),
    "a figure that is drawn": ("matplotlib.figure.Figure.savefig", ValueError("mathtext")),
}


@pytest.mark.parametrize("stage", AFTER)
def test_what_fails_after_the_training_leaves_a_model_to_use_and_is_done_again(
    stage: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, (where, error) = tmp_path / "run", AFTER[stage]

    def fails(*given: object, **named: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(where, fails)
        with pytest.raises(
            RunError, match=r"holds the trained model, which can be used, but .* failed \(.*--resume"
        ) as caught:
            train_run(SETTINGS, folder)
        assert "\n" not in str(caught.value)
    assert sample_run(folder, 4, tmp_path / "x.npy") == 4
    report = (folder / "report.html").read_text()
    assert "What is missing" in report and " ".join(str(error).split()) in report.replace("&#x27;", "'")
    train_run(SETTINGS, folder, resume=True)
    assert files_of(folder) == files_of(whole)


STAGES = {
    "the judgement": "judge",
    "the summary": "summarise",
    "the report": "write_run_report",
    "the card": "model_card",
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_is_stopped_after_its_training_can_be_used_and_finished(
    stage: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"

    def stop(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs, STAGES[stage], stop)
        with pytest.raises(KeyboardInterrupt):
            train_run(SETTINGS, folder)
    assert sample_run(folder, 4, tmp_path / "x.npy") == 4
    assert evaluate_run(folder).comparison.n_held_out == 12
    train_run(SETTINGS, folder, resume=True)
    assert files_of(folder) == files_of(whole)


@pytest.mark.parametrize("stage", ["judge", "summarise", "write_run_report", "model_card"])
def test_a_disk_that_is_full_from_a_stage_on_keeps_what_was_there(
    stage: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, full = tmp_path / "run", disk_full_after(1000)
    then = getattr(runs, stage)

    def fills(*given: Any, **named: Any) -> Any:
        full.__enter__()
        return then(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(runs, stage, fills)
        try:
            with pytest.raises(RunError, match=r"cannot write .*: File too large; free space or choose another folder"):
                train_run(SETTINGS, folder)
        finally:
            full.__exit__(None, None, None)
    assert sample_run(folder, 4, tmp_path / "x.npy") == 4
    train_run(SETTINGS, folder, resume=True)
    assert files_of(folder) == files_of(whole)


def test_a_finished_run_that_was_stopped_while_it_was_tidied_is_finished(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("model.safetensors", "config.json"):
        (folder / name).write_bytes((whole / name).read_bytes())
    (folder / "checkpoint.safetensors").touch()
    assert sample_run(folder, 4, tmp_path / "x.npy") == 4
    with pytest.raises(RunError, match="holds a finished run"):
        train_run(SETTINGS, folder, resume=True)


# The claim


def test_a_claim_that_was_killed_counts_as_nothing(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / f".{MARKER}.part").write_bytes(b'{"data": "mo')
    (folder / LOCK).touch()
    with pytest.raises(RunError, match="holds no stopped run to resume; leave --resume out to start one"):
        train_run(SETTINGS, folder, resume=True)
    train_run(SETTINGS, folder)
    assert files_of(folder) == files_of(whole)


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_another_process_works_on_is_refused(tmp_path: Path, resume: bool) -> None:
    folder = tmp_path / "run"
    if resume:
        with pytest.raises(KeyboardInterrupt):
            train_run(SETTINGS, folder, shown=stopped)
    folder.mkdir(exist_ok=True)
    before = files_of(folder)
    with (
        FileLock(folder / LOCK),
        pytest.raises(RunError, match="run is being trained by another process; wait for it, or stop it first"),
    ):
        train_run(SETTINGS, folder, resume=resume)
    assert {name for name in files_of(folder) if name != LOCK} == before.keys()


def claim(folder: Path, start: Any, told: Any) -> None:
    start.wait()
    try:
        with claimed(folder, {"data": "moons"}, resume=False):
            time.sleep(0.2)
            told.put("claimed")
    except RunError as error:
        told.put(str(error))


def test_of_processes_that_begin_at_once_one_has_the_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, told = context.Event(), context.Queue()
    processes = [context.Process(target=claim, args=(tmp_path / "run", start, told)) for _ in range(6)]
    for process in processes:
        process.start()
    start.set()
    answers = sorted(told.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(60)
    assert answers.count("claimed") == 1
    assert all(
        "another process" in answer or "go on with it by --resume" in answer
        for answer in answers
        if answer != "claimed"
    )


def test_a_resumed_run_has_as_many_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_run(SETTINGS, tmp_path / "run", shown=stopped)
    marker = tmp_path / "run" / MARKER
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"processes": 2}))
    with pytest.raises(RunError, match="was started with processes 2, not 1; resume it with the same settings"):
        train_run(SETTINGS, tmp_path / "run", resume=True)


# The data


def test_a_run_on_data_that_have_changed_is_neither_resumed_nor_judged(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    frame, settings = table(path), replace(SETTINGS, data=str(path))
    changed = frame + np.where(np.arange(60) == 17, 1e-9, 0.0)[:, None]
    with pytest.raises(KeyboardInterrupt):
        train_run(settings, tmp_path / "run", shown=stopped)
    changed.to_csv(path, index=False)
    with pytest.raises(
        RunError, match=r"was started on other data: .*table.csv has changed since; restore it, or train"
    ):
        train_run(settings, tmp_path / "run", resume=True)
    frame.to_csv(path, index=False)
    judged = train_run(settings, tmp_path / "run", resume=True)
    changed.to_csv(path, index=False)
    with pytest.raises(RunError, match=r"table.csv has changed since training, .*; restore it as .*table.csv to judge"):
        evaluate_run(tmp_path / "run")
    path.unlink()
    frame.to_csv(path, index=False, sep=";")
    assert judged is not None
    assert evaluate_run(tmp_path / "run").comparison.measures == judged.comparison.measures


def test_a_run_is_judged_wherever_the_command_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    table(Path("table.csv"))
    train_run(replace(SETTINGS, data="table.csv"), Path("run"))
    monkeypatch.chdir(tmp_path / "there")
    table(Path("table.csv"), ("c", "d"))
    assert evaluate_run(tmp_path / "here" / "run").comparison.n_held_out == 12
    # moved as a whole, the data are found as they were named
    (tmp_path / "here").rename(tmp_path / "moved")
    with pytest.raises(RunError, match="has changed since training"):
        evaluate_run(tmp_path / "moved" / "run")
    monkeypatch.chdir(tmp_path / "moved")
    assert evaluate_run(Path("run")).comparison.n_held_out == 12


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y: (np.nextafter(x, np.inf, where=np.arange(12).reshape(6, 2) == 5, out=x.copy()), y),
        lambda x, y: (x[::-1], y),
        lambda x, y: (x, np.roll(y, 1)),
        lambda x, y: (x.astype(np.float32), y),
        lambda x, y: (x[:-1], y[:-1]),
    ],
    ids=["last bit", "order", "labels", "type", "rows"],
)
def test_the_digest_of_data_tells_any_change(change: Callable[[Any, Any], tuple[Any, Any]], tmp_path: Path) -> None:
    def digest(x: Any, y: Any) -> str | None:
        np.savez(tmp_path / "x.npz", x=x, y=y)
        return Origin.of("x.npz", load(tmp_path / "x.npz", label="y")).digest

    x, y = np.random.default_rng(0).normal(size=(6, 2)), np.array(["u", "v", "u", "v", "v", "v"])
    assert digest(x, y) == digest(x, y) != digest(*change(x, y))


# Names

NAMES = (
    "$x_$", "a_{b}", "$\\frac{$", "<b>&amp;", "身高", "🙂", "طول", "e\u0301", "#%^~", "x" * 300, "'", "[red]", "`|*",
    "line\nbreak", "=1+1",
)  # fmt: skip


@pytest.mark.parametrize("names", [NAMES[:5], NAMES[5:10], NAMES[10:]], ids=["markup", "scripts", "signs"])
def test_any_text_may_stand_in_names_and_labels(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.csv"
    frame = table(path, names)
    frame["kind $_"] = np.resize(names, len(frame))
    frame["class"] = np.resize([f"{name}." for name in names[:2]], len(frame))
    frame.to_csv(path, index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # told by PyTorch's own, of its future
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        evaluation = train_run(replace(SETTINGS, data=str(path), label="class"), tmp_path / "run")
    assert evaluation is not None and str(evaluation)
    sample_run(tmp_path / "run", 8, tmp_path / "x.csv", label=f"{names[1]}.")
    drawn = pd.read_csv(tmp_path / "x.csv", keep_default_na=False)
    assert drawn.columns.tolist() == frame.columns.tolist()
    assert set(drawn["class"]) == {f"{names[1]}."} and set(drawn["kind $_"]) <= set(frame["kind $_"])


# The command line


def test_ctrl_c_says_that_resume_goes_on(tmp_path: Path) -> None:
    often = "from ncsn.training import trainer; trainer.CHECKPOINT_EVERY = 50; from ncsn.app.cli import main; main()"
    line = [sys.executable, "-c", often, "train", "moons", "--points", "60", "--steps", "100000", "--out", "run"]
    process = subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "run" / "checkpoint.safetensors").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 130
    assert told[-1] == "stopped; the same command with --resume goes on"
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"checkpoint.safetensors", "settings.json"}


def test_ctrl_c_says_what_is_there(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    for name, said in (
        ("judge", "holds the trained model, and the same command with --resume finishes the run"),
        ("load", "stopped before anything was written"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(runs, name, stop)
            assert command("train", "moons", "--points", 60, "--steps", 3, "--out", name) == 130
        assert said in capsys.readouterr().err.splitlines()[-1]
