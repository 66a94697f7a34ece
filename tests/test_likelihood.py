"""Log-densities against exact mixtures, torch.distributions and an independent solver."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from mixtures import generator, mixture, points
from scipy.integrate import solve_ivp
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from ncsn.errors import DivergenceError, SettingError
from ncsn.exact import GaussianMixtureScore
from ncsn.likelihood import EXACT_TRACE_UP_TO, log_density
from ncsn.networks import NCSNScoreNetwork, PreconditionedScore, ResidualMLP
from ncsn.score import ScoreModel

CENTRE = torch.tensor([1.5, 0.5], dtype=torch.float64)


def pair(x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
    """Return the score of two equal modes of variance 0.04 at CENTRE and -CENTRE, or of the one that labels of +-1 name."""
    variance, centre = 0.04 + sigma**2, CENTRE.to(x)
    share = ((x * centre).sum(-1, keepdim=True) / variance).tanh() if label is None else label[..., None]
    return (share * centre - x) / variance


def pair_density(x: Tensor, sigma: float, label: Tensor | None = None) -> Tensor:
    def log_normal(side: Tensor | int) -> Tensor:
        centre = torch.as_tensor(side)[..., None] * CENTRE
        return torch.distributions.Normal(centre, math.sqrt(0.04 + sigma**2)).log_prob(x).sum(-1)

    return log_normal(label) if label is not None else torch.logaddexp(log_normal(1), log_normal(-1)) - math.log(2)


PAIR_MOMENTS: dict[str, Any] = {"mean": 0.0, "covariance": CENTRE.outer(CENTRE) + 0.04 * torch.eye(2)}


def standard_normal(x: Tensor, sigma: Tensor) -> Tensor:
    return -x / (1 + sigma**2)


@pytest.mark.parametrize(("dim", "sigma_min"), [(1, 1e-3), (2, 1e-3), (5, 1e-3), (2, 0.3)])
def test_exact_mixtures_to_a_thousandth_of_a_nat(dim: int, sigma_min: float) -> None:
    model = mixture(dim)
    x = torch.cat([model.sample(40, generator(), sigma_min), 2 * points(2, dim)])
    found = log_density(model, x, sigma_min, 200.0, mean=model.mean, covariance=model.covariance)
    truth = model.log_density(x, sigma_min)
    assert truth.std() > 0.5
    assert (found - truth).abs()[:40].max() < 1e-3
    # far from the data the density itself is e^-100 and less
    assert ((found - truth) / truth).abs().max() < 1e-3


def test_a_row_far_out_does_not_cost_the_others_their_accuracy() -> None:
    x = torch.cat([0.2 * points(20, 2) + CENTRE, torch.tensor([[3.0, -10.0]])])
    truth = pair_density(x, 0.01)
    assert truth[-1] < -1000
    error = log_density(pair, x, 0.01, 500.0, **PAIR_MOMENTS) - truth
    assert error[:-1].abs().max() < 1e-3
    assert error[-1].abs() < 1e-4 * truth[-1].abs()


def test_the_tolerance_is_kept_by_the_worst_of_many_rows() -> None:
    # one row is torn between the modes, the others rest in one
    x = torch.cat([CENTRE.expand(500, 2), torch.tensor([[-0.01, 0.02]])])
    truth = pair_density(x, 0.01)
    alone = log_density(pair, x[-1:], 0.01, 500.0, **PAIR_MOMENTS) - truth[-1:]
    among = log_density(pair, x, 0.01, 500.0, **PAIR_MOMENTS) - truth
    assert alone.abs() < 1e-3
    assert among.abs().max() < 1e-3
    strict = log_density(pair, x, 0.01, 500.0, tolerance=1e-8, **PAIR_MOMENTS) - truth
    assert strict.abs().max() < 1e-5


def test_the_end_is_a_gaussian_of_the_data_s_moments() -> None:
    covariance = torch.tensor([[2.0, 0.9], [0.9, 0.7]], dtype=torch.float64)
    mean = torch.tensor([3.0, -1.0], dtype=torch.float64)
    model, x = GaussianMixtureScore([1.0], mean[None], covariance[None]), mean + 2 * points(10, 2)
    truth = MultivariateNormal(mean, covariance + 0.01 * torch.eye(2)).log_prob(x)
    # the moments are those of the data, so that even a small largest level is exact
    torch.testing.assert_close(
        log_density(model, x, 0.1, 0.5, mean=mean, covariance=covariance, tolerance=1e-8), truth, rtol=0, atol=1e-6
    )
    without = log_density(model, x, 0.1, 0.5, tolerance=1e-8)
    assert (without - truth).abs().min() > 0.1


@pytest.mark.parametrize("covariance", [1.0, torch.tensor([1.0, 1.0]), torch.eye(2)])
def test_ways_to_give_the_covariance(covariance: Tensor | float) -> None:
    x = points(10, 2)
    found = log_density(standard_normal, x, 0.1, 2.0, covariance=covariance, tolerance=1e-8)
    truth = MultivariateNormal(torch.zeros(2).double(), 1.01 * torch.eye(2).double()).log_prob(x)
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-6)


# The trace


def test_hutchinson_is_unbiased() -> None:
    model, n = mixture(5), 400
    x = model.sample(2, generator())
    exact = log_density(model, x, 0.1, 20.0, trace="exact", tolerance=1e-4)
    options: dict[str, Any] = {"trace": "hutchinson", "tolerance": 1e-4}
    estimates = log_density(model, x.repeat(n, 1), 0.1, 20.0, n_probes=1, generator=generator(), **options).reshape(
        n, 2
    )
    standard_error = estimates.std(0) / math.sqrt(n)
    assert bool((standard_error > 0.01).all())
    assert bool(((estimates.mean(0) - exact).abs() < 4 * standard_error).all())
    # the mean over probes is the mean over estimates of one probe each
    many = log_density(model, x.repeat(100, 1), 0.1, 20.0, n_probes=16, generator=generator(1), **options).reshape(
        100, 2
    )
    np.testing.assert_allclose(many.std(0) / estimates.std(0), 1 / 4, rtol=4 * math.sqrt(1 / 200 + 1 / 800))


@pytest.mark.parametrize("dim", [2, 40])
def test_hutchinson_is_exact_where_the_jacobian_is_a_multiple_of_one(dim: int) -> None:
    x = points(5, dim)
    found = [
        log_density(standard_normal, x, 0.1, 20.0, covariance=1.0, trace=trace, n_probes=1)
        for trace in ("exact", "hutchinson")
    ]
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-6)
    truth = -0.5 * (x.square().sum(1) / 1.01 + dim * math.log(2 * math.pi * 1.01))
    torch.testing.assert_close(found[0], truth, rtol=0, atol=dim * 1e-4)


@pytest.mark.parametrize("dim", [EXACT_TRACE_UP_TO, EXACT_TRACE_UP_TO + 1])
def test_auto_is_exact_in_few_dimensions(dim: int) -> None:
    weights = torch.linspace(0.5, 2.0, dim, dtype=torch.float64)
    turn = torch.linalg.qr(points(dim, dim))[0]

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return -(x @ turn / (weights + sigma**2)) @ turn.T

    def found(trace: str, seed: int) -> Tensor:
        return log_density(model, points(2, dim), 0.5, 5.0, trace=trace, n_probes=2, generator=generator(seed))

    auto, exact, hutchinson = found("auto", 0), found("exact", 1), found("hutchinson", 0)
    assert torch.equal(auto, exact if dim <= EXACT_TRACE_UP_TO else hutchinson)
    assert (exact - hutchinson).abs().min() > 1e-3


def test_probes_follow_the_generator_alone() -> None:
    def found(random: torch.Generator | None) -> Tensor:
        return log_density(pair, points(3, 2), 0.1, 10.0, trace="hutchinson", generator=random, tolerance=1e-2)

    state = torch.get_rng_state()
    assert torch.equal(found(generator(3)), found(generator(3)))
    assert not torch.equal(found(generator(3)), found(generator(4)))
    assert torch.equal(torch.get_rng_state(), state)
    found(None)
    assert not torch.equal(torch.get_rng_state(), state)


# Shapes, types, conditions, chunks


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
def test_images(trace: str) -> None:
    shape, dim = (1, 2, 3), 6
    factors = points(dim, dim)
    covariance = factors @ factors.T / dim + 0.1 * torch.eye(dim)
    flat = GaussianMixtureScore([1.0], torch.zeros(1, dim).double(), covariance[None])

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return flat(x.flatten(1), sigma).reshape(x.shape)

    x = points(4, *shape, seed=1)
    options: dict[str, Any] = {"covariance": covariance, "trace": trace, "n_probes": 6, "generator": generator()}
    found = log_density(model, x, 0.1, 20.0, **options)
    same = log_density(flat, x.flatten(1), 0.1, 20.0, **(options | {"generator": generator()}))
    torch.testing.assert_close(found, same, rtol=1e-9, atol=1e-9)
    if trace == "exact":
        truth = MultivariateNormal(torch.zeros(dim).double(), covariance + 0.01 * torch.eye(dim)).log_prob(x.flatten(1))
        torch.testing.assert_close(found, truth, rtol=0, atol=1e-3)


def test_a_variance_for_each_pixel() -> None:
    variances, mean = points(1, 2, 2).square() + 0.1, points(1, 2, 2, seed=1)

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return -(x - mean) / (variances + sigma**2)

    x = mean + points(5, 1, 2, 2, seed=2)
    truth = torch.distributions.Normal(mean, (variances + 0.01).sqrt()).log_prob(x).sum((1, 2, 3))
    found = log_density(model, x, 0.1, 2.0, mean=mean, covariance=variances)
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-3)


def test_the_type_of_the_rows_is_the_answer_s() -> None:
    x = points(5, 2)
    options: dict[str, Any] = {"covariance": torch.eye(2).double(), "mean": torch.zeros(2).double()}
    double, single = (log_density(standard_normal, rows, 1e-2, 50.0, **options) for rows in (x, x.float()))
    assert double.dtype == torch.float64
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=0, atol=2e-4)
    precise = log_density(standard_normal, x, 1e-2, 50.0, tolerance=1e-11, **options)
    truth = -0.5 * (x.square().sum(1) / 1.0001 + 2 * math.log(2 * math.pi * 1.0001))
    torch.testing.assert_close(precise, truth, rtol=0, atol=1e-9)


class Asked(nn.Module):
    """The score of a standard normal, by a matrix that takes its own type alone; it notes in which types it is asked."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.eye(2, dtype=dtype))
        self.types: set[tuple[torch.dtype, torch.dtype]] = set()

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.types.add((x.dtype, sigma.dtype))
        return standard_normal(x @ self.matrix, sigma)


