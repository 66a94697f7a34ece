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


def doses(n: int = 600) -> pd.DataFrame:
    """Return a table in which the response is a parabola of the dose, from 4 down to 0 and up again, + 0.1 e."""
    rng = np.random.default_rng(0)
    dose = rng.uniform(0, 50, n)
    return pd.DataFrame({"dose": dose, "response": 4 * (dose / 25 - 1) ** 2 + 0.1 * rng.standard_normal(n)})


def test_methods_are_compared_by_what_goes_with_the_columns_that_are_given() -> None:
    table = doses(2500)
    trained, untrained = (
        compare_methods(
            Dataset("doses", table), ["edm"], training_steps=steps, seeds=[0], samples=1000, given=["dose"]
        ).iloc[-1]
        for steps in (300, 1)
    )
    # what a line would tell of the dose, the untrained one knows too
    assert trained["ratio"] < 1.3 and untrained["ratio"] > 1.5
    assert trained["strays"] < 0.05 < 0.5 < untrained["strays"]
    assert trained["floor"] == untrained["floor"] > 0
    # given the dose a response is normal of deviation 0.1, in units in which all of them have 1
    training = split(table, seed=0).train["response"]
    exact = -0.5 * np.log(2 * np.pi * np.e * 0.1**2) + np.log(training.std(ddof=0))
    assert trained["log_likelihood"] == pytest.approx(exact, abs=0.25)


def test_compare_given_columns_writes_what_is_given(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    table = doses(90).assign(ward=np.where(np.arange(90) % 2, "north", "south"))
    # once each, so that some are held back that training never had
    table.loc[:29, "ward"] = [f"ward {i}" for i in range(30)]
    table.to_csv("doses.csv", index=False)
    line = ["compare", "doses.csv", "--methods", "edm, consistency", "--out", "out", "--budget", 3, "--seeds", 1]
    assert command(*line, "--given", "dose", "--given", "ward") == 0
    rows = pd.DataFrame(json.loads(Path("out/comparison.json").read_text()))
    assert rows["log_likelihood"].notna().equals(rows["method"] == "edm") and rows["ratio"].notna().all()
    page = Path("out/report.html").read_text()
    assert "Learned is what goes with dose, ward: samples are drawn given the values of one half" in page
    line[line.index("out")] = "other"
    for given, message in (
        ("height", "unknown column 'height'"),
        ("ward", "too few to compare methods on; give 60 or more"),
    ):
        if given == "ward":
            table.iloc[:50].to_csv("doses.csv", index=False)
        assert command(*line, "--given", given) == 1
        assert message in capsys.readouterr().err
    line[1] = "moons"
    assert command(*line, "--given", "x1") == 1
    assert "--given names columns of a table, and these are none" in capsys.readouterr().err


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
