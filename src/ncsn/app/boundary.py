"""The boundary of the command line: whatever goes wrong beyond it is one line, with the exit code that says whose fault it is."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from ncsn.app.console import is_first, say, say_error, without_raw_warnings
from ncsn.errors import (
    DataError,
    DivergenceError,
    RunError,
    SettingError,
    in_one_line,
    is_other_process_gone,
    is_out_of_memory,
)

STOPPED = 130
"""The exit code of what Ctrl-C stopped."""


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the process with exit code 1, and one line on standard error, where the data, the run or the machine is at fault."""
    without_raw_warnings()
    try:
        yield
    except (DataError, RunError, DivergenceError, SettingError) as error:
        # of several processes all have met it
        if is_first():
            say_error(str(error))
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename}: "
        say_error(f"{place}{error.strerror or in_one_line(error)}; name another file or folder, or make room")
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            say_error(f"the memory is too small ({in_one_line(error)}); ask for less at once, or for smaller data")
        elif is_other_process_gone(error):
            say_error(
                "another process of this run has ended, and all of them with it; the same command with --resume goes on"
            )
        else:
            raise
    else:
        return
    sys.exit(1)


@contextmanager
def says_what_is_left(folder: Path) -> Iterator[None]:
    """Say, where Ctrl-C stops a training, what is there and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        # loaded by now, with PyTorch
        from ncsn.app.claims import MARKER

        if is_first():
            if not (folder / MARKER).exists():
                say("stopped before anything was written")
            elif (folder / "config.json").exists():
                say(f"stopped; {folder} holds the trained model, and the same command with --resume finishes the run")
            else:
                say("stopped; the same command with --resume goes on")
        raise typer.Exit(STOPPED) from None
