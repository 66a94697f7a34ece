"""What is done with a run that is trained: samples, filled gaps, a judgement."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate.utils import gather_object

from ncsn.app.origins import Origin
from ncsn.app.planning import without_given
from ncsn.app.runs import RunSettings, has_quick_density, known_labels, load_run
from ncsn.data import Dataset, Dialect, Encoding, load, load_mask, save_samples
from ncsn.data.formats import ending_of, has_labels
from ncsn.errors import DataError, RunError, SettingError, in_one_line, unknown_name
from ncsn.evaluation import Evaluation, judge
from ncsn.evaluation.classifier import image_features
from ncsn.model import Model, context_values
from ncsn.samplers import Recorder
from ncsn.training import is_main_process, make_accelerator


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
    model, config = load_run(folder, allow)
    run, _ = trained_with(folder, config)
    value = None if label is None else model.encoding.label_of(label)
    context, known = _told(model, _given(given))
    n = n if n is not None else next((len(each) for each in (context, known) if isinstance(each, pd.DataFrame)), 1)
    how: dict[str, Any] = {"sampler": sampler, "steps": steps, "label": value, "guidance": guidance, "given": known}
    how["context"] = context
    walk, accelerator = Recorder(), make_accelerator()
    how["device"] = accelerator.device
    how["shared"] = accelerator.num_processes > 1
    if moving and known is None:
        how["callback"] = walk
    samples = model.sample(n, generator=torch.Generator().manual_seed(seed), **how)
    # each process has seen the states of its own samples
    walk = Recorder.joined(gather_object([walk]))
    if not is_main_process():
        return n
    # the class that was asked for is known, so that formats without a place for it can do without
    labels = None if value is None or not has_labels(output) else np.full(n, value)
    save_samples(
        beside(model.contexts, context, samples),
        output,
        labels=labels,
        label_name=_label_name(run),
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


def _told(model: Model, given: Any) -> tuple[Any, Any]:
    """Return the contexts among what samples are given, and the rest, each None where there is none of it.

    Raises:
        SettingError: The run was trained with contexts, and not all of them are given.
    """
    if model.contexts is None or model.contexts.container.columns is None:
        return None, given
    needed = [str(name) for name in model.contexts.container.columns]
    missing = [name for name in needed if given is None or name not in given]
    if missing:
        raise SettingError(
            f"the run was trained with --given {' --given '.join(map(shlex.quote, needed))}: give {', '.join(missing)} too"
        )
    if isinstance(given, pd.DataFrame):
        rest = given.drop(columns=needed)
        return given[needed], None if rest.shape[1] == 0 else rest
    # what is empty is a gap, as in a file
    told = {name: given[name] or None for name in needed}
    return told, {name: given[name] for name in given if name not in needed} or None


def beside(contexts: Encoding | None, context: Any, samples: Any) -> Any:
    """Return a table of samples with the contexts that they were drawn given, in columns before theirs."""
    if contexts is None or not isinstance(samples, pd.DataFrame):
        return samples
    values: Any = context_values(contexts, context, len(samples))
    container, told_of = contexts.container, values.T.numpy()
    types = [type_.widened(column) for type_, column in zip(container.types, told_of, strict=True)]
    told = replace(container, types=tuple(types)).restore(values.expand(len(samples), -1))
    return pd.concat([told.set_axis(samples.index), samples], axis=1)


def _like_the_run(dataset: Dataset, given: Sequence[str] | None, model: Model) -> tuple[Any, Any]:
    """Return the values of other data than the run's, and their contexts, or None.

    Raises:
        DataError: A column that is given is missing, or all others are.
    """
    if given and isinstance(dataset.values, pd.DataFrame):
        missing = [name for name in given if name not in dataset.values.columns]
        if missing:
            raise DataError(f"{dataset.name} lacks {', '.join(missing)}, which the run was trained given")
        if len(set(given)) == dataset.values.shape[1]:
            names = ", ".join(map(str, model.encoding.container.columns))  # type: ignore[arg-type]  # set for a table
            raise DataError(f"{dataset.name} holds the columns that are given alone, and lacks the others: {names}")
    return without_given(dataset, given)


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
    model, config = load_run(folder, allow)
    run, _ = trained_with(folder, config)
    name = None if run is None else run.label
    as_trained = {} if run is None else run.images()
    dataset = load(data, label=name, gaps=True, **as_trained | _said(images))
    labels = None if name is None else dataset.labels
    if label is not None:
        labels = np.full(len(dataset.values), model.encoding.label_of(label))
    values, context = _like_the_run(dataset, None if run is None else run.given, model)
    known = None if mask is None else load_mask(mask)
    if known is not None:
        # of a colour image one mask serves all channels
        last = model.encoding.images is not None and model.encoding.images.channels_last
        if known.shape not in (values.shape[1:], values.shape[1:3] if last else values.shape[-2:]):
            raise DataError(f"{mask}: a mask of shape {known.shape} does not fit rows of shape {values.shape[1:]}")
        known = np.broadcast_to(known[..., None] if last and known.ndim == 2 else known, values.shape[1:]).copy()
    generator = torch.Generator().manual_seed(seed)
    written = [output] if draws == 1 else [_numbered(output, draw) for draw in range(1, draws + 1)]
    how = {"mask": known, "label": labels, "context": context, "generator": generator}
    tables = [model.impute(values, **how) for _ in written]
    if context is not None:
        tables = [pd.concat([context, filled], axis=1)[list(dataset.values.columns)] for filled in tables]
    form: dict[str, Any] = {"label_name": _label_name(run), "dialect": dataset.dialect or _dialect(config)}
    form["value_range"] = model.encoding.value_range
    for path, filled in zip(written, tables, strict=True):
        save_samples(filled, path, labels=labels if has_labels(output) else None, **form)
    missing = model.encoding.values(values, gaps=True).isnan()
    count = int(missing.sum()) if known is None else int((missing | ~torch.from_numpy(known)).sum())
    return count, written


def trained_with(folder: Path, config: Mapping[str, Any]) -> tuple[RunSettings | None, Origin]:
    """Return what a run was asked to do, its data where they are, and where these came from; None where it was no command.

    Raises:
        RunError: They are another version's.
    """
    if config.get("run") is None:
        return None, Origin()
    try:
        settings, origin = RunSettings(**config["run"]), Origin.from_dict(config.get("data") or asdict(Origin()))
        there = origin.path is not None and Path(origin.path).exists()
        return (replace(settings, data=str(origin.path)) if there else settings), origin
    except (AttributeError, KeyError, OSError, TypeError) as error:
        raise RunError(f"{folder} is damaged or another version's ({in_one_line(error)}); train anew") from error


def _label_name(run: RunSettings | None) -> str:
    return "label" if run is None or run.label is None else run.label


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
    bits_images: int | None = None,
    seed: int = 0,
    allow: Sequence[str] = (),
    **images: Any,
) -> Evaluation:
    """Judge a run on the rows held back in training, or on other data.

    ``target`` is a column that trees are to predict after training on the samples, ``features`` what images are compared in: by
    a classifier of the run's own labels when None, by pixels where there are none; ``bits_images`` is as in `judge`. It is a
    `RunError` where the run's own data are gone or have changed. ``images`` is how those other data are read, as arguments of
    `load`, like the run's own where None.
    """
    model, config = load_run(folder, allow)
    settings, origin = trained_with(folder, config)
    if settings is None:
        raise RunError(f"{folder} was not written by `ncsn train`, so its data are not known")
    dataset, parts = settings.split()
    changed = origin.digest is not None and origin.digest != Origin.of(settings.data, dataset).digest
    if changed or len(parts.train) != model.plan.n_rows:
        raise RunError(
            f"{settings.data} has changed since training, so which rows were held back is not known; restore it "
            f"{'' if origin.path is None else f'as {origin.path} '}to judge the run by it"
        )
    held_out, (context, held_out_context) = parts.held_out, settings.contexts(dataset)
    if data is not None:
        reading = settings.images() | _said(images)
        others = load(data, n=settings.points, seed=settings.seed + 1, label=settings.label, **reading)
        held_out, held_out_context = _like_the_run(others, settings.given, model)
    if target is not None and target not in [column.name for column in model.encoding.table]:
        raise unknown_name("column", target, [str(column.name) for column in model.encoding.table])
    known = known_labels(settings, dataset, parts)
    if known:
        features = image_features(features, parts.train, parts.held_out, **known, seed=seed)
    how: dict[str, Any] = {"target": target, "features": features, "bits_images": bits_images}
    how |= {"log_likelihood": has_quick_density(model), "contexts": context, "held_out_contexts": held_out_context}
    return judge(model, parts.train, held_out, seed=seed, labels=known.get("labels"), **how)
