"""A fitted model as two files, ``model.safetensors`` and ``config.json``, and back."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import nn

from ncsn.data import Standardizer
from ncsn.errors import RunError
from ncsn.files import VERSION, digest_of, pack_tensors, read_json, read_tensors, write_files
from ncsn.forms import Form
from ncsn.methods import method_named
from ncsn.moments import Moments
from ncsn.networks.contract import trainable
from ncsn.randomness import restored_generators
from ncsn.tuning import Plan

if TYPE_CHECKING:
    from ncsn.estimator import NCSN

    Model = TypeVar("Model", bound=NCSN)

__all__ = ["load_model", "save_model"]


def save_model(model: NCSN, folder: Path) -> None:
    """Write a fitted model; the documentation is that of `NCSN.save`."""
    config = {
        "ncsn_version": VERSION,
        "parameters": {k: _plain(v) for k, v in model.get_params(deep=False).items() if k != "score_net"},
        "custom_network": model.score_net is not None,
        "plan": model.plan_.to_dict(),
        "standardizer": model.standardizer_.to_dict(),
        "form": model.form_.to_dict(),
        "classes": None if model.classes_ is None else model.classes_.tolist(),
        "loss_curve": model.loss_curve_,
        "n_features_in": model.n_features_in_,
        "feature_names_in": getattr(model, "feature_names_in_", np.array([])).tolist() or None,
        "shape": list(model.moments_.shape),
    }
    tensors = {f"model.{name}": tensor for name, tensor in model.score_model_.state_dict().items()}
    tensors |= {"means": model.moments_.means, "covariances": model.moments_.covariances}
    # both files carry it, so that one file of an older save is not taken for this one's
    identity = digest_of(tensors, json.dumps(config))
    content = json.dumps(config | {"identity": identity}, indent=1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make folder {folder}: {error.strerror or error}; choose another") from error
    write_files(
        {
            folder / "model.safetensors": pack_tensors(tensors, {"identity": identity}),
            folder / "config.json": content.encode(),
        }
    )


def load_model(kind: type[Model], folder: Path, score_net: nn.Module | None) -> Model:
    """Read a fitted model; the documentation is that of `NCSN.load`."""
    config = read_json(folder / "config.json")
    tensors, metadata = read_tensors(folder / "model.safetensors")
    if "identity" not in config or "identity" not in metadata:
        raise RunError(f"{folder} holds no model of ncsn; name a folder that NCSN.save wrote")
    if config["identity"] != metadata["identity"]:
        raise RunError(f"{folder} holds files of two different saves; save the model again")
    own = config.get("custom_network", False)
    if own and score_net is None:
        raise RunError(f"{folder} was trained with a network of its own; pass it: NCSN.load(folder, score_net=...)")
    try:
        model = kind(score_net if own else None, **config["parameters"])
        model.plan_ = Plan.from_dict(config["plan"])
        model.standardizer_ = Standardizer.from_dict(config["standardizer"])
        model.form_ = Form.from_dict(config["form"])
        model.classes_ = None if config["classes"] is None else np.array(config["classes"])
        model.loss_curve_ = [(int(step), float(loss)) for step, loss in config["loss_curve"]]
        model.n_features_in_ = int(config["n_features_in"])
        if config["feature_names_in"]:
            model.feature_names_in_ = np.array(config["feature_names_in"], dtype=object)
        model.moments_ = Moments(tensors.pop("means"), tensors.pop("covariances"))
        if own:
            score_model: nn.Module = copy.deepcopy(trainable(score_net)).cpu()
        else:
            n_classes = 0 if model.classes_ is None else len(model.classes_)
            with restored_generators(torch.device("cpu")):
                score_model = method_named(model.method).build(model.plan_, config["shape"], n_classes)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder} is damaged or another version's ({error}); restore it or train anew") from error
    try:
        score_model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in tensors.items()})
    except RuntimeError as error:
        differs = str(error).splitlines()[-1].strip()
        what = "score_net is not the network" if own else "this version has another network than the one"
        raise RunError(f"{what} that {folder} was trained with: {differs}") from error
    model.score_model_ = score_model.eval()
    return model


def _plain(value: Any) -> Any:
    """Return a parameter as JSON knows it; a random state that is an object is not kept."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, str | int | float | bool) else None
