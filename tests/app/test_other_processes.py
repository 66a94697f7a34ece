"""Samples of a run that several processes share out."""

from __future__ import annotations

import multiprocessing
import os
import socket
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import small_models
import torch
from PIL import Image, ImageSequence
from small_models import SMALL

from ncsn import NCSN, Model
from ncsn.app.uses import sample_run
from ncsn.samplers import State


def sample_as_one_of_two(rank: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    own = Path(folder) / str(rank)
    draw_all(Path(folder), own)
    model, seen = Model.load(Path(folder) / "run"), list[State]()
    drawn = model.sample(300, label="b", guidance=1.5, steps=10, shared=True, generator=seeded(), callback=seen.append)
    # without a generator the main process's draws are everyone's
    free = model.sample(3, shared=True)
    given, seen_given = {"town": "Rome"}, list[State]()
    Model.load(Path(folder) / "table").sample(
        150, given=given, steps=3, shared=True, generator=seeded(), callback=seen_given.append
    )
    rows, rows_given = ([len(state.x) for state in states if state.step == 0] for states in (seen, seen_given))
    np.savez(own / "told.npz", drawn=drawn, free=free, rows=rows, rows_given=rows_given)
    torch.distributed.destroy_process_group()


def draw_all(folder: Path, out: Path) -> None:
    """Draw images, their walk, and rows of a table given a column, into files."""
    for name in ("samples.npy", "walk.gif"):
        sample_run(folder / "run", 300, out / name, label="b", guidance=1.5, steps=10)
    sample_run(folder / "table", 150, out / "given.csv", given=["town=Rome"], steps=3)


def frames(path: Path) -> list[npt.NDArray[np.int16]]:
    """Return the pictures of an animation, in grey."""
    with Image.open(path) as animation:
        return [np.asarray(frame.convert("L"), dtype=np.int16) for frame in ImageSequence.Iterator(animation)]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_two_processes_draw_the_samples_of_one_and_one_writes(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((40, 8, 8))
    estimator = NCSN(training_steps=20, width=16, n_blocks=1, random_state=0).fit(images, np.array(["a", "b"] * 20))
    estimator.save(tmp_path / "run")
    towns = pd.DataFrame({"town": ["Rome", "Oslo"] * 30, "x": np.random.default_rng(0).normal(size=60)})
    NCSN(**SMALL, training_steps=5).fit(towns).save(tmp_path / "table")
    draw_all(tmp_path, tmp_path)
    whole = np.load(tmp_path / "samples.npy")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # a clean process, which shares no threads with this one
    context = multiprocessing.get_context("spawn")
    workers: list[BaseProcess] = []
    with pytest.MonkeyPatch.context() as patch:
        for folder in (Path(__file__).parents[__name__.count(".")], Path(small_models.__file__).parent):
            patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        for rank in range(2):
            (tmp_path / str(rank)).mkdir()
            workers.append(context.Process(target=sample_as_one_of_two, args=(rank, port, str(tmp_path))))
            workers[-1].start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert {path.name for path in (tmp_path / "0").iterdir()} == {"samples.npy", "walk.gif", "given.csv", "told.npz"}
    assert {path.name for path in (tmp_path / "1").iterdir()} == {"told.npz"}
    np.testing.assert_allclose(np.load(tmp_path / "0" / "samples.npy"), whole, rtol=1e-5, atol=1e-6)
    first, second = (np.load(tmp_path / str(rank) / "told.npz") for rank in range(2))
    # whole blocks of 64 images each
    assert (first["rows"].sum(), second["rows"].sum()) == (128, 172)
    # each walked some of the rows that were given a column, and the main one wrote all
    assert min(first["rows_given"].sum(), second["rows_given"].sum()) > 0
    assert first["rows_given"].sum() + second["rows_given"].sum() == 150
    alone, together = (pd.read_csv(folder / "given.csv") for folder in (tmp_path, tmp_path / "0"))
    assert together["town"].eq("Rome").all() and len(together) == 150
    np.testing.assert_allclose(together["x"], alone["x"], rtol=1e-4, atol=1e-5)
    walks = frames(tmp_path / "walk.gif"), frames(tmp_path / "0" / "walk.gif")
    assert len(walks[0]) == len(walks[1]) > 2
    for one, other in zip(*walks, strict=True):
        np.testing.assert_allclose(one, other, atol=1)
    for told in (first, second):
        np.testing.assert_allclose(told["drawn"], whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(first["free"], second["free"])
