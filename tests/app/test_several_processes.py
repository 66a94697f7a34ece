"""Runs that several processes train: started as on the command line, one writes, and a killed one is resumed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

import ncsn
from ncsn.app.claims import MARKER
from ncsn.app.runs import RunSettings, train_run
from ncsn.errors import RunError

SETTINGS = RunSettings("moons", "edm", steps=12, label=None, holdout=0.2, points=60, seed=0)

PORT = object()
LAUNCHERS: dict[str, list[Any]] = {
    "torchrun": ["torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"],
    "accelerate launch": [
        *("accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"),
        *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", PORT, "-m"),
    ],
}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone") / "run"
    train_run(SETTINGS, folder)
    return folder


def difference(folder: Path, other: Path) -> float:
    """Return how far the weights and moments of two runs are apart, as a share of their size."""
    ours, theirs = (load_file(each / "model.safetensors") for each in (folder, other))
    assert ours.keys() == theirs.keys()
    apart = sum(float(((ours[name] - theirs[name]) ** 2).sum()) for name in ours)
    return (apart / sum(float((tensor**2).sum()) for tensor in theirs.values())) ** 0.5


def losses(folder: Path) -> list[float]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line[name] for line in lines if "loss" in line for name in ("loss", "held_out_loss") if name in line]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_train_the_run_of_one_and_one_writes_and_speaks(
    launcher: str, alone: Path, tmp_path: Path
) -> None:
    line = [str(free_port()) if word is PORT else word for word in LAUNCHERS[launcher]]
    command = ["train", "moons", "--points", "60", "--steps", "12", "--out", "run"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(ncsn.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", *line, "ncsn", *command], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("wrote run/report.html") == 1
    assert {path.name for path in (tmp_path / "run").iterdir()} == {path.name for path in alone.iterdir()}
    # the network of so few rows has dropout, which each process draws for itself
    assert difference(tmp_path / "run", alone) < 0.1
    assert losses(tmp_path / "run") == pytest.approx(losses(alone), rel=2e-2)
    if launcher == "torchrun":
        # refused by all, said once
        again = subprocess.run(
            [sys.executable, "-m", *line, "ncsn", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert again.returncode == 1
        assert again.stderr.count("error: run is not empty, it may hold another run; name another folder") == 1


def train_as_one_of_two(rank: int, port: int, folder: str, dies: bool, resume: bool) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    import torch

    from ncsn.training import trainer as loop

    torch.set_num_threads(1)
    loop.REPORT_EVERY, loop.CHECKPOINT_EVERY = 1, 4
    step = loop.Trainer._train_step

    def dying(self: loop.Trainer) -> torch.Tensor:
        if rank == 1 and dies and self.step == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self)

    loop.Trainer._train_step = dying  # type: ignore[method-assign]
    train_run(SETTINGS, Path(folder), resume=resume)
    torch.distributed.destroy_process_group()


def train_as_two(folder: Path, *, dies: bool = False, resume: bool = False) -> list[int | None]:
    # clean processes, which share no threads with this one
    context, port = multiprocessing.get_context("spawn"), free_port()
    workers: list[BaseProcess] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[__name__.count(".")]), prepend=os.pathsep)
        for rank in range(2):
            workers.append(context.Process(target=train_as_one_of_two, args=(rank, port, str(folder), dies, resume)))
            workers[-1].start()
    for worker in workers:
        worker.join(120)
    return [worker.exitcode for worker in workers]


def test_a_run_of_two_processes_of_which_one_was_killed_is_resumed_by_two(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ended = train_as_two(folder, dies=True)
    assert ended[1] == -signal.SIGKILL and ended[0] != 0
    assert json.loads((folder / MARKER).read_text())["processes"] == 2
    with pytest.raises(RunError, match="was started with processes 2, not 1"):
        train_run(SETTINGS, folder, resume=True)
    assert train_as_two(folder, resume=True) == [0, 0]
    assert train_as_two(tmp_path / "whole") == [0, 0]
    assert difference(folder, tmp_path / "whole") == 0
    assert (folder / "config.json").read_bytes() == (tmp_path / "whole" / "config.json").read_bytes()
