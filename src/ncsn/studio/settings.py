"""All that is set in the studio, as plain values: what the page's address holds, and what the copied code is written from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from ncsn.data.toys import TOYS
from ncsn.errors import SettingError, check_count, check_number, unknown_name
from ncsn.losses import WEIGHTINGS
from ncsn.methods import METHODS
from ncsn.noise import SCHEDULES
from ncsn.samplers import SAMPLERS

DRAWING, MIXTURE, TABLE = "drawing", "mixture", "table"
"""Data that are no toy set: drawn by hand, a mixture whose modes are dragged, two columns of a table."""

SOURCES = (*TOYS, MIXTURE, DRAWING, TABLE)
"""What there is to learn from."""

SCORE_METHODS = tuple(name for name, method in METHODS.items() if method.gives_score)
"""Methods whose model is a score, so that it has a field to be seen."""

SCORE_SAMPLERS = tuple(name for name, sampler in SAMPLERS.items() if sampler.takes_score)
"""Samplers of score models."""

NETWORKS = ("method", "page")
"""The method's own network, or the page's, made sound."""

SCORES = ("exact", "learned", "printed")
"""Whose score the particles follow."""

MOST = {"points": 5000, "particles": 5000, "steps": 50_000, "batch_size": 4096, "width": 512, "levels": 500}
"""Most of each, so that a frame stays short."""

DATA = ("data", "points", "seed", "strokes", "mixture", "columns")
TRAINING = (
    *("method", "network", "width", "steps", "learning_rate", "batch_size"),
    *("train_on", "weighting", "labels", "printed"),
)
VIEW = ("label", "guidance")
WALK = (
    *("sigma", "samplers", "score", "particles", "grid", "levels", "per_level", "langevin_steps", "step"),
    *("measured", "angle", "offset", "noise"),
)
"""Which settings begin what anew: the data, the training, and the walk."""

Stroke = tuple[tuple[float, float], ...]
Mode = tuple[float, float, float, float]


@dataclass(frozen=True)
class Settings:
    """What is set in the studio; lengths are in the units of the plane, which is 6 wide.

    Args:
        data: One of `SOURCES`.
        points: How many points of it.
        seed: Seed of all that is drawn.
        strokes: Of a drawing its strokes, of points (x, y).
        mixture: Of a mixture its modes: weight, x, y and standard deviation.
        columns: Of a table the names of two columns.
        method: One of `SCORE_METHODS`.
        network: One of `NETWORKS`.
        width: Width of the network.
        steps: Training steps.
        learning_rate: Highest learning rate; from the width when None.
        batch_size: Rows a step.
        train_on: Levels to train on, a name of `noise.SCHEDULES`; the method's own when None.
        weighting: A name of `losses.WEIGHTINGS`; the method's own when None.
        labels: Whether the network is told classes.
        printed: Whether the page's network is trained beside, as it is printed.
        sigma: The noise level that is looked at, and at which plain Langevin dynamics walks.
        label: The class; -1 for all.
        guidance: Strength of the guidance to it; 1 is none.
        samplers: Names of `SCORE_SAMPLERS`, each of which walks from the same start.
        score: Whose score they follow, one of `SCORES`.
        particles: How many there are.
        grid: Levels to walk, a name of `noise.SCHEDULES`.
        levels: How many of them.
        per_level: Steps of annealed Langevin dynamics at each.
        langevin_steps: Steps of plain Langevin dynamics.
        step: Langevin's alpha / sigma^2.
        measured: Whether particles are drawn given a measurement.
        angle: The direction that is measured, in degrees.
        offset: What was measured.
        noise: Standard deviation of its noise.

    Raises:
        SettingError: A value is unknown or out of range.
    """

    data: str = "moons"
    points: int = 1000
    seed: int = 0
    strokes: tuple[Stroke, ...] = ()
    mixture: tuple[Mode, ...] = ((0.2, -1.4, -1.2, 0.3), (0.8, 1.4, 1.2, 0.3))
    columns: tuple[str, ...] = ()
    method: str = "edm"
    network: str = "method"
    width: int = 64
    steps: int = 2000
    learning_rate: float | None = None
    batch_size: int = 256
    train_on: str | None = None
    weighting: str | None = None
    labels: bool = False
    printed: bool = False
    sigma: float = 0.3
    label: int = -1
    guidance: float = 1.0
    samplers: tuple[str, ...] = ("langevin", "annealed_langevin")
    score: str = "exact"
    particles: int = 500
    grid: str = "geometric"
    levels: int = 20
    per_level: int = 10
    langevin_steps: int = 1000
    step: float = 0.1
    measured: bool = False
    angle: float = 45.0
    offset: float = 0.5
    noise: float = 0.2

    def __post_init__(self) -> None:
        known: dict[str, Sequence[str]] = {"data": SOURCES, "method": SCORE_METHODS, "network": NETWORKS}
        known |= {"score": SCORES, "grid": tuple(SCHEDULES)}
        known |= {"train_on": (*SCHEDULES,), "weighting": (*WEIGHTINGS,)}
        for name, names in known.items():
            value = getattr(self, name)
            if value not in names and not (value is None and name in ("train_on", "weighting")):
                raise unknown_name(name, value, names)
        for name in self.samplers:
            if name not in SCORE_SAMPLERS:
                raise unknown_name("sampler", name, SCORE_SAMPLERS)
        for name in ("points", "width", "steps", "batch_size", "particles", "levels", "per_level", "langevin_steps"):
            check_count(name, getattr(self, name), 2 if name in ("points", "levels") else 1)
            if getattr(self, name) > MOST.get(name, 100_000):
                raise SettingError(f"{name} must be at most {MOST.get(name, 100_000):,}, not {getattr(self, name):,}")
        check_count("seed", self.seed, 0)
        check_count("label", self.label, -1)
        for name in ("sigma", "step", "noise"):
            check_number(name, getattr(self, name), above=0)
        for name in ("guidance", "angle", "offset"):
            check_number(name, getattr(self, name))
        if self.learning_rate is not None:
            check_number("learning_rate", self.learning_rate, above=0)
        self._check_places()

    def _check_places(self) -> None:
        for stroke in self.strokes:
            if not all(len(point) == 2 and all(map(math.isfinite, point)) for point in stroke):
                raise SettingError("a stroke is made of points, [x, y]")
        for mode in self.mixture:
            if len(mode) != 4 or not all(map(math.isfinite, mode)) or mode[0] <= 0 or mode[3] <= 0:
                raise SettingError(f"a mode is a weight above 0, x, y and a deviation above 0, not {list(mode)}")

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """Read plain values, as JSON has them.

        Raises:
            SettingError: There is no such setting, or a value does not fit.
        """
        known = {field.name: field.default for field in fields(cls)}
        for name, value in plain.items():
            if name not in known:
                raise unknown_name("setting", name, known)
            default = known[name]
            # JSON writes 1.0 as 1
            kinds = {float: (int, float), tuple: (list, tuple), bool: (bool,), str: (str,)}.get(type(default))
            if kinds is not None and not isinstance(value, kinds):
                raise SettingError(f"{name} must be like {default!r}, not {value!r}")
        try:
            return cls(**{name: _tuples(value) for name, value in plain.items()})
        except TypeError as error:
            raise SettingError(f"a setting is of another kind than it should be: {error}") from error

    def plain(self) -> dict[str, Any]:
        """Return them as JSON has them."""
        return asdict(self)

    def differ(self, other: Settings | None, names: Sequence[str]) -> bool:
        """Return whether some of these settings are other ones."""
        return other is None or any(getattr(self, name) != getattr(other, name) for name in names)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list | tuple) else value
