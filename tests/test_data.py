import errno
import json
import math
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.integrate import quad
from scipy.special import ive, logsumexp
from sklearn.datasets import load_wine

from ncsn.data import (
    DATASETS,
    TOYS,
    Standardizer,
    as_float64,
    checkerboard,
    eight_gaussians,
    load,
    load_mask,
    moons,
    pinwheel,
    rings,
    save_samples,
    split,
    swiss_roll,
    toy_mixture,
)
from ncsn.errors import DataError, RunError

# What comes back is a frame or an array, with labels or without: each test says which.
loaded: Any = load

LABELLED = [name for name, toy in TOYS.items() if toy.n_labels]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def log_density(name: str, points: NDArray[Any]) -> NDArray[Any]:
    weights, means, covariances = (part.numpy() for part in toy_mixture(name))
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    squares = ((points[:, None] - means) ** 2 / variances).sum(-1)
    return np.asarray(
        logsumexp(np.log(weights) - 0.5 * squares - 0.5 * np.log((2 * math.pi) ** 2 * variances.prod(-1)), axis=1)
    )


# Toy sets


@pytest.mark.parametrize("name", TOYS)
def test_toys_are_reproducible_independent_draws(name: str) -> None:
    draw = TOYS[name].draw
    first = draw(1000, seeded())
    assert first.shape == (1000, 2) and first.dtype == torch.float32 and first.isfinite().all()
    assert torch.equal(first, draw(1000, seeded()))
    assert not torch.equal(first, draw(1000, seeded(1)))
    assert first.std(0).min() > 0.4 and first.std(0).max() < 1.6
    with pytest.raises(ValueError, match="n must be at least 1, not 0"):
        draw(0)


@pytest.mark.parametrize("name", TOYS)
def test_a_generator_leaves_the_global_state_alone_and_none_uses_it(name: str) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    TOYS[name].draw(10, seeded())
    assert torch.equal(torch.get_rng_state(), state)
    first = TOYS[name].draw(10)
    torch.manual_seed(3)
    assert torch.equal(first, TOYS[name].draw(10))


@pytest.mark.parametrize("name", LABELLED)
def test_labels_choose_the_component(name: str) -> None:
    toy = TOYS[name]
    labels = torch.randint(toy.n_labels, (100,), generator=seeded())
    # Without labels, the same generator draws first the labels, then the points.
    generator = seeded()
    torch.randint(toy.n_labels, (100,), generator=generator)
    assert torch.equal(toy.draw(100, seeded()), toy.draw(100, generator, labels))
    for bad in (labels[:5], labels + toy.n_labels, labels - toy.n_labels):
        with pytest.raises(ValueError, match=f"labels must be 100 whole numbers from 0 to {toy.n_labels - 1}"):
            toy.draw(100, None, bad)


def test_the_roll_is_standardised_by_its_population_moments() -> None:
    def moment(power: int, axis: int) -> float:
        return float(quad(lambda t: raw(t)[axis] ** power, 1.5 * math.pi, 4.5 * math.pi, limit=200)[0] / (3 * math.pi))

    def raw(t: float) -> NDArray[Any]:
        return np.array([t * math.cos(t), t * math.sin(t)])

    centre = np.array([moment(1, 0), moment(1, 1)])
    square = np.array([moment(2, 0), moment(2, 1)])
    deviation = np.sqrt(square + 0.01 - centre**2)
    covariance = toy_mixture("swiss_roll").covariances[0].numpy()
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), 0.1 / deviation, rtol=1e-12)

    x = swiss_roll(20_000, seeded()).double().numpy()
    np.testing.assert_allclose(x.mean(0), 0, atol=4 / math.sqrt(20_000))
    np.testing.assert_allclose(x.std(0), 1, atol=4 / math.sqrt(20_000))
    assert np.abs(x.mean(0)).min() > 1e-5, "a draw must not be standardised by itself"

    # Thickness: the distance from the curve is the noise's component across it.
    points = x[:2000] * deviation + centre
    curve = np.array([raw(t) for t in np.linspace(1.5 * math.pi - 0.1, 4.5 * math.pi + 0.1, 20_000)])
    nearest = np.array([((curve - point) ** 2).sum(1).min() for point in points])
    assert math.sqrt(nearest.mean()) == pytest.approx(0.1, rel=0.06)


