"""What a run folder is: trained, continued, sampled and judged by the commands.

A run holds ``model.safetensors``, ``config.json``, ``metrics.jsonl``, ``report.html`` and ``figures/``; while it trains,
also ``checkpoint.safetensors`` and ``settings.json``, from which ``--resume`` goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ncsn.data import Dataset, Standardizer, as_float64, ending_of, load, load_mask, save_samples, split
from ncsn.distilling import score_to_distil
from ncsn.errors import DataError, RunError
from ncsn.estimator import NCSN
from ncsn.files import read_json, write_bytes
from ncsn.methods import method_named
from ncsn.metrics import Comparison, compare
from ncsn.report import write_run_report
from ncsn.summaries import summarise
from ncsn.training import Progress as TrainingProgress
from ncsn.tuning import Plan, make_plan

__all__ = [
    "JUDGED_ROWS",
    "Evaluation",
    "RunSettings",
    "evaluate_run",
    "facts_of",
    "impute_run",
    "judge",
    "plan_for",
    "progress_bar",
    "sample_run",
    "train_run",
]

JUDGED_ROWS = 5000
"""Most samples that a run is judged by."""

JUDGED_PROBES = 4
"""Hutchinson's probes for the held-out log-likelihood of many dimensions: its mean over the rows averages them further."""


@dataclass(frozen=True)
class RunSettings:
    """What a run was asked to do; the same settings resume it.

    Attributes:
        data: Built-in set, file or folder.
        method: A name of `methods.METHODS`.
        steps: Training steps, or None for the plan's.
        label: The column of class labels, or None.
        holdout: Share of the rows kept back.
        points: Number of points of a toy set.
        seed: Seed of the draw, the split and the training.
        teacher: The folder of a run on the same data to distil, or None.
    """

    data: str
    method: str
    steps: int | None
    label: str | None
    holdout: float
    points: int
    seed: int
    teacher: str | None = None

    def load(self) -> Dataset:
        """Load the data; labels only where they were asked for."""
        return load(self.data, n=self.points, seed=self.seed, label=self.label)


@dataclass(frozen=True)
class Evaluation:
    """How good a model is, on data that training never saw.

    Attributes:
        comparison: Distances, each beside the training set's own.
        log_likelihood: Mean log-density of the held-out rows, in nats and in the data's own units; None if not asked for.
        standardised_log_likelihood: The same in standardised units.
        sampler: How the samples were drawn.
    """

    comparison: Comparison
    log_likelihood: float | None
    standardised_log_likelihood: float | None
    sampler: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return asdict(self) | {"comparison": self.comparison.to_dict()}

    def __str__(self) -> str:
        lines = [str(self.comparison)]
        if self.log_likelihood is not None:
            lines.append(
                f"held-out log-likelihood: {self.log_likelihood:.4g} nats a row in the data's own units, "
                f"{self.standardised_log_likelihood:.4g} in standardised units"
            )
        return "\n".join([*lines, f"samples: {self.sampler}"])


def plan_for(data: str, *, label: str | None = None, points: int = 5000, seed: int = 0) -> Plan:
    """Return the settings that the data lead to.

    Args:
        data: Built-in set, file or folder.
        label: The column of class labels, left out of the data.
        points: Number of points of a toy set.
        seed: Seed of a toy set's draw.

    Raises:
        DataError: The data cannot be used.
    """
    return _plan(load(data, n=points, seed=seed, label=label).values)


def _plan(values: Any) -> Plan:
    standardizer = Standardizer.fit(values)
    rows = standardizer.transform(values)
    return make_plan(rows[:, ~standardizer.constant] if rows.ndim == 2 else rows)


def train_run(settings: RunSettings, folder: Path, *, resume: bool = False) -> Evaluation:
    """Fit a model, judge it on the rows held back, and write the run into a folder.

    Args:
        settings: What to do.
        folder: The folder; it must be new or empty, unless ``resume``.
        resume: Whether to go on where a stopped run left off.

    Returns:
        The judgement.

    Raises:
        DataError: The data cannot be used; nothing is written.
        RunError: The folder holds another run or cannot be written, or there is nothing to resume.
        DivergenceError: The loss is not finite; the last good checkpoint stays.
    """
    dataset = settings.load()
    labels = dataset.labels if settings.label is not None else None
    parts = split(dataset.values, labels, settings.holdout, settings.seed)
    if len(parts.train) < 2:
        raise DataError(f"{dataset.name}: only {len(parts.train)} row is left for training; lower --holdout")
    teacher = None if settings.teacher is None else _load_run(Path(settings.teacher))[0]
    # what the data or the teacher lack shows here, before anything is written
    _plan(parts.train)
    if teacher is not None:
        score_to_distil(teacher, settings.method, parts.train, parts.train_labels)
    _claim(folder, settings, resume)
    checkpoint = folder / "checkpoint.safetensors"
    model = NCSN(method=settings.method, training_steps=settings.steps, random_state=settings.seed)
    with progress_bar(f"training on {dataset.name}") as advance:
        model.fit(parts.train, parts.train_labels, teacher=teacher, callback=advance, checkpoint=checkpoint)
    evaluation = judge(model, parts.train, parts.held_out, seed=settings.seed)
    model.save(folder)
    _add_to_config(folder, {"run": asdict(settings), "evaluation": evaluation.to_dict()})
    lines = [json.dumps({"step": step, "loss": loss}) for step, loss in model.loss_curve_]
    write_bytes(folder / "metrics.jsonl", "\n".join([*lines, json.dumps(evaluation.to_dict())]).encode() + b"\n")
    summary = summarise(
        model,
        dataset.name,
        parts.train,
        parts.held_out,
        facts=facts_of(model, evaluation, len(parts.train), len(parts.held_out)),
        comparison=evaluation.comparison,
        draw=dataset.draw,
        seed=settings.seed,
    )
    write_run_report(folder, f"ncsn: {dataset.name}", [summary])
    checkpoint.unlink(missing_ok=True)
    (folder / "settings.json").unlink(missing_ok=True)
    console = Console(stderr=True)
    console.print(str(evaluation), highlight=False, markup=False)
    console.print(f"wrote {escape(str(folder))}/report.html", highlight=False)
    return evaluation


