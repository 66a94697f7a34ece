"""Where the studio's points come from, with their exact score, and the lines of code that say so."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from ncsn.data import load
from ncsn.data.toys import TOYS, toy_mixture
from ncsn.errors import DataError, SettingError
from ncsn.exact import EmpiricalScore, GaussianMixtureScore
from ncsn.studio.settings import DRAWING, MIXTURE, TABLE, Settings

COMPONENTS = 1000
"""Gaussians that stand for a curve."""

LEAST_DRAWN = 8
"""Fewest points of a drawing that there is something to learn from."""

JUDGED = 512
"""Rows by which the loss at each level is measured."""

NEAREST = 400
"""Labelled points to the nearest of which a particle is counted."""


@dataclass(frozen=True, eq=False)
class Source:
    """Points of the plane, and what is known of them.

    Attributes:
        points: ``(N, 2)``.
        labels: The mode or class of each, ``(N,)``, or None.
        exact: Their exact score: of the distribution where it is known, else of the points themselves.
        judged: Rows of what ``exact`` is the score of, by which losses are measured.
        code: Lines of Python that make ``X``, ``labels`` and ``exact``.
        of: What ``exact`` is the score of, in words.
    """

    points: Tensor
    labels: Tensor | None
    exact: EmpiricalScore | GaussianMixtureScore
    judged: Tensor
    code: tuple[str, ...]
    of: str

    @property
    def n_labels(self) -> int:
        """Number of modes; 0 where they have no names."""
        return 0 if self.labels is None else int(self.labels.max()) + 1

    def shares(self, x: Tensor) -> Tensor:
        """Return the share of each mode among points ``(N, 2)``: a point is of the mode of the nearest labelled one."""
        labels = torch.zeros(0) if self.labels is None else self.labels
        nearest = torch.cdist(x, self.points[:NEAREST]).argmin(1)
        return torch.bincount(labels[:NEAREST][nearest], minlength=self.n_labels) / len(x)

    def true_shares(self, label: int, measured: Callable[[Tensor], Tensor] | None) -> Tensor:
        """Return what the shares should be, given a class (-1 for all), and given the likelihood of what was measured."""
        if self.labels is None:
            return torch.zeros(0)
        if isinstance(self.exact, GaussianMixtureScore) and self.exact.labels is not None and measured is None:
            weights, labels = self.exact.weights.double(), self.exact.labels
        else:
            weights = torch.ones(len(self.points)) if measured is None else measured(self.points)
            weights, labels = weights.double(), self.labels
        if label >= 0:
            weights = weights * (labels == label)
        sums = torch.zeros(self.n_labels, dtype=torch.float64).index_add(0, labels, weights)
        return sums / sums.sum().clamp(min=1e-300)


def source_of(settings: Settings, table: pd.DataFrame | None = None, table_name: str | None = None) -> Source:
    """Return the points that the settings ask for.

    Args:
        settings: The settings.
        table: The table, where they ask for one.
        table_name: Its file, which the code names; None where it came from no file.

    Raises:
        DataError: A drawing or a table has too few points, or the table has no such columns of numbers.
        SettingError: A mixture has no mode.
    """
    if settings.data == TABLE:
        return _table(settings, table, table_name)
    return {DRAWING: _drawing, MIXTURE: _mixture}.get(settings.data, _toy)(settings)


def _toy(settings: Settings) -> Source:
    name, n = settings.data, settings.points
    toy, loaded = TOYS[name], load(name, n=n, seed=settings.seed)
    points = torch.as_tensor(loaded.values)
    labels = None if loaded.labels is None else torch.as_tensor(loaded.labels)
    code = [f'data = ncsn.load("{name}", n={n}, seed={settings.seed})', "X = torch.as_tensor(data.values)"]
    if labels is not None:
        code.append("labels = torch.as_tensor(data.labels)")
    if toy.centres is None:
        return _by_points(points, labels, code)
    mixture = toy_mixture(name, COMPONENTS)
    code.append(f'mixture = ncsn.toy_mixture("{name}", {COMPONENTS})')
    of_components = None
    if toy.n_labels:
        of_components = torch.arange(toy.n_labels).repeat_interleave(len(mixture.means) // toy.n_labels)
        code.append(f"modes = torch.arange({toy.n_labels}).repeat_interleave(len(mixture.means) // {toy.n_labels})")
    # alike in both directions, as they are but for 2 per cent of the roll's, the exact score is ten times as fast
    code += [
        "variances = mixture.covariances.diagonal(dim1=1, dim2=2).mean(1)",
        f"exact = ncsn.GaussianMixtureScore(*mixture[:2], variances{', labels=modes' if toy.n_labels else ''})",
    ]
    variances = mixture.covariances.diagonal(dim1=1, dim2=2).mean(1)
    exact = GaussianMixtureScore(mixture.weights, mixture.means, variances, labels=of_components)
    return Source(points, labels, exact, _fresh(exact, settings.seed), tuple(code), "the distribution")


def _mixture(settings: Settings) -> Source:
    if not settings.mixture:
        raise SettingError("a mixture needs a mode: add one")
    weights, means, variances = (
        [mode[0] for mode in settings.mixture],
        [list(mode[1:3]) for mode in settings.mixture],
        [round(mode[3] ** 2, 6) for mode in settings.mixture],
    )
    modes = list(range(len(weights)))
    exact = GaussianMixtureScore(weights, means, torch.tensor(variances), labels=modes)
    generator = torch.Generator().manual_seed(settings.seed)
    points, labels = exact.sample_with_components(settings.points, generator)
    code = (
        f"exact = ncsn.GaussianMixtureScore({weights}, {means}, torch.tensor({variances}), labels={modes})",
        f"generator = torch.Generator().manual_seed({settings.seed})",
        f"X, labels = exact.sample_with_components({settings.points}, generator)",
    )
    return Source(points, labels, exact, _fresh(exact, settings.seed), code, "the distribution")


def _drawing(settings: Settings) -> Source:
    strokes = [stroke for stroke in settings.strokes if stroke]
    points = torch.tensor([point for stroke in strokes for point in stroke]).reshape(-1, 2)
    if len(points) < LEAST_DRAWN:
        raise DataError("draw something first: press, and move over the plane")
    labels = torch.cat([torch.full((len(stroke),), number) for number, stroke in enumerate(strokes)])
    # strokes follow each other, and the nearest labelled points are the first ones
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(settings.seed))
    code = [
        f"X = torch.tensor({[list(point) for stroke in strokes for point in stroke]})",
        f"labels = torch.repeat_interleave(torch.tensor({[len(stroke) for stroke in strokes]}))",
        f"order = torch.randperm(len(X), generator=torch.Generator().manual_seed({settings.seed}))",
        "X, labels = X[order], labels[order]",
    ]
    return _by_points(points[order], labels[order], code)


def _table(settings: Settings, table: pd.DataFrame | None, name: str | None) -> Source:
    if table is None:
        raise DataError("choose a CSV file first")
    numeric = numeric_columns(table)
    chosen = list(settings.columns) or numeric[:2]
    if len(numeric) < 2:
        told = f"only {numeric[0]!r} holds" if numeric else "no column holds"
        raise DataError(f"two columns of numbers are needed, and {told} numbers")
    if len(chosen) != 2 or any(column not in numeric for column in chosen):
        raise DataError(f"two columns of numbers are needed, of {', '.join(numeric)}")
    frame = table[chosen].dropna().astype(float)
    if len(frame) < LEAST_DRAWN or not bool((frame.std() > 0).all()):
        raise DataError("too few complete rows, or a column whose values are all equal")
    rows = torch.tensor(((frame - frame.mean()) / frame.std()).to_numpy(), dtype=torch.float32)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(settings.seed))[: settings.points]
    read = "data" if name is None else f"ncsn.load({name!r}).values"
    code = [
        *(["# data: the data frame that the studio was given"] if name is None else []),
        f"frame = {read}[{chosen}].dropna().astype(float)",
        "X = torch.tensor(((frame - frame.mean()) / frame.std()).to_numpy(), dtype=torch.float32)",
        f"order = torch.randperm(len(X), generator=torch.Generator().manual_seed({settings.seed}))",
        f"X = X[order[:{settings.points}]]",
    ]
    return _by_points(rows[order], None, code)


def numeric_columns(table: pd.DataFrame) -> list[str]:
    """Return the names of the columns that hold numbers."""
    return [str(name) for name in table.columns if pd.api.types.is_numeric_dtype(table[name])]


def _by_points(points: Tensor, labels: Tensor | None, code: list[str]) -> Source:
    """Return points whose own distribution is all that is known."""
    told = "" if labels is None else ", labels=labels"
    code = [*code, f"exact = ncsn.EmpiricalScore(X{told})"]
    repeated = points.repeat(math.ceil(JUDGED / len(points)), 1)[:JUDGED]
    return Source(points, labels, EmpiricalScore(points, labels), repeated, tuple(code), "the points")


def _fresh(exact: GaussianMixtureScore, seed: int) -> Tensor:
    """Return rows that no training has seen."""
    return exact.sample(JUDGED, torch.Generator().manual_seed(seed + 1)).float()
