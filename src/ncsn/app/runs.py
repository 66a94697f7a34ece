"""What a run folder is: trained, continued, sampled and judged by the commands.

A run holds ``model.safetensors``, ``config.json``, ``metrics.jsonl``, ``report.html``, ``figures/`` and ``README.md``, the
model card; while it trains, also ``checkpoint.safetensors`` and ``settings.json``, from which ``--resume`` goes on.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ncsn.app.card import model_card
from ncsn.app.console import Shown, say_notes, silent
from ncsn.app.report import write_run_report
from ncsn.app.snapshots import Snapshots
from ncsn.app.summary import facts_of, summarise
from ncsn.data import Augmentation, Dataset, Split, augmentation_named, load, split
from ncsn.data.labels import is_continuous
from ncsn.errors import DataError, RunError, SettingError, unknown_name
from ncsn.estimator import NCSN
from ncsn.evaluation import Evaluation, judge
from ncsn.evaluation.judging import of_known_contexts
from ncsn.files import read_json, write_bytes
from ncsn.methods import Method, method_named
from ncsn.model import Model, TrainingData, score_to_distil
from ncsn.parts import object_at
from ncsn.plan import Plan
from ncsn.training import is_main_process, main_process_first


@dataclass(frozen=True)
class RunSettings:
    """What a run was asked to do; the same settings resume it.

    Attributes:
        data: Built-in set, file or folder.
        method: A name of `methods.METHODS`, or the path ``package.module:Name`` of a method of one's own.
        steps: Training steps, or None for the plan's.
        label: The column of class labels, or None.
        holdout: Share of the rows kept back.
        points: Number of points of a toy set.
        seed: Seed of the draw, the split and the training.
        teacher: The folder of a run on the same data to distil, or None.
        network: The path ``package.module:Name`` of what makes the network, or None for the library's.
        columns: What columns of a table are said to be, by name, or None.
        minutes: Time to train for, in place of ``steps``, or None.
        log: A tracker of Accelerate that is told of the loss, or None.
        size: Size that images are cropped and resized to, or None.
        background: The colour that their transparent pixels are laid on.
        channels: Where an array of images has its channels, or None where its shape says it.
        given: Columns of a table that are contexts, which the others are learned given; None for none.
        validation: Share of the training rows that decides which weights are kept, or None for the plan's.
        augmentation: How images are moved for training: a name of `data.AUGMENTATIONS`, the path ``package.module:Name`` of one
            of one's own, or None for the plan's.
    """

    data: str
    method: str
    steps: int | None
    label: str | None
    holdout: float
    points: int
    seed: int
    teacher: str | None = None
    network: str | None = None
    columns: dict[str, Any] | None = None
    minutes: float | None = None
    log: str | None = None
    size: str | None = None
    background: str = "white"
    channels: str | None = None
    given: list[str] | None = None
    validation: float | None = None
    augmentation: str | None = None

    def images(self) -> dict[str, Any]:
        """Return how images are read, as arguments of `load`."""
        return {"size": self.size, "background": self.background, "channels": self.channels}

    def split(self) -> tuple[Dataset, Split]:
        """Load the data and hold rows back, without the columns that are contexts; labels only where they were asked for."""
        dataset = load(self.data, n=self.points, seed=self.seed, label=self.label, **self.images())
        if self.label is not None and self.label in (self.given or ()):
            raise SettingError(f"{self.label} is the --label, so it is known already; leave it out of --given")
        values, _ = without_given(dataset, self.given)
        labels = dataset.labels if self.label is not None else None
        if labels is not None and is_continuous(labels):
            raise DataError(f"{dataset.name}: {self.label} holds fractions, and no classes: name it by --given")
        parts = split(values, labels, self.holdout, self.seed)
        if len(parts.train) < 2:
            raise DataError(f"{dataset.name}: only {len(parts.train)} row is left for training; lower --holdout")
        # each has five neighbours; given contexts a half is drawn for, and held against the other
        least, held = 12 if self.given else 6, len(parts.held_out)
        if held < least:
            rows = f"{held} row is" if held == 1 else f"{held} rows are"
            raise DataError(
                f"{dataset.name}: only {rows} held back, and {least} are needed to judge by; raise --holdout"
            )
        return dataset, parts

    def contexts(self, dataset: Dataset) -> tuple[Any, Any]:
        """Return the contexts of both parts of a data set that `split` returned; None of both without."""
        _, contexts = without_given(dataset, self.given)
        if contexts is None:
            return None, None
        # the same rows, as the seed, their number and the labels are
        labels = dataset.labels if self.label is not None else None
        known = split(contexts, labels, self.holdout, self.seed)
        return known.train, known.held_out

    def labels(self, dataset: Dataset, parts: Split) -> tuple[Any, Any]:
        """Return the labels of both parts, to judge by, whether or not the model is told of them."""
        if self.label is not None or dataset.labels is None:
            return parts.train_labels, parts.held_out_labels
        # the same rows, as the seed and their number are
        known = split(dataset.labels, None, self.holdout, self.seed)
        return known.train, known.held_out


def without_given(dataset: Dataset, given: Sequence[str] | None) -> tuple[Any, Any]:
    """Return the values of a data set without the columns that are given, and these, or None.

    Raises:
        DataError: The data are no table, or no column is left.
        SettingError: A column is unknown.
    """
    values = dataset.values
    if not given:
        return values, None
    if not isinstance(values, pd.DataFrame):
        raise DataError(f"{dataset.name}: --given names columns of a table, and these are none")
    for name in given:
        if name not in values.columns:
            raise unknown_name("column", name, map(str, values.columns))
    if len(set(given)) == values.shape[1]:
        raise DataError(f"{dataset.name}: every column is given, and none is left to learn")
    return values.drop(columns=list(given)), values[[name for name in values.columns if name in given]]


def method_at(name: str) -> str | Method:
    """Return a method's name, or the method that an import path names; refuse what is neither."""
    found = object_at(name) if ":" in name else name
    method_named(found)
    return found