def _claim(folder: Path, settings: RunSettings, resume: bool) -> None:
    """Make the folder this run's own, or refuse it."""
    marker = folder / "settings.json"
    if resume:
        if (folder / "config.json").exists() and not marker.exists():
            raise RunError(f"{folder} holds a finished run; there is nothing to resume")
        if not marker.exists():
            raise RunError(f"{folder} holds no stopped run to resume; leave --resume out to start one")
        stopped, asked = read_json(marker), asdict(settings)
        differing = [
            f"{name} {stopped.get(name)!r}, not {asked[name]!r}" for name in asked if stopped.get(name) != asked[name]
        ]
        if differing:
            raise RunError(f"{folder} was started with {'; '.join(differing)}; resume it with the same settings")
        return
    if folder.is_file():
        raise RunError(f"{folder} is a file; name a folder for the run")
    if folder.exists() and any(folder.iterdir()):
        hint = "; go on with it by --resume" if marker.exists() else ""
        raise RunError(f"{folder} is not empty, it may hold another run; name another folder{hint}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make folder {folder}: {error.strerror or error}; choose another") from error
    write_bytes(marker, json.dumps(asdict(settings), indent=1).encode())


def _add_to_config(folder: Path, entries: dict[str, Any]) -> None:
    path = folder / "config.json"
    write_bytes(path, json.dumps(read_json(path) | entries, indent=1).encode())


def judge(
    model: NCSN,
    training: Any,
    held_out: Any,
    *,
    seed: int = 0,
    rows: int = JUDGED_ROWS,
    log_likelihood: bool = True,
    **sampling: Any,
) -> Evaluation:
    """Draw samples and hold them against data that training never saw.

    Args:
        model: A fitted model.
        training: The rows it was fitted on.
        held_out: Rows that it never saw.
        seed: Seed of the samples and of the measures.
        rows: Most samples, and most held-out rows for the log-likelihood.
        log_likelihood: Whether to compute the held-out log-density, which takes the most time; a consistency model has none.
        **sampling: Passed to `NCSN.sample`.

    Returns:
        The judgement.
    """
    n = min(len(training), rows)
    samples = model.sample(n, random_state=seed, **sampling)
    comparison = compare(samples, held_out, training, generator=torch.Generator().manual_seed(seed))
    density = (
        float(np.mean(model.score_samples(held_out[:rows], n_probes=JUDGED_PROBES, tolerance=1e-4)))
        if log_likelihood and method_named(model.method).gives_score
        else None
    )
    standardised = None if density is None else density - model.standardizer_.log_det()
    options = ", ".join(f"{name}={value}" for name, value in sampling.items()) or "the method's own sampler"
    return Evaluation(comparison, density, standardised, f"{n:,}, {options}")


def facts_of(model: NCSN, evaluation: Evaluation, n_training: int, n_held_out: int) -> dict[str, Any]:
    """Return the short facts that a report begins with."""
    return {
        "training rows": n_training,
        "held-out rows": n_held_out,
        "method": model.method,
        "training steps": model.plan_.training_steps,
        "held-out log-likelihood, nats a row": evaluation.log_likelihood,
        "in standardised units": evaluation.standardised_log_likelihood,
    }


def _load_run(folder: Path) -> tuple[NCSN, dict[str, Any]]:
    if not folder.is_dir():
        raise RunError(f"no such run folder: {folder}")
    if (folder / "settings.json").exists():
        raise RunError(f"{folder} holds a run that was stopped; finish it with `ncsn train ... --resume`")
    return NCSN.load(folder), read_json(folder / "config.json")


