"""Data in and out: toy sets, shipped tables and digits, files; held-out rows; scaling and its inverse."""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ncsn.errors import DataError, RunError, unknown_name

__all__ = [
    "DATASETS",
    "TOYS",
    "Dataset",
    "Mixture",
    "Split",
    "Standardizer",
    "Toy",
    "Values",
    "as_float64",
    "check_values",
    "checkerboard",
    "eight_gaussians",
    "load",
    "load_mask",
    "moons",
    "pinwheel",
    "rings",
    "save_samples",
    "split",
    "swiss_roll",
    "toy_mixture",
]

Values = pd.DataFrame | NDArray[Any] | Tensor
"""What data comes as: a data frame, an array or a tensor, one row (or image) a point."""


# Toy sets -------------------------------------------------------------------------------------------------------------


class Mixture(NamedTuple):
    """A Gaussian mixture in float64: weights ``(K,)``, means ``(K, 2)`` and covariances ``(K, 2, 2)``."""

    weights: Tensor
    means: Tensor
    covariances: Tensor


# The roll's exact mean and standard deviation (integrals of t cos t, t^2 cos^2 t, ... over [1.5 pi, 4.5 pi]).
_ROLL_NOISE = 0.1
_ROLL_MEAN = torch.tensor([2.0, 2 / (3 * math.pi)], dtype=torch.float64)
_ROLL_STD = (4.875 * math.pi**2 + torch.tensor([-0.25, 0.25]).double() + _ROLL_NOISE**2 - _ROLL_MEAN**2).sqrt()
_MOONS_NOISE = 0.05
_GAUSSIANS_RADIUS, _GAUSSIANS_NOISE = 1.4, 0.1
_RINGS_RADII, _RINGS_NOISE = torch.tensor([0.5, 1.0, 1.5, 2.0], dtype=torch.float64), 0.05


def _uniform(n: int, generator: Generator | None) -> Tensor:
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    return torch.rand(n, dtype=torch.float64, generator=generator)


def _normal(n: int, generator: Generator | None) -> Tensor:
    return torch.randn(n, 2, dtype=torch.float64, generator=generator)


def _components(n: int, kinds: int, generator: Generator | None, labels: Tensor | None) -> Tensor:
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    if labels is None:
        return torch.randint(kinds, (n,), generator=generator)
    if labels.shape != (n,) or labels.min() < 0 or labels.max() >= kinds:
        raise ValueError(f"labels must be {n} whole numbers from 0 to {kinds - 1}, of shape ({n},)")
    return labels.long()


def _polar(radius: Tensor | float, angle: Tensor) -> Tensor:
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)


def _roll_curve(u: Tensor) -> Tensor:
    t = 1.5 * math.pi * (1 + 2 * u)
    return (_polar(t, t) - _ROLL_MEAN) / _ROLL_STD


def _moons_curve(u: Tensor, labels: Tensor) -> Tensor:
    upper = _polar(1.0, math.pi * u) - torch.tensor([0.5, 0.25], dtype=torch.float64)
    return (1 - 2 * labels).unsqueeze(-1) * upper


def _rings_curve(u: Tensor, labels: Tensor) -> Tensor:
    return _polar(_RINGS_RADII[labels], 2 * math.pi * u)


def swiss_roll(n: int, generator: Generator | None = None) -> Tensor:
    """Draw a two-dimensional Swiss roll: t (cos t, sin t), t uniform on [1.5 pi, 4.5 pi], noise of 0.1, standardised.

    It is standardised by the distribution's own mean and standard deviation, not by the draw's, so that independent
    draws share their coordinates and can be compared. In these units the noise is 0.0151 and 0.0144 along the axes.

    Args:
        n: Number of points.
        generator: Source of randomness; torch's default generator when None.

    Returns:
        Independent points, ``(n, 2)`` in float32.

    Raises:
        ValueError: ``n`` is below 1.

    >>> swiss_roll(3).shape
    torch.Size([3, 2])
    """
    return (_roll_curve(_uniform(n, generator)) + _ROLL_NOISE / _ROLL_STD * _normal(n, generator)).float()


def moons(n: int, generator: Generator | None = None, labels: Tensor | None = None) -> Tensor:
    """Draw two interleaving half circles of radius 1 about the origin, with noise of 0.05.

    Angles are drawn, where scikit-learn's `make_moons` spaces them evenly: held-out data must be an independent draw.

    Args:
        n: Number of points.
        generator: Source of randomness; torch's default generator when None.
        labels: Which half circle each point lies on, ``(n,)`` of 0 (upper) or 1 (lower); drawn when None.

    Returns:
        Independent points, ``(n, 2)`` in float32.

    Raises:
        ValueError: ``n`` is below 1, or ``labels`` do not fit.
    """
    labels = _components(n, 2, generator, labels)
    return (_moons_curve(_uniform(n, generator), labels) + _MOONS_NOISE * _normal(n, generator)).float()


