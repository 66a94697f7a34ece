"""Checkpoints: trainings go on bit for bit, and what is of another training, or damaged, is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ncsn import files
from ncsn.errors import RunError, SettingError
from ncsn.losses import Batch, Consistency, DenoisingScoreMatching, StableTarget, denoising_score_matching
from ncsn.networks import (
    EDM,
    NCSNScoreNetwork,
    NoisePrediction,
    PreconditionedScore,
    Preconditioning,
    ResidualMLP,
)
from ncsn.noise import Geometric, Karras, VariancePreserving
from ncsn.parts import Part
from ncsn.score import ScoreModel
from ncsn.training import Recipe, Trainer, make_accelerator
from ncsn.training.checkpoint import described, identity_of

from .common import RECIPE, held_out_rows, interrupt_at, same, small_model, trainer_of, two_clusters

# Resuming

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout": {"dropout": 0.4},
    "labels": {"labels": True},
    "held out": {"dropout": 0.4, "held_out": True},
    "held out with labels": {"labels": True, "held_out": True},
    "some targets": {"recipe": replace(RECIPE, objective=DenoisingScoreMatching("edm", StableTarget(0.2, 50)))},
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("stop", [5, 34, 60])
def test_resumed_run_ends_as_the_uninterrupted_one(tmp_path: Path, variant: str, stop: int) -> None:
    whole = trainer_of(**VARIANTS[variant])
    whole.run()
    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        trainer_of(**VARIANTS[variant]).run(interrupt_at(stop), path)
    torch.rand(7)
    resumed = trainer_of(**VARIANTS[variant])
    resumed.run(checkpoint=path)
    assert same(resumed.averaged_model, whole.averaged_model)
    assert same(resumed.score_model, whole.score_model)
    assert resumed.curve == whole.curve
    if whole.watch is not None and resumed.watch is not None:
        assert resumed.watch.looks == whole.watch.looks
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]


def test_batch_statistics_resume(tmp_path: Path) -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.inner = nn.BatchNorm1d(2), small_model()

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            score: Tensor = self.inner(self.norm(x), sigma)
            return score

    whole = Trainer(Normed(), two_clusters(), RECIPE)
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        Trainer(Normed(), two_clusters(), RECIPE).run(interrupt_at(22), tmp_path / "checkpoint")
    resumed = Trainer(Normed(), two_clusters(), RECIPE)
    resumed.run(checkpoint=tmp_path / "checkpoint")
    assert same(resumed.averaged_model, whole.averaged_model)
    assert float(whole.averaged_model.get_buffer("norm.running_var")[0]) > 1.5


def other_trainer(difference: str) -> Trainer:
    data, labels, model, recipe = two_clusters(), None, small_model(), RECIPE
    if difference == "data":
        data[7, 1] += 1e-6
    elif difference == "order":
        data = data.flip(0)
    elif difference == "labels":
        labels, model = torch.zeros(len(data), dtype=torch.long), small_model(1)
    elif difference == "network":
        model = PreconditionedScore(ResidualMLP((2,), 17, 1))
    elif difference == "held out":
        return Trainer(model, data, recipe, held_out=held_out_rows())
    elif difference == "steps":
        recipe = replace(RECIPE, steps=61)
    elif difference == "seed":
        recipe = replace(RECIPE, seed=6)
    elif difference == "precision":
        return Trainer(model, data, recipe, accelerator=make_accelerator("cpu", "bf16"))
    elif difference == "settings":
        return Trainer(model, data, recipe, settings={"dropout": 0.1})
    return Trainer(model, data, recipe, labels)


@pytest.mark.parametrize(
    "difference", ["data", "order", "labels", "network", "held out", "steps", "seed", "precision", "settings"]
)
def test_checkpoint_of_another_training_is_refused(tmp_path: Path, difference: str) -> None:
    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        trainer_of().run(interrupt_at(10), path)
    content = path.read_bytes()
    with pytest.raises(RunError, match=r"is no checkpoint of this training: .* differ; go on with the same ones, or"):
        other_trainer(difference).run(checkpoint=path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "foreign", "text"])
def test_damaged_and_foreign_checkpoints_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        trainer_of().run(interrupt_at(10), path)
    content = path.read_bytes()
    if damage == "foreign":
        save_file({"x": torch.zeros(2)}, path)
    else:
        flipped = content[:-100] + bytes([content[-100] ^ 4]) + content[-99:]
        damaged = {"empty": b"", "truncated": content[:-1], "flipped": flipped, "text": b"step,loss\n1,2\n"}
        path.write_bytes(damaged[damage])
    trainer = trainer_of()
    with pytest.raises(RunError, match=r"damaged|not written by ncsn") as caught:
        trainer.run(checkpoint=path)
    assert "\n" not in str(caught.value)
    assert trainer.step == 0


def test_a_checkpoint_of_other_held_out_rows_is_refused(tmp_path: Path) -> None:
    def trainer(n: int) -> Trainer:
        return Trainer(small_model(), two_clusters(), RECIPE, held_out=held_out_rows(n))

    with pytest.raises(KeyboardInterrupt):
        trainer(30).run(interrupt_at(10), tmp_path / "checkpoint")
    with pytest.raises(RunError, match="is no checkpoint of this training"):
        trainer(31).run(checkpoint=tmp_path / "checkpoint")


def test_checkpoint_is_no_pickle_and_says_where_training_stands(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        trainer_of().run(interrupt_at(12), tmp_path / "checkpoint")
    _, metadata = files.read_tensors(tmp_path / "checkpoint")
    assert metadata["step"] == 10
    assert [step for step, _ in metadata["curve"]] == list(range(1, 11))


class Activated(nn.Module):
    """A network of one's own that calls a function between its layers."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation
        self.first, self.last = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        level = sigma.log().expand(len(x))[:, None]
        answer: Tensor = self.last(self.activation(self.first(torch.cat([x, level], dim=1))))
        return answer


