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
from ncsn.training.validation import Look, Watch


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


def steps_of(path: Path) -> int:
    """Return how many steps the training of a checkpoint takes in all.

    Raises:
        RunError: The file is damaged or no checkpoint.
    """
    steps = read_tensors(path)[1].get("steps")
    if not isinstance(steps, int):
        raise RunError(f"{path} is no checkpoint of this version; train to another file")
    return steps


@dataclass(frozen=True, eq=False)
class TrainingState:
    """What a training changes as it goes.

    Args:
        model: The model.
        average: The moving average of its weights.
        optimizers: The optimisers.
        scaler: The loss scaler of fp16, or None.
        watch: What looks at it by held-out rows, or None.
    """

    model: nn.Module
    average: MovingAverage
    optimizers: list[torch.optim.Optimizer]
    scaler: Any = None
    watch: Watch | None = None

    def save(self, path: Path, identity: str, step: int, curve: list[tuple[int, float]], steps: int) -> None:
        """Write the state, atomically.

        Raises:
            RunError: The file cannot be written.
        """
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.model.state_dict().items()}
        looks = [] if self.watch is None else self.watch.looks
        if self.watch is not None and self.watch.best is not None:
            tensors |= {f"best.{name}": tensor for name, tensor in self.watch.best.state_dict().items()}
        for place, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{place}.{index}.{name}": value for name, value in state.items()}
        scaler = None if self.scaler is None else self.scaler.state_dict()
        facts = {"identity": identity, "step": step, "steps": steps, "curve": curve, "looks": looks, "scaler": scaler}
        write_bytes(path, pack_tensors(tensors, facts))

    def load(self, path: Path, identity: str) -> tuple[int, list[tuple[int, float]]]:
        """Take the state of a file; return the steps done and the curve of the loss.

        Raises:
            RunError: The file is damaged, or of other data or settings.
        """
        tensors, metadata = read_tensors(path)
        if metadata.get("identity") != identity:
            raise RunError(
                f"{path} is no checkpoint of this training: its data, settings, number of processes or version differ; go on "
                "with the same ones, or train to another file"
            )
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "best": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        moments: list[dict[int, dict[str, Tensor]]] = [{} for _ in self.optimizers]
        for name, tensor in parts["optimizer"].items():
            place, index, moment = name.split(".")
            moments[int(place)].setdefault(int(index), {})[moment] = tensor
        self.model.load_state_dict(parts["model"])
        self.average.model.load_state_dict(parts["average"])
        if self.watch is not None and parts["best"]:
            looks = [Look(*look) for look in metadata["looks"]]
            self.watch.restore(looks, self.average.model, parts["best"])
        for optimizer, state in zip(self.optimizers, moments, strict=True):
            optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
        if self.scaler is not None:
            self.scaler.load_state_dict(metadata["scaler"])
        self.average.updates = metadata["step"]
        return metadata["step"], [(step, loss) for step, loss in metadata["curve"]]
