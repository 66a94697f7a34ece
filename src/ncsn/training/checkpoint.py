"""The state of a training as a file, from which it goes on bit for bit, and what tells one training from another."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.errors import RunError
from ncsn.files import VERSION, digest_of, pack_tensors, read_tensors, write_bytes
from ncsn.parts import Part, to_plain
from ncsn.training.average import MovingAverage


def identity_of(tensors: dict[str, Tensor], model: nn.Module, *facts: Any) -> str:
    """Return a digest of the data, the model and the settings of a training, the same in every process.

    Args:
        tensors: The data.
        model: The model.
        *facts: Settings, as plain values or parts.

    Raises:
        SettingError: A setting is code without an import path, which no other process could find.
    """
    return digest_of(tensors, VERSION, json.dumps([described(model), facts], default=to_plain))


def described(model: nn.Module) -> list[Any]:
    """Return what a network is, as plain values: its modules, their numbers, names and parts, and its weights' shapes."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return [plain(entry) for entry in value]
        if callable(value) and not isinstance(value, Part):
            return [getattr(value, "__module__", ""), getattr(value, "__qualname__", type(value).__qualname__)]
        return to_plain(value) if isinstance(value, str | int | float | Part) else type(value).__qualname__

    def own(module: nn.Module) -> dict[str, Any]:
        shown = sorted(name for name in vars(module) if not name.startswith("_") and name != "training")
        return {name: plain(vars(module)[name]) for name in shown}

    modules = [
        [name, f"{type(module).__module__}.{type(module).__qualname__}", own(module)]
        for name, module in model.named_modules()
    ]
    weights = [[name, str(value.dtype), list(value.shape)] for name, value in model.state_dict().items()]
    return [modules, weights]


@dataclass(frozen=True, eq=False)
class TrainingState:
    """What a training changes as it goes.

    Args:
        model: The model.
        average: The moving average of its weights.
        optimizer: The optimiser.
        scaler: The loss scaler of fp16, or None.
    """

    model: nn.Module
    average: MovingAverage
    optimizer: torch.optim.Optimizer
    scaler: Any = None

    def save(self, path: Path, identity: str, step: int, curve: list[tuple[int, float]]) -> None:
        """Write the state, atomically.

        Raises:
            RunError: The file cannot be written.
        """
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.model.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        scaler = None if self.scaler is None else self.scaler.state_dict()
        write_bytes(path, pack_tensors(tensors, {"identity": identity, "step": step, "curve": curve, "scaler": scaler}))

    def load(self, path: Path, identity: str) -> tuple[int, list[tuple[int, float]]]:
        """Take the state of a file; return the steps done and the curve of the loss.

        Raises:
            RunError: The file is damaged, or of other data or settings.
        """
        tensors, metadata = read_tensors(path)
        if metadata.get("identity") != identity:
            raise RunError(
                f"{path} is no checkpoint of this training: its data, settings or version differ; go on with the same "
                "ones, or train to another file"
            )
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            index, _, moment = name.partition(".")
            moments.setdefault(int(index), {})[moment] = tensor
        self.model.load_state_dict(parts["model"])
        self.average.model.load_state_dict(parts["average"])
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})
        if self.scaler is not None:
            self.scaler.load_state_dict(metadata["scaler"])
        self.average.updates = metadata["step"]
        return metadata["step"], [(step, loss) for step, loss in metadata["curve"]]
