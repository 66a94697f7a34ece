"""The two files of a saved model, ``model.safetensors`` and ``config.json``. Nothing in them is a pickle."""

import copy
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.data import Encoding
from ncsn.errors import RunError, in_one_line
from ncsn.files import VERSION, digest_of, pack_tensors, read_json, read_tensors, write_files
from ncsn.methods import METHODS
from ncsn.model.moments import Moments
from ncsn.parts import from_plain, to_plain
from ncsn.plan import Plan
from ncsn.randomness import drawn_from
from ncsn.training import Look, Validation

DAMAGE = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
"""What a configuration of other content than was saved can raise, whichever part it is of."""


def write_model(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write both files into a folder, which is made if needed; both carry a digest of both, which `read_model` computes again.

    Raises:
        RunError: The folder cannot be written; what was there before stays.
    """
    config = {"ncsn_version": VERSION} | dict(config)
    identity = digest_of(tensors, json.dumps(config))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make folder {folder}: {error.strerror or error}; choose another") from error
    packed = pack_tensors(tensors, {"identity": identity, "whole": True})
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
    said = {name: entry for name, entry in config.items() if name != "identity"}
    # earlier versions added to the configuration after they had taken its digest
    if metadata.get("whole") and config["identity"] != digest_of(tensors, json.dumps(said)):
        raise RunError(f"{folder}: config.json or the weights were changed after they were saved; restore them")
    try:
        return config if "encoding" in config else _from_0_1(config), tensors
    except DAMAGE as error:
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


def read_parts(
    folder: Path, score_net: nn.Module | None, network: nn.Module | None, allow: Iterable[Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parts of a saved model by their names in `Model`, and what an estimator kept beside them.

    The arguments and errors are those of `Model.load`.
    """
    config, tensors = read_model(folder)
    try:
        method, source = from_plain(config["method"], allow), from_plain(config["network"], allow)
        plan, encoding = Plan.from_dict(config["plan"]), Encoding.from_dict(config["encoding"])
        contexts = Encoding.from_dict(config["contexts"]) if config.get("contexts") else None
        moments = Moments.taken_from(tensors)
        curve = [(int(step), float(loss)) for step, loss in config["loss_curve"]]
        watched = config.get("validation")
        validation = (
            None if watched is None else Validation([Look(*look) for look in watched["looks"]], watched["floor"])
        )
        given: dict[str, Any] = {"score_net": score_net, "network": network}
        unasked = [name for name, value in given.items() if value is not None and name != source]
        if unasked:
            raise RunError(f"{folder} was not trained with a {unasked[0]} of its own: leave it out")
        own: Any = given[source] if isinstance(source, str) else source
        if isinstance(source, str) and not isinstance(own, nn.Module):
            raise RunError(
                f"{folder} was trained with a network of its own; pass the module: NCSN.load(folder, {source}=...)"
            )
        own = copy.deepcopy(own).cpu() if isinstance(own, nn.Module) else own
        n_classes = 0 if encoding.classes is None else len(encoding.classes)
        with drawn_from(torch.Generator()):
            built = own if source == "score_net" else method.build(plan, encoding.shape, n_classes, own)
    except RunError:
        raise
    except DAMAGE as error:
        said = in_one_line(error)
        raise RunError(f"{folder} is damaged or another version's ({said}); restore it or train anew") from error
    try:
        built.load_state_dict({name.removeprefix("model."): tensor for name, tensor in tensors.items()})
    except RuntimeError as error:
        differs = str(error).splitlines()[-1].strip()
        what = "the network given is not the one" if source else "this version has another network than the one"
        raise RunError(f"{what} that {folder} was trained with: {differs}") from error
    parts = {"encoding": encoding, "plan": plan, "method": method, "score_model": built.eval(), "moments": moments}
    parts |= {"loss_curve": curve, "network": source, "contexts": contexts, "validation": validation}
    return parts, config.get("estimator", {})
