"""Weights of rows: a weight of 2 is the row twice, of 0 no row."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_models import SMALL, white

from ncsn import NCSN
from ncsn.data.streams import Stream
from ncsn.errors import DataError, SettingError
from ncsn.model import Moments
from ncsn.model.training_data import TrainingData
from ncsn.training import Batches


def test_rows_are_drawn_as_often_as_their_weights_say() -> None:
    weights = torch.tensor([1.0, 0.0, 3.0, 4.0], dtype=torch.float64)
    batches = Batches(torch.arange(4.0).unsqueeze(1), weights=weights).to(torch.device("cpu"), torch.float32)
    drawn = batches.draw(40_000, torch.Generator().manual_seed(0))
    shares = drawn.bincount(minlength=4) / 40_000
    expected = weights / weights.sum()
    # 4 standard errors
    assert bool(((shares - expected).abs() <= 4 * (expected * (1 - expected) / 40_000).sqrt()).all())


@pytest.mark.parametrize("shape", [(3,), (2, 2)])
def test_moments_are_those_of_rows_as_often(shape: tuple[int, ...]) -> None:
    rows = torch.randn(40, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    codes, counts = torch.arange(40) % 2, torch.arange(40) % 4
    weighted = Moments.of(rows, codes, 2, counts.double())
    often = Moments.of(rows.repeat_interleave(counts, 0), codes.repeat_interleave(counts), 2)
    torch.testing.assert_close(weighted.means, often.means)
    # they differ by whether N - 1 counts rows or copies
    torch.testing.assert_close(weighted.covariances, often.covariances, rtol=0.08, atol=0)
    chunks = [(rows[i : i + 16], codes[i : i + 16]) for i in range(0, 40, 16)]
    in_parts = Moments.of_chunks(chunks, 2, counts.double())
    torch.testing.assert_close(in_parts.means, often.means)
    variances = often.covariances if rows.ndim > 2 else often.covariances.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(in_parts.covariances, variances, rtol=0.08, atol=0)


@pytest.mark.parametrize("shape", [(3,), (2, 2)])
def test_variances_of_uneven_weights_are_those_of_numpy(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(12, *shape, generator=generator, dtype=torch.float64)
    weights = torch.rand(12, generator=generator, dtype=torch.float64) ** 3
    expected = np.cov(rows.flatten(1).numpy().T, aweights=weights.numpy())
    found = Moments.of(rows, weights=weights).covariances[0]
    np.testing.assert_allclose(found.flatten(), (expected if len(shape) == 1 else expected.diagonal()).flatten())
    in_parts = Moments.of_chunks([(rows[:5], None), (rows[5:], None)], weights=weights).covariances[0]
    np.testing.assert_allclose(in_parts.flatten(), expected.diagonal())


def test_rows_without_weight_are_left_out_wherever_they_are() -> None:
    frame = pd.DataFrame(white(60, 2), columns=["a", "b"])
    weights = np.r_[np.zeros(20), np.ones(40)]
    y, context = np.repeat(["x", "y", "z"], 20), white(60, 1, seed=1)
    data = TrainingData.of(frame, y, None, 0, context, weights)
    kept = TrainingData.of(frame.iloc[20:], y[20:], None, 0, context[20:])
    assert data.n_classes == 2 and data.n_rows == 40
    assert data.told is not None and kept.told is not None
    torch.testing.assert_close(data.told, kept.told)
    torch.testing.assert_close(data.some, kept.some)


def test_a_model_with_weights_is_that_of_rows_as_often() -> None:
    rng = np.random.default_rng(0)
    x = rng.choice([-2.0, 2.0], 800)[:, None] + 0.3 * rng.standard_normal((800, 1))
    settings: dict[str, Any] = {"width": 32, "n_blocks": 1, "training_steps": 500, "random_state": 0}
    model = NCSN(**settings).fit(x, sample_weight=np.where(x[:, 0] > 0, 3.0, 1.0))
    often = NCSN(**settings).fit(np.concatenate([x, x[x[:, 0] > 0], x[x[:, 0] > 0]]))
    right, expected = ((each.sample(3000, random_state=1) > 0).mean() for each in (model, often))
    # three quarters are right, to within what two seeds differ by
    assert right == pytest.approx(3 * (x > 0).mean() / (1 + 2 * (x > 0).mean()), abs=0.04)
    assert right == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(49), r"sample_weight.shape == \(49,\), expected \(50,\)"),
        (np.ones((50, 1)), "sample_weight must have one axis"),
        (np.r_[-1.0, np.ones(49)], "weights must be finite, and at least 0"),
        (np.r_[np.nan, np.ones(49)], "weights must be finite, and at least 0"),
        (np.r_[1.0, np.zeros(49)], "all weights are zero, or all but one; at least 2 rows need one above"),
        (["a"] * 50, "not all weights are numbers"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        NCSN(**SMALL | {"training_steps": 1}).fit(white(50, 2), sample_weight=weights)


def test_a_stream_has_no_weights_or_contexts() -> None:
    stream = Stream([np.zeros((4, 8, 8), np.uint8)])
    with pytest.raises(SettingError, match="a stream has neither contexts nor weights"):
        TrainingData.of(stream, context=np.arange(4.0))