@pytest.mark.parametrize("weights", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [torch.float32, torch.float64])
@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
def test_a_network_is_asked_in_its_own_type_and_answers_in_the_rows(
    weights: torch.dtype, rows: torch.dtype, trace: str
) -> None:
    model, x = Asked(weights), points(5, 2)
    found = log_density(model, x.to(rows), 1e-2, 50.0, covariance=1.0, trace=trace, generator=generator())
    assert found.dtype == rows
    assert model.types == {(weights, weights)}
    truth = -0.5 * (x.square().sum(1) / 1.0001 + 2 * math.log(2 * math.pi * 1.0001))
    torch.testing.assert_close(found.double(), truth, rtol=0, atol=5e-4)


def test_rows_in_double_precision_of_a_network_in_single_have_its_density() -> None:
    network = PreconditionedScore(ResidualMLP((2,), 16, 2))
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(points(*weight.shape, seed=weight.numel()) / 4)
    x = points(20, 2)
    mixed = log_density(network, x, 0.05, 20.0, covariance=1.0)
    assert mixed.dtype == torch.float64
    exact = log_density(network.double(), x, 0.05, 20.0, covariance=1.0)
    assert not torch.equal(mixed, exact)
    torch.testing.assert_close(mixed, exact, rtol=0, atol=1e-3)