def test_moons_moments() -> None:
    x = moons(50_000, seeded()).double()
    assert x.mean(0).numpy() == pytest.approx([0, 0], abs=0.02)
    noise, upper = 0.05**2, 2 / math.pi - 0.25
    assert x.var(0).numpy() == pytest.approx([0.75 + noise, 0.5 - 4 / math.pi**2 + upper**2 + noise], rel=0.02)
    up = moons(1000, seeded(), torch.zeros(1000, dtype=torch.long)) + torch.tensor([0.5, 0.25])
    assert up.norm(dim=1).mean() == pytest.approx(1, abs=0.01) and up[:, 1].min() > -0.25


def test_eight_gaussians_are_their_mixture() -> None:
    weights, means, covariances = toy_mixture("eight_gaussians")
    assert torch.equal(weights, torch.full((8,), 0.125).double())
    labels = torch.arange(8).repeat_interleave(4000)
    x = eight_gaussians(32_000, seeded(), labels).double().reshape(8, 4000, 2)
    assert (x.mean(1) - means).abs().max() < 5 * 0.1 / math.sqrt(4000)
    for k in range(8):
        assert torch.allclose(x[k].T.cov(), covariances[k], atol=0.1**2 * 0.1)


def test_checkerboard_lies_only_in_its_squares_and_fills_them() -> None:
    labels = torch.arange(8).repeat_interleave(5000)
    x = checkerboard(40_000, seeded(), labels)
    assert torch.equal(x.floor().sum(1) % 2, torch.zeros(40_000)) and x.abs().max() <= 2
    squares = x.floor().reshape(8, 5000, 2)
    assert (squares == squares[:, :1]).all() and len(squares[:, 0].unique(dim=0)) == 8
    assert x.reshape(8, 5000, 2).frac().abs().mean((0, 1)).numpy() == pytest.approx([0.5, 0.5], abs=0.01)
    counts = checkerboard(40_000, seeded()).floor().unique(dim=0, return_counts=True)[1]
    assert len(counts) == 8 and (counts - 5000).abs().max() < 4.5 * math.sqrt(5000 * 7 / 8)


def test_pinwheel_moments_and_arms() -> None:
    x = pinwheel(50_000, seeded()).double()
    assert x.mean(0).numpy() == pytest.approx([0, 0], abs=0.025)
    assert x.T.cov().numpy() == pytest.approx(1.1 * np.eye(2), abs=0.03)
    arm = pinwheel(4000, seeded(), torch.zeros(4000, dtype=torch.long)).double() / math.sqrt(2)
    radius = arm.norm(dim=1)
    # Turned back by exp(radius) / 4, the arm is a Gaussian at (1, 0).
    back = torch.atan2(arm[:, 1], arm[:, 0]) - radius.exp() / 4
    assert (radius * back.cos()).mean() == pytest.approx(1, abs=0.03)
    assert (radius * back.sin()).std() == pytest.approx(0.1, abs=0.02)


def test_rings_have_their_radii() -> None:
    labels = torch.arange(4).repeat_interleave(5000)
    squares = rings(20_000, seeded(), labels).double().square().sum(1).reshape(4, 5000).mean(1)
    radii = np.array([0.5, 1, 1.5, 2])
    np.testing.assert_allclose(squares, radii**2 + 2 * 0.05**2, rtol=0.01)


def test_the_rings_mixture_is_the_exact_density() -> None:
    x = rings(300, seeded()).double().numpy()
    r, variance = np.linalg.norm(x, axis=1)[:, None], 0.05**2
    radii = np.array([0.5, 1, 1.5, 2])
    exact = np.exp(-((r - radii) ** 2) / (2 * variance)) * ive(0, r * radii / variance) / (2 * math.pi * variance)
    np.testing.assert_allclose(log_density("rings", x), np.log(exact.mean(1)), atol=1e-9)


def test_the_moons_mixture_is_the_exact_density() -> None:
    x = moons(20, seeded()).double().numpy()

    def density(point: NDArray[Any]) -> float:
        def both(angle: float) -> float:
            upper = np.array([math.cos(angle) - 0.5, math.sin(angle) - 0.25])
            squares = [((point - side * upper) ** 2).sum() for side in (1, -1)]
            return sum(math.exp(-s / (2 * 0.05**2)) for s in squares) / (4 * math.pi**2 * 0.05**2)

        return float(quad(both, 0, math.pi, limit=500, epsabs=1e-10)[0])

    np.testing.assert_allclose(log_density("moons", x), np.log([density(p) for p in x]), atol=1e-3)


