"""Fitting: callback, curve, checkpoints, processes, and what is left of a fit that fails."""

from __future__ import annotations

import multiprocessing
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from disks import disk_full_after
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from small_models import SMALL, clusters, interrupt_at, weights, white
from torch import nn

from ncsn import NCSN, Model, NCSNScoreNetwork
from ncsn.errors import DataError, DivergenceError, RunError, SettingError
from ncsn.training import Progress


@pytest.fixture
def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncsn.training.trainer.REPORT_EVERY", 4)
    monkeypatch.setattr("ncsn.training.trainer.CHECKPOINT_EVERY", 8)


def test_callback_is_told_of_progress() -> None:
    told: list[Progress] = []
    model = NCSN(training_steps=120, **SMALL).fit(white(50, 2), callback=told.append)
    assert [(progress.step, progress.steps) for progress in told] == [(50, 120), (100, 120), (120, 120)]
    assert model.loss_curve_ == [(progress.step, progress.loss) for progress in told]
    assert torch.equal(
        weights(model), torch.cat([weight.flatten() for weight in told[-1].trainer.averaged_model.parameters()])
    )


def test_settings_reach_the_training() -> None:
    told: list[Progress] = []
    NCSN(training_steps=50, batch_size=7, lr=0.03, n_sigmas=5, method="ncsn", **SMALL).fit(
        white(50, 2), callback=told.append
    )
    recipe = told[0].trainer.recipe
    assert (recipe.steps, recipe.batch_size, recipe.learning_rate, recipe.seed) == (50, 7, 0.03, 0)
    assert len(recipe.levels.draw(1000).unique()) == 5


@pytest.mark.usefixtures("frequent_checkpoints")
def test_fit_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    x, side = clusters(60)
    settings = SMALL | {"training_steps": 30, "dropout": 0.3}
    whole = NCSN(**settings).fit(x, side)
    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        NCSN(**settings).fit(x, side, callback=interrupt_at(20), checkpoint=path)
    steps: list[int] = []
    resumed = NCSN(**settings).fit(x, side, callback=lambda progress: steps.append(progress.step), checkpoint=str(path))
    assert steps == [20, 24, 28, 30]
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(resumed.sample(5), whole.sample(5))
    # a finished training is not repeated
    again = NCSN(**settings).fit(x, side, callback=interrupt_at(0), checkpoint=path)
    assert torch.equal(weights(again), weights(whole))


