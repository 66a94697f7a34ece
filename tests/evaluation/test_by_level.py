"""Score error and loss by level, against closed forms of the Gaussian."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ncsn.errors import DataError, SettingError
from ncsn.evaluation import loss_by_level, score_error, score_error_by_level
from ncsn.exact import EmpiricalScore

SPREAD = 1.5
SIGMAS = torch.tensor([8.0, 2.0, 0.5, 0.1])


def exact(x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
    """Return the score of N(0, SPREAD^2 I)."""
    return -x / (SPREAD**2 + sigma.square())


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(n: int, *shape: int) -> Tensor:
    return SPREAD * torch.randn(n, *shape, generator=generator(0))


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 4, 4)])
def test_the_loss_of_a_gaussians_exact_score(shape: tuple[int, ...]) -> None:
    losses = loss_by_level(exact, rows(100_000 // torch.Size(shape).numel(), *shape), SIGMAS, generator(1))
    torch.testing.assert_close(losses, SPREAD**2 / (SPREAD**2 + SIGMAS**2), rtol=0.02, atol=0)


def test_a_zero_score_has_loss_one() -> None:
    losses = loss_by_level(lambda x, sigma, **condition: torch.zeros_like(x), rows(50_000, 2), SIGMAS, generator(1))
    torch.testing.assert_close(losses, torch.ones(4), rtol=0.02, atol=0)


def test_the_error_of_a_constant_shift_of_the_denoised_is_known_exactly() -> None:
    shift = torch.tensor([0.3, -0.4])
    shifted = lambda x, sigma, **condition: exact(x, sigma) + shift / sigma  # noqa: E731
    errors = score_error_by_level(shifted, exact, rows(100, 2), SIGMAS, generator(1))
    torch.testing.assert_close(errors, torch.full((4,), 0.125))


def test_the_error_is_over_the_noisy_distribution() -> None:
    # E|0.1 s|^2 sigma^2 / D = 0.01 sigma^2 / (spread^2 + sigma^2)
    scaled = lambda x, sigma, **condition: 1.1 * exact(x, sigma)  # noqa: E731
    errors = score_error_by_level(scaled, exact, rows(50_000, 2), SIGMAS, generator(1))
    torch.testing.assert_close(errors, 0.01 * SIGMAS**2 / (SPREAD**2 + SIGMAS**2), rtol=0.03, atol=0)


def test_the_loss_is_the_floor_plus_the_error() -> None:
    scaled = lambda x, sigma, **condition: 0.5 * exact(x, sigma)  # noqa: E731
    data = rows(200_000, 2)
    loss, floor = (loss_by_level(model, data, SIGMAS, generator(1)) for model in (scaled, exact))
    error = score_error_by_level(scaled, exact, data, SIGMAS, generator(1))
    torch.testing.assert_close(loss - floor, error, rtol=0.03, atol=1e-3)


def test_no_model_goes_below_the_data_sets_own_floor() -> None:
    data = rows(20, 2)
    drawn = data.repeat(2000, 1)
    floor, loss = (loss_by_level(model, drawn, SIGMAS, generator(1)) for model in (EmpiricalScore(data), exact))
    assert bool((floor < loss).all())
    # points farther apart than the noise is wide tell where they came from, the density that they were drawn of does not
    assert floor[-1] < 0.15 < 0.9 < loss[-1]


def test_the_error_of_each_row() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    errors = score_error(
        lambda x, sigma, **condition: x, lambda x, sigma, **condition: torch.zeros_like(x), x, torch.tensor(3.0)
    )
    assert errors.tolist() == [4.5, 0.0, 18.0]


def test_the_same_seed_gives_the_same_figures_and_leaves_the_global_state() -> None:
    data, state = rows(40_000, 2), torch.random.get_rng_state()
    first, second = (loss_by_level(exact, data, SIGMAS, generator(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_network_is_put_into_evaluation_mode_and_keeps_no_gradients() -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2))
    losses = loss_by_level(lambda x, sigma, **condition: network(x), rows(10, 2), SIGMAS)
    assert not losses.requires_grad

    class Model(nn.Module):
        def forward(self, x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
            assert not self.training
            return x

    # and left in its mode, part by part
    model = Model().train()
    model.frozen = nn.Dropout(0.5).eval()
    loss_by_level(model, rows(10, 2), SIGMAS)
    score_error_by_level(model, exact, rows(10, 2), SIGMAS)
    score_error(exact, model, rows(10, 2), torch.tensor(1.0))
    assert [module.training for module in model.modules()] == [True, False]


def test_a_module_that_fails_is_left_in_its_mode() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            return x[:, :1]

    model = Broken().train()
    with pytest.raises(SettingError, match="returned the shape"):
        loss_by_level(model, rows(10, 2), SIGMAS)
    assert model.training


def test_float64_stays_float64() -> None:
    assert loss_by_level(exact, rows(10, 2).double(), SIGMAS).dtype == torch.float64


@pytest.mark.parametrize("weights", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_module_is_asked_in_the_type_of_its_weights(weights: torch.dtype, dtype: torch.dtype) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            assert x.dtype == sigma.dtype == weights
            answer: Tensor = self.linear(x)
            return answer

    model, data = Model().to(weights), rows(10, 2).to(dtype)
    assert loss_by_level(model, data, SIGMAS, generator(1)).dtype == dtype
    assert score_error(model, exact, data, torch.tensor(1.0)).dtype == dtype


@pytest.mark.parametrize(
    ("samples", "sigmas", "error", "message"),
    [
        (torch.zeros(5), SIGMAS, DataError, "rows of shape"),
        (torch.zeros(0, 2), SIGMAS, DataError, "rows of shape"),
        (torch.full((5, 2), torch.nan), SIGMAS, DataError, "NaN or infinite"),
        (torch.zeros(5, 2), torch.tensor([1.0, 0.0]), SettingError, "positive, finite noise levels"),
        (torch.zeros(5, 2), torch.tensor(1.0), SettingError, "1-D tensor"),
    ],
)
def test_bad_input_is_refused(samples: Tensor, sigmas: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        loss_by_level(exact, samples, sigmas)


def test_a_score_of_another_shape_is_refused() -> None:
    with pytest.raises(SettingError, match=r"returned the shape \(5, 1\) for points of shape \(5, 2\)"):
        score_error_by_level(lambda x, sigma, **condition: x[:, :1], exact, rows(5, 2), SIGMAS)
