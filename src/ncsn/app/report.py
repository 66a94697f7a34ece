"""The report of a run, or of several on one page, composed from what there is of each."""

import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from ncsn.app.page import Report, Rows
from ncsn.errors import RunError, SettingError, in_one_line, unknown_name
from ncsn.evaluation import Comparison, Measure
from ncsn.files import VERSION
from ncsn.plan import Plan
from ncsn.plots import plot_training_curve
from ncsn.training import Validation

RUN_FIGURES: dict[str, tuple[str, str]] = {
    "samples": ("Data and samples", "Data beside samples of the model, drawn alike."),
    "columns": (
        "Columns",
        "Real rows that training never saw beside samples, as shares of all rows; the columns that are kept worst first. In "
        "brackets what training rows reach. KS and TV are distances of the distributions, from 0 to 1; the outermost bins "
        "hold all values beyond them.",
    ),
    "pairs": (
        "Pairs of columns",
        "Real rows that training never saw beside samples; the pairs that are kept worst first. In brackets what training "
        "rows reach. The trend error is half the difference of two correlations, or with categories the distance of the "
        "tables of counts. The wider a box, the more rows.",
    ),
    "image_grid": ("Samples", "Samples of the model, not selected; of each class in turn where there are classes."),
    "training_samples": (
        "Along the training",
        "Samples of the same noise as training went on, a row every two minutes and the last one at its end.",
    ),
    "annealing": (
        "Along the annealing",
        "The same samples on their way from noise to data; σ is the noise level that they have reached.",
    ),
    "score_fields": (
        "Score fields",
        "The score, which points to denser data, at four noise levels. Arrows show its direction, colour how many σ away "
        "the denoised point lies.",
    ),
    "learned_and_exact": (
        "Learned and exact score",
        "The learned score, the exact one, and where they differ, over data with noise of each level (grey). The relative "
        "error is the mean squared difference times σ² / D: 0 is exact, and a score of zero has about 1 where σ is small.",
    ),
    "loss_by_level": (
        "Loss by noise level",
        "The closer to the floor, the better the network. Where the loss on held-out data is well above that on the "
        "training set, the network has learned its training rows by heart.",
    ),
}
"""The figures that a run can have, by name in the order of the report: heading and caption."""

_MEASURES: dict[str, tuple[str, str]] = {
    "column_shape": ("Columns", "distance of a column's distributions, in the mean (KS of numbers, TV of categories)"),
    "missing": ("Missing cells", "difference of the shares of missing cells, in the mean"),
    "pair_trend": ("Pairs of columns", "error of what two columns have to do with each other, in the mean"),
    "c2st": ("C2ST", "how well a classifier tells them apart (area under the ROC curve); 0.5: it cannot, 1: always"),
    "sliced_wasserstein2": ("Sliced Wasserstein-2", "distance along random directions"),
    "wasserstein2": ("Wasserstein-2", "distance by the best matching of points"),
    "energy_distance": ("Energy distance", "distance by all pairs of points"),
    "mmd": ("MMD²", "distance by Gaussian kernels"),
    "frechet_distance": ("Fréchet distance", "distance of means and covariances"),
    "kernel_distance": ("Kernel distance", "distance by the kernel of KID; of real data about 0"),
    "precision": ("Precision", "share of samples that look real"),
    "recall": ("Recall", "share of the real data that samples reach"),
    "density": ("Density", "how densely real data surround the samples; about 1 is right"),
    "coverage": ("Coverage", "share of the real data with a sample nearby"),
    "copied_fraction": ("Copied", "share of samples that repeat a training row"),
    "stray_fraction": ("Stray", "share of samples far from every training row"),
    "confident": ("Read with confidence", "share that the judge reads as a class with probability above 0.9"),
    "class_shares": ("Class shares", "how far the classes that the judge reads are from the data's (TV)"),
    "read_as_asked": ("Read as asked", "share that the judge reads as the class that was asked for"),
    "closest_record": ("Closest record", "distance to the closest training row, median; well below real data: copies"),
    "closest_record_low": ("Closest record, 5%", "the same, of the samples that are closest"),
    "duplicates": ("Duplicates", "share of samples that equal a training row in every column"),
}


