"""Few steps of a fitted model: whose they are, that they do not depend on chance, and how near they come."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_models import GAUSSIAN, SMALL, clusters, gaussian, table, white

from ncsn import NCSN
from ncsn.errors import SettingError
from ncsn.methods import METHODS
from ncsn.noise import Given
from ncsn.samplers import DPMpp2M, FittedMultistep, State


@pytest.fixture(scope="module")
def conditional() -> NCSN:
    x, side = clusters()
    settings: dict[str, Any] = {"training_steps": 400, "width": 32, "n_blocks": 1, "lr": 1e-2, "batch_size": 128}
    return NCSN(**settings, random_state=0).fit(x, side)


def levels_of(model: NCSN, **how: Any) -> list[float]:
    states: list[State] = []
    model.sample(3, callback=states.append, **how)
    return [state.sigma for state in states]


def test_few_steps_are_those_fitted_to_the_model(conditional: NCSN) -> None:
    model = conditional.model_
    for label, labelled in ((None, False), ("left", True)):
        solver = model.few_steps(5, labelled=labelled)
        assert isinstance(solver, FittedMultistep)
        assert levels_of(conditional, steps=5, label=label) == pytest.approx([*solver.sigmas, 0.0])
        drawn = [
            conditional.sample(20, label=label, random_state=3, **how) for how in ({"steps": 5}, {"sampler": solver})
        ]
        np.testing.assert_array_equal(*drawn)
    assert model.few_steps(5, labelled=True) != model.few_steps(5)


def test_whatever_else_is_said_of_the_walk_is_done(conditional: NCSN) -> None:
    largest = conditional.plan_.sigma_max
    others: list[dict[str, Any]] = [
        {"sampler": "dpmpp_2m", "steps": 5},
        {"levels": "karras", "steps": 5},
        {"churn": 1.0, "steps": 5},
        {"label": "left", "guidance": 2.0, "steps": 5},
        {"x_init": torch.randn(3, 2), "steps": 5},
        {"denoise_last": False, "steps": 5},
        {"steps": 10},
        {},
    ]
    for how in others:
        assert levels_of(conditional, **how)[0] == pytest.approx(largest)


@pytest.mark.parametrize(
    "method",
    [
        "ddpm",
        "consistency",
        replace(METHODS["edm"], sampler="heun"),
        replace(METHODS["edm"], walk=Given([4.0, 2.0, 1.0, 0.5])),
        replace(METHODS["edm"], sampler=DPMpp2M(churn=3.0)),
    ],
    ids=str,
)
def test_methods_with_another_walk_keep_it(method: Any) -> None:
    model = NCSN(**SMALL | {"method": method, "training_steps": 1, "sigma_max": 4.0}).fit(table(60))
    assert levels_of(model, steps=3)[0] == pytest.approx(4.0, rel=0.1)


def test_few_steps_come_out_as_many_do(conditional: NCSN) -> None:
    for label in (None, "left", "right"):
        few, many = (conditional.sample(4000, steps=steps, label=label) for steps in (4, None))
        for drawn in (few, many):
            # next to none between the clusters
            assert (np.abs(drawn[:, 0] - 100) < 1.5).mean() < 0.02
        np.testing.assert_allclose((few[:, 0] > 100).mean(), (many[:, 0] > 100).mean(), atol=0.03)
        np.testing.assert_allclose(few.std(0), many.std(0), rtol=0.05)


def test_the_solver_is_the_same_after_loading_whatever_was_drawn_before(conditional: NCSN, tmp_path: Path) -> None:
    conditional.save(tmp_path)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    loaded = NCSN.load(tmp_path)
    assert loaded.model_.few_steps(3) == conditional.model_.few_steps(3)
    assert torch.equal(torch.get_rng_state(), state)
    for n in (5, 600):
        np.testing.assert_array_equal(
            loaded.sample(n, steps=3, random_state=1)[:5], conditional.sample(5, steps=3, random_state=1)
        )


def test_images_are_fitted_too() -> None:
    z = white(400, 4).reshape(-1, 2, 2)
    model = gaussian(z)
    drawn = model.sample(20_000, steps=2)
    # the score is that of the standard normal, whose flow the solver follows exactly
    np.testing.assert_allclose(drawn.mean((0, 1, 2)), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.reshape(-1, 4).T), np.eye(4), atol=0.05)


def test_what_cannot_be_fitted_is_refused() -> None:
    model = gaussian(white(50, 2)).model_
    with pytest.raises(SettingError, match="steps must be a whole number of at least 1, not 0"):
        model.few_steps(0)
    with pytest.raises(SettingError, match="51 steps are more than the 50 levels of the fine path"):
        model.few_steps(51)
    with pytest.raises(SettingError, match="trained without labels: leave labelled out"):
        model.few_steps(3, labelled=True)
    consistency = NCSN(**GAUSSIAN | {"method": "consistency"}).fit(white(50, 2)).model_
    with pytest.raises(SettingError, match="a consistency model has no score to fit a solver to"):
        consistency.few_steps(3)
