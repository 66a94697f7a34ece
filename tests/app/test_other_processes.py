"""Samples of a run that several processes share out."""

from __future__ import annotations

import multiprocessing
import os
import socket
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch

from ncsn import NCSN, Model
from ncsn.app.uses import sample_run
from ncsn.samplers import State


def sample_as_one_of_two(rank: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    own = Path(folder) / str(rank)
    for name in ("samples.npy", "walk.gif"):
        sample_run(Path(folder) / "run", 300, own / name, label="b", guidance=1.5)
    model, seen = Model.load(Path(folder) / "run"), list[State]()
    drawn = model.sample(300, label="b", guidance=1.5, shared=True, generator=seeded(), callback=seen.append)
    # without a generator the main process's draws are everyone's
    free = model.sample(3, shared=True)
    np.savez(own / "told.npz", drawn=drawn, free=free, rows=[len(state.x) for state in seen if state.step == 0])
    torch.distributed.destroy_process_group()


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_two_processes_draw_the_samples_of_one_and_one_writes(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((40, 8, 8))
    estimator = NCSN(training_steps=20, width=16, n_blocks=1, random_state=0).fit(images, np.array(["a", "b"] * 20))
    estimator.save(tmp_path / "run")
    sample_run(tmp_path / "run", 300, tmp_path / "samples.npy", label="b", guidance=1.5)
    whole = np.load(tmp_path / "samples.npy")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # a clean process, which shares no threads with this one
    context = multiprocessing.get_context("spawn")
    workers: list[BaseProcess] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[__name__.count(".")]), prepend=os.pathsep)
        for rank in range(2):
            (tmp_path / str(rank)).mkdir()
            workers.append(context.Process(target=sample_as_one_of_two, args=(rank, port, str(tmp_path))))
            workers[-1].start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert {path.name for path in (tmp_path / "0").iterdir()} == {"samples.npy", "walk.gif", "told.npz"}
    assert {path.name for path in (tmp_path / "1").iterdir()} == {"told.npz"}
    np.testing.assert_allclose(np.load(tmp_path / "0" / "samples.npy"), whole, rtol=1e-5, atol=1e-6)
    first, second = (np.load(tmp_path / str(rank) / "told.npz") for rank in range(2))
    # whole blocks of 64 images each
    assert (first["rows"].sum(), second["rows"].sum()) == (128, 172)
    for told in (first, second):
        np.testing.assert_allclose(told["drawn"], whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(first["free"], second["free"])