def eight_gaussians(n: int, generator: Generator | None = None, labels: Tensor | None = None) -> Tensor:
    """Draw eight equal Gaussians of standard deviation 0.1, evenly around a circle of radius 1.4.

    Args:
        n: Number of points.
        generator: Source of randomness; torch's default generator when None.
        labels: Which Gaussian each point is of, ``(n,)`` of 0 to 7 counter-clockwise from (1.4, 0); drawn when None.

    Returns:
        Independent points, ``(n, 2)`` in float32.

    Raises:
        ValueError: ``n`` is below 1, or ``labels`` do not fit.
    """
    centres = _polar(_GAUSSIANS_RADIUS, math.pi / 4 * _components(n, 8, generator, labels).double())
    return (centres + _GAUSSIANS_NOISE * _normal(n, generator)).float()


def checkerboard(n: int, generator: Generator | None = None, labels: Tensor | None = None) -> Tensor:
    """Draw uniformly from the eight unit squares of a 4 x 4 board on [-2, 2]^2 where floor(x) + floor(y) is even.

    Args:
        n: Number of points.
        generator: Source of randomness; torch's default generator when None.
        labels: Which square each point lies in, ``(n,)`` of 0 to 7, row by row from the lower left; drawn when None.

    Returns:
        Independent points, ``(n, 2)`` in float32; their density is 1/8 on the squares.

    Raises:
        ValueError: ``n`` is below 1, or ``labels`` do not fit.
    """
    labels = _components(n, 8, generator, labels)
    row = labels // 2
    corner = torch.stack([2 * (labels % 2) + row % 2, row], dim=-1) - 2
    # float32 would round a coordinate just below an edge onto it, into the next square.
    inside = torch.stack([_uniform(n, generator), _uniform(n, generator)], dim=-1).clamp(max=1 - 2**-20)
    return (corner + inside).float()


def pinwheel(n: int, generator: Generator | None = None, labels: Tensor | None = None) -> Tensor:
    """Draw five spiralling arms (Johnson et al. 2016, "Composing graphical models with neural networks").

    A Gaussian at radius 1, with deviations of 0.3 along the radius and 0.1 across it, is turned by exp(radius)/4 and
    scaled by the square root of 2; each coordinate has mean 0 and variance 1.1.

    Args:
        n: Number of points.
        generator: Source of randomness; torch's default generator when None.
        labels: Which arm each point is of, ``(n,)`` of 0 to 4; drawn when None.

    Returns:
        Independent points, ``(n, 2)`` in float32.

    Raises:
        ValueError: ``n`` is below 1, or ``labels`` do not fit.
    """
    labels = _components(n, 5, generator, labels)
    normal = _normal(n, generator)
    radius, sideways = 1 + 0.3 * normal[:, 0], 0.1 * normal[:, 1]
    angle = 2 * math.pi / 5 * labels + radius.exp() / 4
    return (math.sqrt(2) * (_polar(radius, angle) + _polar(sideways, angle + math.pi / 2))).float()


def rings(n: int, generator: Generator | None = None, labels: Tensor | None = None) -> Tensor:
    """Draw four concentric rings of radius 0.5, 1, 1.5 and 2, equally likely, with noise of 0.05.

    Args:
        n: Number of points.
        generator: Source of randomness; torch's default generator when None.
        labels: Which ring each point is of, ``(n,)`` of 0 (innermost) to 3; drawn when None.

    Returns:
        Independent points, ``(n, 2)`` in float32.

    Raises:
        ValueError: ``n`` is below 1, or ``labels`` do not fit.
    """
    labels = _components(n, 4, generator, labels)
    return (_rings_curve(_uniform(n, generator), labels) + _RINGS_NOISE * _normal(n, generator)).float()


@dataclass(frozen=True)
class Toy:
    """A two-dimensional set that is drawn afresh at any size.

    Args:
        draw: The function that draws it, ``draw(n, generator)``, with ``labels`` where it has components.
        n_labels: Number of components, 0 where it has none.
        centres: Where its density is known: the centres of about ``k`` equal Gaussians that make it up, as ``(K, 2)``.
        noise: Their standard deviation, per axis where it differs.
    """

    draw: Callable[..., Tensor]
    n_labels: int = 0
    centres: Callable[[int], Tensor] | None = None
    noise: Tensor | float = 0.0


def _midpoints(k: int) -> Tensor:
    return (torch.arange(k, dtype=torch.float64) + 0.5) / k


