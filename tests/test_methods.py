"""The table of methods: its rows are plain data, and their levels have the distributions that their papers state."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kstest, truncnorm
from torch import Tensor, nn

from ncsn import losses, methods, networks, noise, samplers
from ncsn.errors import SettingError
from ncsn.losses import WEIGHTINGS, Batch, Consistency, DenoisingScoreMatching, StableTarget
from ncsn.methods import METHODS, Method, method_named, name_of
from ncsn.model.walk import walk_of
from ncsn.networks import EDM, PRECONDITIONINGS, Coefficients, ConsistencyModel, Preconditioning
from ncsn.noise import (
    DDPM,
    PROCESSES,
    Discrete,
    Geometric,
    Given,
    Karras,
    Levels,
    Linear,
    LogNormal,
    ddpm_levels,
)
from ncsn.parts import from_plain, to_plain
from ncsn.plan import Plan, make_plan
from ncsn.samplers import SAMPLERS, Heun, Multistep, Sampler, State, sample
from ncsn.score import ScoreModel


@pytest.fixture(scope="module")
def plan() -> Plan:
    data = np.random.default_rng(0).standard_normal((300, 2))
    return make_plan(data, sigma_min=0.02, sigma_max=8.0, width=16, n_blocks=1)


def drawn(method: str, plan: Plan, n: int = 20_000) -> torch.Tensor:
    return METHODS[method].levels(plan).draw(n, torch.Generator().manual_seed(0))


def grid_of(method: str, plan: Plan, steps: int | None = None) -> Tensor:
    """Return the levels that a method's own sampler walks."""
    return walk_of(METHODS[method], plan, None, steps, None, {})[1]


@pytest.mark.parametrize("method", METHODS)
def test_rows_name_what_exists(method: str, plan: Plan) -> None:
    row = METHODS[method]
    assert row.precondition in PRECONDITIONINGS.values()
    assert type(row.sampler) in SAMPLERS.values()
    objective = row.objective(plan, None)
    assert not isinstance(objective, DenoisingScoreMatching) or objective.weighting in WEIGHTINGS


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if row.gives_score])
def test_each_methods_sampler_on_its_grid_draws_a_gaussian(method: str, plan: Plan) -> None:
    sampler, levels = walk_of(METHODS[method], plan, None, None, None, {})
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(4000, 2, generator=generator) * (1 + levels[0] ** 2).sqrt()
    drawn = sample(lambda x, sigma: -x / (1 + sigma**2), levels, 4000, 2, sampler, start, generator=generator)
    # 4 standard errors of a standard deviation of 8,000 values, and the samplers' own bias: Langevin's steps leave more
    bias = 0.1 if isinstance(sampler, samplers.AnnealedLangevin) else 0.03
    assert float(drawn.std()) == pytest.approx(1, abs=bias + 4 / 16_000**0.5)


def test_the_default_grid_is_geometric_above_and_wider_below(plan: Plan) -> None:
    grid = grid_of("edm", plan, 40)
    ratios = grid[:-1] / grid[1:]
    assert bool((ratios.diff() > 0).all())
    # well above a tenth of the spread, even in log sigma to the square root of what is left; far below, even in sqrt sigma
    assert float(ratios[1] / ratios[0]) < 1.01
    torch.testing.assert_close(grid[[0, -1]], torch.tensor([plan.sigma_max, plan.sigma_min]))


@pytest.mark.parametrize("method", METHODS)
def test_the_grid_has_the_levels_asked_for_within_those_that_are_trained(method: str, plan: Plan) -> None:
    grid, trained = grid_of(method, plan, 7), drawn(method, plan)
    # seven leaps of a consistency model end at an eighth level
    assert len(grid) == 7 + (not METHODS[method].gives_score)
    assert bool((grid.diff() < 0).all())
    torch.testing.assert_close(grid[-1], trained.min(), rtol=0.2, atol=0)
    # DDPM has levels far above the largest that is needed
    assert plan.sigma_max * (1 - 1e-6) <= float(grid[0]) <= min(1.02 * plan.sigma_max, float(trained.max()) * 1.2)


