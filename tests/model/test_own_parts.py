"""Parts of one's own in a model: networks, a sampler, a method; trained, saved, allowed and loaded, here and elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import own_parts
import pytest
import torch
from own_parts import OWN, Euler, F, Factory, LabelledNetwork, euler_steps, make_network
from small_models import SMALL, clusters, table, weights, white
from torch import Tensor, nn

from ncsn import METHODS, NCSN, Method, Model, NCSNScoreNetwork, PreconditionedScore
from ncsn.errors import RunError, SettingError
from ncsn.parts import object_at
from ncsn.plan import Plan

WARNS = r"is trained as the score s\(x, sigma\) itself; for a network F\(x, c_noise\) that the method preconditions, give NCSN"


# A score model, trained as it is


def test_own_network_is_copied_trained_saved_and_loaded(tmp_path: Path) -> None:
    network = LabelledNetwork()
    before = network.first.weight.clone()
    x, side = clusters(60)
    with pytest.warns(UserWarning, match=f"score_net=LabelledNetwork.* {WARNS}"):
        model = NCSN(network, training_steps=5, random_state=0).fit(x, side)
    assert torch.equal(network.first.weight, before)
    assert isinstance(model.score_model_, LabelledNetwork)
    assert not torch.equal(model.score_model_.first.weight, before)
    model.save(tmp_path)
    with pytest.raises(RunError, match=r"pass the module: NCSN.load\(folder, score_net=...\)"):
        NCSN.load(tmp_path)
    with pytest.raises(
        RunError, match=r"the network given is not the one that .* was trained with: size mismatch"
    ) as caught:
        NCSN.load(tmp_path, score_net=LabelledNetwork(17))
    assert "\n" not in str(caught.value)
    other = LabelledNetwork()
    loaded = NCSN.load(tmp_path, score_net=other)
    assert loaded.score_net is other
    assert not torch.equal(other.first.weight, model.score_model_.first.weight)
    np.testing.assert_array_equal(loaded.sample(4, label="left"), model.sample(4, label="left"))


class WrongShape(LabelledNetwork):
    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
        return x[:, :1]


@pytest.mark.parametrize(
    ("network", "y", "message"),
    [
        (lambda x, sigma: -x, None, "score_net must be a torch.nn.Module with weights to train, not function"),
        (nn.Identity(), None, "score_net must be a torch.nn.Module with weights to train, not Identity"),
        (
            NCSNScoreNetwork(3, [8]),
            None,
            r"score_net\(x, sigma\) on rows of shape \(2,\), sigma of shape \(N,\), fails: .*",
        ),
        (
            nn.Linear(2, 2),
            None,
            r"score_net\(x, sigma\) on rows of shape \(2,\), sigma of shape \(N,\), fails: .*positional arguments",
        ),
        (WrongShape(), None, r"score_net\(x, sigma\) on rows .* must return a score of shape \(2, 2\), not \(2, 1\)"),
        (
            NCSNScoreNetwork(2, [8]),
            [0, 1] * 10,
            r"score_net\(x, sigma, label=label\) .* fails: .*unexpected keyword .*label",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:score_net=")
def test_networks_that_break_the_contract_are_refused(network: Any, y: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message) as caught:
        NCSN(network, training_steps=3, random_state=0).fit(white(20, 2), y)
    assert "\n" not in str(caught.value)


# A network F, which the method preconditions


QUICK: dict[str, Any] = {"training_steps": 600, "batch_size": 256, "lr": 5e-3, "random_state": 0}


@pytest.mark.parametrize("given", [F(), make_network], ids=["module", "factory"])
def test_a_network_gives_the_spread_of_the_data(given: Any) -> None:
    x = np.random.default_rng(0).normal([50.0, -1.0], [4.0, 0.03], (2000, 2))
    model = NCSN(network=given, **QUICK).fit(x)
    assert isinstance(model.score_model_, PreconditionedScore) and isinstance(model.score_model_.network, F)
    samples = model.sample(4000)
    np.testing.assert_allclose(samples.std(0), x.std(0), rtol=0.05)
    np.testing.assert_allclose((samples.mean(0) - x.mean(0)) / x.std(0), 0, atol=0.06)


def test_a_network_of_one_column_gives_its_spread() -> None:
    x = np.random.default_rng(0).normal(-7.0, 0.2, (2000, 1))
    samples = NCSN(network=F(1), **QUICK).fit(x).sample(4000)
    assert samples.std() == pytest.approx(x.std(), rel=0.05)
    assert samples.mean() == pytest.approx(x.mean(), abs=0.06 * 0.2)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_a_network(method: str) -> None:
    x, side = clusters(40)
    model = NCSN(network=F(), method=method, training_steps=3, random_state=0).fit(x, side)
    assert np.isfinite(model.sample(3, label="left")).all()


def test_a_network_is_copied_and_given_labels() -> None:
    network = F()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x, side = clusters(60)
    model = NCSN(network=network, training_steps=5, random_state=0).fit(x, side)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    trained = model.score_model_.network
    for name in ("first.weight", "embedding.weight"):
        assert not torch.equal(trained.get_parameter(name), before[name])
    left, right = (model.score_function(x[:5], 1.0, label=label) for label in ("left", "right"))
    assert not np.allclose(left, right)


class Hearing(F):
    """A network that keeps the labels that it is told."""

    told: ClassVar[list[list[int] | None]] = []

    def forward(self, x: Tensor, c_noise: Tensor, label: Tensor | None = None) -> Tensor:
        self.told.append(None if label is None else sorted(set(label.tolist())))
        return super().forward(x, c_noise, label)


@pytest.mark.parametrize("given", [Hearing(), lambda shape, plan, n_classes: Hearing()], ids=["module", "factory"])
def test_a_network_with_classes_is_always_told_a_label(given: Any) -> None:
    x, side = clusters(40)
    Hearing.told.clear()
    model = NCSN(network=given, training_steps=1, random_state=0).fit(x, side)
    # before training it is asked for no label and for the last
    assert Hearing.told[:2] == [[-1, 1], [-1, 1]]
    gap = np.array([[100.0, np.nan]])
    asked: list[Callable[..., Any]] = [
        # fewer steps are fitted first, on all classes
        partial(model.sample, 3, steps=10),
        partial(model.score_samples, x[:3]),
        partial(model.score_function, x[:3], 1.0),
        partial(model.impute, gap, steps=3, n_sweeps=1),
    ]
    for ask in asked:
        for label, code in ((None, -1), ("left", 0)):
            Hearing.told.clear()
            ask(label=label)
            assert Hearing.told and all(told == [code] for told in Hearing.told)
    Hearing.told.clear()
    model.sample(3, steps=3, label="right", guidance=2.0)
    assert {tuple(told or ()) for told in Hearing.told} == {(1,), (-1,)}
    # without classes of none
    Hearing.told.clear()
    NCSN(network=given, training_steps=1, random_state=0).fit(x).sample(3, steps=3)
    assert set(map(str, Hearing.told)) == {"None"}


def test_a_factory_is_told_the_shape_the_plan_and_the_classes() -> None:
    told: list[Any] = []

    def factory(shape: Any, plan: Plan, n_classes: int) -> nn.Module:
        told.append((tuple(shape), plan.width, n_classes))
        return make_network(shape, plan, n_classes)

    x = np.column_stack([clusters(60)[0], np.full(60, 3.0)])
    NCSN(network=factory, training_steps=1, width=8).fit(x)
    NCSN(network=factory, training_steps=1, width=8).fit(x, np.arange(60) % 3)
    # without what never varies
    assert told == [((2,), 8, 0), ((2,), 8, 3)]


def test_one_seed_makes_one_network() -> None:
    x = white(30, 2)
    first, second, other = (
        NCSN(network=make_network, training_steps=2, random_state=seed).fit(x) for seed in (0, 0, 1)
    )
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))


def test_a_bare_network_as_a_score_net_is_said_to_be_none() -> None:
    with pytest.warns(UserWarning, match=f"score_net=F.* {WARNS}"):
        NCSN(F(), training_steps=1, random_state=0).fit(white(20, 2))
    with pytest.warns(UserWarning, match=WARNS):
        NCSN(F(), random_state=0).train_step(torch.randn(8, 2))


@pytest.mark.filterwarnings("error::UserWarning")
def test_what_is_declared_a_score_or_given_as_a_network_is_taken_without_a_word() -> None:
    for score_net in (NCSNScoreNetwork(2, [8]), PreconditionedScore(F())):
        NCSN(score_net, training_steps=1, random_state=0).fit(white(20, 2))
    NCSN(network=F(), training_steps=1, random_state=0).fit(white(20, 2))


def test_a_network_and_a_score_net_are_one_too_many() -> None:
    with pytest.raises(SettingError, match=r"give network .* or score_net \(a score\), not both"):
        NCSN(NCSNScoreNetwork(2, [8]), network=F(), training_steps=1).fit(white(20, 2))


class WrongShapeF(F):
    def forward(self, x: Tensor, c_noise: Tensor, label: Tensor | None = None) -> Tensor:
        return x[:, :1]


class OnlyRows(F):
    """A network that takes a level for each row, as in training, and not one for all, as in sampling."""

    def forward(self, x: Tensor, c_noise: Tensor, label: Tensor | None = None) -> Tensor:
        answer: Tensor = self.last(self.first(torch.cat([x, c_noise[:, None]], dim=1)))
        return answer


class OnlyOne(F):
    """A network that takes one level for all rows alone."""

    def forward(self, x: Tensor, c_noise: Tensor, label: Tensor | None = None) -> Tensor:
        assert c_noise.ndim == 0, "one level alone"
        return super().forward(x, c_noise, label)


class Unlabelled(F):
    """A network without an embedding for no label."""

    def forward(self, x: Tensor, c_noise: Tensor, label: Tensor | None = None) -> Tensor:
        return super().forward(x, c_noise, None if label is None else label - 1)


def failing(shape: Any, plan: Plan, n_classes: int) -> nn.Module:
    raise ValueError("no such depth")


@pytest.mark.parametrize(
    ("network", "y", "message"),
    [
        (nn.Identity(), None, "network must be a torch.nn.Module with weights to train, not Identity"),
        (
            lambda shape, plan, n_classes: None,
            None,
            "network must be a torch.nn.Module with weights to train, not None",
        ),
        (F(3), None, r"network\(x, c_noise\) on rows of shape \(2,\), c_noise of shape \(N,\), fails: .*"),
        (
            nn.Linear(2, 2),
            None,
            r"network\(x, c_noise\) on rows of shape \(2,\), c_noise of shape \(N,\), fails: .*positional arguments",
        ),
        (OnlyRows(), None, r"network\(x, c_noise\) on rows of shape \(2,\), c_noise of shape \(\), fails: .*"),
        (
            OnlyOne(),
            None,
            r"network\(x, c_noise\) on rows of shape \(2,\), c_noise of shape \(N,\), fails: one level.*",
        ),
        # an embedding for fewer labels than there are, and without one for none
        (F(n_classes=1), [0, 1] * 10, r"network\(x, c_noise, label=label\) .* fails: index out of range"),
        (Unlabelled(), [0, 1] * 10, r"network\(x, c_noise, label=label\) .* fails: index out of range"),
        (3, None, "network must be a module or make one, not 3"),
        (
            PreconditionedScore(F()),
            None,
            "network is preconditioned already: give it as score_net, or the network inside",
        ),
        (
            lambda shape: F(),
            None,
            r"network=.*<lambda>, called as .*<lambda>\(shape, plan, n_classes\), fails: .*1 positional argument but 3",
        ),
        (failing, None, r"network=failing, called as failing\(shape, plan, n_classes\), fails: no such depth"),
        (WrongShapeF(), None, r"network\(x, c_noise\) .* must return a tensor of shape \(2, 2\), not \(2, 1\)"),
        (nn.Bilinear(2, 1, 2), [0, 1] * 10, r"network\(x, c_noise, label=label\) .* fails: .*keyword .*label"),
    ],
)
def test_networks_f_that_break_the_contract_are_refused(network: Any, y: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message) as caught:
        NCSN(network=network, training_steps=3, random_state=0).fit(white(20, 2), y)
    assert "\n" not in str(caught.value)


# Saved and loaded


def test_a_network_is_loaded_by_passing_it(tmp_path: Path) -> None:
    x, side = clusters(60)
    model = NCSN(network=F(), training_steps=5, random_state=0).fit(x, side)
    model.save(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["network"] == "network"
    with pytest.raises(RunError, match=r"a network of its own; pass the module: NCSN.load\(folder, network=...\)"):
        NCSN.load(tmp_path)
    with pytest.raises(RunError, match=r"the network given is not the one that .* was trained with: size mismatch"):
        NCSN.load(tmp_path, network=F(width=33))
    other = F()
    before = other.first.weight.clone()
    for loaded in (NCSN.load(tmp_path, network=other), Model.load(tmp_path, network=other)):
        generator = torch.Generator().manual_seed(3)
        drawn = loaded.sample(4, label="left", generator=generator)
        np.testing.assert_array_equal(drawn, model.sample(4, label="left", random_state=3))
    assert torch.equal(other.first.weight, before)
    assert NCSN.load(tmp_path, network=other).network is other
    # a loaded model fits and is saved anew
    NCSN.load(tmp_path, network=other).fit(x).save(tmp_path)
    NCSN.load(tmp_path, network=other)


def test_a_factory_is_loaded_where_it_is_allowed(tmp_path: Path) -> None:
    x, side = clusters(60)
    model = NCSN(network=make_network, training_steps=5, random_state=0).fit(x, side)
    model.save(tmp_path)
    refused: list[list[Any]] = [[], ["own_part"], ["own_parts:F"], [F]]
    for allow in refused:
        with pytest.raises(
            RunError, match=r"this run uses own_parts:make_network, code of its own; .* by allow=\['own_parts'\]"
        ):
            NCSN.load(tmp_path, allow=allow)
    allowed: list[list[Any]] = [["own_parts"], ["own_parts:make_network"], [make_network]]
    for allow in allowed:
        loaded = NCSN.load(tmp_path, allow=allow)
        assert loaded.network is make_network
        np.testing.assert_array_equal(loaded.sample(4, label="left"), model.sample(4, label="left"))
    assert torch.equal(weights(NCSN.load(tmp_path, allow=["own_parts"]).fit(x, side)), weights(model))


def test_a_factory_may_be_a_plain_dataclass(tmp_path: Path) -> None:
    x, side = clusters(60)
    model = NCSN(network=Factory(width=12), training_steps=5, random_state=0).fit(x, side)
    assert model.score_model_.network.first.out_features == 12
    model.save(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())["network"]
    assert saved == {"part": "own_parts:Factory", "width": 12}
    with pytest.raises(RunError, match=r"this run uses own_parts:Factory, code of its own"):
        NCSN.load(tmp_path)
    allowed: list[list[Any]] = [["own_parts"], [own_parts], [Factory]]
    for allow in allowed:
        loaded = NCSN.load(tmp_path, allow=allow)
        assert loaded.network == Factory(width=12)
        np.testing.assert_array_equal(loaded.sample(4, label="left"), model.sample(4, label="left"))
    assert torch.equal(weights(NCSN.load(tmp_path, allow=[own_parts]).fit(x, side)), weights(model))


def test_a_factory_that_fails_is_named_as_it_prints() -> None:
    message = r"network=Factory\(width=0\), called as Factory\(width=0\)\(shape, plan, n_classes\), fails: no width"
    with pytest.raises(SettingError, match=message):
        NCSN(network=Factory(width=0), training_steps=1).fit(white(20, 2))


@pytest.mark.parametrize("asked", [None, "network", "score_net"])
def test_a_network_that_is_not_asked_for_is_refused(asked: str | None, tmp_path: Path) -> None:
    networks: dict[str, Any] = {"network": F(), "score_net": NCSNScoreNetwork(2, [8])}
    given = {} if asked is None else {asked: networks[asked]}
    NCSN(**given, training_steps=1, random_state=0, width=8, n_blocks=1).fit(white(20, 2)).save(tmp_path)
    for name in set(networks) - {asked}:
        for load in (NCSN.load, Model.load):
            with pytest.raises(RunError, match=f"was not trained with a {name} of its own: leave it out"):
                load(tmp_path, **given, **{name: networks[name]})
    # nor where a factory makes it
    NCSN(network=make_network, training_steps=1, random_state=0).fit(white(20, 2)).save(tmp_path)
    with pytest.raises(RunError, match="was not trained with a network of its own: leave it out"):
        NCSN.load(tmp_path, network=F(), allow=["own_parts"])


def test_a_factory_without_a_path_is_not_saved_and_what_was_there_stays(tmp_path: Path) -> None:
    NCSN(**SMALL, training_steps=1).fit(white(20, 2)).save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    local = NCSN(network=lambda shape, plan, n_classes: F(), training_steps=1).fit(white(20, 2))
    with pytest.raises(RunError, match="has no import path, so it cannot be saved: define it at the top of a module"):
        local.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


SCRIPT = """
import sys
from dataclasses import dataclass
import numpy as np
from ncsn import METHODS, NCSN
from own_parts import F

