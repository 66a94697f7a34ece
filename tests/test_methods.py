"""The table of methods: every name in it exists, its levels have the distribution that its paper states."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest, truncnorm

from ncsn.losses import WEIGHTINGS, DenoisingScoreMatching
from ncsn.methods import METHODS, method_named
from ncsn.networks import PRECONDITIONINGS
from ncsn.noise import PROCESSES, ddpm_levels
from ncsn.samplers import SAMPLERS, sample
from ncsn.plan import Plan, make_plan


@pytest.fixture(scope="module")
def plan() -> Plan:
    data = np.random.default_rng(0).standard_normal((300, 2))
    return make_plan(data, sigma_min=0.02, sigma_max=8.0, width=16, n_blocks=1)


def drawn(method: str, plan: Plan, n: int = 20_000) -> torch.Tensor:
    return METHODS[method].levels(plan).draw(n, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("method", METHODS)
def test_rows_name_what_exists(method: str, plan: Plan) -> None:
    row = METHODS[method]
    assert row.preconditioning in PRECONDITIONINGS
    assert row.sampler in SAMPLERS
    objective = row.objective(plan, None)
    assert not isinstance(objective, DenoisingScoreMatching) or objective.weighting in WEIGHTINGS


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if row.gives_score])
def test_each_methods_sampler_on_its_grid_draws_a_gaussian(method: str, plan: Plan) -> None:
    row = METHODS[method]
    levels = row.grid(plan, row.steps(plan))
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(4000, 2, generator=generator) * (1 + levels[0] ** 2).sqrt()
    drawn = sample(
        lambda x, sigma: -x / (1 + sigma**2),
        levels,
        4000,
        2,
        row.sampler,
        start,
        generator=generator,
        **row.options(plan),
    )
    # 4 standard errors of a standard deviation of 8,000 values, and the samplers' own bias: Langevin's steps leave more
    bias = 0.1 if row.sampler == "annealed_langevin" else 0.03
    assert float(drawn.std()) == pytest.approx(1, abs=bias + 4 / 16_000**0.5)


def test_the_default_grid_is_geometric_above_and_wider_below(plan: Plan) -> None:
    grid = METHODS["edm"].grid(plan, 40)
    ratios = grid[:-1] / grid[1:]
    assert bool((ratios.diff() > 0).all())
    # well above a tenth of the spread, even in log sigma to the square root of what is left; far below, even in sqrt sigma
    assert float(ratios[1] / ratios[0]) < 1.01
    torch.testing.assert_close(grid[[0, -1]], torch.tensor([plan.sigma_max, plan.sigma_min]))


@pytest.mark.parametrize("method", METHODS)
def test_the_grid_has_the_levels_asked_for_within_those_that_are_trained(method: str, plan: Plan) -> None:
    grid, trained = METHODS[method].grid(plan, 7), drawn(method, plan)
    # seven leaps of a consistency model end at an eighth level
    assert len(grid) == 7 + (not METHODS[method].gives_score)
    assert bool((grid.diff() < 0).all())
    torch.testing.assert_close(grid[-1], trained.min(), rtol=0.2, atol=0)
    # DDPM has levels far above the largest that is needed
    assert plan.sigma_max * (1 - 1e-6) <= float(grid[0]) <= min(1.02 * plan.sigma_max, float(trained.max()) * 1.2)


def test_ddpm_has_a_thousand_levels_and_no_more(plan: Plan) -> None:
    torch.testing.assert_close(METHODS["ddpm"].grid(plan, 1000), ddpm_levels().float())
    with pytest.raises(ValueError, match="DDPM has 1,000 levels; steps must not be above, but is 1,001"):
        METHODS["ddpm"].grid(plan, 1001)


@pytest.mark.parametrize("betas", ["linear", "cosine"])
def test_ddpm_draws_each_of_its_levels_as_often(betas: str, plan: Plan) -> None:
    values, counts = drawn("ddpm" if betas == "linear" else "ddpm_cosine", plan, 20_000).unique(return_counts=True)
    torch.testing.assert_close(values, ddpm_levels(kind=betas).flip(0).float())
    assert int(counts.min()) >= 19
    assert int(counts.max()) <= 21


@pytest.mark.parametrize(("method", "process"), [("vp_sde", "vp"), ("subvp_sde", "sub_vp")])
def test_the_sdes_draw_times_uniformly(method: str, process: str, plan: Plan) -> None:
    kind = PROCESSES[process]
    start, end = kind.time(torch.tensor([plan.sigma_min, plan.sigma_max], dtype=torch.float64)).tolist()
    times = kind.time(drawn(method, plan).double()).numpy()
    assert kstest(times, "uniform", args=(start, end - start)).statistic < 1e-3


@pytest.mark.parametrize("method", [name for name in METHODS if not name.startswith("ddpm")])
def test_levels_stay_between_the_ends_and_reach_them(method: str, plan: Plan) -> None:
    sigma = drawn(method, plan)
    assert plan.sigma_min * (1 - 1e-6) <= float(sigma.min()) < 1.2 * plan.sigma_min
    assert plan.sigma_max / 1.2 < float(sigma.max()) <= plan.sigma_max * (1 + 1e-6)


def test_ncsn_draws_its_geometric_levels_each_as_often(plan: Plan) -> None:
    values, counts = drawn("ncsn", plan).unique(return_counts=True)
    expected = np.geomspace(plan.sigma_min, plan.sigma_max, plan.n_sigmas)
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    np.testing.assert_allclose(counts / counts.sum(), 1 / plan.n_sigmas, rtol=0.01)


def test_ve_sde_draws_log_uniform_levels(plan: Plan) -> None:
    low, high = np.log(plan.sigma_min), np.log(plan.sigma_max)
    assert kstest(drawn("ve_sde", plan).log().numpy(), "uniform", args=(low, high - low)).statistic < 1e-3


def test_edm_draws_log_normal_levels_cut_at_the_ends(plan: Plan) -> None:
    low, high = np.log(plan.sigma_min), np.log(plan.sigma_max)
    # two features: 1.1 above the middle, a fifth of the range wide
    mean, deviation = (low + high) / 2 + 1.1, (high - low) / 5
    cut = truncnorm((low - mean) / deviation, (high - mean) / deviation, loc=mean, scale=deviation)
    assert kstest(drawn("edm", plan).log().double().numpy(), cut.cdf).statistic < 1e-3


def test_untrained_edm_is_the_gaussian_of_the_data(plan: Plan) -> None:
    model = METHODS["edm"].build(plan, (3,))
    x, sigma = torch.randn(7, 3), torch.tensor(0.7)
    expected = -x / (plan.sigma_data**2 + sigma**2)
    torch.testing.assert_close(model(x, sigma), expected)


def test_the_network_carries_the_linear_part_where_nothing_else_does() -> None:
    many = make_plan(np.random.default_rng(0).standard_normal((50, 10)))
    with_gain = {name for name, row in METHODS.items() if row.build(many, (10,)).network.gain is not None}
    assert with_gain == set(METHODS) - {"edm", "consistency"}


def test_model_has_the_size_of_the_plan(plan: Plan) -> None:
    model = METHODS["edm"].build(plan, (2, 3), n_classes=4)
    x = torch.randn(5, 2, 3)
    assert model(x, torch.rand(5) + 0.1, label=torch.tensor([-1, 0, 1, 2, 3])).shape == x.shape
    assert model.network.get_parameter("output.weight").shape == (6, plan.width)


def test_unknown_method_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown method 'edn'; did you mean 'edm'.*\? known: ncsn, .*edm"):
        method_named("edn")
