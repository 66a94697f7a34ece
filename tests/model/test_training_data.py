"""Data ready to train on: images stay as they came, streams fill a pool, and what is measured is that of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from ncsn import NCSN
from ncsn.data import Encoding
from ncsn.data.picked import Rows
from ncsn.data.streams import Stream
from ncsn.errors import RunError, SettingError
from ncsn.model import Model, Moments, TrainingData
from ncsn.training import Batches, Progress, StreamBatches


def bars(n: int = 60, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw images of 12 x 12 of a bright bar, upright (class 0) or level (class 1), on grey, somewhere."""
    generator = np.random.default_rng(seed)
    images = np.full((n, 12, 12), 60, dtype=np.uint8)
    labels = np.arange(n) % 2
    for image, label, place in zip(images, labels, generator.integers(1, 10, n), strict=True):
        image[:, place : place + 2] = 220
        image[:] = image.T if label else image
    return images, labels


def test_images_stay_bytes_and_their_moments_are_those_of_all_rows() -> None:
    images, labels = bars(90)
    data = TrainingData.of(images, labels)
    assert data.batches.data is images
    rows = (images - images.mean()) / images.std()
    for group, chosen in enumerate((slice(None), labels == 0, labels == 1)):
        np.testing.assert_allclose(data.moments.means[group], rows[chosen].mean(0), atol=1e-6)
        np.testing.assert_allclose(data.moments.covariances[group], rows[chosen].var(0, ddof=1), atol=1e-6)
    np.testing.assert_allclose(data.some, rows, atol=1e-5)
    assert data.n_rows == 90
    assert data.plan().n_rows == 90


def test_a_class_of_one_image_has_no_spread() -> None:
    rows = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0))
    moments = Moments.of_chunks([(rows[:2], torch.tensor([0, 0])), (rows[2:], torch.tensor([1]))], 2)
    assert not moments.covariances[2].any()
    torch.testing.assert_close(moments.means[2], rows[2].double())
    torch.testing.assert_close(moments.covariances[0], rows.double().var(0))


@pytest.mark.parametrize("kind", ["tensor", "mapped", "rows", "channels last", "floats"])
def test_images_train_the_same_wherever_they_lie(kind: str, tmp_path: Path) -> None:
    images, labels = bars()
    same: Any = images
    if kind == "tensor":
        same = torch.from_numpy(images)
    elif kind in ("mapped", "rows"):
        np.save(tmp_path / "x.npy", images)
        same = np.load(tmp_path / "x.npy", mmap_mode="r")
        same = Rows(same) if kind == "rows" else same
    elif kind == "channels last":
        same, images = images[..., None], images[:, None]
    else:
        same = images.astype(np.float64)
    small: dict[str, Any] = {
        "training_steps": 4,
        "width": 8,
        "batch_size": 16,
        "random_state": 0,
        "mixed_precision": "no",
    }
    one, other = (NCSN(**small).fit(x, labels) for x in (images, same))
    for mine, theirs in zip(one.model_.score_model.parameters(), other.model_.score_model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    drawn = np.asarray(other.sample(3, steps=3))
    assert drawn.shape == (3, *same.shape[1:])
    if kind != "floats":
        assert drawn.dtype == np.uint8


def test_a_unet_learns_which_bar_is_which() -> None:
    images, labels = bars(200)
    model = NCSN(training_steps=250, width=12, random_state=0).fit(images, labels)
    drawn = model.sample(40, steps=12, label=labels[:40]).astype(float)
    # a bar varies across itself alone
    upright, level = drawn.mean(1).var(1), drawn.mean(2).var(1)
    assert ((upright < level) == (labels[:40] == 1)).mean() > 0.9
    assert 80 < drawn.mean() < 95


def test_a_stream_trains_on_rows_that_come_after_the_first() -> None:
    first, later = bars(40, seed=1)[0], 255 - bars(40, seed=2)[0]
    stream = Stream([first, later])
    data = TrainingData.of(stream)
    assert isinstance(data.batches, StreamBatches)
    assert data.n_rows == 80
    pool = TrainingData.of(Stream([first[:20], later[:10], first[20:]])).batches
    generator = torch.Generator().manual_seed(0)
    assert isinstance(pool.data, torch.Tensor)
    pool.data.zero_()
    seen = set()
    for _ in range(6):
        pool.draw(4, generator)
        seen |= {image.numpy().tobytes() for image in pool.data}
    # two passes: every image was in the pool
    assert {image.tobytes() for image in (*first, *later[:10])} <= seen
    # what the stream keeps is its own
    assert stream.first().images[:40].tolist() == first.tolist()


def test_labels_of_a_stream_go_with_their_images() -> None:
    images, labels = bars(60)
    stream = Stream([(images[:30], labels[:30]), (images[30:], labels[30:])], labels=True)
    data = TrainingData.of(stream)
    batches, generator = data.batches, torch.Generator().manual_seed(0)
    for _ in range(5):
        positions = batches.draw(50, generator)
        rows, codes = batches.rows(positions), batches.labels
        assert codes is not None
        assert torch.equal((rows.mean(1).var(1) < rows.mean(2).var(1)).long(), codes[positions])
    model = NCSN(training_steps=3, width=8, random_state=0).fit(stream)
    assert model.classes_ is not None
    assert model.classes_.tolist() == [0, 1]


def test_minutes_become_steps_that_a_checkpoint_keeps(tmp_path: Path) -> None:
    images = bars()[0]
    told: list[int] = []

    def stop(progress: Progress) -> None:
        told.append(progress.steps)
        raise KeyboardInterrupt

    how: dict[str, Any] = {"minutes": 0.02, "width": 8, "batch_size": 8, "random_state": 0}
    checkpoint = tmp_path / "c.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ncsn.training.trainer.REPORT_EVERY", 5)
        patch.setattr("ncsn.training.trainer.CHECKPOINT_EVERY", 5)
        with pytest.raises(KeyboardInterrupt):
            NCSN(**how).fit(images, callback=stop, checkpoint=checkpoint)
        resumed = NCSN(**how).fit(images, checkpoint=checkpoint)
    assert resumed.plan_.training_steps == told[0] > 5
    assert {choice.name: choice.rule for choice in resumed.plan_.choices}["training_steps"] == "given"


