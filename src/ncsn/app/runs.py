"""What a run folder is: trained, continued, sampled and judged by the commands.

A run holds ``model.safetensors``, ``config.json``, ``metrics.jsonl``, ``report.html``, ``figures/`` and ``README.md``, the
model card; while it trains, also ``checkpoint.safetensors`` and ``settings.json``, from which ``--resume`` goes on.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from ncsn.app.card import model_card
from ncsn.app.console import Shown, say_notes, silent
from ncsn.app.report import write_run_report
from ncsn.app.snapshots import Snapshots
from ncsn.app.summary import facts_of, summarise
from ncsn.data import Dataset, Dialect, Encoding, Split, load, load_mask, save_samples, split
from ncsn.data.formats import ending_of, has_labels
from ncsn.errors import DataError, RunError, SettingError, unknown_name
from ncsn.estimator import NCSN
from ncsn.evaluation import Evaluation, judge, train_classifier
from ncsn.files import read_json, write_bytes
from ncsn.methods import Method, method_named
from ncsn.model import Model, TrainingData, score_to_distil
from ncsn.parts import object_at
from ncsn.plan import Plan
from ncsn.samplers import Recorder
from ncsn.training import is_main_process, make_accelerator


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

    def images(self) -> dict[str, Any]:
        """Return how images are read, as arguments of `load`."""
        return {"size": self.size, "background": self.background, "channels": self.channels}

    def split(self) -> tuple[Dataset, Split]:
        """Load the data and hold rows back; labels only where they were asked for."""
        dataset = load(self.data, n=self.points, seed=self.seed, label=self.label, **self.images())
        labels = dataset.labels if self.label is not None else None
        parts = split(dataset.values, labels, self.holdout, self.seed)
        if len(parts.train) < 2:
            raise DataError(f"{dataset.name}: only {len(parts.train)} row is left for training; lower --holdout")
        return dataset, parts

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


def plan_for(
    data: str,
    *,
    label: str | None = None,
    points: int = 5000,
    seed: int = 0,
    columns: dict[str, Any] | None = None,
    **images: Any,
) -> tuple[Dataset, Encoding, Plan]:
    """Return the data, without the column of labels, how they are encoded, and the settings that they lead to.

    ``images`` is how images are read, as arguments of `load`.
    """
    dataset = load(data, n=points, seed=seed, label=label, **images)
    ready = TrainingData.of(dataset.values, columns=columns, seed=seed)
    return dataset, ready.encoding, ready.plan()


def train_run(settings: RunSettings, folder: Path, *, resume: bool = False, shown: Shown = silent) -> Evaluation:
    """Fit a model, judge it on the rows held back, and write the run into a folder.

    The folder must be new or empty, unless ``resume`` goes on where a stopped run left off. Where the data, the method or the
    teacher cannot be used (`DataError`, `SettingError`), nothing is written; where the loss is not finite
    (`DivergenceError`), the last good checkpoint stays. ``shown`` is how the training is shown.
    """
    dataset, parts = settings.split()
    if dataset.dialect is None:
        # those of a table are said before anything slow is loaded
        say_notes(dataset.notes)
    teacher = None if settings.teacher is None else _load_run(Path(settings.teacher))[0]
    method = method_at(settings.method)
    # what the data or the teacher lack shows here, before anything is written
    ready = TrainingData.of(parts.train, parts.train_labels, settings.columns, settings.seed)
    ready.plan()
    if teacher is not None:
        score_to_distil(teacher, method_named(method), ready.encoding)
    network = None if settings.network is None else object_at(settings.network)
    new = not folder.exists()
    _claim(folder, settings, resume)
    checkpoint = folder / "checkpoint.safetensors"
    estimator = NCSN(
        method=method,
        network=network,
        training_steps=settings.steps,
        minutes=settings.minutes,
        columns=settings.columns,
        random_state=settings.seed,
    )
    try:
        with shown(f"training on {dataset.name}") as advance:
            snapshots = Snapshots(folder / "figures" / "training_samples.png", advance, settings.seed)
            how: dict[str, Any] = {"teacher": teacher, "callback": snapshots, "checkpoint": checkpoint}
            estimator.fit(parts.train, parts.train_labels, **how, log=settings.log)
    except (DataError, SettingError):
        # nothing was trained: the folder is left as it was found
        if not checkpoint.exists():
            (folder / "settings.json").unlink()
            if new:
                folder.rmdir()
        raise
    known = _known_labels(settings, dataset, parts)
    evaluation = judge(estimator.model_, parts.train, parts.held_out, seed=settings.seed, **known)
    estimator.save(folder)
    _finish(folder, settings, estimator.model_, evaluation, dataset, parts, snapshots.figures())
    for name in ("checkpoint.safetensors", "settings.json"):
        (folder / name).unlink(missing_ok=True)
    return evaluation


def _known_labels(settings: RunSettings, dataset: Dataset, parts: Split) -> dict[str, Any]:
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
    lines = [json.dumps({"step": step, "loss": loss}) for step, loss in model.loss_curve]
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


def _load_run(folder: Path, allow: Sequence[str] = ()) -> tuple[Model, dict[str, Any]]:
    """Return a run's model and its configuration."""
    if not folder.is_dir():
        raise RunError(f"no such run folder: {folder}")
    if (folder / "settings.json").exists():
        raise RunError(f"{folder} holds a run that was stopped; finish it with `ncsn train ... --resume`")
    return Model.load(folder, allow=allow), read_json(folder / "config.json")


