"""Embeddings of the noise level and of the input, against closed forms."""

import math

import pytest
import torch

from ncsn.errors import SettingError
from ncsn.networks import FourierFeatures, ResidualMLP, SinusoidalPositionEmbeddings

from .common import points


@pytest.mark.parametrize("dim", [4, 32, 64])
def test_the_embedding_depends_on_the_ratio_of_levels_alone(dim: int) -> None:
    embedding = SinusoidalPositionEmbeddings(dim).double()
    ratios = torch.tensor([1.05, 2.0, 10.0], dtype=torch.float64)
    for low in (0.01, 0.5, 10.0):
        level = torch.tensor(low, dtype=torch.float64)
        distances = (embedding(level * ratios) - embedding(level)).norm(dim=-1)
        reference = (embedding(ratios) - embedding(torch.ones((), dtype=torch.float64))).norm(dim=-1)
        torch.testing.assert_close(distances, reference)
        assert distances[1] > 0.3 * math.sqrt(dim)


def test_raw_levels_would_not_tell_small_ones_apart() -> None:
    raw = SinusoidalPositionEmbeddings(64, log_input=False)
    small, large = ((raw(torch.tensor(a)) - raw(torch.tensor(2 * a))).norm() for a in (0.01, 10.0))
    assert small < 0.05 * large


def test_the_embedding_is_cosines_and_sines_at_geometric_frequencies() -> None:
    embedding = SinusoidalPositionEmbeddings(64, max_frequency=5.0).double()
    values = embedding(torch.logspace(-2, 2, 20, dtype=torch.float64))
    torch.testing.assert_close(values.square().sum(-1), torch.full((20,), 32.0, dtype=torch.float64))
    # at sigma = 1 + small, sin(f log sigma) / log sigma is the frequency itself
    small = torch.tensor(1e-6, dtype=torch.float64)
    frequencies = embedding(small.exp())[:32] / small
    ratios = frequencies[1:] / frequencies[:-1]
    torch.testing.assert_close(ratios, ratios[:1].expand(31), rtol=1e-5, atol=0)
    assert frequencies[-1].item() == pytest.approx(5.0, rel=1e-6)
    # the slowest frequency tells all levels from 1e-4 to 1e4 apart without coming round
    assert frequencies[0] * math.log(1e8) < math.pi
    log_levels = torch.tensor([-1.0, 0.5], dtype=torch.float64)
    unlogged = SinusoidalPositionEmbeddings(64, max_frequency=5.0, log_input=False).double()
    torch.testing.assert_close(unlogged(log_levels), embedding(log_levels.exp()))


@pytest.mark.parametrize("dim", [3, 2, 0, -4, 33])
def test_bad_embedding_lengths(dim: int) -> None:
    with pytest.raises(SettingError, match=f"the embedding's dim must be even and at least 4, not {dim}"):
        SinusoidalPositionEmbeddings(dim)


def test_fourier_features_approximate_a_gaussian_kernel() -> None:
    n, scale = 20_000, 1.7
    torch.manual_seed(0)
    features = FourierFeatures(3, n, scale)
    x = points(12, 3) / 2
    kernel = features(x) @ features(x).T / n
    expected = torch.exp(-(scale**2) * torch.cdist(x, x).square() / 2)
    # the mean of n cosines, each of variance at most 1/2
    assert (kernel - expected).abs().max() < 5 * math.sqrt(0.5 / n)


def test_random_features_are_saved_and_fixed_frequencies_are_not() -> None:
    names = set(ResidualMLP((2,), 8, 1, n_fourier=4).state_dict())
    assert "fourier.projection" in names
    assert not any("frequencies" in name for name in names)