def test_the_roll_mixture_has_the_rolls_entropy() -> None:
    # Along the curve the density is 1 / (3 pi sqrt(1 + t^2)), across it the noise's; standardising multiplies by both scales.
    speed = quad(lambda t: math.log(1 + t * t) / 2, 1.5 * math.pi, 4.5 * math.pi)[0] / (3 * math.pi)
    scales = -0.5 * np.log(np.diag(toy_mixture("swiss_roll").covariances[0]) / 0.01).sum()
    expected = -math.log(3 * math.pi) - speed - 0.5 * math.log(2 * math.pi * math.e * 0.01) + scales
    values = log_density("swiss_roll", swiss_roll(4000, seeded()).double().numpy())
    assert values.mean() == pytest.approx(expected, abs=4 * values.std() / math.sqrt(4000))
    assert expected == pytest.approx(0.264, abs=0.001)
    coarse, fine = (toy_mixture("swiss_roll", k) for k in (2000, 2001))
    assert len(coarse.means) + 1 == len(fine.means) and fine.weights.sum().item() == pytest.approx(1)


def test_toy_mixture_refuses_what_has_none() -> None:
    with pytest.raises(ValueError, match=r"unknown toy set with a known mixture 'moon'; did you mean 'moons'\?"):
        toy_mixture("moon")
    with pytest.raises(ValueError, match="checkerboard"):
        toy_mixture("checkerboard")
    with pytest.raises(ValueError, match="n_components must be at least 1"):
        toy_mixture("rings", 0)


# Loading


@pytest.mark.parametrize("name", DATASETS)
def test_every_built_in_set_loads(name: str) -> None:
    data = load(name, n=50)
    assert data.name == name and np.isfinite(np.asarray(data.values)).all()
    assert (data.labels is None) == (data.label_name is None)
    if data.labels is not None:
        assert len(data.labels) == len(data.values)


def test_toys_load_with_labels_and_fresh_draws() -> None:
    data = loaded("moons", n=200, seed=4)
    assert torch.equal(torch.from_numpy(data.values), moons(200, seeded(4)))
    upper = data.values[data.labels == 0] + np.array([0.5, 0.25])
    assert np.linalg.norm(upper, axis=1) == pytest.approx(np.ones(len(upper)), abs=0.3)
    fresh = data.draw(70, seeded(5))
    assert fresh.shape == (70, 2) and np.array_equal(fresh, data.draw(70, seeded(5)))
    assert not np.array_equal(load("moons", n=200, seed=5).values, data.values)
    with pytest.raises(ValueError, match="n must be at least 1, not -5"):
        load("rings", n=-5)
    with pytest.raises(DataError, match="swiss_roll: 1 row; at least 2"):
        load("swiss_roll", n=1)


def test_shipped_sets_keep_shape_and_columns() -> None:
    assert load("digits").values.shape == (1797, 8, 8) and load("digits").values.max() == 16
    wine = loaded("wine", label="target")
    pd.testing.assert_frame_equal(wine.values, load_wine(as_frame=True).data)
    assert np.array_equal(np.unique(wine.labels), [0, 1, 2])
    diabetes = load("diabetes")
    assert diabetes.labels is None and list(diabetes.values)[-1] == "target" and diabetes.values["age"].max() == 79
    with pytest.raises(DataError, match="wine: no labels called 'kind'; its labels are called 'target'"):
        load("wine", label="kind")
    with pytest.raises(DataError, match="swiss_roll: no labels called 'x'; it has none"):
        load("swiss_roll", label="x")


FRAME = pd.DataFrame(
    {"size": [1, 2, 3, 4], "weight": [0.5, 1.25, 1e-3, 2.0], "ripe": [True, False, True, True], "kind": list("abab")}
)