def test_minutes_and_steps_are_not_both_said() -> None:
    images = bars()[0]
    with pytest.raises(SettingError, match="give training_steps or minutes, not both"):
        NCSN(minutes=1, training_steps=5).fit(images)
    with pytest.raises(SettingError, match="minutes"):
        NCSN(minutes=0).fit(images)


def test_a_callback_can_draw_from_the_model_as_it_is_trained() -> None:
    images = bars()[0]
    drawn: list[Any] = []

    def look(progress: Progress) -> None:
        assert progress.model is not None
        model = progress.model()
        assert isinstance(model, Model)
        drawn.append(model.sample(2, steps=2, generator=torch.Generator().manual_seed(0)))

    how: dict[str, Any] = {"training_steps": 6, "width": 8, "batch_size": 8, "random_state": 0}
    watched = NCSN(**how).fit(images, callback=look)
    assert len(drawn) == 1
    assert drawn[0].shape == (2, 12, 12)
    # looking changes nothing
    alone = NCSN(**how).fit(images)
    for mine, theirs in zip(
        watched.model_.score_model.parameters(), alone.model_.score_model.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_a_tracker_is_told_of_the_loss() -> None:
    from accelerate.tracking import GeneralTracker

    class Kept(GeneralTracker):  # type: ignore[misc]  # Accelerate has no types
        name = "kept"
        requires_logging_directory = False

        def __init__(self) -> None:
            super().__init__()
            self.facts: dict[str, Any] = {}
            self.told: list[tuple[int | None, dict[str, Any]]] = []

        @property
        def tracker(self) -> Any:
            return self.told

        def store_init_configuration(self, values: dict[str, Any]) -> None:
            self.facts = values

        def log(self, values: dict[str, Any], step: int | None = None, **more: Any) -> None:
            self.told.append((step, values))

    tracker = Kept()
    model = NCSN(training_steps=60, width=8, batch_size=8, random_state=0).fit(bars()[0], log=tracker)
    assert [(step, values["loss"]) for step, values in tracker.told] == model.loss_curve_
    assert tracker.told[-1][1]["learning_rate"] < tracker.told[0][1]["learning_rate"]
    assert tracker.facts["width"] == "8"


def test_an_unknown_tracker_is_refused() -> None:
    with pytest.raises(SettingError, match="log 'nobody'"):
        NCSN(training_steps=2).fit(bars()[0], log="nobody")


def test_a_checkpoint_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"none")
    with pytest.raises(RunError, match="damaged"):
        NCSN(minutes=0.01, random_state=0).fit(bars()[0], checkpoint=tmp_path / "c")


