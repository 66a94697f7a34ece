"""Parts as plain data: how they print, are filled, saved and read, and that nothing is imported that was not allowed."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ncsn.errors import RunError, SettingError
from ncsn.noise import Discrete, Geometric, Given, Karras, LogNormal, UniformTime, VariancePreserving
from ncsn.parts import Part, filled, from_plain, named, object_at, to_plain


@dataclass(frozen=True, repr=False)
class Bend(Part):
    """A part of one's own, with every kind of value."""

    height: float | None = None
    count: int = 3
    name: str = "round"
    flags: tuple[bool, ...] = ()
    inner: Any = field(default_factory=lambda: Karras(3.0))
    function: Callable[..., Any] | type | None = None
    hidden: Any = field(default=None, repr=False, metadata={"saved": False})


@dataclass(frozen=True, repr=False)
class Awkward(Part):
    """A part whose fields are called as the marks of plain data are."""

    path: str = "x"
    float: int = 1


class Plain:
    """A class of one's own without anything to keep, as a callable may be."""

    def __call__(self, x: float) -> float:
        return x

    class Inner:
        """A class in a class."""


class Keeping:
    """A class of one's own that keeps something, and is no dataclass."""

    def __init__(self) -> None:
        self.weight = 3.0


def double(x: float) -> float:
    return 2 * x


MINE = __name__


def there_and_back(value: Any, allow: Sequence[Any] = (MINE,)) -> Any:
    return from_plain(json.loads(json.dumps(to_plain(value), allow_nan=False)), allow)


# How a part prints


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (Bend(), "Bend()"),
        (Bend(2.0, 3, "square"), "Bend(height=2.0, name='square')"),
        (Bend(inner=Karras(3.0)), "Bend()"),
        (Bend(inner=Karras()), "Bend(inner=Karras())"),
        (Bend(inner=Discrete(Karras(5.0), 7)), "Bend(inner=Discrete(of=Karras(rho=5.0), n_sigmas=7))"),
        (Bend(flags=(True, False)), "Bend(flags=(True, False))"),
        (Bend(function=double), "Bend(function=double)"),
        (Bend(function=Plain.Inner), "Bend(function=Plain.Inner)"),
        (Bend(hidden=5), "Bend()"),
        (Awkward(float=2), "Awkward(float=2)"),
    ],
)
def test_a_part_prints_what_differs_from_the_defaults_and_evaluates_back(part: Part, text: str) -> None:
    assert repr(part) == text
    known = {"Bend": Bend, "Awkward": Awkward, "Plain": Plain, "double": double, "Karras": Karras, "Discrete": Discrete}
    again = eval(text, known)
    assert again == part or part == Bend(hidden=5)


def test_a_required_field_is_always_shown() -> None:
    @dataclass(frozen=True, repr=False)
    class Needing(Part):
        value: float

    assert repr(Needing(1.0)) == "Needing(value=1.0)"


# Filling


def test_what_is_none_is_filled_by_its_name_and_no_more() -> None:
    settings = SimpleNamespace(height=1.5, count=9, hidden="seen", sigma_min=0.1, sigma_max=None, unknown=3)
    full = filled(Bend(), settings)
    assert (full.height, full.count, full.hidden) == (1.5, 3, "seen")
    assert full.function is None
    # parts of parts too, and what a setting does not know stays open
    assert full.inner == Karras(3.0, sigma_min=0.1)
    assert filled(Bend(2.0), settings).height == 2.0


def test_the_first_setting_that_knows_fills() -> None:
    first, second = SimpleNamespace(sigma_min=0.1, sigma_max=None), SimpleNamespace(sigma_min=0.2, sigma_max=5.0)
    assert filled(Geometric(), first, second) == Geometric(sigma_min=0.1, sigma_max=5.0)


def test_parts_are_filled_at_any_depth() -> None:
    settings = SimpleNamespace(sigma_min=0.1, sigma_max=5.0, n_sigmas=4, height=1.0)
    deep = Bend(inner=Bend(inner=Discrete(LogNormal(0.0, 1.0))))
    found = filled(deep, settings).inner
    assert found.height == 1.0
    assert found.inner.of == LogNormal(0.0, 1.0, sigma_min=0.1, sigma_max=5.0)
    assert found.inner.n_sigmas == 4
    # the part itself is as it was
    assert deep == Bend(inner=Bend(inner=Discrete(LogNormal(0.0, 1.0))))


