"""The model card of a run: metadata that the hub's own reader takes, figures of the run, code that runs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import own_parts
import pandas as pd
import pytest

from ncsn import METHODS, NCSN
from ncsn.app.card import model_card
from ncsn.evaluation import judge

from .common import Command

hub = pytest.importorskip("huggingface_hub")


def parts_of(text: str) -> tuple[dict[str, Any], str]:
    """The metadata and the text, as the hub's reader has them."""
    card = hub.ModelCard(text, ignore_metadata_errors=False)
    return card.data.to_dict(), card.text


def run_code(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_a_run_has_a_card_whose_metadata_and_code_work(
    finished: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    text = (finished / "README.md").read_text(encoding="utf-8")
    metadata, body = parts_of(text)
    assert metadata["library_name"] == "ncsn"
    assert {"ncsn", "tabular"} <= set(metadata["tags"])
    assert "license" not in metadata
    measures = json.loads((finished / "config.json").read_text())["evaluation"]["comparison"]["measures"]
    assert metadata["metrics"] == list(measures)
    (entry,) = metadata["model-index"]
    (result,) = entry["results"]
    assert result["dataset"]["name"] == "table"
    found = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert found == pytest.approx({name: row["value"] for name, row in measures.items()}, rel=1e-5)
    # 60 rows, of which a fifth is held back
    assert "trained on 48 rows of `table`" in body
    assert "held against 12 rows that training never saw" in body
    for said in (
        "edm (Karras et al. 2022), 40 training steps",
        "`length`, `count`, `constant`",
        "Its classes are `a`, `b`",
    ):
        assert said in body
    row = measures["energy_distance"]
    assert f"| Energy distance | {row['value']:.4g} | {row['floor']:.4g} | {row['ratio']:.2f} |" in body
    names = run_code(body, finished, monkeypatch)
    assert isinstance(names["samples"], pd.DataFrame)
    assert (len(names["samples"]), len(names["of_one_class"])) == (16, 16)
    (line,) = re.findall(r"`ncsn (sample [^`]*)`", body)
    target = finished.parent / "drawn.csv"
    assert command(*line.replace(" . ", f" {finished} ").replace("samples.csv", str(target)).split()) == 0
    assert len(pd.read_csv(target)) == 16


def test_a_card_of_images_by_a_method_of_ones_own_says_what_to_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.random.default_rng(0).random((60, 3, 4, 4))
    method = replace(METHODS["edm"], sampler=own_parts.Euler())
    model = NCSN(method=method, training_steps=2, random_state=0).fit(data[:40]).model_
    evaluation = judge(model, data[:40], data[40:])
    name = 'faces: "50%" of |us'
    metadata, body = parts_of(model_card(model, evaluation, name, 40, 20))
    assert metadata["pipeline_tag"] == "unconditional-image-generation"
    assert metadata["model-index"][0]["name"] == f"ncsn {name}"
    assert "images of 3 x 4 x 4 values" in body
    assert "--allow own_parts" in body
    model.save(tmp_path)
    assert run_code(body, tmp_path, monkeypatch)["samples"].shape == (16, 3, 4, 4)


def test_what_a_model_cannot_do_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).normal(size=(60, 2))
    model = NCSN(method="consistency", training_steps=2, random_state=0).fit(data[:40]).model_
    evaluation = replace(judge(model, data[:40], data[40:]), n_impossible=3)
    first, *others = evaluation.comparison.measures
    broken = replace(evaluation.comparison, measures=(replace(first, value=float("nan")), *others))
    metadata, body = parts_of(model_card(model, replace(evaluation, comparison=broken), "noise", 40, 20))
    assert "rows of 2 numbers" in body
    assert "no log-density and no filling of gaps" in body
    assert "3 held-out rows cannot be by the model" in body
    assert "score_samples" not in body
    # a figure that is none has no place in the metadata
    assert metadata["metrics"] == [measure.name for measure in others]
