"""Images compared in features: bad ones look bad in each measure, of which each is held to what it is known to be."""

import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import linalg
from scipy.ndimage import gaussian_filter

from ncsn.data import load, split
from ncsn.errors import DataError, SettingError
from ncsn.evaluation import (
    Classifier,
    ImageFeatures,
    compare,
    features_at,
    frechet_distance,
    inception,
    kernel_distance,
    train_classifier,
)

from .common import normal, seeded

DIGITS = load("digits")
PARTS = split(DIGITS.values, DIGITS.labels, 0.4)


@pytest.fixture(scope="module")
def judge() -> ImageFeatures:
    return train_classifier(PARTS.train, PARTS.train_labels, PARTS.held_out, PARTS.held_out_labels)


def bad_images() -> dict[str, NDArray[Any]]:
    random, train = np.random.default_rng(0), PARTS.train
    noise = random.normal(train.mean(), train.std(), train.shape).clip(0, 16)
    shuffled = random.permuted(train.reshape(len(train), -1), axis=1).reshape(train.shape)
    blurred = gaussian_filter(train, (0, 1, 1))
    return {"noise": noise, "shuffled": shuffled, "blurred": blurred, "halves": np.roll(train, 4, axis=2)}


def test_the_classifier_reads_digits_and_says_how_well(judge: ImageFeatures) -> None:
    assert isinstance(judge.network, Classifier) and judge.network.accuracy > 0.95
    read = judge.network.probabilities(judge(PARTS.held_out, (0, 16)))
    share = (judge.network.classes[read.argmax(1)] == PARTS.held_out_labels).mean()
    assert judge.network.accuracy == pytest.approx(share) and f"{share:.1%} accuracy" in judge.name
    noise = judge.network.probabilities(judge(bad_images()["noise"], (0, 16)))
    assert (noise.max(1) > 0.9).mean() < 0.05


@pytest.mark.parametrize("name", bad_images())
def test_bad_images_are_bad_in_every_column(judge: ImageFeatures, name: str) -> None:
    table = compare(bad_images()[name], PARTS.held_out, PARTS.train, features=judge, generator=seeded())
    for row in table.measures:
        if row.name in ("precision", "density", "coverage", "confident"):
            assert row.value < 0.75 * row.floor, row
        elif row.name != "copied_fraction":
            assert row.value > 1.5 * max(row.floor, 0), row
    assert "recall" not in [row.name for row in table.measures]
    assert "far from the data" in table.verdict and "lie where no data are" in table.verdict


@pytest.mark.parametrize("name", ["noise", "shuffled", "blurred"])
def test_bad_images_are_bad_by_pixels_too(name: str) -> None:
    table = compare(bad_images()[name], PARTS.held_out, PARTS.train, generator=seeded())
    assert "pixels" in str(table) and "far from the data" in table.verdict
    names = {row.name for row in table.measures}
    assert names == {"c2st", "frechet_distance", "kernel_distance", "coverage", "copied_fraction"}
    assert table["coverage"].value < 0.6 * table["coverage"].floor and table["c2st"].value > 0.9


def test_a_missing_class_and_copies_are_seen(judge: ImageFeatures, no_classifiers: None) -> None:
    fresh, labels = PARTS.held_out[::2], PARTS.held_out_labels[::2]
    rest = PARTS.held_out[1::2]
    good = compare(fresh, rest, PARTS.train, features=judge, asked=labels, generator=seeded())
    assert "far from" not in good.verdict and good["class_shares"].value < 0.12
    assert good["read_as_asked"].value == pytest.approx(good["read_as_asked"].floor, abs=0.03)
    some = compare(fresh[labels != 3], rest, PARTS.train, features=judge, generator=seeded())
    assert some["class_shares"].value > (PARTS.held_out_labels[1::2] == 3).mean() - 0.02
    assert (some["frechet_distance"].ratio or 0) > 1.5 * (good["frechet_distance"].ratio or 0)
    copies = compare(PARTS.train, rest, PARTS.train, features=judge, generator=seeded())
    assert copies["copied_fraction"].value == 1 and "100% are copies of training data" in copies.verdict
    wrong = compare(fresh, rest, PARTS.train, features=judge, asked=np.roll(labels, 1), generator=seeded())
    assert wrong["read_as_asked"].value < 0.3 and "read as the class that was asked" in wrong.verdict


def test_samples_that_are_not_finite_are_left_out_with_their_classes(
    judge: ImageFeatures, no_classifiers: None
) -> None:
    fresh, labels = PARTS.held_out.copy(), PARTS.held_out_labels
    fresh[::3] = np.nan
    table = compare(fresh, PARTS.held_out, PARTS.train, features=judge, asked=labels, generator=seeded())
    assert table.n_non_finite == len(fresh[::3]) and table["read_as_asked"].value > 0.9


def test_kernel_distance() -> None:
    # by hand, in one dimension: (x y + 1)^3
    a, b = np.array([0.0, 1.0]), np.array([1.0, 2.0, 3.0])
    own_a, own_b = 1.0, (3**3 + 4**3 + 7**3) / 3
    cross = (3 + 2**3 + 3**3 + 4**3) / 6
    assert kernel_distance(a, b) == pytest.approx(own_a + own_b - 2 * cross)
    values = [kernel_distance(normal(60, 8, seed=2 * s), normal(90, 8, seed=2 * s + 1)) for s in range(200)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(200) and min(values) < 0


def test_frechet_distance_is_the_formula_of_fid(judge: ImageFeatures) -> None:
    a, b = (judge(images, (0, 16)) for images in (PARTS.held_out, PARTS.train))
    covariances = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.trace(linalg.sqrtm(covariances[0] @ covariances[1])).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1]) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)
    table = compare(PARTS.held_out[:200], PARTS.held_out, PARTS.train, features=judge, generator=seeded())
    assert table["frechet_distance"].value == pytest.approx(frechet_distance(a[:200], a))


