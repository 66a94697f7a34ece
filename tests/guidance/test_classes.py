"""Class guidance against exact class scores."""

import math

import pytest
import torch

from ncsn.errors import SettingError
from ncsn.exact import GaussianMixtureScore
from ncsn.guidance import ClassGuidance
from ncsn.networks import PreconditionedScore, ResidualMLP
from ncsn.samplers import sample

from .common import generator, levels, mixture


def test_guidance_of_weight_one_and_zero_is_exact() -> None:
    model = mixture(labels=[0, 1, 1])
    x = torch.randn(50, 3, generator=generator())
    label = torch.tensor([0, 1]).repeat(25)
    for sigma in (torch.tensor(0.3), torch.linspace(0.1, 5, 50)):
        assert torch.equal(ClassGuidance(model, 1.0)(x, sigma, label=label), model(x, sigma, label=label))
        assert torch.equal(ClassGuidance(model, 0.0)(x, sigma, label=label), model(x, sigma))


def test_guidance_is_the_papers_formula() -> None:
    model = mixture(labels=[0, 1, 1])
    x, sigma = torch.randn(50, 3, generator=generator(), dtype=torch.float64), torch.tensor(0.7)
    w = 1.5
    expected = (1 + w) * model(x, sigma, label=1) - w * model(x, sigma)
    assert torch.allclose(ClassGuidance(model, 1 + w)(x, sigma, label=1), expected, rtol=1e-12)


def test_guidance_leaves_rows_without_label_alone() -> None:
    model = mixture(labels=[0, 1, 1])
    x, sigma = torch.randn(4, 3, generator=generator()), torch.tensor(0.7)
    label = torch.tensor([-1, 0, -1, 1])
    guided, plain = ClassGuidance(model, 4.0)(x, sigma, label=label), model(x, sigma)
    assert torch.equal(guided[label < 0], plain[label < 0])
    assert not torch.isclose(guided[label >= 0], plain[label >= 0]).any()


def test_guided_samples_keep_away_from_the_other_class() -> None:
    model = GaussianMixtureScore([0.5, 0.5], [[-1.0], [1.0]], 1.0, labels=[0, 1])
    label = torch.ones(2000, dtype=torch.long)
    drawn = {
        weight: sample(
            ClassGuidance(model, weight), levels(20, 80.0), 2000, 1, generator=generator(), condition={"label": label}
        )
        for weight in (1.0, 3.0)
    }
    assert abs(float(drawn[1.0].mean()) - 1) < 0.08 > abs(float(drawn[1.0].std()) - 1)
    assert float((drawn[3.0] < 0).double().mean()) < 0.2 * float((drawn[1.0] < 0).double().mean())


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_guidance_refuses_a_weight_that_is_no_number(weight: float) -> None:
    with pytest.raises(SettingError, match="must be finite"):
        ClassGuidance(mixture(), weight)


def test_guidance_says_its_weight() -> None:
    assert "weight=2.5" in repr(ClassGuidance(mixture(), 2.5))


def test_a_guided_network_in_single_precision_draws_in_double_and_is_put_back() -> None:
    network = PreconditionedScore(ResidualMLP((2,), 8, 1, n_classes=2, dropout=0.5))
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator()) / 4)
    guided = ClassGuidance(network, 2.0)
    label = torch.tensor([0, 1, 1, -1])
    x = 10 * torch.randn(4, 2, generator=generator(), dtype=torch.float64)
    drawn = sample(guided, levels(5), 4, 2, "heun", x, condition={"label": label})
    assert drawn.dtype == torch.float64
    assert guided.training and network.training
    guided.double()
    exact = sample(guided, levels(5), 4, 2, "heun", x, condition={"label": label})
    assert not torch.equal(drawn, exact)
    torch.testing.assert_close(drawn, exact, rtol=1e-4, atol=1e-4)


def test_guidance_to_a_context_and_a_class_is_the_same_formula() -> None:
    def model(x: torch.Tensor, sigma: torch.Tensor, *, label: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        told = torch.where(context.isnan(), 0.0, context) + torch.where(label < 0, 0, 10 * label)[:, None]
        return (told - x) / (1 + sigma**2)

    x, sigma = torch.randn(4, 1, generator=generator()), torch.tensor(0.7)
    label, context = torch.tensor([-1, 1, 2, -1]), torch.tensor([[1.0], [torch.nan], [3.0], [torch.nan]])
    centre = 2.5 * torch.tensor([[1.0], [10.0], [23.0], [0.0]])
    guided = ClassGuidance(model, 2.5)(x, sigma, label=label, context=context)
    torch.testing.assert_close(guided, (centre - x) / (1 + sigma**2))


def test_guidance_to_a_context_alone() -> None:
    def model(x: torch.Tensor, sigma: torch.Tensor, *, context: torch.Tensor) -> torch.Tensor:
        return (context.nan_to_num() - x) / (1 + sigma**2)

    x, sigma, context = torch.zeros(2, 1), torch.tensor(0.0), torch.tensor([[1.0], [2.0]])
    torch.testing.assert_close(ClassGuidance(model, 3.0)(x, sigma, context=context), 3 * context)