def words_of(measure: Measure) -> tuple[str, str]:
    """Return what a measure is called, and what it means."""
    return _MEASURES.get(measure.name, (measure.name.replace("_", " "), ""))


@dataclass(frozen=True)
class RunSummary:
    """What a report tells of one run; what is empty or None is left out.

    Args:
        name: What the run is called, such as its data set.
        facts: Short facts, by name: rows, method, time, sampler, held-out log-density.
        comparison: The samples held against held-out data.
        figures: Figures by their names in `RUN_FIGURES`; the report closes them.
        loss_history: Pairs of step and loss.
        validation: How the training went on rows that it did not see.
        plan: The settings and their reasons.
        tables: Further tables, rows by heading.
        lacking: What could not be made, and why; figures that cannot be drawn are added.
    """

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    comparison: Comparison | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)
    loss_history: Sequence[tuple[int, float]] = ()
    validation: Validation | None = None
    plan: Plan | None = None
    tables: Mapping[str, Rows] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)


FAILURES = (ArithmeticError, MemoryError, RuntimeError, ValueError)
"""What judging and drawing a model can raise that is no fault of the code: of numbers, of text in fonts, of memory."""


@contextmanager
def tried(what: str, lacking: dict[str, str]) -> Iterator[None]:
    """Note what fails within, so that the rest is made; not files that cannot be written, or what was asked for wrongly.

    Args:
        what: What is made.
        lacking: Where it is noted why it could not be.
    """
    try:
        yield
    except (RunError, SettingError):
        raise
    except FAILURES as error:
        lacking[what] = in_one_line(error)


def told(lacking: Mapping[str, str]) -> str:
    """Return what could not be made, and why, in a sentence."""
    return "; ".join(f"{what} failed ({why})" for what, why in lacking.items())


def write_run_report(
    folder: str | os.PathLike[str],
    title: str,
    runs: Sequence[RunSummary],
    *,
    introduction: str = "",
    device: torch.device | str | None = None,
) -> Path:
    """Write the report of one run, or of several on one page, and their figures.

    Args:
        folder: Where to; ``report.html`` and ``figures/`` are put there.
        title: The page's title.
        runs: The runs.
        introduction: Paragraphs at the top, parted by blank lines.
        device: Where the runs were computed; the one that training takes by default when None.

    Returns:
        The path of the page.

    Raises:
        SettingError: A run has a figure of an unknown name, or two runs are called alike.
        RunError: The folder cannot be made or written, or the disk is full.
    """
    report = Report(title, introduction)
    for run in runs:
        prefix = "_".join([*re.findall(r"\w+", run.name.lower()), ""]) if len(runs) > 1 else ""
        _add_run(report, run, prefix)
    report.section("Environment")
    report.facts(environment(device))
    return report.write(folder)


