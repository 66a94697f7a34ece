"""The commands. PyTorch is imported only once a command runs, so that ``--help`` answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from ncsn.errors import DataError, DivergenceError, RunError

app = typer.Typer(
    help="Noise-conditional score networks: train on your data, sample, and see how good the samples are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A built-in set (swiss_roll moons eight_gaussians checkerboard pinwheel rings digits wine breast_cancer iris "
        "diabetes), a .csv .parquet .npy .npz file, or a folder of images.",
    ),
]
RunArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run, as `ncsn train` wrote it.")]
LabelOption = Annotated[
    str | None,
    typer.Option(help="The column (of an .npz: the array) of class labels; makes the model class-conditional."),
]
LabelOutOption = Annotated[str | None, typer.Option(help="The column of class labels, which is left out of the data.")]
PointsOption = Annotated[int, typer.Option("--points", min=2, help="Number of points drawn of a toy set.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of every random draw.")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder for the report and figures.")] = Path("demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Train for less than a minute in all.")] = False,
    seed: SeedOption = 0,
) -> None:
    """Train on the Swiss roll and on handwritten digits, and write a report."""
    from ncsn.demo import run_demo

    run_demo(out, quick=quick, seed=seed)


@app.command()
def plan(data: DataArgument, label: LabelOutOption = None, points: PointsOption = 5000, seed: SeedOption = 0) -> None:
    """Show the settings that the data lead to, each with its rule and reason."""
    from ncsn.runs import plan_for

    # a table is read by machines too: no wrapping, no markup
    typer.echo(str(plan_for(data, label=label, points=points, seed=seed)))


@app.command()
def train(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="The folder for the run.")],
    method: Annotated[str, typer.Option(help="A method of the lineage.")] = "edm",
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps; from the data when not given.")] = None,
    label: LabelOption = None,
    holdout: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of the rows kept back to judge the model by.")
    ] = 0.2,
    points: PointsOption = 5000,
    seed: SeedOption = 0,
    teacher: Annotated[
        Path | None, typer.Option(help="The folder of a run on the same data, for --method consistency to distil.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped run left off.")] = False,
) -> None:
    """Fit a model to data, judge it on the rows held back, and write the run into a folder."""
    from ncsn.methods import method_named
    from ncsn.runs import RunSettings, train_run

    try:
        distils = method_named(method).distils
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--method") from error
    if teacher is not None and not distils:
        raise typer.BadParameter(f"method {method!r} distils no teacher", param_hint="--teacher")
    folder = None if teacher is None else str(teacher)
    settings = RunSettings(data, method, steps, label, holdout, points, seed, folder)
    train_run(settings, out, resume=resume)


@app.command()
def sample(
    run: RunArgument,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="Number of samples.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A .csv .parquet .npy .npz or .png file.")],
    sampler: Annotated[str | None, typer.Option(help="The sampler; the method's own when not given.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Noise levels walked; the method's own when not given.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The class to draw, of a model trained with --label.")] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Strength of the guidance to --label; 1 is none, 2 is strong.")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Draw samples from a trained model, in the units and columns of its data."""
    from ncsn.errors import unknown_name
    from ncsn.runs import sample_run
    from ncsn.samplers import SAMPLERS

    if sampler is not None and sampler not in SAMPLERS:
        raise typer.BadParameter(str(unknown_name("sampler", sampler, SAMPLERS)), param_hint="--sampler")
    if guidance is not None and label is None:
        raise typer.BadParameter("guidance needs a --label to guide to", param_hint="--guidance")
    sample_run(run, number, output, sampler=sampler, steps=steps, label=label, guidance=guidance, seed=seed)
    Console(stderr=True).print(f"wrote {number:,} samples to {escape(str(output))}", highlight=False)


@app.command()
def impute(
    run: RunArgument,
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A file or folder like the run's data, with empty cells to fill.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="A .csv .parquet .npy .npz or .png file.")],
    mask: Annotated[
        Path | None,
        typer.Option(help="An image or .npy array of one row's shape: white or 1 where known; the rest is filled."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="The class of the rows, of a model trained with --label.")] = None,
    seed: SeedOption = 0,
) -> None:
    """Fill missing values with draws from their distribution given the known ones."""
    from ncsn.runs import impute_run

    count = impute_run(run, data, output, mask=mask, label=label, seed=seed)
    Console(stderr=True).print(f"filled {count:,} values; wrote {escape(str(output))}", highlight=False)


@app.command()
def compare(
    data: DataArgument,
    methods: Annotated[str, typer.Option(help="Methods, with commas between them.")],
    out: Annotated[Path, typer.Option(help="The folder for the report.")],
    budget: Annotated[
        int | None, typer.Option(min=1, help="Training steps of each method; from the data when not given.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 3,
    label: LabelOutOption = None,
    points: PointsOption = 5000,
) -> None:
    """Train methods on the same data with the same network and steps, and write how good they are at what cost."""
    from ncsn.contest import run_comparison
    from ncsn.methods import method_named

    names = [name.strip() for name in methods.split(",")]
    try:
        for name in names:
            method_named(name)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--methods") from error
    run_comparison(data, names, out, budget=budget, seeds=seeds, points=points, label=label)


@app.command()
def evaluate(
    run: RunArgument,
    data: Annotated[
        str | None, typer.Option(help="Judge on these data; on the rows held back in training when not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    seed: SeedOption = 0,
) -> None:
    """Hold a model's samples against data that training never saw, each distance beside its floor."""
    import json

    from ncsn.runs import evaluate_run

    evaluation = evaluate_run(run, data=data, seed=seed)
    typer.echo(json.dumps(evaluation.to_dict(), indent=1) if as_json else str(evaluation))


@app.command()
def learn(
    out: Annotated[Path, typer.Option(help="The folder for your copies of the notebooks.")] = Path("ncsn-notebooks"),
    no_open: Annotated[bool, typer.Option("--no-open", help="Copy the notebooks, and open nothing.")] = False,
    progress: Annotated[bool, typer.Option("--progress", help="Only show how far you have come.")] = False,
) -> None:
    """Copy the four notebooks of the learning path into a folder, open them, and show your progress."""
    from ncsn.learn.command import learn as copy_and_open
    from ncsn.learn.command import table

    if progress:
        typer.echo(table(out))
    else:
        copy_and_open(out, opens=not no_open)


def main() -> None:
    """Run a command; exit 0 done, 1 the data or the run is at fault, 2 the command line is."""
    try:
        app()
    except (DataError, RunError, DivergenceError) as error:
        Console(stderr=True).print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
