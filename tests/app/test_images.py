"""Runs on images: how they are read is remembered, and misuse is one clear line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ncsn.app.cli import app
from ncsn.app.runs import RunSettings, load_run
from ncsn.data import Augmentation


def test_a_run_reads_its_data_again_as_in_training(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 6, 6), dtype=np.uint8)
    for i, image in enumerate(pixels):
        folder = tmp_path / "pictures" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i:02}.png")
    settings = RunSettings(str(tmp_path / "pictures"), "edm", 2, "folder", 0.25, 100, 0, size="4")
    # what a run writes is what it reads
    again = RunSettings(**json.loads(json.dumps(vars(settings))))
    for one in (settings, again):
        dataset, parts = one.split()
        assert dataset.values.shape == (24, 1, 4, 4) and dataset.values.dtype == np.uint8
        assert len(parts.train) == 18 and sorted(parts.held_out_labels) == ["a"] * 3 + ["b"] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "3.5"], "size must be pixels"),
        (["--background", "whit"], "background must be a colour"),
        (["--channels", "both"], "channels must be 'first' or 'last'"),
        (["--augmentation", "flip", "--out", "run"], "unknown augmentation 'flip'; did you mean 'flips'"),
        (["--augmentation", "json:dumps", "--out", "run"], "augmentation must be a name or an Augmentation"),
    ],
)
def test_options_that_say_nothing_are_misuse(options: list[str], message: str) -> None:
    command = "train" if "--out" in options else "plan"
    result = CliRunner().invoke(app, [command, "digits", *options])
    assert result.exit_code == 2 and message in " ".join(result.output.replace("│", " ").split())


def test_a_run_keeps_how_its_images_were_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "pictures.npy", np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8))
    (tmp_path / "shifts.py").write_text(
        "from ncsn.data import Augmentation\n\nshifted = Augmentation(translation=0.5)\n"
    )
    monkeypatch.chdir(tmp_path)
    asked = ["train", "pictures.npy", "--steps", "2", "--augmentation", "shifts:shifted", "--out", "run"]
    assert CliRunner().invoke(app, asked, catch_exceptions=False).exit_code == 0
    model, config = load_run(tmp_path / "run")
    assert model.plan.augmentation == Augmentation(translation=0.5)
    assert config["run"]["augmentation"] == "shifts:shifted"
