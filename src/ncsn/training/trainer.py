"""The training loop, on Accelerate: warm-up and decay, clipping, moving average, checkpoints that resume bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ncsn.errors import DivergenceError, SettingError
from ncsn.losses import Batch
from ncsn.randomness import global_draws, own_draws, seed_from
from ncsn.score import NO_CONTEXT, NO_LABEL, ScoreModel, weight_dtype
from ncsn.threads import threads_that_pay
from ncsn.training.average import MovingAverage
from ncsn.training.batches import Batches
from ncsn.training.checkpoint import TrainingState, identity_of
from ncsn.training.devices import make_accelerator, running
from ncsn.training.divergence import Losses
from ncsn.training.optimizers import make_optimizers
from ncsn.training.recipe import Recipe
from ncsn.training.validation import Watch, looks_every, points_of

REPORT_EVERY = 50
"""Steps between two progress reports; the loss is checked to be finite at each."""

CHECKPOINT_EVERY = 500
"""Steps between two checkpoints, a multiple of `REPORT_EVERY`."""

WARMING_STEPS = 3
"""First steps, which take longer."""


@dataclass(frozen=True)
class Progress:
    """What a callback is told.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        loss: Mean loss since the last report.
        trainer: The trainer, to save a checkpoint or look at the model.
        model: Makes the model as trained so far, to draw samples; None where only the trainer knows.
    """

    step: int
    steps: int
    loss: float
    trainer: Trainer
    model: Callable[[], Any] | None = None


class Trainer:
    """Trains a score model on data in memory, in one process or in several, each with its share of the batch.

    Each step draws from a generator that is seeded by the recipe's seed and the step alone, so that a resumed run repeats an
    uninterrupted one, a network's own draws (dropout) included, and several processes take the same batch as one, each its
    share of it; only what a network draws differs then. PyTorch's global generators are not touched;
    only a network or an objective of someone else's, which may draw from nowhere else, finds them seeded, and they are put
    back.

    Args:
        model: The score model; it is trained in place.
        data: Clean rows, ``(N, *shape)``, in the units of the noise levels; or `Batches` of them.
        recipe: How to train.
        labels: Class index of each row, ``(N,)``, or None.
        accelerator: Where to run; the fastest device, in single precision, when None.
        settings: What a checkpoint must have in common besides, as plain values.
        held_out: Rows like those of ``data`` that training does not see: the averaged weights that know them best are kept, and
            the last ones where it is None.

    Raises:
        SettingError: The batch has fewer rows than there are processes and parts to take it in.
    """

    @torch.inference_mode(False)
    def __init__(
        self,
        model: nn.Module,
        data: Tensor | Batches,
        recipe: Recipe,
        labels: Tensor | None = None,
        accelerator: Accelerator | None = None,
        settings: Any = None,
        held_out: Batches | None = None,
    ) -> None:
        self.accelerator = accelerator or make_accelerator()
        self.settings = settings
        device = self.accelerator.device
        self.recipe = recipe
        self.step = 0
        self.curve: list[tuple[int, float]] = []
        batches = data if isinstance(data, Batches) else Batches(data, labels)
        self.batches = batches.to(device, weight_dtype(model, torch.float32))
        parts = self.accelerator.num_processes * recipe.accumulation
        if recipe.batch_size < parts:
            raise SettingError(f"a batch of {recipe.batch_size} rows cannot be taken in {parts} parts: make it larger")
        self.score_model = model.to(device)
        # a copy of the model before Accelerate wraps its forward
        self.average = MovingAverage(self.score_model)
        optimizers = make_optimizers(self.score_model, recipe.learning_rate)
        self.prepared, *prepared = self.accelerator.prepare(self.score_model, *optimizers)
        # Accelerate's own wrapper looks for a package on the disk at every step; only fp16's scaler needs it
        self.optimizers = optimizers if self.accelerator.scaler is None else prepared
        self.generator = torch.Generator(device)
        whole = 0 < len(self.batches) <= self._target_rows and self.batches.weights is None
        self.exact = self.batches.exact(slice(None)) if whole else None
        self.watch = None if held_out is None else self._watch_by(held_out)
        self.losses = Losses()

    @property
    def _rows_a_pass(self) -> int:
        """Rows that the network sees at once."""
        return self.recipe.batch_size // (self.recipe.accumulation * self.accelerator.num_processes)

    @property
    def _target_rows(self) -> int:
        """Most rows that the objective's target is averaged over; with contexts 0, as each row has one of its own."""
        return 0 if self.batches.contexts is not None else self.recipe.target_rows

    @torch.inference_mode(False)
    @torch.enable_grad()
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
        with running(self):
            self._run_on(callback, checkpoint, identity)

    def _run_on(
        self, callback: Callable[[Progress], None] | None, checkpoint: Path | None, identity: str | None
    ) -> None:
        while self.step < self.recipe.steps:
            since = self.step
            self._record(self._steps(REPORT_EVERY - since % REPORT_EVERY), since)
            if checkpoint is not None and (self.step % CHECKPOINT_EVERY == 0 or self.step == self.recipe.steps):
                self.save_checkpoint(checkpoint, identity)
            if callback is not None:
                callback(Progress(self.step, self.recipe.steps, self.curve[-1][1], self))
        self.prepared.eval()

    @torch.inference_mode(False)
    @torch.enable_grad()
    def advance(self, steps: int) -> float:
        """Take so many of the steps of `run`, or those left, without its reports; return their mean loss, NaN of none."""
        since = self.step
        with running(self):
            total = self._steps(steps)
        return float(total) / (self.step - since) if self.step > since else math.nan

    def _steps(self, steps: int) -> Tensor:
        """Take steps, at most to the recipe's end, and return the sum of their losses."""
        total = torch.zeros((), device=self.accelerator.device)
        self.prepared.train()
        with self._threads():
            for _ in range(min(steps, self.recipe.steps - self.step)):
                total += self._train_step()
                self.step += 1
        return total

    def _threads(self) -> AbstractContextManager[None]:
        """Take the threads that pay for a pass of the network."""
        return threads_that_pay(self.score_model, self._rows_a_pass)

    def _watch_by(self, held_out: Batches) -> Watch:
        """Return what looks at the training by rows that it does not see."""
        recipe, batches = self.recipe, self.batches
        held_out = held_out.to(batches.device, batches.dtype)
        every, n_values = looks_every(recipe.steps, REPORT_EVERY), batches.rows(slice(0, 1)).numel()
        return Watch(
            held_out,
            batches,
            recipe.levels,
            recipe.objective,
            n_points=points_of(recipe.steps, every, recipe.batch_size, n_values),
            # without gradients more fit into the memory of a step
            at_once=2 * self._rows_a_pass,
            accelerator=self.accelerator,
            seed=seed_from(recipe.seed, 0, 0, 1),
        )

    def _record(self, total: Tensor, since: int) -> None:
        """Add the mean loss since a step to the curve, or stop where it is not finite."""
        # the mean over all processes, so that all of them stop where one diverges
        loss = float(self.accelerator.reduce(total, "mean")) / (self.step - since)
        if not math.isfinite(loss):
            where = self.losses.where_not_finite()
            raise DivergenceError(
                f"the loss or its gradient is not finite between steps {since} and {self.step}, {where}: "
                f"lower the learning rate ({self.recipe.learning_rate:g}), or check the data for extreme values"
            )
        self.losses.clear()
        self.curve.append((self.step, loss))
        told = {"loss": loss, "learning_rate": self.recipe.learning_rate_at(self.step - 1)}
        due = self.step % looks_every(self.recipe.steps, REPORT_EVERY) == 0 or self.step == self.recipe.steps
        if self.watch is not None and due:
            with self._draws(seed_from(self.recipe.seed, 0, 0, 1)), self._threads():
                told["held_out_loss"] = self.watch.look(self.step, self.average.model).held_out
        self.accelerator.log(told, self.step)

    def seconds_a_step(self, least: int = 10, seconds: float = 3.0) -> float:
        """Take some steps, which this training is spoiled by, and return the median time of one.

        Args:
            least: Fewest steps.
            seconds: Shortest time in all.
        """
        self.prepared.train()
        times: list[float] = []
        # several processes take as many steps
        seconds = seconds if self.accelerator.num_processes == 1 else 0.0
        while len(times) < least + WARMING_STEPS or sum(times) < seconds:
            start = perf_counter()
            with self._threads():
                loss = self._train_step()
                # a GPU has not done what it was told until it is asked for it
                loss.item()
            times.append(perf_counter() - start)
            self.step = (self.step + 1) % self.recipe.steps
        self.losses.clear()
        return float(np.median(times[WARMING_STEPS:]))

    def _train_step(self) -> Tensor:
        """Take one step and return its loss, NaN where the gradient is not finite."""
        recipe, accelerator = self.recipe, self.accelerator
        seed = seed_from(recipe.seed, self.step, 0)
        self.generator.manual_seed(seed)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate_at(self.step)
        batch = self._batch()
        if accelerator.process_index:
            # the batch is that of all processes; what a network draws is each one's own
            seed = seed_from(recipe.seed, self.step, accelerator.process_index)
            self.generator.manual_seed(seed)
        total = torch.zeros((), device=accelerator.device)
        with self._draws(seed):
            for last, part, share in self._parts(batch):
                with nullcontext() if last else accelerator.no_sync(self.prepared):
                    losses = recipe.objective(self.prepared, part)
                    if not isinstance(losses, Tensor) or losses.shape != part.sigma.shape:
                        returned = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
                        raise SettingError(
                            f"the objective must return a loss of each row, {tuple(part.sigma.shape)}, not {returned}"
                        )
                    self.losses.add(self.step, part.sigma, losses)
                    loss = share * losses.mean()
                    accelerator.backward(loss)
                total += loss.detach()
        norm = accelerator.clip_grad_norm_(self.score_model.parameters(), recipe.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.update()
        # fp16's scaler leaves steps of an infinite gradient out by itself; elsewhere they would spoil the weights
        return total if accelerator.scaler is not None else total + 0 * norm

    def _batch(self) -> Batch:
        """Draw clean rows, their levels and noise, the exact score of some rows, and what the model is told."""
        recipe, batches, generator = self.recipe, self.batches, self.generator
        device, dtype, n = batches.device, batches.dtype, recipe.batch_size
        rows = batches.draw(n, generator)
        samples = batches.rows(rows)
        sigma = recipe.levels.draw(n, generator, device).to(dtype)
        noise = torch.randn(samples.shape, generator=generator, device=device, dtype=dtype)
        exact: ScoreModel | None = self.exact
        if exact is None and self._target_rows:
            others = batches.draw(max(0, self._target_rows - n), generator)
            exact = batches.exact(torch.cat([rows, others]))
        condition, share = batches.told(rows), recipe.condition_dropout
        if condition:
            chance = torch.rand(n, generator=generator, device=device)
        if "label" in condition:
            condition["label"] = torch.where(chance < share, NO_LABEL, condition["label"])
        if "context" in condition:
            # half of them from the rows that have no label, which guidance asks for
            dropped = (chance - share / 2) % 1 < share
            told = condition["context"]
            condition["context"] = told.masked_fill(dropped.reshape(-1, *[1] * (told.ndim - 1)), NO_CONTEXT)
        if recipe.augmentation.dim:
            samples, condition["augmentation"] = recipe.augmentation(samples, generator)
        return Batch(samples, sigma, noise, condition, exact, self.step / recipe.steps)

    def _parts(self, batch: Batch) -> Iterator[tuple[bool, Batch, float]]:
        """Yield this process's parts of a batch: whether it is the last, the part, and its weight in the mean over all."""
        processes, times = self.accelerator.num_processes, self.recipe.accumulation
        if processes * times == 1:
            yield True, batch, 1.0
            return
        n = len(batch.sigma)
        for i in range(times):
            place = i * processes + self.accelerator.process_index
            rows = torch.arange(n, device=batch.sigma.device).tensor_split(processes * times)[place]
            # gradients are averaged over the processes
            yield i == times - 1, batch.of(rows), processes * len(rows) / n

    def _draws(self, seed: int) -> AbstractContextManager[Any]:
        """Return where draws in the loss come from: the generator if all is the library's, else the global ones."""
        network: Any = getattr(self.score_model, "network", None)
        # said by the class itself: what inherits from one of the library's, or holds one, may draw more
        said = all("draws" in vars(type(part)) for part in (self.recipe.objective, network))
        if not said or not type(self.score_model).__module__.startswith("ncsn."):
            return global_draws(self.accelerator.device, seed)
        return own_draws(self.generator) if network.draws else nullcontext()

    @property
    def averaged_model(self) -> nn.Module:
        """The score model with averaged weights, the one to sample from: of rows held out, those that know them best so far."""
        best = None if self.watch is None else self.watch.best
        return (self.average.model if best is None else best).eval()

    @property
    def state(self) -> TrainingState:
        """What the training changes."""
        return TrainingState(self.score_model, self.average, self.optimizers, self.accelerator.scaler, self.watch)

    def fingerprint(self) -> str:
        """Return a digest of all that a checkpoint must have in common with this training."""
        # several processes draw what only a network draws each for itself, and sum in another order
        facts = self.recipe, self.accelerator.mixed_precision, self.accelerator.num_processes, self.settings
        data = self.batches.tensors()
        if self.watch is not None:
            data |= {f"held_out.{name}": tensor for name, tensor in self.watch.held_out.tensors().items()}
        return identity_of(data, self.score_model, *facts)

    def save_checkpoint(self, path: Path, identity: str | None = None) -> None:
        """Write all that a later `resume` needs, atomically; of several processes, the main one does.

        Args:
            path: The file.
            identity: The `fingerprint`, if it is known.

        Raises:
            RunError: The file cannot be written.
        """
        if self.accelerator.is_main_process:
            self.state.save(path, identity or self.fingerprint(), self.step, self.curve, self.recipe.steps)

    def resume(self, path: Path, identity: str | None = None) -> None:
        """Continue from a checkpoint.

        Args:
            path: The file.
            identity: The `fingerprint`, if it is known.

        Raises:
            RunError: The checkpoint is damaged, or of other data or settings.
        """
        self.step, self.curve = self.state.load(path, identity or self.fingerprint())
