"""Consistency models, from scratch and distilled of a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from small_models import GAUSSIAN, SMALL, flat_weights, table

from ncsn import NCSN
from ncsn.errors import DataError, RunError, SettingError
from ncsn.samplers import Heun, State


@pytest.mark.parametrize("distilled", [True, False])
def test_a_consistency_model_learns_where_the_flow_of_a_gaussian_ends(of_table: NCSN, distilled: bool) -> None:
    model = NCSN(
        method="consistency", width=32, n_blocks=1, training_steps=800, sigma_min=0.05, sigma_max=8, random_state=0
    )
    model.fit(table(), teacher=of_table if distilled else None)
    x = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    for sigma in (0.5, 2.0, 8.0):
        level = torch.tensor(sigma)
        noisy = x * (1 + level**2).sqrt()
        with torch.no_grad():
            end = model.score_model_(noisy, level)
        expected = x * (1 + 0.05**2) ** 0.5
        assert float((end - expected).square().mean().sqrt()) < 0.2
    states: list[State] = []
    model.sample(10, steps=3, callback=states.append)
    assert states[-1].evaluations == 3


def test_a_student_starts_from_the_weights_of_a_teacher_that_asks_its_network_alike(of_table: NCSN) -> None:
    still = GAUSSIAN | {"method": "consistency"}

    def networks(teacher: NCSN, **settings: Any) -> tuple[torch.Tensor, torch.Tensor]:
        student = NCSN(**still | settings).fit(table(), teacher=teacher)
        return flat_weights(student.score_model_.network), flat_weights(teacher.score_model_.network)

    same = {"width": of_table.plan_.width, "n_blocks": of_table.plan_.n_blocks}
    own, taught = networks(of_table, **same)
    torch.testing.assert_close(own, taught)
    # at a lower rate, but where one is given
    settings: dict[str, Any] = same | {"method": "consistency", "training_steps": 1}
    anew, on = (NCSN(**settings).fit(table(), teacher=teacher).plan_ for teacher in (None, of_table))
    assert on.learning_rate == anew.learning_rate / 4
    assert "training starts from the teacher's weights" in str(on)
    assert NCSN(**settings, lr=3e-3).fit(table(), teacher=of_table).plan_.learning_rate == 3e-3
    smaller, _ = networks(of_table, **same | {"width": 4})
    assert len(smaller) < len(taught)
    # what a network is told by another method is not what it learns here
    own, taught = networks(NCSN(**SMALL | {"method": "ddpm", "training_steps": 3}).fit(table()))
    untaught = flat_weights(NCSN(**still).fit(table()).score_model_.network)
    assert own.shape == taught.shape
    torch.testing.assert_close(own, untaught)


def test_a_consistency_model_is_saved_with_its_boundary(tmp_path: Path) -> None:
    model = NCSN(**SMALL | {"training_steps": 5, "method": "consistency"}).fit(table())
    model.save(tmp_path / "model")
    loaded = NCSN.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.sample(20, random_state=3), model.sample(20, random_state=3))
    x = torch.randn(5, 3)
    torch.testing.assert_close(loaded.score_model_(x, torch.tensor(model.plan_.sigma_min)), x)


def test_distillation_goes_on_from_its_checkpoint_with_the_same_teacher_alone(tmp_path: Path, of_table: NCSN) -> None:
    settings = SMALL | {"method": "consistency", "training_steps": 8}
    whole = NCSN(**settings).fit(table(), teacher=of_table, checkpoint=tmp_path / "kept")
    again = NCSN(**settings).fit(table(), teacher=of_table, checkpoint=tmp_path / "kept")
    np.testing.assert_array_equal(again.sample(5, random_state=0), whole.sample(5, random_state=0))
    with pytest.raises(RunError, match="no checkpoint of this training"):
        NCSN(**settings).fit(table(), checkpoint=tmp_path / "kept")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda model: model.score(table()), "a consistency model has no log-density"),
        (lambda model: model.score_function(table(), 1.0), "a consistency model has no score"),
        (lambda model: model.impute(table()), "a consistency model has no conditional distribution"),
        (lambda model: model.sample(2, sampler="heun"), "takes the samplers consistency, not 'heun'"),
        (lambda model: model.sample(2, sampler=Heun()), r"takes the samplers consistency, not Heun\(\)"),
        (lambda model: model.sample(2, n_steps_per_sigma=3), "takes the samplers consistency"),
    ],
)
def test_what_needs_a_score_is_refused_to_a_consistency_model(ask: Any, message: str) -> None:
    model = NCSN(**SMALL | {"training_steps": 1, "method": "consistency"}).fit(table())
    with pytest.raises(SettingError, match=message):
        ask(model)


def test_teachers_that_do_not_fit_are_refused(of_table: NCSN) -> None:
    student = NCSN(**SMALL | {"training_steps": 1, "method": "consistency"})
    with pytest.raises(DataError, match="the teacher was fitted on other data: fit both on the same rows"):
        student.fit(table()[:-1], teacher=of_table)
    with pytest.raises(DataError, match="the teacher has other classes"):
        student.fit(table(), np.arange(400) % 2, teacher=of_table)
    with pytest.raises(SettingError, match="method 'edm' cannot distil a teacher of method 'edm'"):
        NCSN(**GAUSSIAN).fit(table(), teacher=of_table)
    with pytest.raises(DataError, match="cannot distil a teacher of method 'consistency'"):
        student.fit(table(), teacher=NCSN(**SMALL | {"training_steps": 1, "method": "consistency"}).fit(table()))
    with pytest.raises(NotFittedError):
        student.fit(table(), teacher=NCSN())
    with pytest.raises(SettingError, match="method 'consistency' makes its own network: leave score_net out"):
        NCSN(torch.nn.Linear(3, 3), method="consistency", training_steps=1).fit(table())