def sample_run(
    folder: Path,
    n: int | None,
    output: Path,
    *,
    sampler: Any = None,
    steps: int | None = None,
    label: str | None = None,
    guidance: float | None = None,
    given: Sequence[str] = (),
    grid_columns: int | None = None,
    seed: int = 0,
    allow: Sequence[str] = (),
) -> int:
    """Draw samples of a run into a file, whose ending says the format; return how many.

    Several processes, as ``torchrun`` or ``accelerate launch`` start them, share out the walk, and the main one writes.

    Args:
        folder: The run.
        n: Number of samples; where ``given`` is a file, one a row of it when None.
        output: The file.
        sampler: As in `Model.sample`, like ``steps`` and ``guidance``.
        steps: As in `Model.sample`.
        label: The class, as text.
        guidance: As in `Model.sample`.
        given: What is known, ``COLUMN=VALUE`` each, or one table of such columns.
        grid_columns: Images in a row of a picture; about as many as rows when None.
        seed: Seed of the draws.
        allow: Import paths that the run's own parts may be taken from.
    """
    moving = ending_of(output) == ".gif"
    model, config = _load_run(folder, allow)
    value = None if label is None else model.encoding.label_of(label)
    known = _given(given)
    n = n if n is not None else len(known) if isinstance(known, pd.DataFrame) else 1
    how: dict[str, Any] = {"sampler": sampler, "steps": steps, "label": value, "guidance": guidance, "given": known}
    walk, accelerator = Recorder(), make_accelerator()
    how["device"] = accelerator.device
    # states that are drawn are needed in one place, and what is given is not shared out
    how["shared"] = accelerator.num_processes > 1 and known is None and not moving
    if moving and known is None:
        how["callback"] = walk
    samples = model.sample(n, generator=torch.Generator().manual_seed(seed), **how)
    if not is_main_process():
        return n
    # the class that was asked for is known, so that formats without a place for it can do without
    labels = None if value is None or not has_labels(output) else np.full(n, value)
    save_samples(
        samples,
        output,
        labels=labels,
        label_name=(config.get("run") or {}).get("label") or "label",
        value_range=model.encoding.value_range,
        n_columns=grid_columns,
        walk=[model.encoding.decode(state.x) for state in walk.states],
        dialect=_dialect(config),
    )
    return n


def _given(given: Sequence[str]) -> Any:
    """Return what samples are given: a mapping of columns to values, the table in a file, or None."""
    if not given:
        return None
    pairs = [entry.partition("=") for entry in given]
    if len(given) == 1 and not pairs[0][1]:
        values = load(given[0], gaps=True).values
        if not isinstance(values, pd.DataFrame):
            raise DataError(f"{given[0]} is no table; give a .csv or .parquet file, or COLUMN=VALUE")
        return values
    named = {name.strip(): value for name, _, value in pairs}
    if len(named) < len(pairs):
        raise SettingError(f"give each column once, not {' '.join(given)}")
    return named


def _dialect(config: dict[str, Any]) -> Dialect | None:
    """Return how the CSV file that a run was trained on was written."""
    return None if config.get("dialect") is None else Dialect.from_dict(config["dialect"])