def test_ddpm_has_a_thousand_levels_and_no_more(plan: Plan) -> None:
    torch.testing.assert_close(grid_of("ddpm", plan, 1000), ddpm_levels().float())
    with pytest.raises(SettingError, match="DDPM has 1,000 levels; steps must not be above, but is 1,001"):
        grid_of("ddpm", plan, 1001)


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
    with pytest.raises(SettingError, match=r"unknown method 'edn'; did you mean 'edm'.*\? known: ncsn, .*edm"):
        method_named("edn")


# What every row keeps


@dataclass(frozen=True, repr=False)
class Quadratic(Levels):
    """Levels of one's own: even in the root of sigma."""

    def quantile(self, u: Tensor) -> Tensor:
        low, high = (sigma**0.5 for sigma in self.ends)
        return (low + u * (high - low)) ** 2


@dataclass(frozen=True, repr=False)
class Leaping(Sampler):
    """A sampler of one's own: a share of the way to the denoised, without noise."""

    share: float = 1.0

    def step(self, model: Any, x: Tensor, sigma: float, following: float, noise: Any) -> tuple[Tensor, Tensor]:
        denoised = model.denoise(x, sigma)
        return torch.lerp(x, denoised, self.share * (1 - following / sigma)), denoised


@dataclass(frozen=True, repr=False)
class Doubled(Preconditioning):
    """A row of coefficients of one's own: the network is twice the score times sigma."""

    def coefficients(self, sigma: Tensor) -> Coefficients:
        return Coefficients(torch.zeros_like(sigma), 2 * sigma, torch.ones_like(sigma), sigma.log())


def huber(model: ScoreModel, batch: Batch) -> Tensor:
    """Return an objective of one's own, a plain function."""
    error = batch.sigma[:, None] * model(batch.noisy, batch.sigma, **batch.condition) + batch.noise
    return nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none").mean(dim=1)


def cubed(sigma: Tensor) -> Tensor:
    return sigma**3


def euler(model: Any, x: Tensor, sigmas: Tensor, noise: Any, *, share: float = 1.0) -> Iterator[State]:
    """Yield states as a sampler of one's own does, a generator function."""
    yield from Leaping(share).walk(model, x, sigmas, noise)


OWN: dict[str, Method] = {
    "own levels": replace(METHODS["edm"], train_on=Quadratic(), walk=Discrete(Quadratic())),
    "own sampler": replace(METHODS["ncsn"], sampler=Leaping(0.9)),
    "own generator function": replace(METHODS["ncsn"], sampler=euler),
    "own objective": replace(METHODS["edm"], minimise=huber),
    "own weighting": replace(METHODS["ve_sde"], minimise=DenoisingScoreMatching(cubed)),
    "own coefficients": replace(METHODS["edm"], precondition=Doubled()),
    "own process": replace(
        METHODS["vp_sde"],
        precondition=networks.NoisePrediction(noise.VariancePreserving(0.2, 10.0)),
        train_on=noise.UniformTime(noise.VariancePreserving(0.2, 10.0)),
    ),
    "all other": Method(
        EDM(), Karras(3.0), DenoisingScoreMatching("edm", StableTarget(0.5)), Heun(), Geometric(), 9, "x"
    ),
}

ROWS = METHODS | OWN

every_method = pytest.mark.parametrize("method", ROWS.values(), ids=list(ROWS))

MINE = [Quadratic, Leaping, Doubled, huber, cubed, euler]


@every_method
def test_saved_as_json_and_read_it_is_the_same_row(method: Method) -> None:
    read = from_plain(json.loads(json.dumps(to_plain(method))), allow=MINE)
    assert read == method
    assert name_of(read) == name_of(method)
    for field in fields(method):
        assert type(getattr(read, field.name)) is type(getattr(method, field.name))


def test_a_row_saved_with_names_is_read() -> None:
    saved = to_plain(METHODS["edm"]) | {"precondition": "edm", "walk": "softened", "sampler": "dpmpp_2m"}
    assert from_plain(json.loads(json.dumps(saved))) == METHODS["edm"]


@pytest.mark.parametrize("name", METHODS)
def test_the_table_s_rows_need_no_one_s_leave(name: str) -> None:
    assert from_plain(json.loads(json.dumps(to_plain(METHODS[name])))) == METHODS[name]


