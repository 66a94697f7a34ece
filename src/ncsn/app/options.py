"""What several commands are asked: their arguments and options. Nothing here loads PyTorch before an option is used."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ncsn.catalogue import DATASETS
from ncsn.errors import SettingError

MOST = 10**9
"""Most of anything that an option counts: samples, steps, points."""

LAST_SEED = 2**32 - 1

DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help=f"A built-in set ({' '.join(DATASETS)}), a .csv .tsv .parquet .npy .npz or IDX file, a folder of images.",
    ),
]
RunArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run, as `ncsn train` wrote it.")]
OutputOption = Annotated[
    Path, typer.Option("-o", "--output", help="A .csv .tsv (or .gz of these) .parquet .npy .npz .png or .gif file.")
]
LabelOption = Annotated[
    str | None,
    typer.Option(
        help="The column (of an .npz: the array) of class labels; `folder` for sub-folders of images, `labels` for an IDX "
        "file's; makes the model class-conditional."
    ),
]
GivenColumnsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN", help="A column that is always known: the others are learned given it; may be repeated."
    ),
]
LabelOutOption = Annotated[
    str | None,
    typer.Option(
        help="The column of class labels, which is left out of the data; `folder` for sub-folders of images, `labels` for an "
        "IDX file's."
    ),
]
SizeOption = Annotated[
    str | None,
    typer.Option(
        metavar="PIXELS",
        help="Crop and resize images to a square, 32, or to a width and height, 32x48.",
        callback=lambda size: _readable("size", size),
    ),
]
BackgroundOption = Annotated[
    str | None,
    typer.Option(
        metavar="COLOUR",
        help="What images' transparent pixels are laid on; white when not given, `none` keeps a fourth channel.",
        callback=lambda background: _readable("background", background),
    ),
]
ChannelsOption = Annotated[
    str | None,
    typer.Option(
        metavar="first|last",
        help="Where an array of images has its channels, if its shape does not say.",
        callback=lambda channels: _readable("channels", channels),
    ),
]
ValidationOption = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=0.9,
        help="Share of the training rows that only decides which averaged weights are kept; 0 keeps the last ones.",
    ),
]
AugmentationOption = Annotated[
    str | None,
    typer.Option(
        metavar="none|flips|edm",
        help="How images are moved for training, which the network is told, so that samples are not; or one of your own as "
        "package.module:Name.",
        callback=lambda augmentation: _augmentation(augmentation),
    ),
]
FeaturesOption = Annotated[
    str | None,
    typer.Option(
        help="What images are compared in: a .pt2 or TorchScript file, package.module:Name, or inception:WEIGHTS; when not "
        "given a classifier of the data's own labels, or the pixels."
    ),
]
PointsOption = Annotated[int, typer.Option("--points", min=2, max=MOST, help="Number of points drawn of a toy set.")]
ColumnsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.json",
        help='What columns of a table are, where it is not what `ncsn plan` says: {"zip": "category", "id": "drop"}.',
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, max=LAST_SEED, help="Seed of every random draw.")]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A module of yours, package.module, that the run's own parts may be taken from; may be repeated.",
        callback=lambda allowed: _allowed(allowed),
    ),
]


def _allowed(paths: list[str] | None) -> list[str]:
    if paths:
        look_here()
    return list(paths or ())


def _readable(option: str, value: str | None) -> str | None:
    """Refuse what says nothing of how images are read."""
    if value is not None:
        from ncsn.data.pictures import Reading

        try:
            Reading(**{option: value})
        except SettingError as error:
            raise typer.BadParameter(str(error)) from error
    return value


def _augmentation(name: str | None) -> str | None:
    """Refuse what names no augmentation."""
    if name is not None:
        look_here()
        from ncsn.app.runs import augmentation_at

        try:
            augmentation_at(name)
        except SettingError as error:
            raise typer.BadParameter(str(error)) from error
    return name


def look_here() -> None:
    """Let modules of one's own be found in the folder where the command is given, after all others."""
    if "" not in sys.path:
        sys.path.append("")
