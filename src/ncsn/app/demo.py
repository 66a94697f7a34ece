"""The demonstration: the Swiss roll and handwritten digits, trained, sampled, judged, and reported on one page."""

from pathlib import Path
from time import perf_counter
from typing import Any

from ncsn.app.console import Shown, say, silent
from ncsn.app.report import RunSummary, write_run_report
from ncsn.app.runs import has_quick_density
from ncsn.app.summary import facts_of, summarise
from ncsn.data import load, split
from ncsn.errors import RunError
from ncsn.estimator import NCSN
from ncsn.evaluation import judge, train_classifier
from ncsn.evaluation.judging import JUDGED_ROWS

QUICK_STEPS = {"swiss_roll": 500, "digits": 400}
"""Training steps of the quick demonstration, which shows the path and not the quality."""

QUICK_ROWS = 500
"""Samples that it is judged by."""

INTRODUCTION = """A noise-conditional score network learns the score, the gradient of the log-density, of the data with
noise of every level. Samplers follow it from noise back to data. Every figure below was made by this run.

Every distance stands beside the one that real data have to themselves: with a ratio of 1.00 the samples are as close to
held-out data as the training data are."""


def run_demo(folder: Path, *, quick: bool = False, seed: int = 0, shown: Shown = silent) -> Path:
    """Train on the Swiss roll and on the digits that scikit-learn ships; write ``report.html`` and figures, return the page.

    A report that is in the folder is replaced; what else it holds is a `RunError`. ``quick`` trains for seconds only.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; name a folder for the report")
    if (folder / "config.json").exists():
        raise RunError(f"{folder} holds a run; name another folder for the report")
    summaries = [_summary(name, quick, seed, shown) for name in ("swiss_roll", "digits")]
    return write_run_report(folder, "ncsn: what a score network learns", summaries, introduction=INTRODUCTION)


def _summary(name: str, quick: bool, seed: int, shown: Shown) -> RunSummary:
    dataset, features = load(name, n=5000, seed=seed), None
    if dataset.draw is None:
        parts = split(dataset.values, dataset.labels, seed=seed)
        training, held_out = parts.train, parts.held_out
        features = train_classifier(training, parts.train_labels, held_out, parts.held_out_labels, seed=seed)
    else:
        training = dataset.values
        held_out = load(name, n=5000, seed=seed + 1).values
    estimator = NCSN(training_steps=QUICK_STEPS[name] if quick else None, random_state=seed)
    start = perf_counter()
    with shown(f"training on {name}") as advance:
        model = estimator.fit(training, callback=advance).model_
    seconds = perf_counter() - start
    say(f"judging and drawing {name}")
    rows = QUICK_ROWS if quick else JUDGED_ROWS
    how: dict[str, Any] = {"seed": seed, "rows": rows, "features": features}
    evaluation = judge(model, training, held_out, **how, log_likelihood=has_quick_density(model))
    annealed = judge(model, training, held_out, **how, sampler="annealed_langevin", log_likelihood=False)
    say(f"{name}\n{evaluation}")
    beside = [
        {
            "measure": measure.name.replace("_", " "),
            "annealed Langevin": langevin.value,
            "default sampler": measure.value,
            "real data": measure.floor,
        }
        for measure, langevin in zip(evaluation.comparison.measures, annealed.comparison.measures, strict=True)
    ]
    plan = model.plan
    evaluations = plan.n_sigmas * plan.n_steps_per_sigma + 1
    return summarise(
        model,
        {"swiss_roll": "Swiss roll", "digits": "Handwritten digits"}[name],
        training,
        held_out,
        facts={"training seconds": seconds} | facts_of(model, evaluation, len(training), len(held_out)),
        comparison=evaluation.comparison,
        draw=dataset.draw,
        tables={f"Annealed Langevin dynamics ({evaluations:,} evaluations) beside the default sampler": beside},
        seed=seed,
    )
