"""The training loop, on Accelerate: warm-up and decay, clipping, moving average, checkpoints that resume bit for bit."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ncsn.errors import DivergenceError, RunError, unknown_name
from ncsn.exact import EmpiricalScore
from ncsn.files import VERSION, digest_of, pack_tensors, read_tensors, write_bytes
from ncsn.losses import DenoisingScoreMatching, Objective
from ncsn.randomness import reseed, restored_generators
from ncsn.schedules import TrainingLevels

__all__ = ["CHECKPOINT_EVERY", "MovingAverage", "Progress", "Recipe", "Trainer", "is_main_process", "make_accelerator"]

REPORT_EVERY = 50
"""Steps between two progress reports; the loss is checked to be finite at each."""

CHECKPOINT_EVERY = 500
"""Steps between two checkpoints, a multiple of `REPORT_EVERY`."""

DEVICES = ("cpu", "cuda", "mps")
PRECISIONS = ("no", "bf16", "fp16")


def make_accelerator(device: str | None = None, mixed_precision: str = "no") -> Accelerator:
    """Return an Accelerator for a device and a precision, whatever this process used before.

    Args:
        device: ``cpu``, ``cuda`` or ``mps``; the fastest there when None.
        mixed_precision: ``no``, ``bf16`` or ``fp16``.

    Raises:
        ValueError: The device or the precision is unknown or not there, or this process is one of several, which keep what
            they began with.
    """
    if device is not None and device not in DEVICES:
        raise unknown_name("device", device, DEVICES)
    if mixed_precision not in PRECISIONS:
        raise unknown_name("mixed precision", mixed_precision, PRECISIONS)
    # Accelerate keeps the first device and precision of a process for all later Accelerators
    if PartialState._shared_state and PartialState().num_processes == 1:
        AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision=mixed_precision)
    if device is not None and accelerator.device.type != device:
        raise ValueError(f"device {device!r} is not there; device=None takes {accelerator.device.type!r}")
    if mixed_precision != "no" and not accelerator.native_amp:
        raise ValueError(f"{accelerator.device.type} has no {mixed_precision}; take mixed_precision='no'")
    return accelerator


def is_main_process() -> bool:
    """Return whether this process is the only one, or the first of several: the one that writes files."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return not distributed or torch.distributed.get_rank() == 0


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        levels: The noise levels to draw from.
        steps: Optimiser steps.
        batch_size: Rows a step, over all processes.
        learning_rate: Highest learning rate, reached after the warm-up, then falling to 0 as a cosine.
        warm_up: Steps of linear warm-up.
        ema_decay: Decay of the moving average of the weights.
        clip_norm: Largest norm of the gradient.
        objective: What is minimised.
        target_rows: Most rows that the data set's exact score, which an objective may use (stable target field), is taken
            over; of more, each step draws some anew.
        label_dropout: Share of rows that are trained without their label.
        seed: Seed of every draw.
    """

    levels: TrainingLevels
    steps: int
    batch_size: int
    learning_rate: float
    warm_up: int = 200
    ema_decay: float = 0.998
    clip_norm: float = 10.0
    objective: Objective = field(default_factory=lambda: DenoisingScoreMatching("edm"))
    target_rows: int = 1024
    label_dropout: float = 0.1
    seed: int = 0

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of the step with this number, from 0."""
        warm = min(1.0, (step + 1) / max(1, self.warm_up))
        return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / self.steps))


@dataclass(frozen=True)
class Progress:
    """What a callback is told.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        loss: Mean loss since the last report.
        trainer: The trainer, to save a checkpoint or look at the model.
    """

    step: int
    steps: int
    loss: float
    trainer: Trainer