def sample_run(
    folder: Path,
    n: int,
    output: Path,
    *,
    sampler: str | None = None,
    steps: int | None = None,
    label: str | None = None,
    guidance: float | None = None,
    seed: int = 0,
) -> None:
    """Draw samples of a run into a file.

    Args:
        folder: The run.
        n: Number of samples.
        output: The file; its ending says the format.
        sampler: A name of `samplers.SAMPLERS`; the method's own when None.
        steps: Number of noise levels walked; the method's own when None.
        label: The class to draw, as text, or None.
        guidance: Strength of classifier-free guidance to that class; None for none.
        seed: Seed of the samples.

    Raises:
        DataError: The label or the file's ending is unknown, or the sampler or guidance does not fit the model.
        RunError: The run or the file cannot be used.
    """
    ending = ending_of(output)
    model, config = _load_run(folder)
    code = None if label is None else _label_of(model, label)
    try:
        samples = model.sample(n, sampler=sampler, steps=steps, label=code, guidance=guidance, random_state=seed)
    except ValueError as error:
        raise DataError(str(error)) from error
    name = (config.get("run") or {}).get("label") or "label"
    # the class that was asked for is known, so that formats without a place for it can do without
    labels = None if code is None or ending in (".npy", ".png") else np.full(n, code)
    save_samples(samples, output, labels=labels, label_name=name)


def impute_run(
    folder: Path, data: str, output: Path, *, mask: Path | None = None, label: str | None = None, seed: int = 0
) -> int:
    """Fill the missing values of data by a run's model, into a file.

    Args:
        folder: The run.
        data: File or folder like the run's data, with empty cells (or NaN) where values are missing.
        output: The file; its ending says the format.
        mask: An image or ``.npy`` file of one row's shape, white or 1 where values are known; the rest of every row is
            filled. None where the data themselves have the gaps.
        label: The class of all rows, as text, whatever the column of labels says; that column when None, of a
            class-conditional model.
        seed: Seed of the draws.

    Returns:
        How many values were filled.

    Raises:
        DataError: The data, the mask or the label do not fit the model.
        RunError: The run or the file cannot be used.
    """
    ending = ending_of(output)
    model, config = _load_run(folder)
    name = (config.get("run") or {}).get("label")
    dataset = load(data, label=name, gaps=True)
    labels = None if name is None else dataset.labels
    if label is not None:
        labels = np.full(len(dataset.values), _label_of(model, label))
    known = None if mask is None else load_mask(mask)
    values = dataset.values
    if known is not None:
        # of a colour image one mask serves all channels
        if known.shape not in (values.shape[1:], values.shape[-2:]):
            raise DataError(f"{mask}: a mask of shape {known.shape} does not fit rows of shape {values.shape[1:]}")
        known = np.broadcast_to(known, values.shape[1:]).copy()
    try:
        filled = model.impute(values, mask=known, label=labels, random_state=seed)
    except ValueError as error:
        raise DataError(str(error)) from error
    save_samples(filled, output, labels=None if ending in (".npy", ".png") else labels, label_name=name or "label")
    missing = as_float64(values).isnan()
    return int(missing.sum()) if known is None else int((missing | ~torch.from_numpy(known)).sum())


def _label_of(model: NCSN, text: str) -> Any:
    if model.classes_ is None:
        raise DataError("the model was trained without --label, so it has no classes to draw")
    matches = [value for value in model.classes_ if str(value) == text]
    if not matches:
        raise DataError(f"unknown label {text!r}; known: {', '.join(map(str, model.classes_))}")
    return matches[0]


def evaluate_run(folder: Path, *, data: str | None = None, seed: int = 0) -> Evaluation:
    """Judge a run on its held-out rows, or on other data.

    Args:
        folder: The run.
        data: File or built-in set to judge on; the rows held back in training when None.
        seed: Seed of the samples and of the measures.

    Raises:
        DataError: The data cannot be used or do not fit the model.
        RunError: The run cannot be used, or its data are gone or have changed.
    """
    model, config = _load_run(folder)
    if "run" not in config:
        raise RunError(f"{folder} was not written by `ncsn train`, so its data are not known")
    settings = RunSettings(**config["run"])
    dataset = settings.load()
    labels = dataset.labels if settings.label is not None else None
    parts = split(dataset.values, labels, settings.holdout, settings.seed)
    if len(parts.train) != model.plan_.n_rows:
        raise RunError(f"{settings.data} has changed since training; name the data to judge on with --data")
    held_out = parts.held_out
    if data is not None:
        held_out = load(data, n=settings.points, seed=settings.seed + 1, label=settings.label).values
    return judge(model, parts.train, held_out, seed=seed)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[TrainingProgress], None]]:
    """Show training's steps, loss and time left; in a file or pipe, a line every tenth.

    Args:
        title: What is being done.

    Yields:
        A callback for `NCSN.fit`.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeRemainingColumn(),
    )
    if console.is_terminal:
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title, total=None, loss=float("nan"))
            yield lambda progress: bar.update(task, completed=progress.step, total=progress.steps, loss=progress.loss)
        return
    start = monotonic()
    tenths = 0

    def line(progress: TrainingProgress) -> None:
        nonlocal tenths
        if 10 * progress.step // progress.steps > tenths:
            tenths = 10 * progress.step // progress.steps
            left = (monotonic() - start) * (progress.steps / progress.step - 1)
            console.print(
                f"{title}: step {progress.step:,} of {progress.steps:,}, loss {progress.loss:.4f}, {left:.0f} s left",
                highlight=False,
            )

    yield line
