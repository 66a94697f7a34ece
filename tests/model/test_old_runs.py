"""Models that version 0.1 saved: their densities, scores and ends are what that version computed of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ncsn import METHODS, NCSN, Model
from ncsn.errors import RunError

RUNS = Path(__file__).parents[1] / "files" / "runs_0_1"

KINDS = {"edm": pd.DataFrame, "ncsn": torch.Tensor}
"""What their data came in, where it was no array."""


def expected_of(name: str) -> dict[str, Any]:
    """Return what version 0.1 computed, and the rows that it was asked for."""
    expected: dict[str, Any] = json.loads((RUNS / name / "expected.json").read_text())
    rows = expected["rows"]
    if KINDS.get(name) is torch.Tensor:
        expected["rows"] = torch.tensor(rows)
    else:
        expected["rows"] = pd.DataFrame(rows) if isinstance(rows, dict) else np.array(rows)
    return expected


def test_there_is_a_run_of_every_method_of_that_version() -> None:
    assert {path.name for path in RUNS.iterdir()} <= set(METHODS)
    assert len(list(RUNS.iterdir())) == 9


@pytest.mark.parametrize("name", sorted(path.name for path in RUNS.iterdir()))
def test_a_run_of_version_0_1_loads_samples_and_is_saved_anew(name: str, tmp_path: Path) -> None:
    model, expected = NCSN.load(RUNS / name), expected_of(name)
    assert model.model_.name == model.method == name and model.model_.method == METHODS[name]
    rows, label = expected["rows"], expected["label"]
    assert (model.classes_ is None) == (label is None)
    if METHODS[name].gives_score:
        found = model.score_samples(rows, label=label)
        np.testing.assert_allclose(found, expected["log_density"], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(
            model.score_function(rows, 0.7, label=label), expected["score"], rtol=1e-5, atol=1e-5
        )
    else:
        x = torch.linspace(-2, 2, 10).reshape(5, 2)
        with torch.no_grad():
            ends = model.score_model_(x, torch.tensor(0.7))
        np.testing.assert_allclose(ends, expected["ends"], rtol=1e-5, atol=1e-5)

    samples = model.sample(4, random_state=1, label=label)
    assert list(samples.shape) == expected["shape"]
    assert isinstance(samples, KINDS.get(name, np.ndarray))
    if isinstance(samples, pd.DataFrame):
        assert samples.columns.tolist() == rows.columns.tolist() and samples.dtypes.equals(rows.dtypes)
        assert (samples["always"] == 3).all()

    model.save(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert "encoding" in saved and "standardizer" not in saved
    again = NCSN.load(tmp_path)
    assert again.get_params() == model.get_params() and again.plan_ == model.plan_
    assert again.n_features_in_ == model.n_features_in_ == int(np.prod(expected["shape"][1:]))
    np.testing.assert_array_equal(np.asarray(again.sample(4, random_state=1, label=label)), np.asarray(samples))
    # the model alone, without what the estimator keeps besides
    drawn = Model.load(RUNS / name).sample(4, label=label, generator=torch.Generator().manual_seed(1))
    np.testing.assert_array_equal(np.asarray(drawn), np.asarray(samples))


def test_gaps_of_an_old_run_are_filled() -> None:
    rows = expected_of("edm")["rows"]
    gaps = rows.astype({"count": "Int64"})
    gaps.loc[1, "count"] = pd.NA
    gaps.loc[2, "length"] = np.nan
    filled = NCSN.load(RUNS / "edm").impute(gaps, label="red", random_state=0, steps=5)
    assert filled.dtypes.equals(rows.dtypes)
    known = gaps.notna()
    pd.testing.assert_frame_equal(filled.where(known, 0), rows.where(known, 0), check_dtype=False)


@pytest.mark.parametrize("entry", ["standardizer", "form", "plan", "parameters"])
def test_damaged_old_runs_are_refused(entry: str, tmp_path: Path) -> None:
    config = json.loads((RUNS / "edm" / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes((RUNS / "edm" / "model.safetensors").read_bytes())
    for damaged in ({k: v for k, v in config.items() if k != entry}, config | {entry: {}}, config | {entry: None}):
        (tmp_path / "config.json").write_text(json.dumps(damaged))
        with pytest.raises(RunError, match="damaged or another version's"):
            NCSN.load(tmp_path)
