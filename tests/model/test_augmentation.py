"""Augmentation as a setting: who takes it, who is refused it, and that a model keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_models import SMALL, interrupt_at, weights, white
from torch import Tensor, nn

from ncsn import NCSN
from ncsn.data import Augmentation
from ncsn.errors import RunError, SettingError
from ncsn.networks import PreconditionedScore, UNet, UNetFactory

QUICK: dict[str, Any] = SMALL | {"training_steps": 4, "batch_size": 8, "device": "cpu"}


def pictures(n: int = 40, side: int = 8, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side), dtype=np.uint8)


class Untold(nn.Module):
    """A network that takes no more than the level."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return self.weight * x


class Told(Untold):
    """A network that takes an augmentation, of which it keeps what it was."""

    def forward(self, x: Tensor, noise: Tensor, augmentation: Tensor | None = None) -> Tensor:
        shape = None if augmentation is None else tuple(augmentation.shape)
        SEEN.append(shape)
        return self.weight * x


SEEN: list[Any] = []


def told_of(model: NCSN) -> int:
    network: Any = model.score_model_.network
    return 0 if network.augmentation is None else network.augmentation.in_features


def test_the_network_is_told_where_it_is_asked_for_and_samples_are_not(tmp_path: Path) -> None:
    assert told_of(NCSN(**QUICK).fit(pictures())) == 0
    model = NCSN(augmentation="edm", **QUICK).fit(pictures())
    assert model.plan_.augmentation == "edm"
    assert told_of(model) == 9
    model.save(tmp_path)
    loaded = NCSN.load(tmp_path)
    assert loaded.plan_ == model.plan_
    np.testing.assert_array_equal(loaded.sample(3, steps=3), model.sample(3, steps=3))
    # log-densities and scores too are those of images as they are
    np.testing.assert_array_equal(loaded.score_function(pictures(2), 0.5), model.model_.score(pictures(2), 0.5).numpy())


def test_an_augmentation_of_ones_own_is_kept(tmp_path: Path) -> None:
    own = Augmentation(0.5, translation=0.3)
    model = NCSN(augmentation=own, **QUICK).fit(pictures())
    assert model.plan_.augmentation == own
    model.save(tmp_path)
    loaded = NCSN.load(tmp_path)
    assert loaded.augmentation == own
    assert loaded.plan_.augmentation == own
    assert told_of(loaded) == 9


def test_it_is_a_setting_of_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncsn.training.trainer.REPORT_EVERY", 2)
    monkeypatch.setattr("ncsn.training.trainer.CHECKPOINT_EVERY", 2)
    whole = NCSN(augmentation="edm", **QUICK).fit(pictures())
    with pytest.raises(KeyboardInterrupt):
        NCSN(augmentation="edm", **QUICK).fit(pictures(), callback=interrupt_at(2), checkpoint=tmp_path / "kept")
    with pytest.raises(
        RunError, match="is no checkpoint of this training: its data, settings, number of processes or version differ"
    ):
        NCSN(augmentation="flips", **QUICK).fit(pictures(), checkpoint=tmp_path / "kept")
    resumed = NCSN(augmentation="edm", **QUICK).fit(pictures(), checkpoint=tmp_path / "kept")
    assert torch.equal(weights(resumed), weights(whole))


def test_a_network_of_ones_own_is_told_only_where_it_is_asked_for() -> None:
    assert NCSN(network=Untold(), **QUICK).fit(pictures()).plan_.augmentation == "none"
    SEEN.clear()
    model = NCSN(network=Told(), **QUICK).fit(pictures())
    assert model.plan_.augmentation == "none"
    assert set(SEEN) == {None}
    NCSN(network=Told(), augmentation="flips", **QUICK).fit(pictures())
    assert {(2, 9), (8, 9)} <= set(SEEN)
    for network in (UNetFactory(n_blocks=1), UNet((8, 8), 8, (1, 2), 1, augmentation_dim=9)):
        assert told_of(NCSN(network=network, augmentation="edm", **QUICK).fit(pictures())) == 9


@pytest.mark.parametrize(
    ("settings", "X", "message"),
    [
        ({"network": Untold()}, pictures(), r"network\(x, c_noise, augmentation=augmentation\) .* unexpected keyword"),
        ({"network": UNet((8, 8), 8, (1,), 1)}, pictures(), "network that is not told; make it with augmentation_dim"),
        ({}, white(40, 3), r"augmentation moves images, not rows of shape \(3,\): take augmentation='none'"),
        ({}, pictures(side=6), "told to a UNet, not to the perceptron that images this small have"),
    ],
)
def test_what_cannot_be_told_is_refused(settings: dict[str, Any], X: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        NCSN(augmentation="flips", **QUICK | settings).fit(X)


def test_a_score_model_that_takes_it_is_trained_with_it() -> None:
    score_net = PreconditionedScore(UNet((8, 8), 8, (1, 2), 1, augmentation_dim=9))
    assert NCSN(score_net, **QUICK).fit(pictures()).plan_.augmentation == "none"
    assert NCSN(score_net, augmentation="edm", **QUICK).fit(pictures()).plan_.augmentation == "edm"


def test_a_student_is_moved_only_where_its_teacher_can_be_told() -> None:
    untold, told = (NCSN(augmentation=name, **QUICK).fit(pictures()) for name in ("none", "edm"))
    student = QUICK | {"method": "consistency"}
    assert told_of(NCSN(augmentation="flips", **student).fit(pictures(), teacher=told)) == 9
    assert told_of(NCSN(**student).fit(pictures(), teacher=told)) == 0
    with pytest.raises(SettingError, match="the teacher was trained without augmentation and cannot be told"):
        NCSN(augmentation="flips", **student).fit(pictures(), teacher=untold)