def _add_run(report: Report, run: RunSummary, prefix: str) -> None:
    for name in run.figures:
        if name not in RUN_FIGURES:
            raise unknown_name("figure of a run", name, RUN_FIGURES)
    report.section(run.name)
    if run.facts:
        report.facts(run.facts)
    for name, (heading, caption) in RUN_FIGURES.items():
        if name in run.figures:
            report.section(heading, level=2)
            with tried(f"the figure {name}", run.lacking):
                report.figure(run.figures[name], f"{prefix}{name}", caption, alternative=f"{run.name}: {caption}")
        if name == "samples" and run.comparison is not None:
            _add_comparison(report, run.comparison)
    if run.loss_history:
        report.section("Training", level=2)
        caption = "The training loss, averaged over noise levels. It levels off at its floor, which is not zero."
        if run.validation is not None:
            caption += f" {words_of_validation(run.validation)}"
        steps, losses = zip(*run.loss_history, strict=True)
        with tried("the figure training_curve", run.lacking):
            curve = plot_training_curve(steps, losses, run.validation)
            report.figure(curve, f"{prefix}training_curve", caption, alternative=f"{run.name}: {caption}")
    for heading, rows in run.tables.items():
        report.section(heading, level=2)
        report.table(rows)
    if run.plan is not None:
        report.section("Settings, and why", level=2)
        report.prose(
            "Noise levels are in standardised units, in which the data have mean 0 and standard deviation 1. Langevin steps "
            "are x + (α/2) s + √α z with α = langevin_step_size (σ/sigma_min)²: twice the α of Song & Ermon 2020."
        )
        columns = ("setting", "value", "rule", "reason")
        choices = [(choice.name, choice.value, choice.rule, choice.reason) for choice in run.plan.choices]
        report.table([dict(zip(columns, choice, strict=True)) for choice in choices])
    if run.lacking:
        report.section("What is missing", level=2)
        report.prose(f"{told(run.lacking)}.")


def words_of_validation(validation: Validation) -> str:
    """Return which weights were kept, and why."""
    kept, last, floor = validation.kept, validation.looks[-1], validation.floor
    best = min(look.held_out for look in validation.looks)
    parts = [f"{kept.held_out:.4g} on those", f"{kept.training:.4g} on training rows", f"{best:.4g} at the smallest"]
    parts += [f"{last.held_out:.4g} after the last step"] * (last is not kept)
    parts += [] if floor is None else [f"{floor:.4g} of the exact score of all rows, the floor"]
    return (
        f"Kept are the averaged weights of step {kept.step:,}, the last whose loss on rows that training did not see is next to "
        f"the smallest: {', '.join(parts)}."
    )


def _add_comparison(report: Report, comparison: Comparison) -> None:
    rows: list[dict[str, Any]] = []
    intervals = any(measure.low is not None for measure in comparison.measures)
    for measure in comparison.measures:
        label, meaning = words_of(measure)
        rows.append(
            {
                "measure": label,
                "samples": measure.value,
                **({"95% interval": _interval(measure)} if intervals else {}),
                "real data": measure.floor,
                "ratio": measure.ratio,
                "": meaning,
            }
        )
    report.section("How good the samples are", level=2)
    if comparison.verdict:
        report.prose(f"{comparison.verdict[0].upper()}{comparison.verdict[1:]}.")
    report.prose(
        f"{comparison.n_rows:,} samples are held against {comparison.n_held_out:,} rows that training never saw. No "
        "distance between finite sets is zero: the column of real data says what as many training rows reach against the "
        "same held-out rows (where samples are held against the training rows themselves, what the held-out rows reach), "
        "and a ratio of 1.00 means as good as real data."
    )
    if comparison.judge:
        taken = f" {comparison.taken.capitalize()}." if comparison.taken else ""
        report.prose(f"Images are compared in features. Judge: {comparison.judge}.{taken}")
    if comparison.left_out:
        names = ", ".join(map(str, comparison.left_out))
        report.prose(f"Compared in duplicates only: {names}.")
    if comparison.n_non_finite:
        report.prose(f"{comparison.n_non_finite:,} samples are not finite and are left out.")
    report.table(rows, formats={"ratio": ".2f"})


def _interval(measure: Measure) -> str:
    return "" if measure.low is None else f"{measure.low:.3f} to {measure.high:.3f}"


def environment(device: torch.device | str | None = None) -> dict[str, str | int]:
    """Return what a run's figures depend on beside its settings: versions and hardware.

    Args:
        device: Where the run was computed; the one that training takes by default when None.

    Returns:
        Names and values: Python, PyTorch, ncsn, platform, processor cores, threads, device.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(device)
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ncsn": VERSION,
        "platform": platform.platform(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "device": f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device),
    }