@every_method
def test_the_repr_evaluates_back(method: Method) -> None:
    known = {getattr(mine, "__name__", ""): mine for mine in MINE}
    assert (
        eval(
            repr(method), {**vars(methods), **vars(noise), **vars(losses), **vars(samplers), **vars(networks), **known}
        )
        == method
    )


@every_method
def test_it_is_built_trained_and_walked(method: Method, plan: Plan) -> None:
    torch.manual_seed(0)
    model = method.build(plan, (2,), n_classes=3).eval()
    # an untrained network returns nothing, which has no direction to correct to
    nn.init.normal_(model.network.get_parameter("output.weight"), std=0.1)
    assert isinstance(model, ConsistencyModel) == (not method.gives_score)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    sigma = method.levels(plan).draw(16)
    condition = {"label": torch.arange(16) % 4 - 1}
    batch = Batch(torch.randn(16, 2), sigma, torch.randn(16, 2), condition, progress=0.5)
    loss = method.objective(plan)(model, batch)
    assert loss.shape == (16,)
    assert bool(loss.isfinite().all())
    loss.mean().backward()
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert any(bool(gradient.any()) for gradient in gradients)
    sampler, levels = walk_of(method, plan, None, 7, None, {})
    drawn = sample(model, levels, 5, 2, sampler, condition={"label": torch.tensor(1)})
    assert drawn.shape == (5, 2)
    assert bool(drawn.isfinite().all())
    # no level is walked below those that training draws
    assert float(levels[-1]) >= float(method.levels(plan).quantile(torch.zeros(()))) * (1 - 1e-6)


@pytest.mark.parametrize(
    ("method", "steps", "options"),
    [
        ("ncsn", "n_sigmas", {"n_steps_per_sigma": "n_steps_per_sigma"}),
        ("ncsnv2", 100, {"n_steps_per_sigma": 5}),
        ("ddpm", 1000, {"eta": 1.0}),
        ("ddpm_cosine", 1000, {"eta": 1.0}),
        ("ve_sde", 100, {"snr": 0.16, "n_corrector_steps": 1}),
        ("vp_sde", 100, {"snr": 0.16, "n_corrector_steps": 1}),
        ("subvp_sde", 100, {"snr": 0.16, "n_corrector_steps": 1}),
        ("edm", "sampling_steps", {"churn": "churn", "sigma_data": "sigma_data"}),
        # two leaps, from the first of three levels to the last
        ("consistency", 3, {}),
    ],
)
def test_the_sampler_is_filled_from_the_plan(
    method: str, steps: int | str, options: dict[str, Any], plan: Plan
) -> None:
    sampler, levels = walk_of(METHODS[method], plan, None, None, None, {})
    assert len(levels) == (getattr(plan, steps) if isinstance(steps, str) else steps)
    for name, value in options.items():
        assert getattr(sampler, name) == (getattr(plan, value) if isinstance(value, str) else value)


@pytest.mark.parametrize("method", METHODS)
def test_the_target_is_filled_from_the_plan(method: str, plan: Plan) -> None:
    objective: Any = METHODS[method].objective(plan)
    assert objective.target.target_from == plan.target_from
    assert objective.target.target_rows == plan.target_rows
    if method == "edm":
        assert objective.target.weight_from == plan.weight_from
    if method == "consistency":
        assert objective.sigma_min == plan.sigma_min
    else:
        assert objective.weighting == ("edm" if method == "edm" else "sigma2")
        assert objective.target.weight == 30.0


