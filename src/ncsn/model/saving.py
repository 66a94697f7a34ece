"""The two files of a saved model, ``model.safetensors`` and ``config.json``. Nothing in them is a pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ncsn.errors import RunError
from ncsn.files import VERSION, digest_of, pack_tensors, read_json, read_tensors, write_files
from ncsn.methods import METHODS
from ncsn.parts import to_plain


def write_model(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write both files into a folder, which is made if needed; both carry a digest, so that they are known to belong together.

    Raises:
        RunError: The folder cannot be written; what was there before stays.
    """
    config = {"ncsn_version": VERSION} | dict(config)
    identity = digest_of(tensors, json.dumps(config))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make folder {folder}: {error.strerror or error}; choose another") from error
    packed = pack_tensors(tensors, {"identity": identity})
    content = json.dumps(config | {"identity": identity}, indent=1).encode()
    write_files({folder / "model.safetensors": packed, folder / "config.json": content})


def read_model(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read both files; those of version 0.1 as this version would have written them.

    Raises:
        RunError: The folder holds no model, or a damaged or foreign one.
    """
    config = read_json(folder / "config.json")
    tensors, metadata = read_tensors(folder / "model.safetensors")
    if "identity" not in config or "identity" not in metadata:
        raise RunError(f"{folder} holds no model of ncsn; name a folder that NCSN.save wrote")
    if config["identity"] != metadata["identity"]:
        raise RunError(f"{folder} holds files of two different saves; save the model again")
    try:
        return config if "encoding" in config else _from_0_1(config), tensors
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder} is damaged or another version's ({error!r}); restore it or train anew") from error


def _from_0_1(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration that version 0.1 wrote as this version writes it."""
    scaling, parameters = config["standardizer"], dict(config["parameters"])
    if isinstance(scaling["mean"], list):
        columns = [
            {"kind": "constant", "value": mean} if constant else {"kind": "number", "mean": mean, "scale": scale}
            for mean, scale, constant in zip(scaling["mean"], scaling["scale"], scaling["constant"], strict=True)
        ]
    else:
        columns = [{"kind": "pixels", "mean": scaling["mean"], "scale": scaling["scale"], "shape": scaling["shape"]}]
    names = {"n_features_in": config["n_features_in"], "feature_names_in": config["feature_names_in"]}
    return dict(config) | {
        "method": to_plain(METHODS[parameters["method"]]),
        "encoding": {"container": config["form"], "columns": columns, "classes": config["classes"]},
        "network": "score_net" if config.get("custom_network") else None,
        "estimator": {"parameters": parameters} | names,
    }
