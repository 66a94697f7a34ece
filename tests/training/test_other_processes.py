"""Trainings whose process is killed, and trainings of several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ncsn.training.trainer as loop
from ncsn import files
from ncsn.errors import RunError
from ncsn.networks import PreconditionedScore, ResidualMLP
from ncsn.training import Trainer, is_main_process, make_accelerator

from .common import RECIPE, held_out_rows, same, trainer_of, two_clusters

# Killed processes


def train_until_killed(path: str, die: str, at: int) -> None:
    """Train with a checkpoint every 5 steps; ``die`` while a checkpoint is written, or wait for the parent's signal."""
    loop.REPORT_EVERY, loop.CHECKPOINT_EVERY = 1, 5
    torch.set_num_threads(1)
    writes = 0

    def kill(*args: Any) -> None:
        nonlocal writes
        writes += 1
        if writes == at:
            os.kill(os.getpid(), signal.SIGKILL)

    class Half:
        """A file whose process dies after half of what it writes."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Half:
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

        def write(self, content: bytes) -> None:
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            kill()
            self.file.write(content[len(content) // 2 :])

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    if die == "half written":
        vars(files)["open"] = lambda *args: Half(open(*args))  # noqa: SIM115
    elif die in ("written", "named"):
        # of each write the file, then the folder that names it
        os.fsync = kill  # type: ignore[assignment]
    elif die == "renamed":
        rename = os.replace

        def replace_and_die(source: Any, target: Any) -> None:
            rename(source, target)
            kill()

        os.replace = replace_and_die  # type: ignore[assignment]
    trainer_of(dropout=0.3).run(checkpoint=Path(path))


@pytest.fixture(scope="module")
def processes() -> Iterator[Any]:
    """Processes that start from a clean server, so that PyTorch is imported once and no thread is forked."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch._dynamo"])
    with pytest.MonkeyPatch.context() as patch:
        # where the server finds this module
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[__name__.count(".")]), prepend=os.pathsep)
        yield context


@pytest.fixture(scope="module")
def uninterrupted() -> Trainer:
    trainer = trainer_of(dropout=0.3)
    trainer.run()
    return trainer


def check_resumes(path: Path, uninterrupted: Trainer) -> None:
    resumed = trainer_of(dropout=0.3)
    resumed.run(checkpoint=path)
    assert same(resumed.averaged_model, uninterrupted.averaged_model)
    assert same(resumed.score_model, uninterrupted.score_model)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("die", "at", "checkpoint_at"),
    [("half written", 1, None), ("half written", 3, 10), ("written", 5, 10), ("named", 6, 15), ("renamed", 3, 15)],
)
def test_killed_while_writing_a_checkpoint(
    processes: Any, uninterrupted: Trainer, tmp_path: Path, die: str, at: int, checkpoint_at: int | None
) -> None:
    path = tmp_path / "checkpoint"
    process: BaseProcess = processes.Process(target=train_until_killed, args=(str(path), die, at))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    if checkpoint_at is None:
        assert not path.exists()
    else:
        _, metadata = files.read_tensors(path)
        assert metadata["step"] == checkpoint_at
    check_resumes(path, uninterrupted)


def test_killed_again_and_again_at_any_moment(processes: Any, uninterrupted: Trainer, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    delays = np.random.default_rng(0).uniform(0, 0.1, 3)
    for delay in delays:
        process: BaseProcess = processes.Process(target=train_until_killed, args=(str(path), "by the parent", 0))
        process.start()
        before = path.stat().st_mtime_ns if path.exists() else 0
        while process.is_alive() and (not path.exists() or path.stat().st_mtime_ns == before):
            time.sleep(0.001)
        time.sleep(delay)
        process.kill()
        process.join(60)
    check_resumes(path, uninterrupted)


# Several processes


def train_as_one_of_several(rank: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    loop.REPORT_EVERY, loop.CHECKPOINT_EVERY = 5, 20
    torch.manual_seed(rank)
    own = Path(folder) / str(rank)
    # each begins with other weights
    model = PreconditionedScore(ResidualMLP((2,), 16, 1))
    nn.init.normal_(model.network.get_parameter("output.weight"))
    trainer = Trainer(model, two_clusters(), RECIPE, accelerator=make_accelerator("cpu"), held_out=held_out_rows())
    trainer.run(checkpoint=own / "checkpoint")
    assert trainer.watch is not None
    told = {"curve": trainer.curve, "looks": trainer.watch.looks, "main": is_main_process()}
    files.write_bytes(own / "weights", files.pack_tensors(trainer.averaged_model.state_dict(), told))
    torch.distributed.destroy_process_group()


def one_process() -> Trainer:
    """Train as the first of two processes begins."""
    with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "REPORT_EVERY", 5)
        torch.manual_seed(0)
        model = PreconditionedScore(ResidualMLP((2,), 16, 1))
        nn.init.normal_(model.network.get_parameter("output.weight"))
        trainer = Trainer(model, two_clusters(), RECIPE, accelerator=make_accelerator("cpu"), held_out=held_out_rows())
        trainer.run()
    return trainer


def test_two_processes_agree_with_each_other_and_with_one_and_one_writes(processes: Any, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers: list[BaseProcess] = []
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        workers.append(processes.Process(target=train_as_one_of_several, args=(rank, port, str(tmp_path))))
        workers[-1].start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    (first, told_first), (second, told_second) = (
        files.read_tensors(tmp_path / str(rank) / "weights") for rank in range(2)
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert told_first["curve"] == told_second["curve"]
    assert told_first["looks"] == told_second["looks"]
    alone = one_process()
    assert alone.watch is not None
    looks, theirs = (torch.tensor(looks) for looks in (alone.watch.looks, told_first["looks"]))
    torch.testing.assert_close(looks, theirs, rtol=1e-4, atol=0)
    assert [step for step, _ in alone.curve] == [step for step, _ in told_first["curve"]]
    losses, theirs = (torch.tensor([loss for _, loss in curve]) for curve in (alone.curve, told_first["curve"]))
    torch.testing.assert_close(losses, theirs, rtol=1e-5, atol=0)
    for name, weight in alone.averaged_model.state_dict().items():
        torch.testing.assert_close(first[name], weight, rtol=1e-4, atol=1e-6)
    assert (told_first["main"], told_second["main"]) == (True, False)
    assert (tmp_path / "0" / "checkpoint").exists()
    assert not (tmp_path / "1" / "checkpoint").exists()
    # one process would go on otherwise than two
    with pytest.raises(RunError, match="its data, settings, number of processes or version differ"):
        alone.resume(tmp_path / "0" / "checkpoint")