def test_images_of_other_layouts_have_the_encodings_rows() -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 5, 6, 3), dtype=np.uint8)
    data = TrainingData.of(images)
    whole = Encoding.fit(images).encode(images)
    torch.testing.assert_close(data.batches.rows(torch.tensor([4, 2])), whole[[4, 2]].float())
    assert data.some.shape == (30, 3, 5, 6)


# Rows held out


@pytest.mark.parametrize("kind", ["array", "tensor", "table with atoms"])
def test_rows_are_on_one_side_and_classes_on_both(kind: str) -> None:
    images, labels = bars(100)
    # a row is told by its first value
    images[:, 0, 0] = np.arange(100)
    x: Any = torch.from_numpy(images) if kind == "tensor" else images
    if kind == "table with atoms":
        x = pd.DataFrame({"row": np.arange(100) + 0.5, "kind": np.arange(100) % 3 == 0})
    data = TrainingData.of(x, labels)
    training, held_out = data.held_out(0.1, seed=3)
    assert held_out is not None and training.labels is not None and held_out.labels is not None
    sides = [batches.rows(slice(None)).flatten(1)[:, 0] for batches in (training, held_out)]
    rows = [set(side.tolist()) for side in sides]
    assert not rows[0] & rows[1]
    assert len(rows[0] | rows[1]) == 100 and len(rows[1]) == 10
    # every draw of a row's atoms is on its side
    assert len(sides[0]) == 9 * len(sides[1])
    assert (len(sides[0]) > 90) == (kind == "table with atoms")
    for batches in (training, held_out):
        assert batches.labels is not None and float(batches.labels.double().mean()) == 0.5
    assert data.held_out(0.1, seed=3)[1].labels.tolist() == held_out.labels.tolist()  # type: ignore[union-attr]
    assert set(data.held_out(0.1, seed=4)[0].rows(slice(None)).flatten(1)[:, 0].tolist()) != rows[0]
    assert data.held_out(0.0, seed=3) == (data.batches, None)


def test_images_that_are_held_out_are_not_copied() -> None:
    images, _ = bars(100)
    for batches in TrainingData.of(images).held_out(0.2, seed=0):
        assert isinstance(batches, Batches) and isinstance(batches.data, Rows)
        assert batches.data.source is images


def test_of_a_stream_and_of_what_has_no_score_no_rows_are_held_out() -> None:
    images, _ = bars(60)
    streamed = TrainingData.of(Stream([images]))
    assert streamed.plan().validation_fraction == 0.0
    with pytest.raises(SettingError, match="rows of a stream cannot be held out: leave validation_fraction out, or 0"):
        streamed.held_out(0.1, seed=0)
    x = np.random.default_rng(0).standard_normal((100, 2))
    small: dict[str, Any] = {"training_steps": 2, "width": 8, "random_state": 0}
    distilled = NCSN(method="consistency", **small).fit(x)
    assert distilled.plan_.validation_fraction == 0.0 and distilled.validation_ is None
    with pytest.raises(SettingError, match="method 'consistency' has no score to hold rows out for"):
        NCSN(method="consistency", validation_fraction=0.1, **small).fit(x)


def test_a_fit_keeps_the_weights_that_know_held_out_rows_best(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((60, 5))
    # a rate at which training goes astray
    settings: dict[str, Any] = {"training_steps": 300, "width": 64, "dropout": 0.0, "random_state": 0, "lr": 0.02}
    model = NCSN(validation_fraction=0.3, **settings).fit(x)
    assert model.validation_ is not None
    looks, kept = model.validation_.looks, model.validation_.kept
    assert [look.step for look in looks] == [50, 100, 150, 200, 250, 300]
    assert kept.held_out < 1.005 * min(look.held_out for look in looks) < 0.9 * looks[-1].held_out
    last = NCSN(validation_fraction=0, **settings).fit(x)
    assert last.validation_ is None
    fresh = np.random.default_rng(1).standard_normal((500, 5))
    assert model.score(fresh) > last.score(fresh) + 1
    model.save(tmp_path)
    assert NCSN.load(tmp_path).validation_ == model.validation_