def _along(curve: Callable[[Tensor, Tensor], Tensor], kinds: int) -> Callable[[int], Tensor]:
    return lambda k: torch.cat([curve(_midpoints(-(-k // kinds)), torch.tensor([kind])) for kind in range(kinds)])


TOYS: Mapping[str, Toy] = {
    "swiss_roll": Toy(swiss_roll, 0, lambda k: _roll_curve(_midpoints(k)), _ROLL_NOISE / _ROLL_STD),
    "moons": Toy(moons, 2, _along(_moons_curve, 2), _MOONS_NOISE),
    "eight_gaussians": Toy(
        eight_gaussians,
        8,
        lambda _: _polar(_GAUSSIANS_RADIUS, math.pi / 4 * torch.arange(8, dtype=torch.float64)),
        _GAUSSIANS_NOISE,
    ),
    "checkerboard": Toy(checkerboard, 8),
    "pinwheel": Toy(pinwheel, 5),
    "rings": Toy(rings, 4, _along(_rings_curve, 4), _RINGS_NOISE),
}
"""The toy sets by name."""


def toy_mixture(name: str, n_components: int = 2000) -> Mixture:
    """Return a toy set's density as a Gaussian mixture, and with it its exact score at every noise level.

    The eight Gaussians are such a mixture. The roll, the moons and the rings are curves blurred by a Gaussian, and the
    midpoint rule along the curve turns them into one; at the default its nodes lie closer than the noise is wide, and
    the density is right to a few parts in a thousand even at the curves' ends.

    Args:
        name: One of ``swiss_roll moons eight_gaussians rings``.
        n_components: Number of nodes along the curves, rounded up to a multiple of their number.

    Returns:
        Weights, means and covariances, for instance for `GaussianMixtureScore`.

    Raises:
        ValueError: No toy set with a known mixture has this name, or ``n_components`` is below 1.

    >>> toy_mixture("eight_gaussians").means.shape
    torch.Size([8, 2])
    """
    known = {key: toy for key, toy in TOYS.items() if toy.centres is not None}
    if name not in known:
        raise unknown_name("toy set with a known mixture", name, known)
    if n_components < 1:
        raise ValueError(f"n_components must be at least 1, not {n_components}")
    toy = known[name]
    means = cast(Callable[[int], Tensor], toy.centres)(n_components)
    covariance = torch.diag(torch.as_tensor(toy.noise, dtype=torch.float64).expand(2).square())
    return Mixture(
        torch.full((len(means),), 1 / len(means), dtype=torch.float64), means, covariance.repeat(len(means), 1, 1)
    )


# Loading --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, checked: at least two rows, every value a finite number.

    Args:
        name: What it is called: the built-in name, or the file's or folder's.
        values: A data frame for tables; otherwise an array, ``(N, D)`` or images ``(N, H, W)`` or ``(N, C, H, W)``.
        labels: One class per row ``(N,)``, or None.
        label_name: What the labels are called, or None.
        draw: For toy sets, ``draw(n, generator)`` gives fresh independent points ``(n, 2)``; otherwise None.
    """

    name: str
    values: pd.DataFrame | NDArray[Any]
    labels: NDArray[Any] | None = None
    label_name: str | None = None
    draw: Callable[[int, Generator | None], NDArray[np.float32]] | None = None


_SHIPPED = ("digits", "wine", "breast_cancer", "iris", "diabetes")

DATASETS: tuple[str, ...] = (*TOYS, *_SHIPPED)
"""The built-in sets: the toy sets, and those that scikit-learn ships."""

_IMAGES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))


def load(
    data: str | os.PathLike[str], *, n: int = 5000, seed: int = 0, label: str | None = None, gaps: bool = False
) -> Dataset:
    """Load a built-in data set, a table, an array or a folder of images.

    Args:
        data: A name in `DATASETS` (it goes before a file of that name), a ``.csv``, ``.parquet``, ``.npy`` or ``.npz``
            file, or a folder of 8-bit images, all of one size, which become ``(N, C, H, W)`` from 0 to 1 in float32
            (one channel if all are grey, otherwise red, green and blue; transparency is dropped). Of an ``.npz`` file
            with several arrays, the one called ``x``, ``X`` or ``data`` is taken.
        n: Number of points of a toy set; the others are loaded whole.
        seed: Seed of a toy set's draw.
        label: The column (or array of an ``.npz`` file) that holds the labels; it is split off from the values. The
            built-in sets call theirs ``component`` (toy sets) or ``target``, and give them unasked.
        gaps: Whether values may be missing, as empty cells or NaN, and one row is enough.

    Returns:
        The checked data set. Integer and boolean columns keep their type.

    Raises:
        DataError: The data are missing, damaged, empty, not numeric or not finite, or have no such label.

    >>> load("moons", n=100).values.shape
    (100, 2)
    >>> load("iris").values.shape
    (150, 4)
    """
    name = os.fspath(data)
    if name in DATASETS:
        dataset = _load_toy(name, n, seed) if name in TOYS else _load_shipped(name)
        if label not in (None, dataset.label_name):
            hint = f"its labels are called {dataset.label_name!r}" if dataset.label_name else "it has none"
            raise DataError(f"{name}: no labels called {label!r}; {hint}")
    else:
        path = Path(name).expanduser()
        if not path.exists():
            near = "" if path.suffix or path.name != name else f"{unknown_name('data set', name, DATASETS)}; "
            raise DataError(f"{near}no such file or folder: {name}")
        dataset = _load_images(path, label) if path.is_dir() else _load_file(path, label)
    if gaps:
        values = dataset.values
        shown = values.fillna(0) if isinstance(values, pd.DataFrame) else np.where(np.isnan(values), 0, values)
        check_values(dataset.name, shown, min_rows=1)
    else:
        check_values(dataset.name, dataset.values)
    return dataset


def load_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Read which values of a row are known from an image or an ``.npy`` array.

    Args:
        path: An 8-bit image, white (128 and above) where values are known, or an array of booleans, zeros and ones.

    Returns:
        Booleans, True where known, of the image's or the array's shape.

    Raises:
        DataError: The file is missing, damaged or holds other numbers.
    """
    from PIL import Image

    path = Path(path)
    try:
        if path.suffix.lower() in _IMAGES:
            with Image.open(path) as image:
                return np.asarray(image.convert("L")) >= 128
        values = np.load(path, allow_pickle=False)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as a mask ({error}); give an image or an .npy array") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise DataError(f"{path}: a mask holds booleans, or zeros and ones, and nothing else")
    return values.astype(bool)


def _load_toy(name: str, n: int, seed: int) -> Dataset:
    toy = TOYS[name]
    seeded = Generator().manual_seed(seed)

    def draw(count: int, generator: Generator | None) -> NDArray[np.float32]:
        return cast(NDArray[np.float32], toy.draw(count, generator).numpy())

    if not toy.n_labels:
        return Dataset(name, draw(n, seeded), draw=draw)
    labels = _components(n, toy.n_labels, seeded, None)
    return Dataset(name, toy.draw(n, seeded, labels).numpy(), labels.numpy(), "component", draw)


def _load_shipped(name: str) -> Dataset:
    from sklearn import datasets

    if name == "digits":
        digits = datasets.load_digits()
        return Dataset(name, digits.images, digits.target, "target")
    if name == "diabetes":
        # Its target is a quantity, not a class: one more column.
        return Dataset(name, datasets.load_diabetes(as_frame=True, scaled=False).frame)
    table = getattr(datasets, f"load_{name}")(as_frame=True)
    return Dataset(name, table.data, table.target.to_numpy(), "target")


def _load_images(path: Path, label: str | None) -> Dataset:
    from PIL import Image

    if label is not None:
        raise DataError(f"{path}: images carry no labels; save them with their labels in an .npz file")
    images: list[Image.Image] = []
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in _IMAGES)
    if not files:
        raise DataError(f"{path}: no image in this folder (known endings: {' '.join(sorted(_IMAGES))})")
    for file in files:
        try:
            with Image.open(file) as image:
                image.load()
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"{file}: cannot be read as an image; replace or remove it") from error
        if image.mode.startswith(("I", "F")):
            raise DataError(f"{file}: not an 8-bit image (mode {image.mode}); convert it, or save the pixels as .npy")
        if images and image.size != images[0].size:
            raise DataError(
                f"{path}: {files[0].name} is {images[0].width} x {images[0].height} pixels, {file.name} is "
                f"{image.width} x {image.height}; resize all images to one size first"
            )
        images.append(image)
    mode = "L" if all(image.mode in ("1", "L", "LA") for image in images) else "RGB"
    pixels = np.stack([np.asarray(image.convert(mode), dtype=np.float32) / 255 for image in images])
    return Dataset(path.name, pixels[:, None] if mode == "L" else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


def _load_file(path: Path, label: str | None) -> Dataset:
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".npy": _read_npy, ".npz": _read_npz}
    ending = path.suffix.lower()
    if ending not in readers:
        raise DataError(f"{path}: unknown ending {ending!r}; data comes as {' '.join(readers)} or a folder of images")
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty")
        return readers[ending](path, label)
    except DataError:
        raise
    except ImportError as error:
        raise DataError(f"{path}: reading {ending} needs pyarrow; pip install 'ncsn[parquet]'") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: cannot be read as {ending}, it may be damaged ({reason})") from error


# A number, with what pandas appends to a name that comes twice.
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?(\.\d+)?")


def _read_csv(path: Path, label: str | None) -> Dataset:
    frame = pd.read_csv(path, low_memory=False)
    names = [str(column) for column in frame.columns]
    if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
        raise DataError(f"{path}: one column, {names[0]!r}; the columns must be separated by commas")
    numbers = [name for name in names if _NUMBER.fullmatch(name)]
    # A year may name a column among others, 5.1 does not.
    if len(numbers) == len(names) or any("." in name for name in numbers):
        raise DataError(
            f"{path}: the first line holds numbers ({', '.join(numbers[:3])}); begin with the columns' names"
        )
    unnamed = [index for index, column in enumerate(names, start=1) if column.startswith("Unnamed: ")]
    if unnamed:
        raise DataError(f"{path}: column {unnamed[0]} has no name (a row index?); name it or drop it")
    return _table(path, frame, label)


def _read_parquet(path: Path, label: str | None) -> Dataset:
    frame = pd.read_parquet(path, engine="pyarrow")
    named_index = any(name is not None for name in frame.index.names)
    return _table(path, frame.reset_index(drop=not named_index), label)


def _read_npy(path: Path, label: str | None) -> Dataset:
    if label is not None:
        raise DataError(f"{path}: an .npy file has no label {label!r}; use a table, or an .npz file with both arrays")
    values = np.load(path, allow_pickle=False)
    if not isinstance(values, np.ndarray):
        raise DataError(f"{path}: this is an .npz file; rename it")
    return Dataset(path.stem, _array(path, values))


def _read_npz(path: Path, label: str | None) -> Dataset:
    archive = np.load(path, allow_pickle=False)
    if isinstance(archive, np.ndarray):
        raise DataError(f"{path}: this is an .npy file; rename it")
    with archive:
        arrays = dict(archive)
    labels = None
    if label is not None:
        if label not in arrays:
            raise DataError(f"{path}: no array called {label!r}; there are {', '.join(arrays)}")
        labels = arrays.pop(label)
    candidates = list(arrays) if len(arrays) == 1 else [name for name in arrays if name in ("x", "X", "data")]
    if len(candidates) != 1:
        raise DataError(
            f"{path}: call one array 'x' (found: {', '.join(arrays) or 'none'}), so that it can be told apart"
        )
    values = _array(path, arrays[candidates[0]])
    if labels is not None and labels.shape != values.shape[:1]:
        raise DataError(f"{path}: {label!r} has shape {labels.shape}; one label per row, ({len(values)},), is needed")
    return Dataset(path.stem if len(arrays) == 1 else f"{path.stem}[{candidates[0]}]", values, labels, label)


def _array(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path}: values of type {values.dtype} are not numeric")
    if values.ndim == 0:
        raise DataError(f"{path}: a single number, not an array of rows")
    return values.reshape(-1, 1) if values.ndim == 1 else values


def _table(path: Path, frame: pd.DataFrame, label: str | None) -> Dataset:
    frame.columns = frame.columns.map(str)
    if frame.empty:
        raise DataError(
            f"{path}: {len(frame)} rows and {frame.shape[1]} columns; at least 2 rows of numbers are needed"
        )
    labels = None
    if label is not None:
        if label not in frame:
            raise DataError(f"{path}: {unknown_name('column', label, frame.columns)}")
        column = frame.pop(label)
        if column.isna().any():
            raise DataError(
                f"{path}: {column.isna().sum()} labels in column {label!r} are missing; fill or drop the rows"
            )
        labels = column.to_numpy() if pd.api.types.is_numeric_dtype(column) else column.to_numpy(dtype=str)
    text = [name for name, column in frame.items() if not _is_numeric(column)]
    if len(text) == frame.shape[1]:
        raise DataError(f"{path}: no numeric column (found: {', '.join(map(str, text)) or 'none'})")
    if text:
        column = frame[text[0]]
        row = int(np.argmax(pd.to_numeric(column, errors="coerce").isna() & column.notna()))
        raise DataError(
            f"{path}: column {text[0]!r} is not numeric (row {row + 1} holds {str(column.iloc[row])!r}); drop it, "
            f"or pass it as --label (not numeric: {', '.join(map(str, text))})"
        )
    return Dataset(path.stem, frame, labels, label)


def _is_numeric(column: pd.Series[Any]) -> bool:
    if column.dtype == object:
        # Booleans with missing cells: to be refused for those cells, not for their type.
        return all(isinstance(value, bool) for value in column.dropna()) and len(column.dropna()) > 0
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)


def check_values(name: str, values: pd.DataFrame | NDArray[Any], min_rows: int = 2) -> None:
    """Refuse values that are empty or not finite.

    Args:
        name: What the data are called in the message.
        values: Rows, ``(N, *shape)``.
        min_rows: Fewest rows.

    Raises:
        DataError: What is wrong, with the row and the column of the first bad cell.
    """
    if math.prod(values.shape[1:]) == 0:
        raise DataError(f"{name}: no numeric column")
    if len(values) < min_rows:
        rows = f"{len(values)} row{'s' if len(values) != 1 else ''}"
        raise DataError(f"{name}: {rows}; at least {min_rows} {'is' if min_rows == 1 else 'are'} needed")
    bad = ~as_float64(values).isfinite().flatten(1).numpy()
    if bad.any():
        row, position = np.argwhere(bad)[0]
        cell = values.columns[position] if isinstance(values, pd.DataFrame) else int(position) + 1
        where = f"row {row + 1}" + (f", column {cell!r}" if values.ndim == 2 else "")
        count = int(bad.sum())
        cells = f"{count} cells are missing or infinite, the first" if count > 1 else "a missing or infinite cell"
        raise DataError(f"{name}: {cells} in {where}; fill them, or drop those rows")


def as_float64(values: Values) -> Tensor:
    """Return the values as a float64 tensor of the same shape; missing cells of a data frame become NaN.

    Raises:
        DataError: Not all values are numbers.

    >>> as_float64(pd.DataFrame({"a": [1, 2], "b": [True, False]}))
    tensor([[1., 1.],
            [2., 0.]], dtype=torch.float64)
    """
    if isinstance(values, Tensor):
        return values.detach().double()
    try:
        if isinstance(values, pd.DataFrame):
            return torch.tensor(values.to_numpy(dtype=np.float64, na_value=np.nan))
        return torch.from_numpy(np.array(values, dtype=np.float64, order="C"))
    except (TypeError, ValueError) as error:
        raise DataError(f"not all values are numbers ({error}); drop or encode the others") from error


# Held-out rows and scaling --------------------------------------------------------------------------------------------


class Split(NamedTuple):
    """Training and held-out rows, of the type that was split, with their labels."""

    train: Any
    held_out: Any
    train_labels: Any
    held_out_labels: Any


def split(values: Values, labels: Any = None, holdout: float = 0.2, seed: int = 0) -> Split:
    """Hold rows back at random, in proportion from each class where there are labels.

    Rows are shuffled, put in the order of their labels, and taken at even distances from a random start; so a class of
    any size, even of one row, is held back in proportion, to within one row. Neither side is ever empty.

    Args:
        values: Data frame, array or tensor with the rows first.
        labels: One label per row, array or tensor, or None.
        holdout: The share to hold back, between 0 and 1, or (as an int) the number of rows. A share of 0.2 by default.
        seed: The same seed holds back the same rows.

    Returns:
        Both parts, each in the order of the original rows; data frames keep their index.

    Raises:
        DataError: There are fewer than two rows, or not one label per row.
        ValueError: ``holdout`` leaves one side empty.

    >>> train, held_out, *_ = split(np.arange(10), holdout=0.3)
    >>> len(train), len(held_out)
    (7, 3)
    """
    n = len(values)
    if n < 2:
        raise DataError(f"{n} row{'s' if n != 1 else ''} cannot be split; at least 2 are needed")
    if labels is not None and len(labels) != n:
        raise DataError(f"{len(labels)} labels for {n} rows; one label per row is needed")
    whole = isinstance(holdout, Integral)
    if not 0 < holdout < (n if whole else 1):
        raise ValueError(
            f"holdout must be a share between 0 and 1, or from 1 to {n - 1} of the {n} rows, not {holdout}"
        )
    count = int(holdout) if whole else min(max(round(holdout * n), 1), n - 1)
    generator = Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator).numpy()
    if labels is not None:
        order = order[np.argsort(np.unique(np.asarray(labels), return_inverse=True)[1][order], kind="stable")]
    start = torch.rand((), dtype=torch.float64, generator=generator).item()
    held = np.zeros(n, dtype=bool)
    held[order[((np.arange(count) + start) * (n / count)).astype(int)]] = True

    def rows(of: Any, mask: NDArray[np.bool_]) -> Any:
        return of[torch.from_numpy(mask)] if isinstance(of, Tensor) else None if of is None else of[mask]

    return Split(rows(values, ~held), rows(values, held), rows(labels, ~held), rows(labels, held))


@dataclass(frozen=True, eq=False)
class Standardizer:
    """Scaling to mean 0 and standard deviation 1, and back; all tensors in float64.

    Vectors are scaled per feature. Images (more than two axes) are scaled by one mean and one standard deviation over
    all pixels, which keeps their pixels comparable. A feature that never varies keeps a scale of 1: it standardises to
    exactly 0, and exactly 0 is inverted to exactly its value.

    Args:
        mean: Mean, ``(D,)`` for vectors, a scalar for images.
        scale: Standard deviation (of the population, as in scikit-learn), of the shape of ``mean``; 1 where constant.
        constant: Which features never vary, of the shape of ``mean``.
        shape: Shape of one point, such as ``(D,)`` or ``(C, H, W)``.

    >>> scaling = Standardizer.fit(np.array([[1.0, 7.0], [3.0, 7.0]]))
    >>> scaling.transform(np.array([[5.0, 7.0]]))
    tensor([[3., 0.]], dtype=torch.float64)
    >>> scaling.inverse(torch.tensor([[3.0, 0.0]]))
    tensor([[5., 7.]], dtype=torch.float64)
    """

    mean: Tensor
    scale: Tensor
    constant: Tensor
    shape: tuple[int, ...]

    @classmethod
    def fit(cls, values: Values) -> Standardizer:
        """Learn the scaling from ``(N, *shape)`` values.

        Raises:
            DataError: There are no rows, or values are not finite or too large for float64.
        """
        x = as_float64(values)
        shape = tuple(x.shape[1:])
        if x.numel() == 0 or x.ndim < 2:
            raise DataError(f"scaling needs rows of at least one feature, not values of shape {tuple(x.shape)}")
        rows = x if x.ndim == 2 else x.reshape(-1, 1)
        low, high = rows.amin(0), rows.amax(0)
        span = high - low
        if not span.isfinite().all():
            raise DataError("the values are not finite, or too large; fill missing cells, or use other units")
        constant = span == 0
        # Shares of the span: squares of very large or very small values would leave the range of float64.
        unit = (rows - low) / torch.where(constant, 1.0, span)
        mean = low + span * unit.mean(0)
        scale = torch.where(constant, 1.0, span * unit.std(0, correction=0))
        if x.ndim > 2:
            mean, scale, constant = mean.squeeze(0), scale.squeeze(0), constant.squeeze(0)
        return cls(mean, scale, constant, shape)

    def transform(self, values: Values) -> Tensor:
        """Standardise ``(N, *shape)`` values; missing values stay NaN.

        Raises:
            DataError: The shape of a point is not the one that was fitted.
        """
        x = self._checked(values)
        return (x - self.mean.to(x.device)) / self.scale.to(x.device)

    def inverse(self, standardised: Values) -> Tensor:
        """Return standardised points ``(N, *shape)`` in the data's own units.

        Raises:
            DataError: The shape of a point is not the one that was fitted.
        """
        z = self._checked(standardised)
        return z * self.scale.to(z.device) + self.mean.to(z.device)

    def log_det(self) -> float:
        """Return log |d standardised / d data|, over the features that vary.

        Added to a log-density of standardised points it gives the log-density in the data's own units, in nats.
        """
        per_feature = math.prod(self.shape) // self.mean.numel()
        return -per_feature * float(self.scale.log()[~self.constant].sum())

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists that JSON keeps exactly."""
        return {
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "constant": self.constant.tolist(),
            "shape": list(self.shape),
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Standardizer:
        """Rebuild the scaling from what `to_dict` returned."""
        mean, scale = (torch.tensor(saved[key], dtype=torch.float64) for key in ("mean", "scale"))
        return cls(mean, scale, torch.tensor(saved["constant"], dtype=torch.bool), tuple(saved["shape"]))

    def _checked(self, values: Values) -> Tensor:
        x = as_float64(values)
        if tuple(x.shape[1:]) != self.shape:
            raise DataError(f"points of shape {tuple(x.shape[1:])} given; the data fitted have {self.shape}")
        return x


# Saving ---------------------------------------------------------------------------------------------------------------

_GRID = 400


def save_samples(
    samples: Values,
    path: str | os.PathLike[str],
    *,
    labels: Any = None,
    label_name: str = "label",
    value_range: tuple[float, float] | None = None,
) -> None:
    """Write samples to a file, in the format that its ending names; the file appears whole or not at all.

    Args:
        samples: Data frame, array or tensor, the rows first.
        path: ``.csv`` or ``.parquet`` (tables; an array's columns are called x1, x2, ...), ``.npy``, ``.npz`` (array
            ``x``), or ``.png``: a grid of the first 400 images, or a scatter plot of two columns.
        labels: One label per row, written as a column (or array) called ``label_name``; not for ``.npy`` and ``.png``.
        label_name: Name of that column.
        value_range: The values drawn as black and white in a ``.png`` of images; the samples' own extremes when None.

    Raises:
        DataError: The ending is unknown, or the samples or labels do not fit that format.
        RunError: The file cannot be written (no such folder, no permission, disk full).
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in (".csv", ".parquet", ".npy", ".npz", ".png"):
        raise DataError(f"{path}: unknown ending {ending!r}; samples are written as .csv .parquet .npy .npz .png")
    if labels is not None and ending in (".npy", ".png"):
        raise DataError(f"{path}: {ending} has no place for labels; use .csv, .parquet or .npz")
    frame = samples if isinstance(samples, pd.DataFrame) else None
    values = as_float64(frame) if frame is not None and ending in (".npy", ".npz", ".png") else samples
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim == 0 or array.size == 0:
        raise DataError(f"{path}: there are no samples to write (shape {array.shape})")
    if ending in (".csv", ".parquet") and array.ndim != 2:
        raise DataError(f"{path}: samples of shape {array.shape} are no table; use .npy, .npz or .png")
    columns = [f"x{i + 1}" for i in range(math.prod(array.shape[1:]))] if frame is None else list(frame.columns)
    if labels is not None:
        labels = np.asarray(labels)
        # NumPy would pickle text that is held as objects.
        labels = labels.astype(str) if labels.dtype == object else labels
        if labels.shape != array.shape[:1]:
            raise DataError(f"labels have shape {labels.shape}; one per sample, ({len(array)},), is needed")
        # In an archive the samples are x, and numpy.savez takes the other two names for its own arguments.
        if label_name in (("x", "file", "allow_pickle") if ending == ".npz" else columns):
            raise DataError(f"{path}: the name {label_name!r} is taken; choose another label_name")
    content = io.BytesIO()
    if ending == ".png":
        _draw(path, content, array, columns, value_range)
    elif ending == ".npy":
        np.save(content, array, allow_pickle=False)
    elif ending == ".npz":
        named: dict[str, Any] = {} if labels is None else {label_name: labels}
        np.savez(content, x=array, **named)
    else:
        table = pd.DataFrame(array, columns=columns) if frame is None else frame
        table = table if labels is None else table.assign(**{label_name: labels})
        if ending == ".csv":
            table.to_csv(content, index=False)
        else:
            _write_parquet(table, content)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        unfinished.write_bytes(content.getbuffer())
        os.replace(unfinished, path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror}); choose another place") from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def _write_parquet(frame: pd.DataFrame, file: IO[bytes]) -> None:
    try:
        frame.to_parquet(file, engine="pyarrow", index=False)
    except ImportError as error:
        raise DataError("writing .parquet needs pyarrow; pip install 'ncsn[parquet]'") from error