def test_what_a_network_of_ones_own_is_given() -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 5, 6, 3), dtype=np.uint8)
    seen: list[torch.Tensor] = []

    def network(given: torch.Tensor) -> torch.Tensor:
        seen.append(given)
        return given.mean((2, 3))

    rows = ImageFeatures(network, "colours", (-1, 1))(images)
    expected = images.astype(float).mean((1, 2)) / 127.5 - 1
    np.testing.assert_allclose(rows, expected, atol=1e-6)
    assert seen[0].shape == (40, 3, 5, 6) and seen[0].min() >= -1
    table = compare(images[:10], images[10:25], images[25:], features=network, generator=seeded())
    assert table.judge == "network" and "precision" in table.to_dict()["measures"]


def test_networks_from_files(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 7))
    example = (torch.rand(2, 1, 8, 8),)
    batch = {"input": {0: torch.export.Dim("n")}}
    torch.export.save(torch.export.export(network, example, dynamic_shapes=batch), tmp_path / "net.pt2")
    torch.jit.script(network).save(tmp_path / "net.pt")
    expected = network(torch.from_numpy(DIGITS.values[:, None] / 16).float()).detach().numpy()
    for name in ("net.pt2", "net.pt"):
        np.testing.assert_allclose(features_at(str(tmp_path / name))(DIGITS.values), expected, atol=1e-5)
    assert features_at("ncsn.evaluation.features:as_images").name == "as_images"


def test_of_many_images_some_are_taken_and_it_is_said(monkeypatch: pytest.MonkeyPatch, no_classifiers: None) -> None:
    seen: list[int] = []

    def network(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return images.flatten(1)

    monkeypatch.setattr("ncsn.evaluation.sets.MOST_IMAGES", 40)
    images = np.random.default_rng(0).integers(0, 256, (160, 4, 4), dtype=np.uint8)
    labels = np.arange(100) % 2
    table = compare(images[:100], images[100:130], images, features=network, asked=labels, generator=seeded())
    assert seen == [40, 30, 40] and (table.n_rows, table.n_held_out) == (40, 30)
    said = "copies are looked for among 40 of the 160 training images, taken at random"
    assert said in str(table) and table.to_dict()["copies_among"] == (40, 160)
    few = compare(*(images[:30] for _ in range(3)), features=network, generator=seeded())
    assert "copies are looked for" not in str(few) and few["copied_fraction"].value == 1


def test_images_stay_in_8_bits_until_a_few_are_needed() -> None:
    images = np.random.default_rng(0).integers(0, 256, (400, 3, 64, 64), dtype=np.uint8)
    tracemalloc.start()
    features = ImageFeatures(lambda batch: batch.mean((2, 3)), "colours")
    table = compare(images[:100], images[100:200], images, features=features, generator=seeded(), max_rows=20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # NumPy's share: in float64 the training images alone would be 39 MB; 40 of them, whose components are found, are 4
    assert peak < 25e6 and table.n_rows == 100


class Trap:
    def __reduce__(self) -> Any:
        return os.mkdir, ("trapped",)


def test_files_run_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 7))
    torch.export.save(torch.export.export(network, (torch.rand(2, 1, 8, 8),)), "net.pt2")
    torch.save(Trap(), "trap.pt")
    inner = Path("trap.pt").read_bytes()
    with zipfile.ZipFile("net.pt2") as whole, zipfile.ZipFile("bad.pt2", "w") as bad:
        for entry in whole.namelist():
            bad.writestr(entry, inner if "sample_inputs" in entry else whole.read(entry))
    Path("plain.pt").write_bytes(pickle.dumps(Trap()))
    for name in ("bad.pt2", "trap.pt", "plain.pt"):
        with pytest.raises(SettingError, match="cannot be read as a network without running code in it"):
            features_at(name)
    assert not Path("trapped").exists() and "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_bad_input_is_named(judge: ImageFeatures, tmp_path: Path) -> None:
    sets = PARTS.held_out, PARTS.held_out, PARTS.train
    with pytest.raises(SettingError, match="features and asked are for images"):
        compare(*(x.reshape(-1, 64) for x in sets), features=judge)
    with pytest.raises(SettingError, match="not scaled by 'standard'"):
        compare(*sets, scaling="standard")
    with pytest.raises(SettingError, match="a network that takes images"):
        compare(*sets, features=3)
    with pytest.raises(DataError, match="1 classes of 20 images"):
        train_classifier(PARTS.train[:20], np.zeros(20), PARTS.held_out, PARTS.held_out_labels)
    with pytest.raises(DataError, match=r"cannot take images of shape .*: no idea"):
        compare(*sets, features=_refuse)
    with pytest.raises(DataError, match="must return one row of numbers an image"):
        compare(*sets, features=lambda images: images.mean())
    with pytest.raises(DataError, match="are not all finite"):
        compare(*sets, features=lambda images: images.flatten(1).log())
    with pytest.raises(SettingError, match="no such file of Inception's weights"):
        features_at("inception:nothing.pth")
    with pytest.raises(SettingError, match="is no file; give one"):
        features_at("nothing.pt2")
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"")
    try:
        import torch_fidelity  # noqa: F401
    except ImportError:
        with pytest.raises(SettingError, match="needs torch-fidelity and torchvision"):
            inception(weights)


def _refuse(images: torch.Tensor) -> torch.Tensor:
    raise ValueError("no idea\nmore")
