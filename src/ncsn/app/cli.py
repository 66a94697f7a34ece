"""The commands. PyTorch is imported only once a command runs, so that ``--help`` answers at once."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ncsn.app.arguments import features_of, looked_at, method_of, object_of
from ncsn.app.boundary import one_line_errors, says_what_is_left
from ncsn.app.console import say_notes
from ncsn.app.options import (
    MOST,
    AllowOption,
    AugmentationOption,
    BackgroundOption,
    ChannelsOption,
    ColumnsOption,
    DataArgument,
    FeaturesOption,
    GivenColumnsOption,
    LabelOption,
    LabelOutOption,
    OutputOption,
    PointsOption,
    RunArgument,
    SeedOption,
    SizeOption,
    ValidationOption,
)
from ncsn.errors import SettingError

app = typer.Typer(
    help="Noise-conditional score networks: train on your data, sample, and see how good the samples are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"ncsn {version('ncsn')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version, and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder for the report and figures.")] = Path("demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Train for less than a minute in all.")] = False,
    seed: SeedOption = 0,
) -> None:
    """Train on the Swiss roll and on handwritten digits, and write a report."""
    from ncsn.app.console import progress_bar, say
    from ncsn.app.demo import run_demo

    say(f"wrote {run_demo(out, quick=quick, seed=seed, shown=progress_bar)}")


@app.command()
def plan(
    data: DataArgument,
    label: LabelOutOption = None,
    columns: ColumnsOption = None,
    given: GivenColumnsOption = None,
    points: PointsOption = 5000,
    seed: SeedOption = 0,
    size: SizeOption = None,
    background: BackgroundOption = None,
    channels: ChannelsOption = None,
) -> None:
    """Show what each column of a table is taken for, and the settings that the data lead to, with rules and reasons."""
    said = looked_at(data, columns)
    from ncsn.app.describing import words_of
    from ncsn.app.planning import plan_for

    images = {"size": size, "background": background or "white", "channels": channels}
    planned = plan_for(data, label=label, points=points, seed=seed, columns=said, given=given, **images)
    if planned[0].dialect is None:
        say_notes(planned[0].notes)
    # a table is read by machines too: no wrapping, no markup
    typer.echo(words_of(*planned))


@app.command()
def train(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="The folder for the run.")],
    method: Annotated[
        str, typer.Option(help="A method of the lineage, or one of your own as package.module:Name.")
    ] = "edm",
    steps: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Training steps; from the data when not given.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1e6,
            help="Time to train for, in place of --steps: a few steps are timed at first.",
        ),
    ] = None,
    label: LabelOption = None,
    given: GivenColumnsOption = None,
    holdout: Annotated[
        float,
        typer.Option(min=0.01, max=0.9, help="Share of the rows kept back to judge the model by."),
    ] = 0.2,
    validation: ValidationOption = None,
    points: PointsOption = 5000,
    seed: SeedOption = 0,
    teacher: Annotated[
        Path | None, typer.Option(help="The folder of a run on the same data, for --method consistency to distil.")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="What makes the network, as package.module:Name, called with the shape, plan and classes."),
    ] = None,
    columns: ColumnsOption = None,
    log: Annotated[
        str | None,
        typer.Option(
            help="A tracker of Accelerate that is told of the loss: tensorboard, wandb, ...; its files go into DIR."
        ),
    ] = None,
    size: SizeOption = None,
    background: BackgroundOption = None,
    channels: ChannelsOption = None,
    augmentation: AugmentationOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped run left off.")] = False,
) -> None:
    """Fit a model to data, judge it on the rows held back, and write the run into a folder."""
    if steps is not None and minutes is not None:
        raise typer.BadParameter("give --steps or --minutes, not both", param_hint="--minutes")
    said = looked_at(data, columns)
    from ncsn.app.console import progress_bar, say
    from ncsn.app.runs import RunSettings, train_run
    from ncsn.methods import method_named

    distils = method_named(method_of(method, "--method")).takes_teacher
    if teacher is not None and not distils:
        raise typer.BadParameter(f"method {method!r} distils no teacher", param_hint="--teacher")
    if network is not None:
        object_of(network, "--network")
    folder = None if teacher is None else str(teacher)
    more: dict[str, Any] = {"teacher": folder, "network": network, "columns": said, "minutes": minutes, "log": log}
    more |= {"size": size, "background": background or "white", "channels": channels, "augmentation": augmentation}
    more |= {"given": given or None, "validation": validation}
    settings = RunSettings(data, method, steps, label, holdout, points, seed, **more)
    with says_what_is_left(out):
        judged = train_run(settings, out, resume=resume, shown=progress_bar)
    # of several processes the main one has judged and written
    if judged is not None:
        say(str(judged))
        say(f"wrote {out}/report.html")


@app.command()
def sample(
    run: RunArgument,
    output: OutputOption,
    number: Annotated[
        int | None,
        typer.Option("-n", "--number", min=1, max=MOST, help="Number of samples; one a row of a --given file."),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            help="What is known: COLUMN=VALUE, which may be repeated, or a table of such columns, a sample a row. "
            "Of a run trained with --given all of those columns."
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(help="The sampler, or one of your own as package.module:Name; the method's own when not given."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=10**6, help="Noise levels walked; the method's own when not given.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The class to draw, of a model trained with --label.")] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Strength of the guidance to --label and contexts; 1 is none, 2 is strong.")
    ] = None,
    grid_columns: Annotated[
        int | None,
        typer.Option(min=1, max=10**4, help="Images in a row of a .png or .gif; about as many as rows when not given."),
    ] = None,
    seed: SeedOption = 0,
    allow: AllowOption = None,
) -> None:
    """Draw samples from a trained model, in the units and columns of its data; a .gif shows them on their way from noise."""
    from ncsn.app.console import say
    from ncsn.app.uses import sample_run
    from ncsn.samplers import sampler_of
    from ncsn.training import is_main_process

    walker: Any = None if sampler is None else object_of(sampler, "--sampler") if ":" in sampler else sampler
    try:
        if walker is not None:
            sampler_of(walker)
    except SettingError as error:
        raise typer.BadParameter(str(error), param_hint="--sampler") from error
    if guidance is not None and label is None and not given:
        raise typer.BadParameter("guidance needs a --label or --given to guide to", param_hint="--guidance")
    files = [entry for entry in given or () if "=" not in entry]
    if files and (len(given or ()) > 1 or not Path(files[0]).is_file()):
        wrong = "a file of rows stands alone" if len(given or ()) > 1 else f"{files[0]!r} is no file, nor COLUMN=VALUE"
        raise typer.BadParameter(
            f"{wrong}: give COLUMN=VALUE, which may be repeated, or one file", param_hint="--given"
        )
    if number is None and not files:
        raise typer.BadParameter("say how many samples to draw", param_hint="-n")
    how: dict[str, Any] = {"sampler": walker, "steps": steps, "label": label, "guidance": guidance}
    how["grid_columns"] = grid_columns
    drawn = sample_run(run, number, output, **how, given=given or (), seed=seed, allow=allow or ())
    if is_main_process():
        say(f"wrote {drawn:,} sample{'s' if drawn != 1 else ''} to {output}")


@app.command()
def impute(
    run: RunArgument,
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A file or folder like the run's data, with empty cells to fill.")
    ],
    output: OutputOption,
    mask: Annotated[
        Path | None,
        typer.Option(help="An image or .npy array of one row's shape: white or 1 where known; the rest is filled."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="The class of the rows, of a model trained with --label.")] = None,
    draws: Annotated[
        int, typer.Option(min=1, max=10**4, help="Number of completed tables, full_1.csv, full_2.csv, ...")
    ] = 1,
    size: SizeOption = None,
    background: BackgroundOption = None,
    channels: ChannelsOption = None,
    seed: SeedOption = 0,
    allow: AllowOption = None,
) -> None:
    """Fill missing values with draws from their distribution given the known ones."""
    from ncsn.app.console import say
    from ncsn.app.uses import impute_run

    how: dict[str, Any] = {"size": size, "background": background, "channels": channels}
    how |= {"mask": mask, "label": label, "draws": draws, "seed": seed, "allow": allow or ()}
    count, written = impute_run(run, data, output, **how)
    say(f"filled {count:,} values; wrote {', '.join(map(str, written))}")


@app.command()
def compare(
    data: DataArgument,
    methods: Annotated[str, typer.Option(help="Methods, with commas between them; your own as package.module:Name.")],
    out: Annotated[Path, typer.Option(help="The folder for the report.")],
    budget: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Training steps of each method; from the data when not given.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Number of seeds.")] = 3,
    label: LabelOutOption = None,
    given: GivenColumnsOption = None,
    points: PointsOption = 5000,
    size: SizeOption = None,
    background: BackgroundOption = None,
    channels: ChannelsOption = None,
    features: FeaturesOption = None,
) -> None:
    """Train methods on the same data with the same network and steps, and write how good they are at what cost."""
    from ncsn.app.compare import run_comparison
    from ncsn.app.console import say

    names = [name.strip() for name in methods.split(",")]
    for name in names:
        method_of(name, "--methods")
    how: dict[str, Any] = {"size": size, "background": background or "white", "channels": channels}
    how |= {"features": None if features is None else features_of(features), "given": given or ()}
    table = run_comparison(data, names, out, budget=budget, seeds=seeds, points=points, label=label, **how)
    say(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    say(f"wrote {out}/report.html")


@app.command()
def evaluate(
    run: RunArgument,
    data: Annotated[
        str | None, typer.Option(help="Judge on these data; on the rows held back in training when not given.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="A column of the table: also train trees on the samples to predict it, and test them on real rows."
        ),
    ] = None,
    size: SizeOption = None,
    background: BackgroundOption = None,
    channels: ChannelsOption = None,
    features: FeaturesOption = None,
    bits: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=MOST,
            help="Held-out images of 8 bits whose bits per dimension are computed; when not given 64, and none of a UNet, which "
            "takes minutes on a CPU.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    seed: SeedOption = 0,
    allow: AllowOption = None,
) -> None:
    """Hold a model's samples against data that training never saw, each distance beside its floor."""
    import json

    from ncsn.app.uses import evaluate_run

    images: dict[str, Any] = {"size": size, "background": background, "channels": channels}
    if data is None and any(images.values()):
        raise typer.BadParameter(
            "the rows held back are read as in training; give it with --data",
            param_hint=f"--{next(name for name in images if images[name])}",
        )
    judge = None if features is None else features_of(features)
    how: dict[str, Any] = {"target": target, "features": judge, "bits_images": bits, "seed": seed, "allow": allow or ()}
    evaluation = evaluate_run(run, data=data, **how, **images)
    typer.echo(json.dumps(evaluation.to_dict(), indent=1) if as_json else str(evaluation))


@app.command()
def learn(
    out: Annotated[Path, typer.Option(help="The folder for your copies of the notebooks.")] = Path("ncsn-notebooks"),
    no_open: Annotated[bool, typer.Option("--no-open", help="Copy the notebooks, and open nothing.")] = False,
    progress: Annotated[bool, typer.Option("--progress", help="Only show how far you have come.")] = False,
) -> None:
    """Copy the four notebooks of the learning path into a folder, open them, and show your progress."""
    from ncsn.learn.command import learn as copy_and_open, table

    if progress:
        typer.echo(table(out))
    else:
        copy_and_open(out, opens=not no_open)


@app.command()
def studio(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; a free one when 0.")] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
) -> None:
    """Play with noise, scores and samplers in the browser; served on this machine to this machine alone."""
    from ncsn.studio.server import serve

    serve(port, opens=not no_open)


def main() -> None:
    """Run a command; exit 0 done, 1 the data or the run is at fault, 2 the command line is."""
    with one_line_errors():
        app()