def augmentation_at(name: str | None) -> str | Augmentation | None:
    """Return an augmentation's name, or the augmentation that an import path names; refuse what is neither."""
    found = object_at(name) if name is not None and ":" in name else name
    if found is not None:
        augmentation_named(found)
    return found


def plan_for(
    data: str,
    *,
    label: str | None = None,
    points: int = 5000,
    seed: int = 0,
    columns: dict[str, Any] | None = None,
    given: Sequence[str] | None = None,
    **images: Any,
) -> tuple[Dataset, TrainingData, Plan]:
    """Return the data, without the column of labels, how they are encoded, and the settings that they lead to.

    ``given`` are columns that are contexts, ``images`` is how images are read, as arguments of `load`.
    """
    dataset = load(data, n=points, seed=seed, label=label, **images)
    values, context = without_given(dataset, given)
    ready = TrainingData.of(values, columns=columns, seed=seed, context=context)
    return replace(dataset, values=values), ready, ready.plan()


def train_run(settings: RunSettings, folder: Path, *, resume: bool = False, shown: Shown = silent) -> Evaluation | None:
    """Fit a model, judge it on the rows held back, and write the run into a folder.

    The folder must be new or empty, unless ``resume`` goes on where a stopped run left off. Where the data, the method or the
    teacher cannot be used (`DataError`, `SettingError`), nothing is written; where the loss is not finite
    (`DivergenceError`), the last good checkpoint stays. ``shown`` is how the training is shown. Of several processes all train;
    the main one claims the folder, judges and writes, and the others return None.
    """
    dataset, parts = settings.split()
    if dataset.dialect is None:
        # those of a table are said before anything slow is loaded
        say_notes(dataset.notes)
    teacher = None if settings.teacher is None else load_run(Path(settings.teacher))[0]
    method = method_at(settings.method)
    # what the data or the teacher lack shows here, before anything is written
    context, held_out_context = settings.contexts(dataset)
    ready = TrainingData.of(parts.train, parts.train_labels, settings.columns, settings.seed, context)
    ready.plan()
    if teacher is not None:
        score_to_distil(teacher, method_named(method), ready.encoding, ready.contexts)
    network = None if settings.network is None else object_at(settings.network)
    new = not folder.exists()
    with main_process_first():
        if is_main_process():
            _claim(folder, settings, resume)
    checkpoint = folder / "checkpoint.safetensors"
    estimator = NCSN(
        method=method,
        network=network,
        training_steps=settings.steps,
        minutes=settings.minutes,
        augmentation=augmentation_at(settings.augmentation),
        columns=settings.columns,
        validation_fraction=settings.validation,
        random_state=settings.seed,
    )
    try:
        with (shown if is_main_process() else silent)(f"training on {dataset.name}") as advance:
            snapshots = Snapshots(folder / "figures" / "training_samples.png", advance, settings.seed)
            how: dict[str, Any] = {"teacher": teacher, "callback": snapshots, "checkpoint": checkpoint}
            estimator.fit(parts.train, parts.train_labels, context=context, **how, log=settings.log)
    except (DataError, SettingError):
        # nothing was trained: the folder is left as it was found
        if is_main_process() and not checkpoint.exists():
            (folder / "settings.json").unlink()
            if new:
                folder.rmdir()
        raise
    if not is_main_process():
        return None
    known = known_labels(settings, dataset, parts)
    judged: dict[str, Any] = {"seed": settings.seed, "log_likelihood": has_quick_density(estimator.model_)}
    judged |= {"contexts": context, "held_out_contexts": held_out_context}
    evaluation = judge(estimator.model_, parts.train, parts.held_out, **judged, **known)
    estimator.save(folder)
    _finish(folder, settings, estimator.model_, evaluation, dataset, parts, snapshots.figures())
    for name in ("checkpoint.safetensors", "settings.json"):
        (folder / name).unlink(missing_ok=True)
    return evaluation