def bent(x: Tensor) -> Tensor:
    return x.abs().sqrt()


@pytest.mark.parametrize("other", [torch.tanh, nn.functional.silu, bent], ids=lambda function: function.__name__)
def test_a_checkpoint_of_another_activation_function_is_refused(tmp_path: Path, other: Any) -> None:
    def trainer(activation: Any) -> Trainer:
        torch.manual_seed(0)
        return Trainer(Activated(activation), two_clusters(), RECIPE)

    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        trainer(torch.relu).run(interrupt_at(10), path)
    with pytest.raises(RunError, match="is no checkpoint of this training"):
        trainer(other).run(checkpoint=path)
    trainer(torch.relu).run(checkpoint=path)


# What tells one training from another


class Own(nn.Module):
    """A network of one's own, with things of every kind as attributes."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.inner = small_model(dropout=0.1)
        self.convolution = nn.Conv2d(1, 1, 3, stride=changes.get("stride", 1))
        self.activation = changes.get("activation", nn.ReLU)()
        self.share: float = changes.get("share", 0.5)
        self.mode: str = changes.get("mode", "mean")
        self.gated: bool = changes.get("gated", False)
        self.levels: Part = changes.get("levels", Karras(3.0))
        self.widths: list[Any] = changes.get("widths", [8, 16])
        self.function: Any = changes.get("function", torch.relu)
        # what has an address, or no name that another process knows
        self.helper: Any = changes.get("helper", object())
        self.local = lambda x: x
        self._counted: int = changes.get("counted", 0)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        score: Tensor = self.inner(x, sigma)
        return score


def plain_objective(model: ScoreModel, batch: Batch) -> Tensor:
    return denoising_score_matching(model, batch.samples, batch.sigma, batch.noise)


def other_objective(model: ScoreModel, batch: Batch) -> Tensor:
    return denoising_score_matching(model, batch.samples, batch.sigma, batch.noise, "edm")


def fingerprint(model: nn.Module, recipe: Recipe = RECIPE, settings: Any = None) -> str:
    return Trainer(model, two_clusters(), recipe, settings=settings).fingerprint()


@pytest.mark.parametrize("make", [small_model, Own, lambda: NCSNScoreNetwork(2, [8])])
def test_a_description_is_the_same_wherever_the_objects_lie(make: Callable[[], nn.Module]) -> None:
    # both are kept, so that nothing of the second lies where the first did
    first, second = make(), make()
    assert described(first) == described(second)
    assert " at 0x" not in json.dumps(described(first))
    tensors = {"data": two_clusters()}
    assert identity_of(tensors, first, RECIPE, "no") == identity_of(tensors, second, replace(RECIPE), "no")


def test_a_description_is_plain_data_of_modules_numbers_parts_and_weights() -> None:
    modules, weights = described(small_model(dropout=0.1))
    assert json.loads(json.dumps([modules, weights])) == [modules, weights]
    assert [name for name, _, _ in modules][:2] == ["", "network"]
    kinds = {name: kind for name, kind, _ in modules}
    assert kinds[""] == "ncsn.networks.preconditioning.PreconditionedScore"
    own = {name: values for name, _, values in modules}
    assert own[""] == {"preconditioning": {"part": "EDM", "sigma_data": 1.0, "sigma_min": 0.0}}
    # what is None is told too, by its type
    absent = dict.fromkeys(("fourier", "label_embedding", "context_embedding", "gain"), "NoneType")
    assert own["network"] == {"dropout": 0.1, "n_classes": 0} | absent
    assert own["network.output"] == {"in_features": 16, "out_features": 2}
    assert ["network.output.weight", "torch.float32", [2, 16]] in weights


def test_the_identity_is_the_same_in_another_process() -> None:
    program = (
        "from dataclasses import replace\n"
        f"from {__package__}.common import RECIPE\n"
        f"from {__name__} import Own, fingerprint, plain_objective\n"
        "print(fingerprint(Own(), replace(RECIPE, objective=plain_objective), {'lesson': [1, None]}))"
    )
    root = str(Path(__file__).parents[__name__.count(".")])
    found = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": root, "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
        text=True,
    )
    here = fingerprint(Own(), replace(RECIPE, objective=plain_objective), {"lesson": [1, None]})
    assert found.stdout.strip() == here


def test_training_and_its_mode_do_not_change_the_identity() -> None:
    trainer = Trainer(small_model(dropout=0.3), two_clusters(), RECIPE)
    before = trainer.fingerprint()
    trainer.run()
    assert trainer.fingerprint() == before
    assert fingerprint(small_model(dropout=0.3).eval()) == before
    # a counter is no part of what a network is, where its name says so
    assert described(Own(counted=3)) == described(Own())


@pytest.mark.parametrize(
    "change",
    [
        {"share": 0.4},
        {"mode": "sum"},
        {"gated": True},
        {"levels": Karras(4.0)},
        {"levels": Geometric()},
        {"activation": nn.SiLU},
        {"stride": 2},
        {"function": nn.functional.silu},
        {"function": torch.sigmoid},
        {"function": nn.SiLU()},
        {"widths": [8, 17]},
        {"widths": [8, [16]]},
        {"helper": nn.functional.silu},
    ],
    ids=lambda settings: re.sub(" at 0x[0-9a-f]+", "", str(settings)),
)
def test_another_network_of_ones_own_has_another_identity(change: dict[str, Any]) -> None:
    assert fingerprint(Own(**change)) != fingerprint(Own())


def own_score(row: str | Preconditioning = "edm", **options: Any) -> PreconditionedScore:
    return PreconditionedScore(ResidualMLP((2,), 16, 1, **options), row)


def test_another_network_of_the_librarys_has_another_identity() -> None:
    models = [
        own_score(),
        own_score(dropout=0.1),
        own_score(dropout=0.2),
        own_score(gain=True),
        own_score(n_classes=2),
        own_score(n_fourier=3),
        own_score(n_fourier=3, fourier_scale=1.0),
        own_score(embedding_dim=16),
        own_score("scaled_score"),
        own_score("noise_vp"),
        own_score(NoisePrediction(VariancePreserving(0.2))),
        own_score(EDM(sigma_data=0.5)),
        own_score().double(),
        NCSNScoreNetwork(2, [16]),
    ]
    assert len({fingerprint(model) for model in models}) == len(models)


def test_another_recipe_has_another_identity() -> None:
    recipes = [
        RECIPE,
        replace(RECIPE, learning_rate=4e-3),
        replace(RECIPE, batch_size=33),
        replace(RECIPE, warm_up=11),
        replace(RECIPE, clip_norm=9.0),
        replace(RECIPE, condition_dropout=0.2),
        replace(RECIPE, levels=Geometric(sigma_min=0.05, sigma_max=6.0)),
        replace(RECIPE, levels=Karras(3.0, sigma_min=0.05, sigma_max=5.0)),
        replace(RECIPE, levels=Karras(4.0, sigma_min=0.05, sigma_max=5.0)),
        replace(RECIPE, objective=DenoisingScoreMatching("sigma2")),
        replace(RECIPE, objective=DenoisingScoreMatching("edm", StableTarget(0.2))),
        replace(RECIPE, objective=DenoisingScoreMatching("edm", StableTarget(0.2, 50))),
        replace(RECIPE, objective=DenoisingScoreMatching("edm", StableTarget(0.2, weight=29.0))),
        replace(RECIPE, objective=Consistency(0.05)),
        replace(RECIPE, objective=plain_objective),
        replace(RECIPE, objective=other_objective),
    ]
    assert len({fingerprint(small_model(), recipe) for recipe in recipes}) == len(recipes)
    for recipe in recipes:
        assert fingerprint(small_model(), replace(recipe)) == fingerprint(small_model(), recipe)


def test_settings_may_be_any_plain_values_and_parts() -> None:
    settings = [
        None,
        1,
        "x",
        {"dropout": 0.1},
        {"dropout": 0.2},
        [{"plan": [1.0, None]}, "lesson"],
        [Karras()],
        {"k": Karras(3.0)},
    ]
    assert len({fingerprint(small_model(), settings=value) for value in settings}) == len(settings)


@pytest.mark.parametrize(
    "recipe",
    [
        replace(RECIPE, objective=lambda model, batch: plain_objective(model, batch)),
        replace(RECIPE, objective=DenoisingScoreMatching(lambda sigma: sigma)),
    ],
)
def test_code_without_an_import_path_trains_but_not_with_a_checkpoint(recipe: Recipe, tmp_path: Path) -> None:
    trainer = Trainer(small_model(), two_clusters(), recipe)
    with pytest.raises(
        SettingError, match="has no import path, so it cannot be saved: define it at the top of a module"
    ):
        trainer.run(checkpoint=tmp_path / "checkpoint")
    assert trainer.step == 0
    assert not list(tmp_path.iterdir())
    trainer.run()
    assert trainer.step == 60


@pytest.mark.parametrize("stop", [7, 35])
def test_an_objective_of_ones_own_that_draws_resumes(tmp_path: Path, stop: int) -> None:
    recipe = replace(RECIPE, objective=drawing_objective)
    whole = Trainer(small_model(dropout=0.2), two_clusters(), recipe)
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        Trainer(small_model(dropout=0.2), two_clusters(), recipe).run(interrupt_at(stop), tmp_path / "checkpoint")
    torch.rand(7)
    resumed = Trainer(small_model(dropout=0.2), two_clusters(), recipe)
    resumed.run(checkpoint=tmp_path / "checkpoint")
    assert same(resumed.averaged_model, whole.averaged_model)
    assert resumed.curve == whole.curve


def drawing_objective(model: ScoreModel, batch: Batch) -> Tensor:
    """Return sliced score matching's loss: the error along random directions."""
    error = batch.sigma[:, None] * model(batch.noisy, batch.sigma) + batch.noise
    return (torch.randn_like(error) * error).sum(dim=1).square()
