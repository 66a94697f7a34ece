"""The structure of the package: imports run downward, rooms and functions keep their size, names can be found."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ncsn

PACKAGE = Path(ncsn.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")

FLOORS = [
    {"errors", "catalogue"},
    {"score", "randomness", "files", "parts", "threads"},
    {"noise", "exact", "data"},
    {"networks", "losses", "samplers", "plan"},
    {"guidance", "flow", "likelihood", "training", "methods"},
    {"model"},
    {"estimator", "evaluation", "inference"},
    {"plots"},
    {"learn", "studio"},
    {"app"},
    {"__main__"},
]
"""The rooms, the lowest floor first: a room knows its own floor and those below."""


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports, wherever in the file, for type checkers alone or not."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name for name in names if name.startswith("ncsn."))


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in FILES} == set().union(*FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_run_downward(path: Path) -> None:
    floors = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
    room = room_of(path)
    for name in imports_of(path):
        other = name.split(".")[1]
        assert floors[other] <= floors[room], f"{room} knows {other}, which is above it"


def test_there_is_no_circle_among_files() -> None:
    names = {path: ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in FILES}
    paths = {name.removesuffix(".__init__"): path for path, name in names.items()}
    # a package's face is known by whom it shows: what imports a package is an arrow to its face
    arrows = {path: {paths[name] for name in imports_of(path) if name in paths} for path in FILES}
    done: set[Path] = set()

    def visit(path: Path, way: tuple[Path, ...]) -> None:
        assert path not in way, f"a circle: {[names[step] for step in (*way, path)]}"
        if path not in done:
            for other in arrows[path] - {path}:
                visit(other, (*way, path))
            done.add(path)

    for path in FILES:
        visit(path, ())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_rooms_and_functions_keep_their_size(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 400
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            start = first.end_lineno if documented else node.lineno
            assert node.end_lineno is not None and start is not None
            assert node.end_lineno - start <= 60, f"{node.name} has {node.end_lineno - start} lines"


def test_no_code_asks_which_method_or_sampler_it_is() -> None:
    tables = ("methods.py", "samplers/run.py")
    known = {*ncsn.METHODS, *ncsn.SAMPLERS}
    # names that are other things too: a row of coefficients, a weighting, a schedule
    shared = {"edm", "consistency", "ncsn"}
    for path in FILES:
        if room_of(path) in ("learn", "app") or path.relative_to(PACKAGE).as_posix() in tables:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                values = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
                assert not values & (known - shared), f"{path.name}:{node.lineno}"


def test_names_can_be_found() -> None:
    assert 90 <= len(dir(ncsn)) <= 130
    for name in dir(ncsn):
        assert getattr(ncsn, name) is not None
    for name in ("samplers", "METHODS", "log_density", "moons", "NCSN", "Karras", "Heun"):
        assert name in dir(ncsn)
    assert ncsn.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(ncsn, "no_such" + "_name")


@pytest.mark.parametrize(
    ("line", "absent"),
    [
        ("import ncsn", ("torch", "numpy", "pandas")),
        ("from ncsn.app.cli import app", ("torch", "numpy", "pandas")),
        ("from ncsn import sample, Karras, Heun, GaussianMixtureScore", ("sklearn", "pandas", "matplotlib")),
        ("from ncsn import moons", ("sklearn", "matplotlib")),
        ("from ncsn import energy_distance", ("accelerate",)),
        ("from ncsn import plot_multiscale_scores", ("accelerate",)),
        ("from ncsn.model import TrainingData", ("accelerate", "matplotlib", "sklearn")),
        ("from ncsn.training import Batches, device_type, n_processes", ("accelerate", "matplotlib", "sklearn")),
    ],
)
def test_names_load_no_more_than_they_need(line: str, absent: tuple[str, ...]) -> None:
    code = f"import sys\n{line}\nprint(*[name for name in {absent!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


TABLE = str(Path(__file__).parents[1] / "docs" / "penguins.csv")


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], ("torch", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "accelerate")),
        (["plan", "--help"], ("torch", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "accelerate")),
        (["--version"], ("torch", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "accelerate")),
        (["plan", TABLE], ("sklearn", "scipy.stats", "matplotlib", "accelerate", "ot", "torchdiffeq")),
    ],
    ids=["help", "help of a command", "version", "plan"],
)
def test_commands_load_no_more_than_they_need(arguments: list[str], absent: tuple[str, ...]) -> None:
    code = (
        f"import sys\nfrom ncsn.app.cli import app\napp({arguments!r}, standalone_mode=False)\n"
        f"print(*[name for name in {absent!r} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout
    assert result.stderr.split() == []
