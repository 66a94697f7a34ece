"""What can go wrong while a library reads a file, in one closed list, and the one line that becomes of it.

Nothing here loads PyTorch, so that a bad file is refused at once.
"""

from __future__ import annotations

import lzma
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ncsn.errors import DataError

_SAID = (OSError, ValueError, EOFError, SyntaxError, MemoryError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
"""What libraries raise of a file on purpose; NumPy parses headers as Python, and pyarrow's errors are among them too."""

_STUMBLED = (
    tokenize.TokenError,  # NumPy's headers
    RuntimeError,  # an encrypted, or otherwise compressed, member of an archive; headers nested too deeply
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
)
"""What their own code stumbles over where a file is damaged."""

FAULTS: tuple[type[Exception], ...] = (*_SAID, *_STUMBLED)
"""All that a library raises of a file which it cannot read."""


@contextmanager
def library_reads(path: Path | str, kind: str, *besides: type[Exception]) -> Iterator[None]:
    """Make one `DataError` of whatever a library raises within; only calls of a library belong there.

    Args:
        path: The file, for the message.
        kind: What it is read as.
        *besides: What this library raises that no other does.

    Raises:
        DataError: The file cannot be read.
    """
    faults = (*FAULTS, *besides)
    try:
        yield
    except DataError:
        raise
    except faults as error:
        raise unreadable(path, kind, error) from error


@contextmanager
def files_open(path: Path | str, kind: str) -> Iterator[None]:
    """Make one `DataError` of files that cannot be opened or hold something else, around code of our own too.

    Args:
        path: The file or folder, for the message.
        kind: What it is read as.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        yield
    except DataError:
        raise
    except _SAID as error:
        raise unreadable(path, kind, error) from error


def unreadable(path: Path | str, kind: str, error: BaseException) -> DataError:
    """Return the error that says in one line that a file cannot be read, and why."""
    if isinstance(error, OSError) and error.errno is not None:
        hint = "; change its permissions, or copy it" if isinstance(error, PermissionError) else ""
        return DataError(f"{path}: cannot be read ({os.strerror(error.errno)}){hint}")
    if isinstance(error, MemoryError):
        return DataError(f"{path}: cannot be read as {kind}, it says that it holds more than memory does; save it anew")
    return DataError(f"{path}: cannot be read as {kind}, it may be damaged{_reason(error)}; save it anew")


def _reason(error: BaseException) -> str:
    """Return what an error says, if it helps: no library's advice to trust a file, and nothing of its inner parts."""
    said = (str(error).splitlines() or [""])[0]
    if "pickle" in said or "max_header_size" in said:
        return " (it holds Python's objects or no numbers)"
    useful = isinstance(error, _SAID) or type(error) in (RuntimeError, NotImplementedError)
    return f" ({said})" if said and useful else ""


def found(data: str | os.PathLike[str], otherwise: str = "") -> Path:
    """Return the path of a file or folder that is there.

    Args:
        data: The path; ``~`` and ``~user`` stand for a home.
        otherwise: What the message begins with where there is none.

    Raises:
        DataError: There is none, or it cannot be reached.
    """
    try:
        path = Path(data).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{otherwise}no such file or folder: {os.fspath(data)}") from error
    except RuntimeError as error:
        raise DataError(f"{os.fspath(data)}: there is no such user's home") from error
    except OSError as error:
        raise unreadable(_short(os.fspath(data)), "data", error) from error
    except ValueError as error:
        raise DataError(f"{os.fspath(data)!r} is no name of a file ({error})") from error
    if not path.is_file() and not path.is_dir():
        raise DataError(f"{path}: neither a file nor a folder; write what it gives into a file")
    return path


def _short(name: str, most: int = 80) -> str:
    return name if len(name) <= most else f"{name[: most // 2]}...{name[-most // 2 :]}"
