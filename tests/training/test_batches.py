"""Where training's rows come from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ncsn.training import Batches

from .common import two_clusters


def test_rows_are_drawn_evenly_by_the_generator_alone() -> None:
    batches, state = Batches(two_clusters(10)), torch.get_rng_state()
    drawn, again = (batches.draw(20_000, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(drawn, again)
    assert torch.equal(torch.get_rng_state(), state)
    counts = drawn.bincount(minlength=10)
    # four standard errors of a binomial count
    assert bool(((counts - 2000).abs() < 4 * (20_000 * 0.1 * 0.9) ** 0.5).all())


def test_the_exact_score_is_of_the_rows_asked_for() -> None:
    data, labels = two_clusters(10), torch.arange(10) % 2
    batches = Batches(data, labels)
    some = batches.exact(torch.tensor([3, 3, 7]))
    assert torch.equal(some.data, data[[3, 3, 7]])
    assert some.labels is not None
    assert some.labels.tolist() == [1, 1, 1]
    assert torch.equal(batches.exact(slice(None)).data, data)
    assert Batches(data).exact(slice(4)).labels is None


def test_rows_take_a_type_and_labels_stay_whole() -> None:
    batches = Batches(two_clusters(10), torch.arange(10)).to(torch.device("cpu"), torch.float64)
    assert batches.data.dtype == torch.float64
    assert batches.labels is not None
    assert batches.labels.dtype == torch.int64
    assert list(batches.tensors()) == ["data", "labels"]
    assert list(Batches(two_clusters(10)).tensors()) == ["data"]


def halved(values: Tensor) -> Tensor:
    return (values.float() - 100) / 2


@pytest.mark.parametrize("kind", ["tensor", "array", "mapped from a file", "read only"])
def test_bytes_become_rows_only_where_they_are_picked(kind: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 3, 4, 5)).astype(np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    mode: Any = {"mapped from a file": "c", "read only": "r"}.get(kind)
    data = torch.from_numpy(pixels) if kind == "tensor" else np.load(tmp_path / "x.npy", mmap_mode=mode)
    batches = Batches(data, torch.arange(50), halved).to(torch.device("cpu"), torch.float64)
    assert batches.data is data
    positions = torch.tensor([7, 7, 3])
    expected = (pixels[[7, 7, 3]].astype(np.float64) - 100) / 2
    assert batches.rows(positions).dtype == torch.float64
    assert np.array_equal(batches.rows(positions).numpy(), expected)
    assert np.array_equal(batches.exact(positions).data.numpy(), expected)
    rows, labels = (torch.cat(parts) for parts in zip(*batches.chunks(), strict=True))
    assert np.array_equal(rows.numpy(), (pixels.astype(np.float64) - 100) / 2)
    assert labels.tolist() == list(range(50))
    assert np.array_equal(pixels, np.asarray(data))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float16, np.float64, ">f4"])
def test_images_of_any_type_are_picked(dtype: str) -> None:
    pixels = np.arange(24).reshape(2, 3, 4).astype(dtype)
    assert np.array_equal(
        Batches(pixels, encode=halved).rows(slice(None)).numpy(), (np.arange(24).reshape(2, 3, 4) - 100) / 2
    )


def test_some_rows_are_a_choice_in_their_order_without_repeats() -> None:
    batches = Batches(torch.arange(100.0).reshape(100, 1))
    some = batches.some(30)[:, 0]
    assert len(some) == 30
    assert bool((some.diff() > 0).all())
    assert torch.equal(some, batches.some(30)[:, 0])
    assert torch.equal(batches.some(100)[:, 0], torch.arange(100.0))


def test_arrays_are_told_apart_by_what_they_hold() -> None:
    pixels = np.zeros((9000, 2, 2), dtype=np.uint8)
    same, other = pixels.copy(), pixels.copy()
    other[-1, -1, -1] = 1
    facts = [Batches(x, encode=halved).tensors()["data"] for x in (pixels, same, other)]
    assert torch.equal(facts[0], facts[1])
    assert not torch.equal(facts[0], facts[2])
