"""Where training's rows come from."""

import torch

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
