"""What the values of options name, or one line on why they name nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from ncsn.app.console import say_notes
from ncsn.app.options import look_here
from ncsn.errors import SettingError


def looked_at(data: str, columns: Path | None) -> dict[str, Any] | None:
    """Look at the data, before PyTorch is loaded, and return what its columns are said to be."""
    from ncsn.data.csv_files import look_at

    table = look_at(data)
    if table is not None and len(table.frame):
        say_notes(table.notes)
    if columns is None:
        return None
    try:
        said = json.loads(columns.read_bytes())
    except (OSError, RecursionError, ValueError) as error:
        raise typer.BadParameter(f"{columns} cannot be read as JSON: {error}", param_hint="--columns") from error
    if not isinstance(said, dict):
        raise typer.BadParameter(f"{columns} holds no object of columns and kinds", param_hint="--columns")
    return said


def method_of(name: str, option: str) -> Any:
    """Return a method's name, or the method that a path names, or refuse it as an option's value."""
    from ncsn.app.runs import method_at

    return _found(method_at, name, option)


def features_of(where: str) -> Any:
    """Return what images are compared in, or refuse it as an option's value."""
    from ncsn.evaluation import features_at

    return _found(features_at, where, "--features")


def object_of(path: str, option: str) -> Any:
    """Import what an option names by its path."""
    from ncsn.parts import object_at

    return _found(object_at, path, option)


def _found(find: Callable[[str], Any], name: str, option: str) -> Any:
    look_here()
    try:
        return find(name)
    except SettingError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
