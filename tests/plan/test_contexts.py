"""Settings where there are contexts, against closed forms."""

import math

import numpy as np
import pytest
import torch

from ncsn.errors import SettingError
from ncsn.plan import Plan, make_plan
from ncsn.plan.measure import finest_scale, regression


def test_the_finest_scale_is_what_is_left_where_contexts_are_known() -> None:
    rng = np.random.default_rng(0)
    c = rng.uniform(-10, 10, (5000, 1))
    x = c + 0.03 * rng.standard_normal((5000, 1))
    assert finest_scale(x, c) == pytest.approx(0.03, rel=0.1)
    # not the narrow direction of the contexts among themselves
    assert finest_scale(x, np.hstack([c, 2 * c])) == pytest.approx(0.03, rel=0.1)


def test_settings_with_contexts_say_so() -> None:
    rng = np.random.default_rng(0)
    c = rng.standard_normal((2000, 1))
    x = torch.from_numpy(np.hstack([c + 0.1 * rng.standard_normal((2000, 1)), rng.standard_normal((2000, 1))])).float()
    alone, given = make_plan(x), make_plan(x, contexts=torch.from_numpy(c).float())
    assert (alone.context_dim, given.context_dim) == (0, 1)
    assert "context_dim" not in {choice.name for choice in alone.choices}
    choices = {choice.name: choice for choice in given.choices}
    assert choices["sigma_min"].rule == "finest scale / 20" and given.sigma_min < alone.sigma_min / 1.5
    middle = math.log(given.sigma_min * given.sigma_max) / 2
    assert given.log_sigma_mean == pytest.approx(middle + 0.55)
    # more than 300 passes of batches of 512
    assert given.training_steps == 2000 > 300 * 2000 / 512
    assert choices["target_from"].rule == "not used with contexts"
    assert Plan.from_dict(given.to_dict()) == given


def test_what_a_line_tells_is_taken_off_and_the_rest_is_the_data() -> None:
    rng = np.random.default_rng(0)
    c = rng.standard_normal((4000, 2))
    rest = 0.1 * rng.standard_normal((4000, 2))
    x = torch.from_numpy(1 + c @ np.array([[1.0, 0.5], [0.0, -2.0]]) + rest).float()
    slope, intercept = regression(x, c)
    np.testing.assert_allclose(slope, [[1.0, 0.5], [0.0, -2.0]], atol=4 * 0.1 / 4000**0.5)
    np.testing.assert_allclose(intercept, [1.0, 1.0], atol=4 * 0.1 / 4000**0.5)
    given = make_plan(x, contexts=torch.from_numpy(c).float())
    assert given.context_mean == "linear"
    assert given.sigma_data == pytest.approx(rest.std(), rel=0.01)
    whole = make_plan(x, contexts=torch.from_numpy(c).float(), context_mean="none")
    assert whole.sigma_data == pytest.approx(float(x.std()), rel=0.01)
    # of a function of the contexts nothing is left, and yet it can be learned
    line = make_plan(torch.from_numpy(c[:, :1]).float(), contexts=torch.from_numpy(c).float())
    assert line.sigma_data == pytest.approx(0.01, rel=0.05)
    with pytest.raises(SettingError, match="context mean"):
        make_plan(x, contexts=torch.from_numpy(c).float(), context_mean="quadratic")


def test_contexts_that_say_nothing_and_many_of_few_rows_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    x, c = rng.standard_normal((60, 2)), rng.standard_normal((60, 40))
    slope, _ = regression(x, c)
    # least squares would explain two thirds of the variance of nothing
    explained = (c @ slope.numpy()).var() / x.var()
    assert explained < 0.1


@pytest.mark.parametrize(("n_rows", "steps"), [(100, 300), (1_000_000, 12_000)])
def test_steps_with_contexts_have_bounds(n_rows: int, steps: int) -> None:
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    assert make_plan(x, contexts=x[:, :1], n_rows=n_rows).training_steps == steps


@pytest.mark.parametrize(("n_rows", "many"), [(3000, False), (3200, True)])
def test_many_rows_with_contexts_in_the_plane_are_learned_by_more_and_in_large_steps(n_rows: int, many: bool) -> None:
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    alone, given = make_plan(x, n_rows=n_rows), make_plan(x, contexts=x[:, :1], n_rows=n_rows)
    assert (given.n_blocks, given.learning_rate) == ((3, 0.004) if many else (alone.n_blocks, alone.learning_rate))
    # on their own they want no dropout, or as much as nothing
    assert given.dropout == 0.05 > alone.dropout
    # of few rows it is what few rows want
    few = make_plan(x, contexts=x[:, :1], n_rows=300)
    assert few.dropout == make_plan(x, n_rows=300).dropout > 0.3


def test_images_with_contexts_train_as_images_do() -> None:
    x = torch.randn(30, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    alone, given = make_plan(x), make_plan(x, contexts=torch.randn(30, 3, generator=torch.Generator().manual_seed(1)))
    assert given.context_dim == 3
    assert (given.training_steps, given.sigma_min) == (alone.training_steps, alone.sigma_min)


@pytest.mark.parametrize(
    ("shape", "told", "expected"),
    [
        ((3, 32, 32), (32, 32), ((32, 32), 16, 1)),
        ((3, 32, 32), (1, 8, 8), ((1, 8, 8), 16, 4)),
        ((32, 16), (3, 16, 16), ((3, 16, 16), 16, 0)),
        ((32, 32), (24, 24), ((24, 24), 16, 0)),
        ((2,), (12, 12), ((12, 12), 16, 0)),
    ],
)
def test_contexts_that_are_images_have_an_encoder_and_a_place(
    shape: tuple[int, ...], told: tuple[int, ...], expected: tuple[object, ...]
) -> None:
    generator = torch.Generator().manual_seed(0)
    x, contexts = torch.randn(30, *shape, generator=generator), torch.randn(30, *told, generator=generator)
    plan = make_plan(x, contexts=contexts)
    assert (plan.context_shape, plan.context_width, plan.context_beside) == expected
    assert plan.context_dim == math.prod(told)
    assert Plan.from_dict(plan.to_dict()) == plan
    of_numbers = make_plan(x, contexts=contexts.flatten(1))
    names = {choice.name for choice in of_numbers.choices}
    assert "context_dim" in names and not names & {"context_shape", "context_width", "context_beside"}