def _draw(
    path: Path,
    file: IO[bytes],
    samples: NDArray[Any],
    columns: Sequence[str],
    value_range: tuple[float, float] | None,
) -> None:
    if samples.ndim == 2 and samples.shape[1] == 2:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 6), layout="constrained")
        axes = figure.add_subplot(xlabel=str(columns[0]), ylabel=str(columns[1]))
        axes.scatter(samples[:, 0], samples[:, 1], s=4, alpha=0.5, linewidths=0)
        figure.savefig(file, format="png", dpi=150)
        return
    images = samples[:, None] if samples.ndim == 3 else samples
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(
            f"{path}: .png shows two columns, or grey or colour images, not shape {samples.shape}; use .npy"
        )
    from PIL import Image

    images = images[:_GRID].astype(np.float64)
    if not np.isfinite(images).all():
        raise DataError(f"{path}: some images are not finite; leave them out")
    low, high = value_range or (images.min(), images.max())
    pixels = np.round(255 * np.clip((images - low) / (high - low if high > low else 1), 0, 1)).astype(np.uint8)
    # Small images are enlarged by a whole factor, so that their pixels stay square and sharp.
    zoom = max(1, 32 // max(pixels.shape[2:]))
    pixels = np.pad(pixels.repeat(zoom, axis=2).repeat(zoom, axis=3), ((0, 0), (0, 0), (1, 1), (1, 1)))
    n, channels, height, width = pixels.shape
    across = math.ceil(math.sqrt(n))
    down = math.ceil(n / across)
    grid = np.zeros((across * down, channels, height, width), dtype=np.uint8)
    grid[:n] = pixels
    grid = grid.reshape(down, across, channels, height, width).transpose(0, 3, 1, 4, 2)
    grid = grid.reshape(down * height, across * width, channels)
    Image.fromarray(grid[..., 0] if channels == 1 else grid).save(file, format="PNG")