def test_one_method_takes_a_teacher(plan: Plan) -> None:
    assert {name for name, row in ROWS.items() if row.takes_teacher} == {"consistency"}
    assert {name for name, row in ROWS.items() if not row.gives_score} == {"consistency"}

    def teacher(x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        return -x

    taught: Any = METHODS["consistency"].objective(plan, teacher)
    assert taught.teacher is teacher
    # the table's row is as it was, and the teacher is not saved with the method
    assert METHODS["consistency"].minimise == Consistency()
    assert from_plain(json.loads(json.dumps(to_plain(taught)))) == replace(taught, teacher=None)


def test_a_network_of_ones_own_is_preconditioned(plan: Plan) -> None:
    asked: list[tuple[Any, ...]] = []

    def factory(shape: Any, plan: Plan, n_classes: int) -> nn.Module:
        asked.append((tuple(shape), plan, n_classes))
        return networks.ResidualMLP(shape, 8, 1).double()

    made = METHODS["edm"].build(plan, (2, 3), 4, factory)
    assert asked == [((2, 3), plan, 4)]
    # in its own precision
    assert {weight.dtype for weight in made.parameters()} == {torch.float64}
    network = networks.ResidualMLP((2,), 8, 1)
    assert METHODS["ddpm"].build(plan, (2,), 0, network).network is network


# Rows of one's own


def test_parts_of_a_row_can_be_replaced(plan: Plan) -> None:
    edm = METHODS["edm"]
    assert replace(edm, sampler="heun") == replace(edm, sampler=Heun()) == replace(edm, sampler=Heun)
    assert replace(edm, sampler=Heun(churn=5.0)).sampler == Heun(churn=5.0)
    assert replace(edm, steps=12).steps == 12
    assert len(walk_of(replace(edm, steps=12), plan, None, None, None, {})[1]) == 12
    assert len(walk_of(replace(edm, steps="n_sigmas"), plan, None, None, None, {})[1]) == plan.n_sigmas
    # as many as the walk has
    assert len(walk_of(replace(edm, walk=DDPM("cosine", 50), steps=None), plan, None, None, None, {})[1]) == 50
    levels = replace(edm, train_on=LogNormal(0.5, 1.0)).levels(plan)
    assert levels == LogNormal(0.5, 1.0, sigma_min=plan.sigma_min, sigma_max=plan.sigma_max)
    # names and classes stand for the parts themselves
    names: dict[str, Any] = {"train_on": "karras", "walk": "linear"}
    classes: dict[str, Any] = {"train_on": Karras, "walk": Linear}
    named = replace(edm, precondition="scaled_score", steps=4, **names)
    assert named == replace(edm, precondition=networks.ScaledScore(), steps=4, **classes)
    assert (named.precondition, named.train_on, named.walk) == (networks.ScaledScore(), Karras(), Linear())
    assert replace(edm, precondition="scaled_score").build(plan, (2,)).preconditioning == networks.ScaledScore(
        sigma_data=plan.sigma_data, sigma_min=plan.sigma_min
    )
    own = replace(edm, minimise=DenoisingScoreMatching("edm", StableTarget(weight=0.0))).objective(plan)
    assert own == DenoisingScoreMatching(
        "edm", StableTarget(plan.target_from, plan.target_rows, plan.weight_from, weight=0.0)
    )


def test_a_fixed_walk_is_walked_whole_and_no_further(plan: Plan) -> None:
    def walked(method: Method, steps: int | None = None) -> list[float]:
        levels: list[float] = walk_of(method, plan, None, steps, None, {})[1].tolist()
        return levels

    given, edm = Given([4.0, 1.0, 0.5]), METHODS["edm"]
    for steps in (None, "sampling_steps", 40):
        assert walked(replace(edm, walk=given, steps=steps)) == [4.0, 1.0, 0.5]
    assert walked(replace(edm, walk=given, steps=2)) == [4.0, 0.5]
    assert walked(replace(edm, walk=given), 2) == [4.0, 0.5]
    with pytest.raises(SettingError, match="Given has 3 levels; steps must not be above, but is 4"):
        walked(replace(edm, walk=given), 4)
    # a leap ends at a level of its own
    consistency = replace(METHODS["consistency"], walk=given, steps=None)
    assert walked(consistency) == walked(replace(consistency, steps=9)) == [4.0, 1.0, 0.5]
    assert walked(replace(consistency, steps=1)) == [4.0, 0.5]
    assert walk_of(METHODS["consistency"], plan, None, None, given, {})[1].tolist() == [4.0, 1.0, 0.5]
    assert len(walked(replace(edm, walk=Discrete(n_sigmas=5), steps=None))) == 5


def test_names_of_methods() -> None:
    for name, row in METHODS.items():
        assert method_named(name) is row
        assert method_named(row) is row
        assert name_of(replace(row)) == name
    own = replace(METHODS["edm"], sampler=Heun(churn=2.0))
    assert name_of(own) == "edm with sampler=Heun(churn=2.0)"
    assert name_of(replace(own, steps=9)) == "edm with sampler=Heun(churn=2.0), steps=9"
    assert name_of(replace(METHODS["edm"], minimise=huber)) == "edm with minimise=huber"
    assert repr(own).startswith(
        "Method(precondition=EDM(), train_on=LogNormal(), minimise=DenoisingScoreMatching(weighting='edm')"
    )
    for wrong in (None, 3, Method):
        with pytest.raises(SettingError, match="method must be a name or a Method, not"):
            method_named(wrong)  # type: ignore[arg-type]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"precondition": "emd"}, "unknown preconditioning 'emd'; did you mean 'edm'"),
    ({"precondition": EDM}, "precondition must be a name or a Preconditioning, not"),
    ({"precondition": None}, "precondition must be a name or a Preconditioning, not None"),
    ({"train_on": "geometrc"}, "unknown schedule 'geometrc'; did you mean 'geometric'"),
    (
        {"train_on": torch.tensor([1.0, 0.1])},
        r"train_on must be a family of noise levels, such as Karras\(\) or Given\(\[...\]\), not tensor",
    ),
    ({"train_on": None}, "train_on must be a family of noise levels, such as .*, not None"),
    ({"walk": Heun}, r"walk must be a family of noise levels, such as .*, not Heun\(\)"),
    ({"walk": Given}, "the levels must be positive, finite and distinct"),
    ({"minimise": "edm"}, r"minimise must be an objective, called as objective\(model, batch\), not 'edm'"),
    ({"minimise": None}, "minimise must be an objective, called as .*, not None"),
    ({"minimise": DenoisingScoreMatching}, "minimise must be an objective, called as .*, not <class"),
    ({"minimise": Consistency()}, r"minimise Consistency\(\) does not go with EDM\(\), which gives a score"),
    ({"sampler": Multistep()}, r"sampler Multistep\(\) does not go with EDM\(\), which gives a score"),
    ({"sampler": "consistency"}, r"sampler Multistep\(\) does not go with EDM\(\), which gives a score"),
    (
        {"precondition": "consistency"},
        r"sampler DPMpp2M\(\) does not go with FlowEnd\(\), which gives the end of the flow",
    ),
    ({"steps": None}, r"Softened\(\) has no number of levels of its own: give steps"),
    ({"sampler": "huen"}, "unknown sampler 'huen'; did you mean 'heun'"),
    ({"sampler": 3}, "a sampler is a name, an object with step or walk, or a generator function, not 3"),
    (
        {"steps": "sampling_step"},
        "unknown setting of the plan for steps 'sampling_step'; did you mean 'sampling_steps'",
    ),
    ({"steps": "sigma_max"}, "unknown setting of the plan for steps 'sigma_max'"),
    ({"steps": "choices"}, "unknown setting of the plan for steps 'choices'"),
    ({"steps": 0}, "steps must be a whole number of at least 1, not 0"),
    ({"steps": 2.5}, "steps must be a whole number of at least 1, not 2.5"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_wrong_part_is_refused_when_the_method_is_made(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        replace(METHODS["edm"], **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampler": Heun()}, r"sampler Heun\(\) does not go with FlowEnd\(\), which gives the end of the flow"),
        (
            {"minimise": DenoisingScoreMatching()},
            r"minimise DenoisingScoreMatching\(\) does not go with FlowEnd\(\), which gives the end of the flow",
        ),
        ({"precondition": "edm"}, r"sampler Multistep\(\) does not go with EDM\(\), which gives a score"),
    ],
)
def test_parts_of_the_flow_s_end_and_of_a_score_do_not_mix(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        replace(METHODS["consistency"], **change)


def test_an_objective_of_ones_own_goes_with_either() -> None:
    # what does not say is taken at its word
    for name in ("edm", "consistency"):
        assert replace(METHODS[name], minimise=huber).minimise is huber


@pytest.mark.parametrize(
    "make",
    [
        lambda: replace(METHODS["edm"], train_on=LogNormal(log_sigma_spread=0.0)),
        lambda: replace(METHODS["edm"], minimise=DenoisingScoreMatching("egm")),
        lambda: replace(METHODS["edm"], sampler=Heun(churn=-1.0)),
        lambda: replace(METHODS["edm"], precondition=EDM(sigma_data=0.0)),
    ],
)
def test_a_wrong_number_in_a_part_too(make: Callable[[], Method]) -> None:
    with pytest.raises(SettingError):
        make()
