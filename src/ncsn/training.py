"""The training loop, on Accelerate: warm-up and decay, clipping, moving average, checkpoints that resume bit for bit."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ncsn.errors import DivergenceError, RunError
from ncsn.exact import EmpiricalScore
from ncsn.files import read_tensors, write_tensors
from ncsn.losses import denoising_score_matching
from ncsn.schedules import TrainingLevels

__all__ = ["MovingAverage", "Progress", "Recipe", "Trainer", "fingerprint"]

REPORT_EVERY = 50
"""Steps between two progress reports; the loss is checked to be finite at each."""


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
        weighting: A name of `losses.WEIGHTINGS`.
        target_from: Level from which on the target is the data set's exact score (stable target field).
        target_rows: Most rows that this score is taken over; of more, each step draws some anew.
        target_weight: How many times more the levels far above ``target_from`` count, as their targets are free of noise.
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
    weighting: str = "edm"
    target_from: float = math.inf
    target_rows: int = 2048
    target_weight: float = 30.0
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
    """Trains a score model on data in memory.

    Each step draws from a generator seeded by the recipe's seed, the step and the process alone, so that a resumed run
    repeats an uninterrupted one, and PyTorch's global generator is left as it was.

    Args:
        model: The score model; it is trained in place.
        data: Clean rows, ``(N, *shape)``, in the units of the noise levels.
        recipe: How to train.
        labels: Class index of each row, ``(N,)``, or None.
        accelerator: Where to run; a CPU or the GPU at hand when None.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Tensor,
        recipe: Recipe,
        labels: Tensor | None = None,
        accelerator: Accelerator | None = None,
    ) -> None:
        self.accelerator = accelerator or Accelerator()
        device = self.accelerator.device
        self.recipe = recipe
        self.step = 0
        self.data = data.to(device)
        self.labels = None if labels is None else labels.to(device)
        self.score_model = model.to(device)
        self.average = MovingAverage(self.score_model, recipe.ema_decay)
        optimizer = torch.optim.AdamW(
            self.score_model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True
        )
        self.prepared, self.optimizer = self.accelerator.prepare(self.score_model, optimizer)
        self.generator = torch.Generator(device)
        self.exact = EmpiricalScore(self.data, self.labels) if len(self.data) <= recipe.target_rows else None

    def run(self, callback: Callable[[Progress], None] | None = None) -> None:
        """Train from where the trainer stands to the recipe's end.

        Args:
            callback: Called every `REPORT_EVERY` steps and after the last one.

        Raises:
            DivergenceError: The loss is not finite.
        """
        self.prepared.train()
        running, since = torch.zeros((), device=self.data.device), self.step
        while self.step < self.recipe.steps:
            running += self._train_step()
            self.step += 1
            if self.step % REPORT_EVERY == 0 or self.step == self.recipe.steps:
                loss = float(running) / (self.step - since)
                if not math.isfinite(loss):
                    raise DivergenceError(
                        f"the loss is not finite between steps {since} and {self.step}: lower the learning rate "
                        f"({self.recipe.learning_rate:g}), or check the data for extreme values"
                    )
                running, since = torch.zeros_like(running), self.step
                if callback is not None:
                    callback(Progress(self.step, self.recipe.steps, loss, self))
        self.prepared.eval()

    def _train_step(self) -> Tensor:
        recipe, generator, device = self.recipe, self.generator, self.data.device
        processes = self.accelerator.num_processes
        generator.manual_seed((recipe.seed << 40) % 2**62 + self.step * processes + self.accelerator.process_index)
        n = max(1, recipe.batch_size // processes)
        rows = torch.randint(len(self.data), (n,), generator=generator, device=device)
        samples = self.data[rows]
        sigma = recipe.levels.draw(n, generator, device)
        noise = torch.randn(samples.shape, generator=generator, device=device)
        exact, condition = self.exact, {}
        if exact is None:
            others = torch.randint(
                len(self.data), (max(0, recipe.target_rows - n),), generator=generator, device=device
            )
            shown = torch.cat([rows, others])
            exact = EmpiricalScore(self.data[shown], None if self.labels is None else self.labels[shown])
        if self.labels is not None:
            dropped = torch.rand(n, generator=generator, device=device) < recipe.label_dropout
            condition["label"] = torch.where(dropped, -1, self.labels[rows])
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(self.step)
        loss = denoising_score_matching(
            self.prepared,
            samples,
            sigma,
            noise,
            weighting=recipe.weighting,
            exact=exact,
            exact_from=recipe.target_from,
            exact_weight=recipe.target_weight,
            **condition,
        ).mean()
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.score_model.parameters(), recipe.clip_norm)
        self.optimizer.step()
        self.average.update()
        return loss.detach()

    @property
    def averaged_model(self) -> nn.Module:
        """The score model with averaged weights, the one to sample from."""
        return self.average.model.eval()

    def save_checkpoint(self, path: Path, identity: str, curve: Sequence[tuple[int, float]] = ()) -> None:
        """Write all that a later `resume` needs, atomically.

        Args:
            path: The file.
            identity: What a later run must have in common, from `fingerprint`.
            curve: Steps and losses so far.

        Raises:
            RunError: The file cannot be written.
        """
        tensors = {f"model.{name}": tensor for name, tensor in self.score_model.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.model.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        write_tensors(path, tensors, {"step": self.step, "identity": identity, "curve": list(curve)})

    def resume(self, path: Path, identity: str) -> list[tuple[int, float]]:
        """Continue from a checkpoint.

        Args:
            path: The file.
            identity: What the checkpoint must have in common, from `fingerprint`.

        Returns:
            Steps and losses so far.

        Raises:
            RunError: The checkpoint is damaged, or of other data or settings.
        """
        tensors, metadata = read_tensors(path)
        if metadata.get("identity") != identity:
            raise RunError(
                f"checkpoint {path} is of other data or settings; go on with those, or train in another folder"
            )
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            index, _, moment = name.partition(".")
            moments.setdefault(int(index), {})[moment] = tensor
        optimizer_state = self.optimizer.state_dict()
        optimizer_state["state"] = moments
        self.score_model.load_state_dict(parts["model"])
        self.average.model.load_state_dict(parts["average"])
        self.optimizer.load_state_dict(optimizer_state)
        self.step = self.average.updates = int(metadata["step"])
        return [(int(step), float(loss)) for step, loss in metadata["curve"]]


class MovingAverage:
    """Exponential moving average of a model's weights that forgets faster early on, so that no first weights stay in it.

    Args:
        model: The model whose weights are averaged.
        decay: Share of the average that each update keeps, once it is long.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._pairs = list(self.model.parameters()), list(model.parameters())

    def update(self) -> None:
        """Take the model's present weights into the average."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 9))
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(*self._pairs, None)


def fingerprint(data: Tensor, labels: Tensor | None, *settings: object) -> str:
    """Return a digest of data and settings, the same in every process."""
    digest = hashlib.sha256(repr(settings).encode())
    for tensor in (data, labels):
        if tensor is not None:
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