@pytest.mark.parametrize("ending", ["csv", "parquet", "CSV"])
def test_tables_keep_their_columns_and_types(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"fruit.{ending}"
    FRAME.to_parquet(path) if ending == "parquet" else FRAME.to_csv(path, index=False)
    data = loaded(path, label="kind")
    assert data.name == "fruit" and data.label_name == "kind" and list(data.labels) == list("abab")
    assert list(data.values.columns) == ["size", "weight", "ripe"]
    assert [column.kind for column in data.values.dtypes] == ["i", "f", "b"]
    pd.testing.assert_frame_equal(data.values, FRAME.drop(columns="kind"))
    assert load(path.parent / path.name, label="kind").values.shape == (4, 3)


def test_a_numeric_label_keeps_its_type_and_an_index_with_a_name_is_a_column(tmp_path: Path) -> None:
    FRAME.set_index("size").to_parquet(tmp_path / "a.parquet")
    data = loaded(tmp_path / "a.parquet", label="kind")
    assert list(data.values) == ["size", "weight", "ripe"]
    FRAME.drop(columns="kind").to_csv(tmp_path / "a.csv", index=False)
    assert loaded(tmp_path / "a.csv", label="size").labels.dtype == np.int64


def test_nullable_columns_count_as_numeric(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": pd.array([1, 2, 3], "Int64"), "b": pd.array([True, False, True], "boolean")})
    frame.to_parquet(tmp_path / "a.parquet")
    assert loaded(tmp_path / "a.parquet").values.dtypes.tolist() == [pd.Int64Dtype(), pd.BooleanDtype()]
    frame.loc[1, "b"] = pd.NA
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="missing or infinite cell in row 2, column 'b'"):
        load(tmp_path / "a.parquet")


BAD_CSV = {
    "x,kind\n1,red\n2,blue\n": r"column 'kind' is not numeric \(row 1 holds 'red'\); drop it, or pass it as --label",
    "x,y\n1,2\n2,?\n": r"column 'y' is not numeric \(row 2 holds '\?'\)",
    "a,b\nu,v\nw,x\n": r"no numeric column \(found: a, b\)",
    "x,y\n1,2\n,4\n5,inf\n": "2 cells are missing or infinite, the first in row 2, column 'x'; fill them, or drop",
    "x,y\n1,2\n3,\n": "a missing or infinite cell in row 2, column 'y'",
    "x,b\n1,True\n3,\n": "a missing or infinite cell in row 2, column 'b'",
    "x,y\n1,2\n": "1 row; at least 2 are needed",
    "x,y\n": "0 rows and 2 columns",
    "": "the file is empty",
    "\n\n": r"cannot be read as \.csv",
    "1.0,2.0\n3,4\n5,6\n": r"the first line holds numbers \(1.0, 2.0\); begin with the columns' names",
    "0,0,1e-3,0.0,0.0\n3,4,5,6,7\n5,6,7,8,9\n": r"the first line holds numbers \(0, 0\.1, 1e-3\)",
    "5.1,3,setosa\n4.9,3,setosa\n": r"the first line holds numbers \(5\.1, 3\)",
    ",x\n0,1\n1,2\n": r"column 1 has no name \(a row index\?\)",
    "x;y\n1;2\n3;4\n": "one column, 'x;y'; the columns must be separated by commas",
    'x,y\n1,2\n"3,4\n': r"cannot be read as \.csv",
    "x,y\n1,2\n3,4,5,6\n": r"cannot be read as \.csv",
}


@pytest.mark.parametrize("text", BAD_CSV)
def test_bad_csv(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=BAD_CSV[text]) as error:
        load(path)
    assert "\n" not in str(error.value)


def test_a_year_may_name_a_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("2001,kind\n1,a\n2,b\n")
    assert list(loaded(tmp_path / "a.csv", label="kind").values) == ["2001"]


def test_bad_labels_and_encodings(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match=r"unknown column 'kinds'; did you mean 'kind'\?"):
        load(tmp_path / "a.csv", label="kinds")
    (tmp_path / "b.csv").write_text("x,kind\n1,a\n2,\n")
    with pytest.raises(DataError, match="1 labels in column 'kind' are missing"):
        load(tmp_path / "b.csv", label="kind")
    (tmp_path / "c.csv").write_text("x\n1\n2\n")
    with pytest.raises(DataError, match="no numeric column"):
        load(tmp_path / "c.csv", label="x")
    (tmp_path / "d.csv").write_bytes(b"x,\xff\xfe\n1,2\n")
    with pytest.raises(DataError, match=r"cannot be read as \.csv, it may be damaged"):
        load(tmp_path / "d.csv")


def test_missing_and_unknown(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown data set 'swis_roll'; did you mean 'swiss_roll'\?.*no such file"):
        load("swis_roll")
    with pytest.raises(DataError, match=r"^no such file or folder: nothing/here.csv$"):
        load("nothing/here.csv")
    (tmp_path / "a.xls").write_text("x")
    with pytest.raises(
        DataError, match=r"unknown ending '\.xls'; data comes as \.csv \.parquet \.npy \.npz or a folder"
    ):
        load(tmp_path / "a.xls")


@pytest.mark.parametrize("ending", ["csv", "parquet", "npy", "npz"])
def test_empty_and_damaged_files(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.touch()
    with pytest.raises(DataError, match="the file is empty"):
        load(path)
    path.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(DataError, match="cannot be read as" if ending != "csv" else "a.csv: "):
        load(path)
    good = tmp_path / f"good.{ending}"
    save_samples(np.random.default_rng(0).normal(size=(500, 3)), good)
    if ending != "csv":
        path.write_bytes(good.read_bytes()[:-700])
        with pytest.raises(DataError, match="cannot be read as"):
            load(path)
        if ending != "parquet":
            damaged = bytearray(good.read_bytes())
            damaged[0:4] = b"junk"
            path.write_bytes(damaged)
            with pytest.raises(DataError, match="cannot be read as"):
                load(path)


def test_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for shape in ((5,), (5, 3), (5, 4, 4), (5, 3, 4, 4)):
        values = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
        np.save(path, values)
        loaded = load(path).values
        assert loaded.dtype == np.int32 and loaded.shape == (shape if len(shape) > 1 else (5, 1))
    bad: list[tuple[Any, str]] = [
        (np.float64(3), "a single number"),
        (np.array([["a"], ["b"]]), "not numeric"),
        (np.array([1j, 2]), "not numeric"),
        (np.zeros((1, 3)), "1 row; at least 2"),
        (np.zeros((0, 3)), "0 rows; at least 2"),
        (np.zeros((4, 0)), "no numeric column"),
        (np.array([[1, 2], [3, np.nan]]), "missing or infinite cell in row 2, column 2"),
        (np.full((3, 2, 2), np.inf), "12 cells are missing or infinite, the first in row 1;"),
    ]
    for unfit, message in bad:
        np.save(path, unfit)
        with pytest.raises(DataError, match=message):
            load(path)
    with pytest.raises(DataError, match=r"an \.npy file has no label 'y'"):
        load(path, label="y")
    np.save(path, np.array([{}, 1], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read as"):
        load(path)


def test_archives(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    x, y = np.arange(12.0).reshape(4, 3), np.array(list("abab"))
    np.savez(path, stuff=x)
    assert np.array_equal(load(path).values, x) and load(path).name == "a"
    np.savez(path, stuff=x, y=y)
    data = loaded(path, label="y")
    assert np.array_equal(data.values, x) and np.array_equal(data.labels, y) and data.label_name == "y"
    with pytest.raises(DataError, match=r"call one array 'x' \(found: stuff, y\)"):
        load(path)
    with pytest.raises(DataError, match="no array called 'z'; there are stuff, y"):
        load(path, label="z")
    np.savez(path, x=x, y=y[:2])
    assert load(path).name == "a[x]"
    with pytest.raises(DataError, match=r"'y' has shape \(2,\); one label per row, \(4,\)"):
        load(path, label="y")
    np.savez(path)
    with pytest.raises(DataError, match="found: none"):
        load(path)
    (tmp_path / "b.npy").write_bytes(path.read_bytes())
    with pytest.raises(DataError, match=r"this is an \.npz file"):
        load(tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", x)
    with pytest.raises(DataError, match=r"this is an \.npy file"):
        load((tmp_path / "c.npy").rename(tmp_path / "c.npz"))


def test_folder_of_images(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    with pytest.raises(DataError, match="no image in this folder"):
        load(folder)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    for i in range(3):
        Image.fromarray(pixels[i, ..., 0]).save(folder / f"{i}.png")
    (folder / "notes.txt").write_text("not an image")
    data = load(folder)
    assert data.name == "pictures" and data.values.shape == (3, 1, 5, 4) and data.values.dtype == np.float32
    np.testing.assert_allclose(data.values[:, 0] * 255, pixels[..., 0], atol=1e-4)
    with pytest.raises(DataError, match="images carry no labels"):
        load(folder, label="kind")
    Image.fromarray(pixels[1]).save(folder / "1.png")
    values = load(folder).values
    assert values.shape == (3, 3, 5, 4)
    np.testing.assert_allclose(values[1].transpose(1, 2, 0) * 255, pixels[1], atol=1e-4)
    assert np.array_equal(values[0, 0], values[0, 2])
    Image.fromarray(pixels[0, :, :3]).save(folder / "2.png")
    with pytest.raises(DataError, match=r"0\.png is 4 x 5 pixels, 2\.png is 3 x 5; resize all images"):
        load(folder)
    (folder / "2.png").write_bytes((folder / "1.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"2\.png: cannot be read as an image"):
        load(folder)
    Image.fromarray(pixels[0, ..., 0].astype(np.uint16)).save(folder / "2.png")
    with pytest.raises(DataError, match="not an 8-bit image"):
        load(folder)
    for i in (1, 2):
        (folder / f"{i}.png").unlink()
    with pytest.raises(DataError, match="pictures: 1 row; at least 2"):
        load(folder)


# Held-out rows


@pytest.mark.parametrize("convert", [lambda x: x, torch.from_numpy, lambda x: pd.DataFrame(x, columns=["a", "b"])])
def test_split_keeps_type_rows_and_seed(convert: Callable[[Any], Any]) -> None:
    x = np.arange(200.0).reshape(100, 2)
    train, held_out, train_labels, held_out_labels = split(convert(x), np.arange(100) % 5, 0.2, seed=3)
    assert type(train) is type(convert(x)) and (len(train), len(held_out)) == (80, 20)
    both = np.concatenate([np.asarray(train), np.asarray(held_out)])
    assert np.array_equal(np.sort(both[:, 0]), x[:, 0])
    assert np.array_equal(held_out_labels, np.asarray(held_out)[:, 0] // 2 % 5) and len(train_labels) == 80
    again = split(convert(x), np.arange(100) % 5, 0.2, seed=3)
    assert np.array_equal(np.asarray(again.held_out), np.asarray(held_out))
    assert not np.array_equal(np.asarray(split(convert(x), None, 0.2, seed=4).held_out), np.asarray(held_out))


def test_split_is_proportional_by_class_even_for_rare_ones() -> None:
    labels = np.array(["a"] * 70 + ["b"] * 29 + ["c"])
    counts = []
    for seed in range(50):
        held = split(np.zeros((100, 1)), labels, 0.2, seed=seed).held_out_labels
        assert len(held) == 20 and 13 <= (held == "a").sum() <= 15 and 5 <= (held == "b").sum() <= 7
        counts.append((held == "c").sum())
    assert 0 < np.mean(counts) < 0.5
    # Every row is held back equally often.
    held = np.concatenate([split(np.arange(20)[:, None], np.arange(20) % 2, 5, seed=s).held_out for s in range(400)])
    assert np.abs(np.bincount(held[:, 0], minlength=20) - 100).max() < 4.5 * math.sqrt(75)


@pytest.mark.parametrize(
    ("n", "holdout", "expected"), [(2, 0.2, 1), (2, 0.99, 1), (10, 3, 3), (10, 9, 9), (1000, 0.5, 500)]
)
def test_split_never_leaves_a_side_empty(n: int, holdout: float, expected: int) -> None:
    train, held_out, train_labels, _ = split(np.arange(n), None, holdout)
    assert (len(train), len(held_out)) == (n - expected, expected) and train_labels is None


def test_split_refuses() -> None:
    with pytest.raises(DataError, match="1 row cannot be split"):
        split(np.zeros((1, 2)))
    with pytest.raises(DataError, match="3 labels for 4 rows"):
        split(np.zeros((4, 2)), np.zeros(3))
    for holdout in (0, 4, -1, 0.0, 1.0, -0.5, math.nan, 2.5):
        with pytest.raises(ValueError, match="holdout must be a share between 0 and 1, or from 1 to 3 of the 4 rows"):
            split(np.zeros((4, 2)), None, holdout)


# Scaling


def test_standardizer_on_vectors() -> None:
    x = np.random.default_rng(0).normal([3, -1e6, 1e-9], [1e-3, 1e3, 1e-12], size=(500, 3))
    x = np.column_stack([x, np.full(500, 0.1)])
    scaling = Standardizer.fit(x)
    z = scaling.transform(x)
    assert z.dtype == torch.float64
    np.testing.assert_allclose(z[:, :3].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(z[:, :3].std(0, correction=0), 1, rtol=1e-9)
    assert scaling.constant.tolist() == [False, False, False, True] and (z[:, 3] == 0).all()
    back = scaling.inverse(z).numpy()
    np.testing.assert_allclose(back, x, rtol=1e-14)
    assert np.array_equal(back[:, 3], x[:, 3])
    jacobian = torch.autograd.functional.jacobian(lambda v: (v - scaling.mean) / scaling.scale, torch.zeros(4).double())
    assert scaling.log_det() == pytest.approx(jacobian.diag()[:3].log().sum().item())


def test_standardizer_on_images_uses_one_scale() -> None:
    x = np.random.default_rng(0).uniform(0, 16, size=(20, 3, 4))
    x[:, 0, 0] = 0
    scaling = Standardizer.fit(x)
    assert scaling.mean.shape == () and scaling.mean.item() == pytest.approx(x.mean())
    assert scaling.scale.item() == pytest.approx(x.std()) and not scaling.constant.item()
    assert scaling.log_det() == pytest.approx(-12 * math.log(x.std()))
    np.testing.assert_allclose(scaling.inverse(scaling.transform(x)), x, atol=1e-13)
    flat = Standardizer.fit(np.full((4, 2, 2), 7.0))
    assert flat.constant.item() and flat.scale.item() == 1 and flat.log_det() == 0


def test_standardizer_survives_json_exactly() -> None:
    for x in (np.random.default_rng(1).normal(size=(9, 3)) / 3, np.random.default_rng(1).normal(size=(9, 3, 2))):
        scaling = Standardizer.fit(x)
        again = Standardizer.from_dict(json.loads(json.dumps(scaling.to_dict())))
        assert torch.equal(again.transform(x), scaling.transform(x)) and again.shape == scaling.shape
        assert torch.equal(again.constant, scaling.constant) and again.log_det() == scaling.log_det()


def test_standardizer_takes_frames_integers_and_extreme_numbers() -> None:
    frame = pd.DataFrame({"n": [1, 2, 3], "b": [True, False, True]})
    assert Standardizer.fit(frame).mean.tolist() == pytest.approx([2, 2 / 3])
    for size in (1e200, 1e-200):
        scaling = Standardizer.fit(np.array([[size], [3 * size]]))
        assert scaling.mean.item() == pytest.approx(2 * size) and scaling.scale.item() == pytest.approx(size)
    assert Standardizer.fit(np.ones((2, 2))).transform(np.array([[math.nan, 1]])).isnan().tolist() == [[True, False]]


def test_standardizer_refuses() -> None:
    scaling = Standardizer.fit(np.zeros((3, 2)))
    for wrong in (scaling.transform, scaling.inverse):
        with pytest.raises(DataError, match=r"points of shape \(3,\) given; the data fitted have \(2,\)"):
            wrong(np.zeros((3, 3)))
    for values in (np.array([[1.0], [math.nan]]), np.array([[1.0], [math.inf]]), np.array([[-1e308], [1e308]])):
        with pytest.raises(DataError, match="not finite, or too large"):
            Standardizer.fit(values)
    for empty in (np.zeros((0, 2)), np.zeros((2, 0)), np.zeros(3)):
        with pytest.raises(DataError, match="scaling needs rows"):
            Standardizer.fit(empty)
    for text in (np.array([["a"]]), pd.DataFrame({"x": ["a"]})):
        with pytest.raises(DataError, match="not all values are numbers"):
            as_float64(text)


# Saving


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_saved_tables_come_back(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    frame = FRAME.drop(columns="kind")
    save_samples(frame, path, labels=FRAME["kind"], label_name="kind")
    data = loaded(path, label="kind")
    pd.testing.assert_frame_equal(data.values, frame)
    assert list(data.labels) == list("abab")
    x = swiss_roll(50, seeded())
    save_samples(x, path)
    assert list(load(path).values) == ["x1", "x2"]
    assert np.array_equal(loaded(path).values.to_numpy().astype(np.float32), x.numpy())
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_saved_arrays_come_back(tmp_path: Path) -> None:
    x = torch.rand(6, 3, 4, 4, generator=seeded())
    for name in ("a.npy", "a.npz", "A.NPZ"):
        save_samples(x, tmp_path / name)
        assert np.array_equal(load(tmp_path / name).values, x.numpy())
    save_samples(x, tmp_path / "a.npz", labels=np.array(list("abcdef"), dtype=object), label_name="kind")
    assert "".join(loaded(tmp_path / "a.npz", label="kind").labels) == "abcdef"
    save_samples(FRAME.drop(columns="kind"), tmp_path / "b.npy")
    assert loaded(tmp_path / "b.npy").values.dtype == np.float64
    save_samples(x, tmp_path / "a.npz", labels=torch.arange(6), label_name="kind")
    assert loaded(tmp_path / "a.npz", label="kind").labels.tolist() == list(range(6))


def test_png_grid_shows_the_images(tmp_path: Path) -> None:
    images = np.zeros((5, 8, 8))
    images[1, 2, 3] = 1
    save_samples(images, tmp_path / "a.png")
    shown = np.asarray(Image.open(tmp_path / "a.png"))
    # Three across, two down; each is enlarged four times, with a border of one pixel.
    assert shown.shape == (2 * 34, 3 * 34) and shown.sum() == 16 * 255
    assert (shown[1 + 8 : 1 + 12, 34 + 1 + 12 : 34 + 1 + 16] == 255).all()
    save_samples(np.full((1, 1, 40, 40), 3.0), tmp_path / "a.png", value_range=(0, 6))
    assert np.asarray(Image.open(tmp_path / "a.png"))[1:-1, 1:-1].tolist() == np.full((40, 40), 128).tolist()
    colour = np.zeros((2, 3, 32, 32))
    colour[:, 1] = 1
    save_samples(colour, tmp_path / "a.png")
    assert np.asarray(Image.open(tmp_path / "a.png"))[5, 5].tolist() == [0, 255, 0]
    save_samples(np.zeros((500, 2, 2)), tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").size == (20 * 34, 20 * 34)


def test_png_of_two_columns_is_a_scatter_plot(tmp_path: Path) -> None:
    save_samples(swiss_roll(100, seeded()), tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").size == (900, 900)
    for shape in ((5, 3), (5, 2, 8, 8), (5, 1)):
        with pytest.raises(DataError, match="shows two columns, or grey or colour images"):
            save_samples(np.zeros(shape), tmp_path / "b.png")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_saving_refuses(tmp_path: Path) -> None:
    x = np.zeros((4, 2))
    for path in ("a.xls", "a", "a.csv.gz"):
        with pytest.raises(DataError, match=r"unknown ending .*; samples are written as \.csv"):
            save_samples(x, tmp_path / path)
    for ending in ("npy", "png"):
        with pytest.raises(DataError, match="no place for labels"):
            save_samples(x, tmp_path / f"a.{ending}", labels=np.zeros(4))
    with pytest.raises(DataError, match=r"labels have shape \(3,\); one per sample, \(4,\)"):
        save_samples(x, tmp_path / "a.csv", labels=np.zeros(3))
    with pytest.raises(DataError, match=r"samples of shape \(4, 2, 2\) are no table"):
        save_samples(np.zeros((4, 2, 2)), tmp_path / "a.csv")
    for name, frame in (("a.npz", x), ("a.csv", FRAME)):
        with pytest.raises(DataError, match=r"the name '\w+' is taken; choose another label_name"):
            save_samples(frame, tmp_path / name, labels=np.zeros(4), label_name="x" if name == "a.npz" else "kind")
    with pytest.raises(DataError, match="there are no samples to write"):
        save_samples(x[:0], tmp_path / "a.csv")
    with pytest.raises(DataError, match="some images are not finite"):
        save_samples(np.full((3, 4, 4), np.nan), tmp_path / "a.png")
    with pytest.raises(RunError, match="No such file or directory"):
        save_samples(x, tmp_path / "no" / "a.csv")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="Not a directory"):
        save_samples(x, tmp_path / "file" / "a.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(RunError, match="cannot be written"):
        save_samples(x, tmp_path / "folder.csv")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.csv"]


@pytest.mark.parametrize("ending", ["csv", "parquet", "npy", "npz", "png"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    save_samples(np.zeros((3, 2)), path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(RunError, match="cannot be written") as error:
            save_samples(np.random.default_rng(0).normal(size=(5000, 2)), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(error.value.__cause__, OSError) and error.value.__cause__.errno == errno.EFBIG
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == [path.name]


def test_gaps_are_kept_where_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,\n,4\n")
    with pytest.raises(DataError, match="2 cells are missing"):
        load(tmp_path / "a.csv")
    values = load(tmp_path / "a.csv", gaps=True).values
    assert np.isnan(np.asarray(values, dtype=float)).tolist() == [[False, True], [True, False]]
    (tmp_path / "b.csv").write_text("a,b\n1,inf\n,4\n")
    with pytest.raises(DataError, match="infinite cell in row 1, column 'b'"):
        load(tmp_path / "b.csv", gaps=True)


def test_masks_come_from_images_and_arrays(tmp_path: Path) -> None:
    known = np.array([[True, False, True], [False, False, True]])
    Image.fromarray((255 * known).astype(np.uint8)).save(tmp_path / "mask.png")
    np.save(tmp_path / "mask.npy", known.astype(float))
    for name in ("mask.png", "mask.npy"):
        np.testing.assert_array_equal(load_mask(tmp_path / name), known)
    np.save(tmp_path / "half.npy", np.array([0.5, 1.0]))
    with pytest.raises(DataError, match="a mask holds booleans, or zeros and ones, and nothing else"):
        load_mask(tmp_path / "half.npy")
    (tmp_path / "broken.png").write_bytes(b"no image")
    for name in ("missing.npy", "broken.png"):
        with pytest.raises(DataError, match="cannot be read as a mask"):
            load_mask(tmp_path / name)