def test_a_module_is_put_back_part_by_part_after_errors_too() -> None:
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen, self.learning = nn.Dropout(0.5).eval(), nn.Dropout(0.5)
            self.scale = 1.0

        @property
        def modes(self) -> tuple[bool, bool, bool]:
            return self.training, self.frozen.training, self.learning.training

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            assert self.modes == (False, False, False)
            return self.learning(self.frozen(self.scale * standard_normal(x, sigma)))

    model = Frozen()
    log_density(model, torch.ones(3, 2), 0.1, 2.0)
    assert model.modes == (True, False, True)
    model.scale = math.nan
    with pytest.raises(DivergenceError):
        log_density(model, torch.ones(3, 2), 0.1, 2.0)
    assert model.modes == (True, False, True)
    model.eval()
    with pytest.raises(DivergenceError):
        log_density(model, torch.ones(3, 2), 0.1, 2.0)
    assert model.modes == (False, False, False)


def test_conditions_are_cut_with_the_rows() -> None:
    labels = torch.tensor([1, -1, -1, 1, -1, 1, 1])
    x = labels[:, None] * CENTRE + 0.4 * points(7, 2)
    truth = pair_density(x, 0.05, labels)
    assert (truth - pair_density(x, 0.05)).abs().min() > 0.5
    # the start of the noise knows no label, which a largest level this far out makes good
    for chunk_size in (2, 7, None):
        found = log_density(pair, x, 0.05, 1e6, condition={"label": labels}, chunk_size=chunk_size)
        torch.testing.assert_close(found, truth, rtol=0, atol=1e-3)
    first = log_density(pair, x[:1], 0.05, 1e6, condition={"label": torch.tensor(1)})
    torch.testing.assert_close(first, truth[:1], rtol=0, atol=1e-3)