class Trainer:
    """Trains a score model on data in memory, in one process or in several, each with its share of the batch.

    Each step seeds PyTorch's global generators by the recipe's seed, the step and the process alone, so that a resumed run
    repeats an uninterrupted one, a network's own draws (dropout) included. After `run` they are as they were.

    Args:
        model: The score model; it is trained in place.
        data: Clean rows, ``(N, *shape)``, in the units of the noise levels.
        recipe: How to train.
        labels: Class index of each row, ``(N,)``, or None.
        accelerator: Where to run; the fastest device, in single precision, when None.
        settings: What a checkpoint must have in common besides, such as a model's settings that its print does not show.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Tensor,
        recipe: Recipe,
        labels: Tensor | None = None,
        accelerator: Accelerator | None = None,
        settings: object = None,
    ) -> None:
        self.accelerator = accelerator or make_accelerator()
        self.settings = settings
        device = self.accelerator.device
        self.recipe = recipe
        self.step = 0
        self.curve: list[tuple[int, float]] = []
        self.data = data.to(device)
        self.labels = None if labels is None else labels.to(device)
        self.score_model = model.to(device)
        # a copy of the model before Accelerate wraps its forward
        self.average = MovingAverage(self.score_model, recipe.ema_decay)
        optimizer = torch.optim.AdamW(
            self.score_model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True
        )
        self.prepared, self.optimizer = self.accelerator.prepare(self.score_model, optimizer)
        self.exact = EmpiricalScore(self.data, self.labels) if len(self.data) <= recipe.target_rows else None

    def run(self, callback: Callable[[Progress], None] | None = None, checkpoint: Path | None = None) -> None:
        """Train from where the trainer stands to the recipe's end.

        Args:
            callback: Called every `REPORT_EVERY` steps and after the last one.
            checkpoint: A file to go on from where it exists, written every `CHECKPOINT_EVERY` steps and after the last one.

        Raises:
            DivergenceError: The loss or its gradient is not finite; the last good checkpoint stays.
            RunError: The checkpoint cannot be written, is damaged, or of other data or settings.
        """
        identity = None if checkpoint is None else self.fingerprint()
        if checkpoint is not None and checkpoint.exists():
            self.resume(checkpoint, identity)
        self.prepared.train()
        running, since = torch.zeros((), device=self.data.device), self.step
        with restored_generators(self.data.device):
            while self.step < self.recipe.steps:
                running += self._train_step()
                self.step += 1
                if self.step % REPORT_EVERY == 0 or self.step == self.recipe.steps:
                    self._record(running, since)
                    running, since = torch.zeros_like(running), self.step
                    if checkpoint is not None and (self.step % CHECKPOINT_EVERY == 0 or self.step == self.recipe.steps):
                        self.save_checkpoint(checkpoint, identity)
                    if callback is not None:
                        callback(Progress(self.step, self.recipe.steps, self.curve[-1][1], self))
        self.prepared.eval()

    def _record(self, running: Tensor, since: int) -> None:
        """Add the mean loss since a step to the curve, or stop where it is not finite."""
        # the mean over all processes, so that all of them stop where one diverges
        loss = float(self.accelerator.reduce(running, "mean")) / (self.step - since)
        if not math.isfinite(loss):
            raise DivergenceError(
                f"the loss or its gradient is not finite between steps {since} and {self.step}: lower the learning rate "
                f"({self.recipe.learning_rate:g}), or check the data for extreme values"
            )
        self.curve.append((self.step, loss))

    def _train_step(self) -> Tensor:
        """Take one step and return its loss, NaN where the gradient is not finite."""
        recipe, device = self.recipe, self.data.device
        reseed(device, recipe.seed, self.step, self.accelerator.process_index)
        n = max(1, recipe.batch_size // self.accelerator.num_processes)
        rows = torch.randint(len(self.data), (n,), device=device)
        samples = self.data[rows]
        sigma = recipe.levels.draw(n, device=device)
        noise = torch.randn(samples.shape, device=device)
        exact, condition = self.exact, {}
        if exact is None:
            others = torch.randint(len(self.data), (max(0, recipe.target_rows - n),), device=device)
            shown = torch.cat([rows, others])
            exact = EmpiricalScore(self.data[shown], None if self.labels is None else self.labels[shown])
        if self.labels is not None:
            dropped = torch.rand(n, device=device) < recipe.label_dropout
            condition["label"] = torch.where(dropped, -1, self.labels[rows])
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(self.step)
        progress = self.step / recipe.steps
        losses = recipe.objective(self.prepared, samples, sigma, noise, exact=exact, progress=progress, **condition)
        loss = losses.mean()
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.score_model.parameters(), recipe.clip_norm)
        self.optimizer.step()
        self.average.update()
        # fp16's scaler leaves steps of an infinite gradient out by itself; elsewhere they would spoil the weights
        return loss.detach() if self.accelerator.scaler is not None else loss.detach() + 0 * norm

    @property
    def averaged_model(self) -> nn.Module:
        """The score model with averaged weights, the one to sample from."""
        return self.average.model.eval()

    def fingerprint(self) -> str:
        """Return a digest of all that a checkpoint must have in common with this training."""
        tensors = {"data": self.data} if self.labels is None else {"data": self.data, "labels": self.labels}
        own = self.recipe, str(self.score_model), self.accelerator.mixed_precision
        return digest_of(tensors, VERSION, own, self.settings)

    def save_checkpoint(self, path: Path, identity: str | None = None) -> None:
        """Write all that a later `resume` needs, atomically; of several processes, the main one does.

        Args:
            path: The file.
            identity: The `fingerprint`, if it is known.

        Raises:
            RunError: The file cannot be written.
        """
        if not self.accelerator.is_main_process:
            return
        tensors = {f"model.{name}": tensor for name, tensor in self.score_model.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.model.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        scaler = self.accelerator.scaler
        metadata = {
            "identity": identity or self.fingerprint(),
            "step": self.step,
            "curve": self.curve,
            "scaler": None if scaler is None else scaler.state_dict(),
        }
        write_bytes(path, pack_tensors(tensors, metadata))

    def resume(self, path: Path, identity: str | None = None) -> None:
        """Continue from a checkpoint.

        Args:
            path: The file.
            identity: The `fingerprint`, if it is known.

        Raises:
            RunError: The checkpoint is damaged, or of other data or settings.
        """
        tensors, metadata = read_tensors(path)
        if metadata.get("identity") != (identity or self.fingerprint()):
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
        self.score_model.load_state_dict(parts["model"])
        self.average.model.load_state_dict(parts["average"])
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(metadata["scaler"])
        self.step = self.average.updates = metadata["step"]
        self.curve = [(step, loss) for step, loss in metadata["curve"]]


class MovingAverage:
    """Exponential moving average of a model's weights, which forgets its first values faster and the very first at once.

    Buffers, such as batch statistics, are taken as they are.

    Args:
        model: The model whose weights are averaged.
        decay: Share of the average that each update keeps, once it is long.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._weights = list(self.model.parameters()), list(model.parameters())
        self._buffers = list(self.model.buffers()), list(model.buffers())

    def update(self) -> None:
        """Take the model's present weights into the average."""
        decay = min(self.decay, self.updates / (self.updates + 9))
        self.updates += 1
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(*self._weights, None)
            for average, value in zip(*self._buffers, strict=True):
                average.copy_(value)