@pytest.mark.usefixtures("frequent_checkpoints")
def test_checkpoints_that_cannot_be_used_are_refused_before_training(tmp_path: Path) -> None:
    x = white(50, 2)
    model = NCSN(training_steps=30, **SMALL)
    stop = interrupt_at(0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, callback=interrupt_at(8), checkpoint=tmp_path / "a")
    with pytest.raises(RunError, match="no checkpoint of this training: its data, settings, number of processes"):
        model.fit(2 * x + x**2, callback=stop, checkpoint=tmp_path / "a")
    # which rows of single precision do not tell apart
    nearly = np.where(np.arange(100).reshape(50, 2) == 7, x + 1e-12, x)
    with pytest.raises(RunError, match="is no checkpoint of this training"):
        model.fit(nearly, callback=stop, checkpoint=tmp_path / "a")
    for other in ({"lr": 0.1}, {"dropout": 0.1}, {"method": "ve_sde"}, {"random_state": 1}, {"width": 9}):
        with pytest.raises(RunError, match="is no checkpoint of this training"):
            clone(model).set_params(**other).fit(x, callback=stop, checkpoint=tmp_path / "a")
    with pytest.raises(
        SettingError, match="a checkpoint needs a random_state, such as 0, so that a later fit can go on"
    ):
        clone(model).set_params(random_state=None).fit(x, callback=stop, checkpoint=tmp_path / "a")
    with pytest.raises(RunError, match=r"cannot write checkpoint .*missing/a: name a file in a folder that exists"):
        model.fit(x, callback=stop, checkpoint=tmp_path / "missing" / "a")
    with pytest.raises(RunError, match="name a file in a folder that exists"):
        model.fit(x, callback=stop, checkpoint=tmp_path)
    with disk_full_after(100), pytest.raises(RunError, match=r"cannot write .*/b: File too large"):
        model.fit(x, checkpoint=tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with pytest.raises(NotFittedError):
        model.sample(1)


def fit_as_one_of_several(rank: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    torch.manual_seed(rank)
    own = Path(folder) / str(rank)
    seeds: list[int] = []
    model = NCSN(training_steps=20, device="cpu", width=8, n_blocks=1)
    model.fit(clusters()[0], callback=lambda progress: seeds.append(progress.trainer.recipe.seed))
    model.save(own / "run")
    (own / "model").write_text(repr((seeds, weights(model).tolist(), model.loss_curve_)))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_several_processes_fit_one_model_and_save_it_once(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    workers = []
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        workers.append(context.Process(target=fit_as_one_of_several, args=(rank, port, str(tmp_path))))
        workers[-1].start()
    for worker in workers:
        worker.join(100)
        assert worker.exitcode == 0
    assert (tmp_path / "0" / "model").read_text() == (tmp_path / "1" / "model").read_text()
    assert NCSN.load(tmp_path / "0" / "run").plan_.training_steps == 20
    assert not (tmp_path / "1" / "run").exists()


def test_a_training_that_diverges_leaves_no_model() -> None:
    model = NCSN(training_steps=60, **(SMALL | {"lr": 1e30}))
    with pytest.raises(DivergenceError, match="lower the learning rate"):
        model.fit(white(20, 2))
    with pytest.raises(NotFittedError):
        model.sample(1)


# What was fitted stays until another fit is done


class Fitted:
    """All that a fit left, to be compared with what a failed one leaves."""

    def __init__(self, model: NCSN, rows: Any) -> None:
        self.model, self.plan, self.encoding = model.model_, model.plan_, model.encoding_
        self.classes = None if model.classes_ is None else model.classes_.tolist()
        self.names, self.count = getattr(model, "feature_names_in_", np.array([])).tolist(), model.n_features_in_
        self.weights, self.sigmas = weights(model), model.sigmas
        self.samples, self.density = model.sample(5, label="u"), model.score_samples(rows, label="u")

    def assert_whole(self, model: NCSN, rows: Any) -> None:
        other = Fitted(model, rows)
        assert other.model is self.model and other.plan is self.plan and other.encoding is self.encoding
        assert (other.classes, other.names, other.count) == (self.classes, self.names, self.count)
        assert torch.equal(other.weights, self.weights) and torch.equal(other.sigmas, self.sigmas)
        pd.testing.assert_frame_equal(other.samples, self.samples)
        np.testing.assert_array_equal(other.density, self.density)


FRAME = pd.DataFrame(white(20, 2), columns=["a", "b"])
SIDES = ["u", "v"] * 10
OTHER = pd.DataFrame(white(20, 3), columns=["b", "c", "d"])


def with_cell(value: float) -> pd.DataFrame:
    frame = OTHER.copy()
    frame.loc[3, "c"] = value
    return frame


@pytest.mark.parametrize(
    ("x", "y", "how", "settings", "error"),
    [
        (with_cell(np.inf), None, {}, {}, "an infinite cell in row 4, column 'c'"),
        (with_cell(np.nan).to_numpy(), None, {}, {}, "a missing or infinite cell in row 4, column 2"),
        (
            OTHER.assign(town=pd.Series([["Ulm"]] * 20, dtype=object)),
            None,
            {},
            {},
            "column 'town' holds list, which is neither numbers",
        ),
        (np.ones((9, 3)), None, {}, {}, "every column is constant"),
        (np.zeros(9), None, {}, {}, "expected rows"),
        (OTHER, [0, 1], {}, {}, "2 labels for 20 rows"),
        (OTHER, None, {}, {"n_sigmas": -3}, "n_sigmas must be a whole number"),
        (OTHER, None, {}, {"method": "edn"}, "unknown method 'edn'"),
        (OTHER, None, {}, {"lr": 1e30, "training_steps": 60}, "lower the learning rate"),
        (OTHER, None, {}, {"score_net": NCSNScoreNetwork(2, [8])}, "score_net.* fails"),
        (OTHER, None, {"checkpoint": "no/such/folder"}, {}, "name a file in a folder that exists"),
        (OTHER, None, {"teacher": NCSN()}, {"method": "consistency"}, "not fitted yet"),
        (OTHER, None, {"callback": interrupt_at(0)}, {}, None),
        (torch.as_tensor(white(20, 12)).reshape(20, 3, 2, 2), SIDES, {"callback": interrupt_at(0)}, {}, None),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_a_fit_that_fails_leaves_the_first_one_whole(
    x: Any, y: Any, how: dict[str, Any], settings: dict[str, Any], error: str | None
) -> None:
    model = NCSN(training_steps=2, **SMALL).fit(FRAME, SIDES)
    before = Fitted(model, FRAME)
    parameters = model.get_params()
    with pytest.raises(KeyboardInterrupt) if error is None else pytest.raises((ValueError, RuntimeError), match=error):
        model.set_params(**settings).fit(x, y, **how)
    before.assert_whole(model.set_params(**parameters), FRAME)
    # and the next fit starts from nothing
    again = model.fit(OTHER)
    assert torch.equal(weights(again), weights(NCSN(training_steps=2, **SMALL).fit(OTHER)))
    assert again.feature_names_in_.tolist() == ["b", "c", "d"] and again.classes_ is None


def test_a_loop_goes_on_after_a_fit_that_failed() -> None:
    model = NCSN(NCSNScoreNetwork(2, [8]), random_state=0)
    model.train_step(torch.randn(8, 2))
    before = model.sample(3, random_state=0)
    with pytest.raises(DataError, match="every column is constant"):
        model.fit(np.ones((9, 2)))
    assert torch.equal(model.sample(3, random_state=0), before)
    model.train_step(torch.randn(8, 2))


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "ddpm"},
        {"method": "consistency"},
        {"method": "edn"},
        {"sigma_max": 3.0, "sigma_min": 0.5, "n_sigmas": 2},
        {"width": 64, "n_blocks": 3, "training_steps": 7, "lr": 1.0},
        {"network": nn.Linear(2, 2)},
        {"score_net": NCSNScoreNetwork(2, [8])},
    ],
    ids=lambda settings: " ".join(settings),
)
def test_settings_given_after_a_fit_do_not_change_what_was_fitted(settings: dict[str, Any], tmp_path: Path) -> None:
    model = NCSN(training_steps=2, **SMALL).fit(FRAME, SIDES)
    before = Fitted(model, FRAME)
    before.assert_whole(model.set_params(**settings), FRAME)
    model.save(tmp_path)
    pd.testing.assert_frame_equal(NCSN.load(tmp_path).sample(5, label="u"), before.samples)
    pd.testing.assert_frame_equal(
        Model.load(tmp_path).sample(5, label="u", generator=torch.Generator().manual_seed(0)), before.samples
    )