def has_quick_density(model: Model) -> bool:
    """Return whether log-densities take less time than training does, which those of a UNet do not."""
    return not model.plan.multipliers


def known_labels(settings: RunSettings, dataset: Dataset, parts: Split) -> dict[str, Any]:
    """Return labels as `judge` takes them, of images that a classifier can be trained on; none otherwise."""
    labels, held_out_labels = settings.labels(dataset, parts)
    if isinstance(parts.train, pd.DataFrame) or parts.train.ndim < 3 or labels is None:
        return {}
    return {"labels": labels, "held_out_labels": held_out_labels}


def _finish(
    folder: Path,
    settings: RunSettings,
    model: Model,
    evaluation: Evaluation,
    dataset: Dataset,
    parts: Split,
    more: dict[str, Figure],
) -> None:
    """Write what a run holds besides its model."""
    path = folder / "config.json"
    dialect = None if dataset.dialect is None else dataset.dialect.to_dict()
    entries = {"run": asdict(settings), "evaluation": evaluation.to_dict(), "dialect": dialect}
    write_bytes(path, json.dumps(read_json(path) | entries, indent=1).encode())
    looks = [] if model.validation is None else model.validation.looks
    seen = {look.step: {"held_out_loss": look.held_out, "same_of_training_rows": look.training} for look in looks}
    lines = [json.dumps({"step": step, "loss": loss} | seen.get(step, {})) for step, loss in model.loss_curve]
    write_bytes(folder / "metrics.jsonl", "\n".join([*lines, json.dumps(evaluation.to_dict())]).encode() + b"\n")
    held_out, contexts = of_known_contexts(model, parts.held_out, settings.contexts(dataset)[1])
    summary = summarise(
        model,
        dataset.name,
        parts.train,
        held_out,
        facts=facts_of(model, evaluation, len(parts.train), len(parts.held_out)),
        comparison=evaluation.comparison,
        draw=dataset.draw,
        contexts=contexts,
        seed=settings.seed,
    )
    summary = replace(summary, figures={**summary.figures, **more})
    write_run_report(folder, f"ncsn: {dataset.name}", [summary])
    card = model_card(model, evaluation, dataset.name, len(parts.train), len(parts.held_out))
    write_bytes(folder / "README.md", card.encode())


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


def load_run(folder: Path, allow: Sequence[str] = ()) -> tuple[Model, dict[str, Any]]:
    """Return a run's model and its configuration."""
    if not folder.is_dir():
        raise RunError(f"no such run folder: {folder}")
    if (folder / "settings.json").exists():
        raise RunError(f"{folder} holds a run that was stopped; finish it with `ncsn train ... --resume`")
    return Model.load(folder, allow=allow), read_json(folder / "config.json")