@pytest.mark.parametrize("thing", [None, 3, "x", double, Plain, Bend, [1, 2], torch.zeros_like])
def test_what_is_no_part_is_returned_as_it_is(thing: Any) -> None:
    assert filled(thing, SimpleNamespace(height=1.0)) is thing


def test_bad_settings_are_refused_where_they_fill() -> None:
    with pytest.raises(SettingError, match="sigma_min must be below sigma_max"):
        filled(Geometric(sigma_min=2.0), SimpleNamespace(sigma_max=1.0))


def test_names_stand_for_parts_and_parts_for_themselves() -> None:
    table = {"round": Bend(), "square": Bend(name="square")}
    assert named("bend", "square", table) is table["square"]
    own = Bend(4.0)
    assert named("bend", own, table) is own
    with pytest.raises(SettingError, match="unknown bend 'sqare'; did you mean 'square'\\? known: round, square"):
        named("bend", "sqare", table)


# As JSON, and back


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        0.1,
        "text",
        math.inf,
        -math.inf,
        (1, (2.5, "x"), None),
        Bend(),
        Bend(0.1, 4, "x", (True, False), Discrete(UniformTime(VariancePreserving(0.2)), 9)),
        Bend(math.inf, function=double),
        Bend(function=Plain),
        Bend(function=Plain.Inner),
        Bend(function=Karras),
        Bend(inner=Bend(inner=(Karras(), Given((1.0, 2.0))))),
        Awkward("a.b:c", 5),
        double,
        Plain,
    ],
    ids=lambda part: getattr(part, "__name__", repr(part)),
)
def test_what_is_saved_is_read_as_it_was(value: Any) -> None:
    assert there_and_back(value) == value


def test_not_a_number_and_lists() -> None:
    assert math.isnan(there_and_back(math.nan))
    # a list returns as a tuple, as parts have them
    assert there_and_back([1, [2]]) == (1, (2,))


def test_what_keeps_nothing_is_saved_by_its_class() -> None:
    assert isinstance(there_and_back(Plain()), Plain)


def test_numbers_of_numpy_are_saved_as_numbers() -> None:
    half, four, three = np.float32(0.5), np.int64(4), np.float64(3)
    assert there_and_back(Bend(half, four)) == Bend(0.5, 4)  # type: ignore[arg-type]
    assert there_and_back(Discrete(Karras(three), four)) == Discrete(Karras(3.0), 4)  # type: ignore[arg-type]
    assert there_and_back(np.float32(np.inf)) == math.inf


def test_parts_of_the_library_are_saved_by_their_names_alone() -> None:
    assert to_plain(Karras(5.0)) == {"part": "Karras", "rho": 5.0, "sigma_min": None, "sigma_max": None}
    assert from_plain({"part": "Karras", "rho": 5.0}) == Karras(5.0)
    assert to_plain(Karras) == {"path": "Karras"}
    assert from_plain({"path": "Karras"}) is Karras


def test_a_part_of_ones_own_of_a_librarys_name_is_not_the_librarys() -> None:
    @dataclass(frozen=True, repr=False)
    class Cosine(Part):
        pass

    Cosine.__qualname__ = "Cosine"
    assert to_plain(Cosine())["part"] == f"{__name__}:Cosine"


def test_what_is_not_saved_is_left_at_its_default() -> None:
    saved = to_plain(Bend(hidden=torch.zeros(3)))
    assert "hidden" not in saved
    assert from_plain(saved, [Bend]).hidden is None


def test_functions_are_saved_by_their_import_path() -> None:
    assert to_plain(double) == {"path": f"{__name__}:double"}
    assert there_and_back(double) is double
    assert to_plain(Plain.Inner) == {"path": f"{__name__}:Plain.Inner"}


def local() -> Callable[[float], float]:
    def inside(x: float) -> float:
        return x

    return inside