def test_chunks_are_as_large_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: set[int] = set()

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        sizes.add(len(x))
        return -x / sigma**2

    def chunks(n: int, dim: int, **options: Any) -> set[int]:
        sizes.clear()
        log_density(model, torch.ones(n, dim), 1.0, 1.01, tolerance=1e-2, **options)
        return sizes.copy()

    assert chunks(5, 2, chunk_size=2) == {2, 1}
    assert chunks(5, 2) == {5}
    monkeypatch.setattr("ncsn.likelihood._CHUNK_ROWS", 64)
    monkeypatch.setattr("ncsn.likelihood._CHUNK_VALUES", 640)
    # 4 products of 4 values a row, and 4 products of 40
    assert chunks(17, 4) == {16, 1}
    assert chunks(6, 40, n_probes=4) == {4, 2}


# The solver


def test_the_score_is_asked_for_between_the_levels_and_at_both() -> None:
    for dtype in (torch.float32, torch.float64):
        asked: list[float] = []

        def model(x: Tensor, sigma: Tensor, asked: list[float] = asked) -> Tensor:
            asked.append(float(sigma))
            return standard_normal(x, sigma)

        log_density(model, points(3, 2).to(dtype), 1e-3, 80.0, covariance=1.0)
        # float32 holds the levels' logarithms to about 1e-6
        assert min(asked) == pytest.approx(1e-3, rel=1e-6)
        assert max(asked) == pytest.approx(80.0, rel=1e-6)


def test_a_quiet_stretch_does_not_lead_the_solver_astray() -> None:
    # from 1e-6 to 1e-2 nothing happens, nor from 1e2 to 1e6: all of the change lies in the middle
    found = log_density(standard_normal, torch.zeros(1, 2).double(), 1e-6, 1e6, covariance=1.0)
    assert found.item() == pytest.approx(-math.log(2 * math.pi), abs=1e-3)