def impute_run(
    folder: Path,
    data: str,
    output: Path,
    *,
    mask: Path | None = None,
    label: str | None = None,
    draws: int = 1,
    seed: int = 0,
    allow: Sequence[str] = (),
    **images: Any,
) -> tuple[int, list[Path]]:
    """Fill the missing values of data like the run's own by its model; return how many, and the files written.

    Args:
        folder: The run.
        data: File or folder, with empty cells (or NaN) where values are missing.
        output: The file; its ending says the format. Of several draws each has its number before the ending.
        mask: An image or ``.npy`` file of one row's shape, white or 1 where values are known; the rest of every row is
            filled. None where the data themselves have the gaps.
        label: The class of all rows, as text, whatever the column of labels says; that column when None, of a
            class-conditional model.
        draws: Number of completed tables, for multiple imputation.
        seed: Seed of the draws.
        allow: Import paths that the run's own parts may be taken from.
        **images: How images are read, as arguments of `load`; as the run's own where None.
    """
    ending_of(output)
    model, config = _load_run(folder, allow)
    run = config.get("run")
    name = (run or {}).get("label")
    as_trained = RunSettings(**run).images() if run else {}
    dataset = load(data, label=name, gaps=True, **as_trained | _said(images))
    labels = None if name is None else dataset.labels
    if label is not None:
        labels = np.full(len(dataset.values), model.encoding.label_of(label))
    values = dataset.values
    known = None if mask is None else load_mask(mask)
    if known is not None:
        # of a colour image one mask serves all channels
        last = model.encoding.images is not None and model.encoding.images.channels_last
        if known.shape not in (values.shape[1:], values.shape[1:3] if last else values.shape[-2:]):
            raise DataError(f"{mask}: a mask of shape {known.shape} does not fit rows of shape {values.shape[1:]}")
        known = np.broadcast_to(known[..., None] if last and known.ndim == 2 else known, values.shape[1:]).copy()
    generator = torch.Generator().manual_seed(seed)
    written = [output] if draws == 1 else [_numbered(output, draw) for draw in range(1, draws + 1)]
    tables = [model.impute(values, mask=known, label=labels, generator=generator) for _ in written]
    how: dict[str, Any] = {"label_name": name or "label", "dialect": dataset.dialect or _dialect(config)}
    how["value_range"] = model.encoding.value_range
    for path, filled in zip(written, tables, strict=True):
        save_samples(filled, path, labels=labels if has_labels(output) else None, **how)
    missing = model.encoding.values(values, gaps=True).isnan()
    count = int(missing.sum()) if known is None else int((missing | ~torch.from_numpy(known)).sum())
    return count, written


def _said(images: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that are not None."""
    return {name: value for name, value in images.items() if value is not None}


def _numbered(path: Path, number: int) -> Path:
    """Return a file's path with a number before its ending."""
    ending = "".join(path.suffixes[-2:]) if path.name.endswith(".gz") else path.suffix
    return path.with_name(f"{path.name.removesuffix(ending)}_{number}{ending}")


def evaluate_run(
    folder: Path,
    *,
    data: str | None = None,
    target: str | None = None,
    features: Any = None,
    seed: int = 0,
    allow: Sequence[str] = (),
    **images: Any,
) -> Evaluation:
    """Judge a run on the rows held back in training, or on other data.

    ``target`` is a column that trees are to predict after training on the samples, ``features`` what images are compared in: by
    a classifier of the run's own labels when None, by pixels where there are none. It is a `RunError` where the run's own
    data are gone or have changed. ``images`` is how those other data are read, as arguments of `load`, like the run's own where
    None.
    """
    model, config = _load_run(folder, allow)
    if "run" not in config:
        raise RunError(f"{folder} was not written by `ncsn train`, so its data are not known")
    settings = RunSettings(**config["run"])
    dataset, parts = settings.split()
    if len(parts.train) != model.plan.n_rows:
        raise RunError(f"{settings.data} has changed since training; name the data to judge on with --data")
    held_out = parts.held_out
    if data is not None:
        reading = settings.images() | _said(images)
        held_out = load(data, n=settings.points, seed=settings.seed + 1, label=settings.label, **reading).values
    if target is not None and target not in [column.name for column in model.encoding.table]:
        raise unknown_name("column", target, [str(column.name) for column in model.encoding.table])
    known = _known_labels(settings, dataset, parts)
    if features is None and known:
        features = train_classifier(parts.train, known["labels"], parts.held_out, known["held_out_labels"], seed=seed)
    return judge(model, parts.train, held_out, seed=seed, target=target, features=features, labels=known.get("labels"))
