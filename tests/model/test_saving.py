"""Models saved and loaded: the same again, whole or not there, and damage named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from disks import disk_full_after, unwritable
from sealing import seal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from small_models import SMALL, clusters, gaussian, trained, weights, white

from ncsn import METHODS, NCSN
from ncsn.errors import RunError
from ncsn.files import pack_tensors, read_tensors, write_bytes


@pytest.mark.parametrize("kind", ["array", "tensor", "images", "frame", "labels"])
def test_saved_and_loaded_models_are_the_same(tmp_path: Path, kind: str) -> None:
    x: Any = np.column_stack([white(40, 4) * [1e-8, 1, 7, 1e8], np.full(40, 0.1)])
    y = None
    if kind == "tensor":
        x = torch.tensor(x, dtype=torch.float32)
    elif kind == "images":
        x = (100 + 30 * white(40, 12)).astype(np.uint8).reshape(40, 3, 2, 2)
    elif kind == "frame":
        x = (
            pd.DataFrame(x.round(9), columns=list("vwxyz"))
            .astype({"w": "Float32", "y": "int64"})
            .astype({"y": "Int64"})
        )
    elif kind == "labels":
        y = np.arange(40) % 3
    model = NCSN(training_steps=60, sigma_min=0.3, **(SMALL | {"n_blocks": np.int64(2)})).fit(x, y)
    model.save(tmp_path / "new" / "run")
    loaded = NCSN.load(str(tmp_path / "new" / "run"))
    assert sorted(path.name for path in (tmp_path / "new" / "run").iterdir()) == ["config.json", "model.safetensors"]
    assert loaded.get_params() == model.get_params()
    assert loaded.plan_ == model.plan_
    assert loaded.loss_curve_ == model.loss_curve_
    assert torch.equal(weights(loaded), weights(model))
    label = None if y is None else 2
    samples, again = model.sample(6, label=label), loaded.sample(6, label=label)
    assert type(again) is type(samples)
    if isinstance(samples, pd.DataFrame):
        pd.testing.assert_frame_equal(again, samples)
        assert loaded.feature_names_in_.tolist() == list("vwxyz")
    else:
        np.testing.assert_array_equal(again, samples)
    np.testing.assert_array_equal(loaded.score_samples(x[:4], label=label), model.score_samples(x[:4], label=label))
    np.testing.assert_array_equal(loaded.score_function(x[:4], 0.5), model.score_function(x[:4], 0.5))
    assert loaded.n_features_in_ == model.n_features_in_
    assert vars(loaded).keys() == vars(model).keys()


def test_text_labels_and_random_state_objects(tmp_path: Path, conditional: NCSN) -> None:
    model = clone(conditional).set_params(random_state=np.random.RandomState(0), training_steps=2).fit(*clusters())
    model.save(tmp_path)
    loaded = NCSN.load(tmp_path)
    assert loaded.random_state is None
    np.testing.assert_array_equal(loaded.classes_, ["left", "right"])
    samples = model.sample(4, label=["left", "right"] * 2, random_state=1)
    np.testing.assert_array_equal(loaded.sample(4, label=["left", "right"] * 2, random_state=1), samples)


def test_loading_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    trained(0).save(tmp_path)
    torch.manual_seed(1)
    NCSN.load(tmp_path)
    after = torch.rand(2)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(2))


def damage(folder: Path, how: str) -> None:
    config, tensors = folder / "config.json", folder / "model.safetensors"
    if how == "no config":
        config.unlink()
    elif how == "no weights":
        tensors.unlink()
    elif how == "cut config":
        config.write_bytes(config.read_bytes()[:-10])
    elif how == "cut weights":
        tensors.write_bytes(tensors.read_bytes()[:-10])
    elif how == "flipped weights":
        content = bytearray(tensors.read_bytes())
        content[-10] ^= 1
        tensors.write_bytes(content)
    else:
        content = json.loads(config.read_text())
        path, value = how.split("=")
        *outer, entry = path.split(".")
        holder = content
        for name in outer:
            holder = holder[name]
        if value == "gone":
            del holder[entry]
        else:
            holder[entry] = json.loads(value)
        if path == "identity":
            config.write_text(json.dumps(content))
        else:
            seal(folder, content)


FIVE_NUMBERS = json.dumps([{"kind": "number", "mean": 0.0, "scale": 1.0}] * 5)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no config", "config.json is missing: this folder holds no finished run"),
        ("no weights", "model.safetensors is missing: this folder holds no finished run"),
        ("cut config", r"config.json cannot be read or is damaged \(.*\); restore it or train anew"),
        ("cut weights", r"model.safetensors cannot be read or is damaged \(.*\); restore it or train anew"),
        ("flipped weights", r"model.safetensors is damaged \(its digest differs\); restore it or train anew"),
        ("identity=gone", "holds no model of ncsn; name a folder that NCSN.save wrote"),
        ('identity="0"', "holds files of two different saves; save the model again"),
        ("plan=gone", r"is damaged or another version's \('plan'\); restore it or train anew"),
        ("plan={}", "damaged or another version's"),
        ('plan={"choices": []}', "damaged or another version's"),
        ("encoding=gone", "damaged or another version's"),
        ("encoding={}", r"is damaged or another version's \('classes'\); restore it or train anew"),
        ("encoding.container=null", "damaged or another version's"),
        ("encoding.columns=null", "damaged or another version's"),
        ('encoding.columns=[{"kind": "colour"}]', "damaged or another version's"),
        ('encoding.columns=[{"kind": "number", "mean": 0.0}]', "damaged or another version's"),
        ("loss_curve=[[1]]", "damaged or another version's"),
        ("method=gone", r"is damaged or another version's \('method'\)"),
        ("method=null", "damaged or another version's"),
        ('method.part="Mthod"', r"a saved part is another version's \(unknown part 'Mthod'\); train anew"),
        ('method.precondition="edn"', "damaged or another version's .*did you mean 'edm'"),
        ('method.minimise.weighting="edn"', "damaged or another version's .*did you mean 'edm'"),
        ("method.colour=1", "damaged or another version's"),
        ("method.walk=null", "damaged or another version's"),
        ("estimator=[]", "damaged or another version's"),
        ("estimator=null", "damaged or another version's"),
        ('estimator.parameters={"colour": 1}', "damaged or another version's"),
        (
            f"encoding.columns={FIVE_NUMBERS}",
            "this version has another network than the one that .* was trained with: size mismatch for",
        ),
        ('network="score_net"', r"with a network of its own; pass the module: NCSN.load\(folder, score_net=...\)"),
        ('network="network"', r"with a network of its own; pass the module: NCSN.load\(folder, network=...\)"),
        ('network="net"', "damaged or another version's"),
        ('network={"path": "own_parts:F"}', r"this run uses own_parts:F, code .* allow=\['own_parts'\]"),
    ],
)
def test_damaged_models_are_refused_in_one_line(tmp_path: Path, how: str, message: str) -> None:
    trained(0).save(tmp_path)
    NCSN.load(tmp_path)
    damage(tmp_path, how)
    with pytest.raises(RunError, match=message) as caught:
        NCSN.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["gone", "a model's own save"])
def test_a_model_without_an_estimator_is_loaded_as_one_of_defaults(tmp_path: Path, kind: str) -> None:
    x, side = clusters(40)
    model = NCSN(method="ddpm", training_steps=2, **SMALL).fit(x, side)
    if kind == "gone":
        model.save(tmp_path)
        damage(tmp_path, "estimator=gone")
    else:
        model.model_.save(tmp_path)
    loaded = NCSN.load(tmp_path)
    # but for the method, which is the model's
    assert loaded.get_params() == NCSN(method=METHODS["ddpm"]).get_params()
    assert loaded.n_features_in_ == 2
    drawn, again = (each.sample(4, label="left", steps=5, random_state=1) for each in (model, loaded))
    np.testing.assert_array_equal(again, drawn)
    assert loaded.fit(x).model_.method == METHODS["ddpm"]


@pytest.mark.parametrize(
    "how",
    [
        "loss_curve=[]",
        "encoding.columns=[]",
        "encoding.value_range=[0, 1]",
        'estimator.parameters={"method": "ddpm"}',
        'run={"seed": 1}',
        "ncsn_version=gone",
    ],
)
def test_a_configuration_that_was_edited_is_refused_whatever_the_entry(tmp_path: Path, how: str) -> None:
    trained(0).save(tmp_path)
    path, value = how.split("=")
    *outer, entry = path.split(".")
    config = json.loads((tmp_path / "config.json").read_text())
    # laid out otherwise it is the same
    (tmp_path / "config.json").write_text(json.dumps(config))
    NCSN.load(tmp_path)
    holder = config
    for name in outer:
        holder = holder[name]
    if value == "gone":
        del holder[entry]
    else:
        holder[entry] = json.loads(value)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=r"config.json or the weights were changed after they were saved; restore them"):
        NCSN.load(tmp_path)


def test_each_number_of_a_configuration_is_sealed(tmp_path: Path) -> None:
    gaussian(white(30, 2)).save(tmp_path)
    text = (tmp_path / "config.json").read_text()
    encoding = json.loads(text)["encoding"]
    for number in {column[name] for column in encoding["columns"] for name in ("mean", "scale")}:
        changed = text.replace(repr(number), repr(float(np.nextafter(number, np.inf))))
        assert changed != text
        (tmp_path / "config.json").write_text(changed)
        with pytest.raises(RunError, match="were changed after they were saved"):
            NCSN.load(tmp_path)


def test_other_weights_with_a_digest_of_their_own_are_refused(tmp_path: Path) -> None:
    trained(0).save(tmp_path)
    tensors, metadata = read_tensors(tmp_path / "model.safetensors")
    name = next(iter(tensors))
    tensors[name] = tensors[name] + 1
    write_bytes(tmp_path / "model.safetensors", pack_tensors(tensors, metadata))
    with pytest.raises(RunError, match="were changed after they were saved"):
        NCSN.load(tmp_path)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("encoding.container.columns", 5),
        ("encoding.columns", [{"kind": "category", "n": 10**18}] * 5),
        ("plan.choices", [["width", 10**9]]),
        ("estimator.n_features_in", float("inf")),
        ("loss_curve", [["a", "b"]]),
        ("validation", {"looks": [1], "floor": None}),
        ("method", [[]]),
        ("contexts", 7),
    ],
)
def test_any_other_content_ends_in_one_line(tmp_path: Path, entry: str, value: Any) -> None:
    trained(0).save(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    *outer, last = entry.split(".")
    holder = content
    for name in outer:
        holder = holder[name]
    holder[last] = value
    seal(tmp_path, content)
    with pytest.raises(RunError) as caught:
        NCSN.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_deeply_nested_configurations_are_refused_in_one_line(tmp_path: Path) -> None:
    trained(0).save(tmp_path)
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(RunError, match=r"config.json cannot be read or is damaged") as caught:
        NCSN.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere/config\.json is missing: this folder holds no finished run"):
        NCSN.load(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(RunError, match=r"model.safetensors cannot be read or is damaged"):
        NCSN.load(tmp_path)


def test_a_failed_save_leaves_the_older_model(tmp_path: Path) -> None:
    old, new = trained(0), trained(1, width=64)
    old.save(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    # the configuration, of some kilobytes, comes after the weights
    size = (tmp_path / "model.safetensors").stat().st_size
    for limit in (100, 2 * size):
        with disk_full_after(limit), pytest.raises(RunError, match=r"cannot write .*: File too large; free space or"):
            new.save(tmp_path)
        with unwritable(tmp_path), pytest.raises(RunError, match="Permission denied"):
            new.save(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == names
        np.testing.assert_array_equal(NCSN.load(tmp_path).sample(3), old.sample(3))
    new.save(tmp_path)
    np.testing.assert_array_equal(NCSN.load(tmp_path).sample(3), new.sample(3))


def test_weights_of_one_save_with_the_configuration_of_another_are_refused(tmp_path: Path) -> None:
    x = white(30, 2)
    # the same weights, in other units
    gaussian(x).save(tmp_path / "a")
    gaussian(x * 4).save(tmp_path / "b")
    (tmp_path / "a" / "config.json").replace(tmp_path / "b" / "config.json")
    with pytest.raises(RunError, match="holds files of two different saves; save the model again"):
        NCSN.load(tmp_path / "b")


def test_folders_that_cannot_be_made(tmp_path: Path) -> None:
    model = trained(0)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot make folder .*/file: File exists; choose another"):
        model.save(tmp_path / "file")
    with pytest.raises(RunError, match=r"cannot make folder .*/file/run: Not a directory; choose another"):
        model.save(tmp_path / "file" / "run")
    with unwritable(tmp_path), pytest.raises(RunError, match="cannot make folder"):
        model.save(tmp_path / "run")
    with pytest.raises(NotFittedError):
        NCSN().save(tmp_path / "run")
    intervals = pd.DataFrame(white(20, 2), columns=[pd.Interval(0, 1), pd.Interval(1, 2)])
    with pytest.raises(RunError, match=r"the column label .* cannot be saved"):
        gaussian(intervals).save(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