@pytest.mark.parametrize(
    "network",
    [NCSNScoreNetwork(2, [16, 16], 8), PreconditionedScore(ResidualMLP((2,), 16, 2, n_fourier=3, dropout=0.5))],
)
def test_networks_against_an_independent_solver(network: nn.Module) -> None:
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(points(*weights.shape, seed=weights.numel()) / 4)
    network = network.double()
    x, ends = points(2, 2), (0.05, 5.0)
    found = log_density(network, x, *ends, tolerance=1e-8)
    assert network.training
    network.eval()

    def slope(sigma: float, state: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        at = torch.from_numpy(state[:2])[None]
        level = torch.tensor(sigma, dtype=torch.float64)
        jacobian = torch.autograd.functional.jacobian(lambda y: network(y, level)[0], at)[:, 0]
        return np.append(-sigma * network(at, level)[0].detach().numpy(), -sigma * float(torch.trace(jacobian)))

    for row, value in zip(x, found, strict=True):
        end = solve_ivp(slope, ends, np.append(row.numpy(), 0.0), rtol=1e-8, atol=1e-8).y[:, -1]
        expected = -(end[0] ** 2 + end[1] ** 2) / 50 - math.log(2 * math.pi * 25) + end[2]
        assert value.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        lambda x, sigma: x * math.nan,
        lambda x, sigma: torch.where(sigma > 1, math.nan, -x / sigma**2),
        lambda x, sigma: -x.sign() / (sigma - sigma),
    ],
)
def test_scores_that_are_not_finite(model: ScoreModel) -> None:
    with pytest.raises(DivergenceError, match="the log-density is not finite: the score is not, or it is too steep"):
        log_density(model, torch.ones(3, 2), 1e-2, 10.0)


def test_any_grad_mode_will_do_and_is_left_alone() -> None:
    network = NCSNScoreNetwork(2, [8])
    found = log_density(network, torch.ones(3, 2), 0.1, 2.0)
    assert not found.requires_grad
    assert torch.is_grad_enabled()
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert torch.equal(log_density(network, torch.ones(3, 2), 0.1, 2.0), found)


def test_scores_without_a_derivative() -> None:
    @torch.no_grad()
    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return standard_normal(x, sigma)

    with pytest.raises(
        ValueError, match=r"the score model cannot be differentiated by x: remove its torch\.no_grad or"
    ):
        log_density(model, torch.ones(3, 2), 0.1, 2.0)


# Bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma_min": 0.0}, "sigma_min must be positive and finite, not 0.0"),
        ({"sigma_min": 20.0}, "sigma_min must be below sigma_max, but 20 >= 10"),
        ({"sigma_max": math.inf}, "sigma_max must be positive and finite, not inf"),
        ({"trace": "exat"}, "unknown trace 'exat'; did you mean 'exact' or 'auto'? known: auto, exact, hutchinson"),
        ({"n_probes": 0}, "n_probes must be a whole number of at least 1, not 0"),
        ({"chunk_size": 0}, "chunk_size must be a whole number of at least 1, not 0"),
        ({"tolerance": 0.0}, "tolerance must be a positive finite number, not 0.0"),
        ({"tolerance": math.nan}, "tolerance must be a positive finite number, not nan"),
        ({"x": torch.ones(3)}, "x must hold rows of shape (N, *shape), not (3,)"),
        ({"x": torch.ones(0, 2)}, "x must hold rows of shape (N, *shape), not (0, 2)"),
        ({"condition": {"label": torch.ones(2)}}, "condition 'label' must have one entry a row, 3, not 2"),
    ],
)
def test_bad_input(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"x": torch.ones(3, 2), "sigma_min": 0.1, "sigma_max": 10.0} | changes
    with pytest.raises(SettingError) as caught:
        log_density(standard_normal, **arguments)
    assert str(caught.value) == message
