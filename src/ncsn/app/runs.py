"""What a run folder is: trained, continued, sampled and judged by the commands.

A run holds ``model.safetensors``, ``config.json``, ``metrics.jsonl``, ``report.html``, ``figures/`` and ``README.md``, the
model card; until it is finished, also ``checkpoint.safetensors`` and ``settings.json``, from which ``--resume`` goes on.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ncsn.app.card import model_card
from ncsn.app.claims import CHECKPOINT, MARKER, claimed, finish
from ncsn.app.console import Shown, say_notes, silent
from ncsn.app.origins import Origin
from ncsn.app.planning import without_given
from ncsn.app.report import told, tried, write_run_report
from ncsn.app.snapshots import Snapshots
from ncsn.app.summary import facts_of, summarise
from ncsn.data import Augmentation, Dataset, Split, augmentation_named, load, split
from ncsn.data.labels import is_continuous
from ncsn.errors import DataError, RunError, SettingError
from ncsn.estimator import NCSN
from ncsn.evaluation import Evaluation, judge
from ncsn.evaluation.judging import of_known_contexts
from ncsn.files import read_json, write_bytes
from ncsn.methods import Method, method_named
from ncsn.model import Model, TrainingData, score_to_distil
from ncsn.model.checks import kept_of
from ncsn.parts import object_at
from ncsn.training import is_main_process, n_processes


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


def train_run(settings: RunSettings, folder: Path, *, resume: bool = False, shown: Shown = silent) -> Evaluation | None:
    """Fit a model, judge it on the rows held back, and write the run into a folder.

    The folder must be new or empty, unless ``resume`` goes on where a stopped run left off. Where the data, the method or the
    teacher cannot be used (`DataError`, `SettingError`), nothing is written; where the loss is not finite
    (`DivergenceError`), the last good checkpoint stays. Once it is trained the model can be used, whatever becomes of the
    rest: where the judgement or a figure fails, the report says so, and after it a `RunError`; ``resume`` tries them again.
    ``shown`` is how the training is shown. Of several processes all train; the main one claims the folder, judges and writes,
    and the others return None.
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
    origin = Origin.of(settings.data, dataset)
    asked = asdict(settings) | {"data_digest": origin.digest, "processes": n_processes()}
    with claimed(folder, asked, resume=resume):
        with (shown if is_main_process() else silent)(f"training on {dataset.name}") as advance:
            snapshots = Snapshots(folder / "figures" / "training_samples.png", advance, settings.seed)
            how: dict[str, Any] = {"teacher": teacher, "callback": snapshots, "checkpoint": folder / CHECKPOINT}
            estimator.fit(parts.train, parts.train_labels, context=context, **how, log=settings.log)
        if not is_main_process():
            return None
        dialect = None if dataset.dialect is None else dataset.dialect.to_dict()
        entries = {"run": asdict(settings), "data": origin.to_dict(), "dialect": dialect}
        model, lacking = estimator.model_, dict(snapshots.lacking)
        kept = {"estimator": kept_of(estimator), "entries": entries}
        # from here on it can be used, whatever becomes of the rest
        model.save(folder, **kept)
        write_metrics(folder, model, None)
        evaluation = None
        with tried("the judgement", lacking):
            known = known_labels(settings, dataset, parts)
            judged: dict[str, Any] = {"seed": settings.seed, "log_likelihood": has_quick_density(model)}
            judged |= {"contexts": context, "held_out_contexts": held_out_context}
            evaluation = judge(model, parts.train, parts.held_out, **judged, **known)
        if evaluation is not None:
            entries["evaluation"] = evaluation.to_dict()
            model.save(folder, **kept)
            write_metrics(folder, model, evaluation)
        _report(
            folder, model, evaluation, dataset, parts, held_out_context, settings.seed, snapshots.figures(), lacking
        )
        if lacking:
            raise RunError(
                f"{folder} holds the trained model, which can be used, but not all that is told of it: {told(lacking)}; "
                "--resume tries again"
            )
        finish(folder)
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


def write_metrics(folder: Path, model: Model, evaluation: Evaluation | None) -> None:
    """Write the losses of a training, a line each, and the judgement, if there is one, into ``metrics.jsonl``."""
    looks = [] if model.validation is None else model.validation.looks
    seen = {look.step: {"held_out_loss": look.held_out, "same_of_training_rows": look.training} for look in looks}
    lines = [json.dumps({"step": step, "loss": loss} | seen.get(step, {})) for step, loss in model.loss_curve]
    lines += [] if evaluation is None else [json.dumps(evaluation.to_dict())]
    write_bytes(folder / "metrics.jsonl", "\n".join(lines).encode() + b"\n")


def _report(
    folder: Path,
    model: Model,
    evaluation: Evaluation | None,
    dataset: Dataset,
    parts: Split,
    held_out_context: Any,
    seed: int,
    more: dict[str, Figure],
    lacking: dict[str, str],
) -> None:
    """Write what people read of a run: the report, and the model card of one that was judged."""
    n_training, n_held_out = len(parts.train), len(parts.held_out)
    held_out, contexts = of_known_contexts(model, parts.held_out, held_out_context)
    summary = summarise(
        model,
        dataset.name,
        parts.train,
        held_out,
        facts=facts_of(model, evaluation, n_training, n_held_out),
        comparison=None if evaluation is None else evaluation.comparison,
        draw=dataset.draw,
        contexts=contexts,
        seed=seed,
        lacking=lacking,
    )
    summary = replace(summary, figures={**summary.figures, **more})
    write_run_report(folder, f"ncsn: {dataset.name}", [summary])
    if evaluation is not None:
        card = model_card(model, evaluation, dataset.name, n_training, n_held_out)
        write_bytes(folder / "README.md", card.encode())


def load_run(folder: Path, allow: Sequence[str] = ()) -> tuple[Model, dict[str, Any]]:
    """Return a run's model and its configuration; the model is there from the end of the training on.

    Raises:
        RunError: There is no such folder, it may not be read, holds no model yet, or a damaged one.
    """
    try:
        if not folder.is_dir():
            raise RunError(f"no such run folder: {folder}")
        if (folder / MARKER).exists() and not (folder / "config.json").exists():
            raise RunError(f"{folder} holds a run that was stopped; finish it with `ncsn train ... --resume`")
    except OSError as error:
        raise RunError(f"cannot read {folder}: {error.strerror or error}") from error
    return Model.load(folder, allow=allow), read_json(folder / "config.json")
