"""Rows of samples along a training of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ncsn import NCSN
from ncsn.app.snapshots import N_IMAGES, Snapshots
from ncsn.training import Progress


def test_a_row_is_drawn_whenever_it_is_time_and_at_the_end(tmp_path: Path) -> None:
    told: list[int] = []

    def then(progress: Progress) -> None:
        told.append(progress.step)

    images = np.random.default_rng(0).integers(0, 256, (40, 12, 12), dtype=np.uint8)
    path = tmp_path / "figures" / "training.png"
    often = Snapshots(path, then, seed=0, every=0.0)
    NCSN(training_steps=60, width=8, batch_size=4, random_state=0).fit(images, np.arange(40) % 3, callback=often)
    assert told == [50, 60]
    assert [row.shape for row in often.rows] == [(N_IMAGES, 12, 12)] * 2
    assert list(often.figures()) == ["training_samples"]
    # two rows of ten, each twice as large, between borders
    assert Image.open(path).size[0] > 4 * Image.open(path).size[1]
    seldom = Snapshots(tmp_path / "other.png", None, seed=0, every=1e6)
    NCSN(training_steps=60, width=8, batch_size=4, random_state=0).fit(images, callback=seldom)
    assert len(seldom.rows) == 1
    assert not seldom.figures()


def test_other_data_have_none(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((40, 3))
    snapshots = Snapshots(tmp_path / "a.png", None, seed=0, every=0.0)
    NCSN(training_steps=2, random_state=0).fit(rows, callback=snapshots)
    assert not snapshots.rows
    assert not list(tmp_path.iterdir())