@pytest.mark.parametrize(
    "thing", [lambda x: x, local(), Bend(function=lambda x: x)], ids=["lambda", "local", "in a part"]
)
def test_code_without_an_import_path_is_refused(thing: Any) -> None:
    with pytest.raises(
        SettingError, match="has no import path, so it cannot be saved: define it at the top of a module"
    ):
        to_plain(thing)


@pytest.mark.parametrize(
    "thing",
    [
        Keeping(),
        partial(double, 3),
        Keeping().__init__,  # type: ignore[misc]  # a bound method
        torch.square,
        len,
        torch.zeros(2),
        torch.nn.Linear(2, 2),
        np.zeros(2),
        {"a": 1},
        {1, 2},
        1j,
        b"bytes",
        Path("x"),
        Bend(inner=Keeping()),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_is_no_plain_data_is_refused(thing: Any) -> None:
    with pytest.raises(SettingError, match=r"cannot be saved: make .* a dataclass of numbers, names and other parts"):
        to_plain(thing)


# What may be imported


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a package that leaves a trace when it is imported."""
    folder = tmp_path / "bends_of_ones_own"
    folder.mkdir()
    (folder / "__init__.py").write_text("import os\n")
    (folder / "round.py").write_text(
        "import os\nfrom dataclasses import dataclass\nfrom ncsn.parts import Part\n"
        "from bends_of_ones_own import square\n\n"
        "@dataclass(frozen=True, repr=False)\nclass Round(Part):\n    radius: float = 1.0\n\n"
        "def smooth(x):\n    return x\n\n"
        "CONSTANT = 3\n"
    )
    (folder / "square.py").write_text("def sharp(x):\n    return x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("bends_of_ones_own")]:
        monkeypatch.delitem(sys.modules, name)
    return "bends_of_ones_own"


def imported() -> bool:
    return any(name.startswith("bends_of_ones_own") for name in sys.modules)


ROUND = {"part": "bends_of_ones_own.round:Round", "radius": 2.0}


@pytest.mark.parametrize(
    "allow",
    ["bends_of_ones_own", "bends_of_ones_own.round", "bends_of_ones_own.round:Round"],
    ids=["package", "module", "path"],
)
def test_a_part_is_imported_from_where_it_is_allowed(package: str, allow: str) -> None:
    found = from_plain(ROUND, [allow])
    assert imported()
    assert found == from_plain(ROUND, allow)
    assert (type(found).__module__, found.radius) == ("bends_of_ones_own.round", 2.0)


def test_a_part_that_is_there_is_allowed_by_itself() -> None:
    assert there_and_back(Bend(2.0), [Bend]) == Bend(2.0)
    assert there_and_back(Bend(2.0, function=double), [Bend, double]) == Bend(2.0, function=double)
    # a part's own classes and functions are not allowed with it
    with pytest.raises(RunError, match=f"this run uses {__name__}:double, code of its own"):
        there_and_back(Bend(2.0, function=double), [Bend])


def test_a_module_that_is_imported_is_allowed_as_it_is(package: str) -> None:
    module = import_module("bends_of_ones_own.round")
    assert from_plain(ROUND, [module]) == from_plain(ROUND, [package])
    assert from_plain(ROUND, [import_module(package)]) == from_plain(ROUND, [package])
    # a module's own parts alone, and no module beside it
    with pytest.raises(RunError, match="is not defined there"):
        from_plain({"path": "bends_of_ones_own.round:os.system"}, [module])
    with pytest.raises(RunError, match=r"this run uses bends_of_ones_own\.round:Round, code of its own"):
        from_plain(ROUND, [import_module("bends_of_ones_own.square")])


def test_what_a_script_defined_is_found_by_its_name() -> None:
    saved = {"part": "__main__:Bend", "height": 2.0, "function": {"path": "__main__:double"}}
    assert from_plain(saved, [Bend, double]) == Bend(2.0, function=double)
    assert from_plain({"path": "__main__:Plain.Inner"}, [Plain.Inner]) is Plain.Inner
    # what it holds is found before itself
    for allow in ([double], [double, MINE], [double, Plain]):
        with pytest.raises(
            RunError, match=r"this run uses Bend, defined in a script or a notebook: import it and give allow=\[Bend\]"
        ):
            from_plain(saved, allow)
    # of a module the path is what counts
    with pytest.raises(RunError, match="this run uses elsewhere:Bend, code of its own"):
        from_plain({"part": "elsewhere:Bend"}, [Bend])


@pytest.mark.parametrize(
    "allow",
    [
        [],
        ["bends"],
        ["bends_of_ones_ow"],
        ["bends_of_ones_own.rou"],
        ["bends_of_ones_own.square"],
        ["bends_of_ones_own.round:Roun"],
        ["bends_of_ones_own:Round"],
        [Bend],
        "bends_of_ones_ow",
    ],
)
def test_nothing_is_imported_that_is_not_allowed(package: str, allow: Any) -> None:
    message = r"this run uses bends_of_ones_own\.round:Round, code of its own.* allow=\['bends_of_ones_own\.round'\]"
    for saved in (ROUND, {"part": "Discrete", "of": ROUND}, [1, ROUND], {"path": "bends_of_ones_own.round:Round"}):
        with pytest.raises(RunError, match=message):
            from_plain(saved, allow)
    assert not imported()


@pytest.mark.parametrize(
    "path",
    [
        "bends_of_ones_own.round:os.system",
        "bends_of_ones_own.round:os.remove",
        "bends_of_ones_own.round:square.sharp",
        "bends_of_ones_own.round:dataclass",
        "bends_of_ones_own.round:Part",
        "bends_of_ones_own.round:CONSTANT",
        "bends_of_ones_own.round:Round.__init__.__globals__",
        "bends_of_ones_own:os.system",
    ],
)
def test_what_an_allowed_module_has_imported_is_not_its_own(package: str, path: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for saved in ({"part": path, "command": f"touch {trace}"}, {"path": path}):
        with pytest.raises(
            RunError, match="is not defined there: a saved part names a class or function of the module"
        ):
            from_plain(saved, [package])
    assert not trace.exists()


@pytest.mark.parametrize(
    "path", ["bends_of_ones_own.round:Square", "bends_of_ones_own.oval:Oval", "bends_of_ones_own.round:Round.Inner"]
)
def test_what_is_not_there_any_more_is_said(package: str, path: str) -> None:
    with pytest.raises(RunError, match=f"'{path}' names nothing that can be imported"):
        from_plain({"part": path}, [package])


def test_objects_are_found_by_their_path() -> None:
    assert object_at("ncsn.noise:Karras") is Karras
    assert object_at(f"{__name__}:Plain.Inner") is Plain.Inner
    for wrong in ("ncsn.noise:Karas", "ncsn.nose:Karras", "ncsn.noise", ":Karras", "", "ncsn.noise:", "..:x"):
        with pytest.raises(SettingError, match=r"names nothing that can be imported .*; write package.module:Name"):
            object_at(wrong)


# Damage


@pytest.mark.parametrize(
    "saved",
    [
        {},
        {"rho": 3.0},
        {"part": "Karras", "rho": "three"},
        {"part": "Karras", "rho": -1.0},
        {"part": "Karras", "roh": 3.0},
        {"part": "Karas"},
        {"part": "Levels"},
        {"part": 3},
        {"part": None},
        {"part": ["Karras"]},
        {"part": "Given", "sigmas": ["a"]},
        {"part": "Given", "sigmas": -3},
        {"part": "Given", "sigmas": None},
        {"part": "Discrete", "of": 3},
        {"part": "Discrete", "of": {"part": "Karras", "rho": 0.0}},
        {"part": "UniformTime", "process": "pv"},
        {"part": "StableTarget", "target_rows": -3},
        {"part": "Method", "precondition": "edm"},
        {"path": 3},
        {"path": None},
        {"path": "Karas"},
        {"float": "x"},
        {"float": None},
    ],
    ids=str,
)
def test_damaged_parts_are_said_to_be(saved: Any) -> None:
    for wrapped in (saved, [saved]):
        with pytest.raises(
            RunError, match=r"a saved part is (damaged or )?another version's .*; .*train anew"
        ) as caught:
            from_plain(wrapped, [MINE])
        assert "\n" not in str(caught.value)