@dataclass(frozen=True)
class Wide:
    width: int = 8

    def __call__(self, shape, plan, n_classes):
        return F(shape[0], self.width, n_classes)

if __name__ == "__main__":
    if sys.argv[1] == "train":
        x = np.random.default_rng(0).standard_normal((40, 2))
        model = NCSN(network=Wide(12), training_steps=2, random_state=0).fit(x)
        model.save("run")
    else:
        model = NCSN.load("run", allow=[Wide])
    np.save(sys.argv[1], model.sample(5))
"""


def test_parts_of_a_script_are_found_by_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(own_parts.__file__).parent), "OMP_NUM_THREADS": "1"}
    for what in ("train", "again"):
        line = [sys.executable, "script.py", what]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
    samples = np.load(tmp_path / "train.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "again.npy"), samples)
    # and where the script is imported
    monkeypatch.syspath_prepend(str(tmp_path))
    wide = object_at("script:Wide")
    np.testing.assert_allclose(NCSN.load(tmp_path / "run", allow=[wide]).sample(5), samples, rtol=1e-5, atol=1e-6)
    for allow in ([], ["script"], [F]):
        with pytest.raises(
            RunError, match=r"this run uses Wide, defined in a script or a notebook: import it and give allow=\[Wide\]"
        ):
            NCSN.load(tmp_path / "run", allow=allow)


# Samplers and methods


def test_a_sampler_of_one_s_own_is_taken_as_an_object_a_class_and_a_function() -> None:
    model = NCSN(**SMALL, training_steps=2).fit(table(60))
    drawn = [
        model.sample(5, sampler=sampler, steps=6, random_state=0) for sampler in (Euler(), Euler, euler_steps, "heun")
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_allclose(drawn[0], drawn[2], rtol=1e-5, atol=1e-5)
    assert not np.allclose(drawn[0], drawn[3])
    noisy = [model.sample(5, sampler=sampler, share=0.5, random_state=0) for sampler in (Euler, euler_steps)]
    np.testing.assert_allclose(noisy[0], noisy[1], rtol=1e-5, atol=1e-5)
    assert not np.allclose(noisy[0], model.sample(5, sampler=Euler(), random_state=0))
    with pytest.raises(TypeError, match="has no option 'churn'; it has: share"):
        model.sample(2, sampler=Euler, churn=1.0)


BY_FUNCTION = replace(OWN, sampler=euler_steps)


@pytest.mark.parametrize("method", [OWN, BY_FUNCTION], ids=["objects", "function"])
def test_a_method_of_one_s_own_is_fitted_saved_and_allowed(method: Method, tmp_path: Path) -> None:
    x, side = clusters(200)
    model = NCSN(method=method, training_steps=300, lr=1e-2, batch_size=128, width=32, n_blocks=1, random_state=0)
    model.fit(x, side)
    samples = model.sample(200, label="left")
    assert np.mean(samples[:, 0] < 100) > 0.95
    assert np.isfinite(model.score_samples(x[:3], label="left")).all()
    assert np.isfinite(model.impute(np.array([[100.0, np.nan]]), steps=3)).all()
    model.save(tmp_path)
    with pytest.raises(RunError, match="this run uses own_parts:"):
        NCSN.load(tmp_path)
    with pytest.raises(RunError, match="this run uses own_parts:"):
        NCSN.load(tmp_path, allow=["own_parts:Quadratic"])
    loaded = NCSN.load(tmp_path, allow=["own_parts"])
    assert loaded.method == method and loaded.model_.method == method
    assert loaded.model_.name == model.model_.name
    np.testing.assert_array_equal(loaded.sample(4, label="right"), model.sample(4, label="right"))


def test_a_checkpoint_knows_the_parts_of_one_s_own(tmp_path: Path) -> None:
    x, side = clusters(60)
    settings: dict[str, Any] = {"method": OWN, "network": make_network, "training_steps": 4, "random_state": 0}
    whole = NCSN(**settings).fit(x, side, checkpoint=tmp_path / "kept")
    again = NCSN(**settings).fit(x, side, checkpoint=tmp_path / "kept")
    assert torch.equal(weights(again), weights(whole))
    for other in ({"method": BY_FUNCTION, "random_state": 1}, {"method": "edm"}, {"network": F(width=8)}):
        with pytest.raises(RunError, match="no checkpoint of this training"):
            NCSN(**settings | other).fit(x, side, checkpoint=tmp_path / "kept")


def test_another_process_loads_and_samples_where_it_can_import_the_parts(tmp_path: Path) -> None:
    x, side = clusters(60)
    model = NCSN(method=OWN, network=make_network, training_steps=5, width=16, random_state=0).fit(x, side)
    model.save(tmp_path / "run")
    code = """
import sys
import numpy as np
from ncsn import NCSN
np.save("samples.npy", NCSN.load("run", allow=sys.argv[1:]).sample(5, label="left"))
"""
    environment = os.environ | {"PYTHONPATH": str(Path(own_parts.__file__).parent), "OMP_NUM_THREADS": "1"}

    def run(*allow: str, **how: Any) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", code, *allow]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, env=environment | how)

    refused = run()
    assert refused.returncode and "if you trust it, allow it by allow=['own_parts']" in refused.stderr
    missing = run("own_parts", PYTHONPATH="")
    assert missing.returncode and "names nothing that can be imported" in missing.stderr
    assert not (tmp_path / "samples.npy").exists()
    done = run("own_parts")
    assert done.returncode == 0, done.stderr
    # another process may sum in another order
    np.testing.assert_allclose(np.load(tmp_path / "samples.npy"), model.sample(5, label="left"), rtol=1e-5, atol=1e-6)
