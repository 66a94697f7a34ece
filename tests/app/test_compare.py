"""Comparisons of methods."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ncsn.app.compare import _features, compare_methods, run_comparison
from ncsn.data import Dataset, load, split
from ncsn.evaluation import Classifier, frechet_distance
from ncsn.methods import METHODS
from ncsn.noise import Given

from .common import Command


def test_compare_writes_a_table_of_every_method_and_seed(command: Command) -> None:
    line = ["compare", "moons", "--methods", "edm, consistency", "--out", "both", "--budget", 20, "--seeds", 2]
    assert command(*line, "--points", 200) == 0
    rows = pd.DataFrame(json.loads(Path("both/comparison.json").read_text()))
    assert set(map(tuple, rows[["method", "seed"]].to_numpy().tolist())) == {
        (method, seed) for method in ("edm", "consistency") for seed in (0, 1)
    }
    np.testing.assert_allclose(rows["ratio"], rows["distance"] / rows["floor"])
    edm = rows[(rows["method"] == "edm") & (rows["seed"] == 0)]
    # one evaluation for each interval, and denoising one
    assert list(edm["evaluations"]) == list(edm["steps"]) == [5, 10, 20, 40]
    assert list(rows[rows["method"] == "consistency"]["evaluations"]) == [1, 2, 1, 2]
    assert rows["log_likelihood"].notna().equals(rows["method"] == "edm")
    assert Path("both/figures/quality_by_evaluations.png").stat().st_size > 10_000
    assert "sliced W2" in Path("both/report.html").read_text()


def test_a_comparison_returns_the_medians_over_its_seeds(tmp_path: Path) -> None:
    table = run_comparison("moons", ["edm"], tmp_path / "out", budget=3, seeds=2, points=60)
    rows = pd.DataFrame(json.loads((tmp_path / "out" / "comparison.json").read_text()))
    medians = rows.groupby("share")["ratio"].median()
    np.testing.assert_allclose(np.sort(table["ratio"]), np.sort(medians))
    assert table["method"].unique().tolist() == ["edm"] and len(table) == 4


def test_a_method_of_few_levels_is_compared_on_those_that_it_has() -> None:
    method = replace(METHODS["edm"], walk=Given([4.0, 1.0, 0.3, 0.05]))
    table = compare_methods(load("moons", n=100), [method], training_steps=3, seeds=[0], samples=50)
    assert sorted(table["steps"]) == [1, 2, 4]


def test_a_table_whose_held_out_rows_have_what_training_lacks_is_compared() -> None:
    rng = np.random.default_rng(0)
    town = rng.choice(["Oslo", "Rome"], 60).astype(object)
    # once each, so that a fifth of them is held back in any split
    town[:20] = [f"village {i % 10}" if i < 10 else f"hamlet {i}" for i in range(20)]
    table = pd.DataFrame({"town": town, "x": rng.normal(size=60)})
    results = compare_methods(Dataset("towns", table), ["edm"], training_steps=3, seeds=[0], samples=40)
    assert results["distance"].notna().all() and results["floor"].gt(0).all()


def test_images_are_read_and_compared_as_asked(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 12, 12), dtype=np.uint8)
    np.savez("images.npz", x=pixels, y=np.arange(50) % 2)
    line = ["compare", "images.npz", "--methods", "edm", "--out", "out", "--budget", 2, "--seeds", 1, "--label", "y"]
    assert command(*line, "--size", 8, "--features", "torch.nn:Flatten") == 0
    rows = pd.DataFrame(json.loads(Path("out/comparison.json").read_text()))
    dataset = load("images.npz", label="y", size=8)
    train, held_out = (images.reshape(-1, 64) / 255 for images in split(dataset.values, dataset.labels, seed=0)[:2])
    np.testing.assert_allclose(rows["floor"], frechet_distance(train, held_out), rtol=1e-4)
    np.testing.assert_allclose(rows["ratio"], rows["distance"] / rows["floor"])
    # of a UNet they would take longer than all else
    assert rows["log_likelihood"].isna().all() and "Fréchet" in Path("out/report.html").read_text()
    assert command(*line, "--size", "small") == 2
    assert command("compare", "moons", "--methods", "edm", "--out", "no", "--features", "torch.nn:Flatten") == 1
    assert "features are for images" in capsys.readouterr().err


def test_images_are_judged_by_a_classifier_of_their_labels_or_by_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncsn.evaluation.classifier._SEEN", 500)
    images, labels = np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8), np.arange(50) % 2
    for known, judge in ((labels, Classifier), (None, None)):
        parts = split(images, known)
        features = _features(None, parts, seed=0)
        assert features is not None and (judge is None or isinstance(features.network, judge))
        assert features.of_pixels == (known is None)
