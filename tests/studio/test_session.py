"""The studio's session against the library and against closed forms, without a browser."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import ncsn
from ncsn.noise import SCHEDULES
from ncsn.studio import Session, Settings
from ncsn.studio.messages import packed, unpacked
from ncsn.studio.settings import SCORE_SAMPLERS

SMALL: dict[str, Any] = {"width": 16, "steps": 60, "points": 200, "batch_size": 64, "particles": 60}
MIXTURE = ((0.25, -1.0, 0.5, 0.4), (0.75, 1.0, -0.5, 0.2))


def ask(session: Session, settings: dict[str, Any] | None = None, **do: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    question: dict[str, Any] = {"do": do}
    if settings is not None:
        question["settings"] = settings
    return unpacked(session.answer(question))


def good(session: Session, settings: dict[str, Any] | None = None, **do: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    head, arrays = ask(session, settings, **do)
    assert "error" not in head, head["error"]
    return head, arrays


def small(**settings: Any) -> Session:
    return Session(Settings.of(SMALL | settings))


def run_code(session: Session) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(compile(good(session, code=1)[0]["code"], "copied", "exec"), namespace)
    return namespace


def by_hand(x: np.ndarray[Any, Any], sigma: float) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return log-density and score of MIXTURE with noise, written out."""
    parts, pulls = [], []
    for weight, mx, my, deviation in MIXTURE:
        variance = deviation**2 + sigma**2
        off = x - np.array([mx, my])
        parts.append(weight / (2 * np.pi * variance) * np.exp(-(off**2).sum(1) / (2 * variance)))
        pulls.append(-off / variance)
    density = sum(parts)
    score = sum(part[:, None] * pull for part, pull in zip(parts, pulls, strict=True)) / density[:, None]
    return np.log(density), score


def test_messages_come_back_as_they_were() -> None:
    arrays: dict[str, torch.Tensor | bytes] = {
        "a": torch.tensor([[1.5, -2.0], [0.0, 3.25]]),
        "b": b"xyz",
        "c": torch.tensor([7]),
    }
    head, back = unpacked(packed({"word": "σ", "nothing": float("nan"), "list": [1, float("inf")]}, arrays))
    assert head == {"word": "σ", "nothing": None, "list": [1, None]}
    assert back["a"].tolist() == [[1.5, -2.0], [0.0, 3.25]] and back["b"].tobytes() == b"xyz" and back["c"] == [7]


def test_the_field_of_a_mixture_is_that_of_its_formula() -> None:
    session = small(data="mixture", mixture=MIXTURE, sigma=0.3)
    _, arrays = good(session, field={"n": 7})
    axis = np.linspace(-3, 3, 7)
    # from the lower left, along x first
    x = np.array([[a, b] for b in axis for a in axis])
    density, score = by_hand(x, 0.3)
    np.testing.assert_allclose(arrays["density"], density, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(arrays["exact"], score, rtol=1e-4, atol=1e-4)


def test_points_are_the_seeds() -> None:
    first, again, other = (good(small(data="rings", seed=seed), points=1)[1] for seed in (3, 3, 4))
    assert np.array_equal(first["points"], again["points"]) and not np.array_equal(first["points"], other["points"])
    assert set(np.unique(first["labels"])) == {0, 1, 2, 3}
    radius = np.hypot(*first["points"].T)
    # rings of radius 0.5, 1, 1.5 and 2 with noise of 0.05
    assert np.abs(radius - 0.5 * (1 + first["labels"])).max() < 0.3


@pytest.mark.parametrize(
    "settings",
    [
        {"data": "moons", "score": "learned"},
        {"data": "swiss_roll", "method": "ddpm", "score": "learned", "samplers": ["ancestral", "dpmpp_2m", "ode"]},
        {"data": "checkerboard", "labels": True, "label": 2, "guidance": 2.0, "score": "learned"},
        {"data": "mixture", "mixture": MIXTURE, "train_on": "karras", "weighting": "uniform", "method": "ncsn"},
        {"data": "moons", "network": "page", "printed": True, "score": "printed", "learning_rate": 0.002},
        {"data": "mixture", "mixture": MIXTURE, "measured": True, "levels": 12, "particles": 20},
        {"data": "drawing", "strokes": [[[i / 10, 0.3] for i in range(9)], [[0.1, i / 9 - 1] for i in range(9)]]},
    ],
    ids=["moons", "ddpm", "classes", "mixture", "page", "measured", "drawing"],
)
def test_copied_code_makes_the_same_to_the_last_bit(settings: dict[str, Any]) -> None:
    session = small(**{"levels": 5, "per_level": 3, "langevin_steps": 30} | settings)
    good(session, train={"steps": 20})
    last: dict[str, Any] = {}
    for _ in range(40):
        head, arrays = good(session, walk={"steps": 50})
        last |= {name: values[-1] for name, values in arrays.items() if name.startswith("walk:")}
        if all(walk["done"] for walk in head["walks"]):
            break
    else:
        pytest.fail("the walks have no end")
    copied = run_code(session)
    assert np.array_equal(copied["X"].numpy(), good(session, points=1)[1]["points"])
    assert set(last) == {f"walk:{name}" for name in copied["drawn"]}
    for name, drawn in copied["drawn"].items():
        assert np.array_equal(drawn.numpy(), last[f"walk:{name}"]), name
    assert copied["trainer"].step == 20
    if "measured" not in settings and settings.get("score") != "printed":
        x, sigma = torch.tensor([[0.3, -0.2]]), torch.tensor(0.5)
        mine = session.learning.scores()["learned"](x, sigma)
        assert torch.equal(mine, copied["learned"](x, sigma))


def test_training_lowers_the_loss_towards_its_floor() -> None:
    session = small(data="moons", steps=400, width=32)
    _, before = good(session, losses=1)
    head, _ = good(session, train={"steps": 400})
    assert head["state"]["done"] and head["state"]["step"] == 400
    _, after = good(session, losses=1)
    floor = before["loss:exact"]
    assert np.array_equal(floor, after["loss:exact"])
    # at the largest level next to nothing is left to learn; no network is below the floor by more than chance
    assert (after["loss:learned"] - floor).max() < 0.5 * (before["loss:learned"] - floor).max()
    assert (after["loss:learned"] - floor).min() > -0.05


def test_steps_one_by_one_are_those_of_a_training_at_once() -> None:
    one, other = small(), small()
    good(one, train={"steps": 12})
    for _ in range(12):
        good(other, train={"steps": 1})
    for mine, theirs in zip(
        one.learning.trainers["learned"].averaged_model.parameters(),
        other.learning.trainers["learned"].averaged_model.parameters(),
        strict=True,
    ):
        assert torch.equal(mine, theirs)


def test_a_frame_keeps_its_budget() -> None:
    session = small(steps=50_000)
    good(session, train={"steps": 1})
    head, _ = good(session, train={"budget": 1})
    # at least one step, and no more than a few fit into a millisecond
    assert 2 <= head["state"]["step"] < 40


def test_plain_langevin_gets_the_weights_wrong_and_annealed_right() -> None:
    session = small(
        data="mixture", mixture=((0.2, -1.4, -1.2, 0.3), (0.8, 1.4, 1.2, 0.3)), particles=1000, points=1000, sigma=0.15,
        step=0.2, langevin_steps=400, levels=20, per_level=20,
    )  # fmt: skip
    shares: dict[str, Any] = {}
    for _ in range(30):
        head, arrays = good(session, walk={"steps": 50})
        shares |= {name: values[-1] for name, values in arrays.items() if name.startswith("shares:")}
        if all(walk["done"] for walk in head["walks"]):
            break
    np.testing.assert_allclose(arrays["truth"], [0.2, 0.8], atol=1e-6)
    assert shares["shares:langevin"][0] > 0.4
    assert abs(shares["shares:annealed_langevin"][0] - 0.2) < 0.08
    # one evaluation a step, of the annealed ones one more to denoise
    assert head["walks"][0]["name"] == "langevin"


@pytest.mark.parametrize("grid", SCHEDULES)
@pytest.mark.parametrize("levels", [2, 20])
def test_every_sampler_walks_as_the_studio_sets_it(grid: str, levels: int) -> None:
    few = {"samplers": SCORE_SAMPLERS, "grid": grid, "levels": levels, "per_level": 2, "langevin_steps": 5}
    session = small(data="mixture", particles=20, **few)
    ended: dict[str, Any] = {}
    for _ in range(60):
        head, arrays = good(session, walk={"steps": 50})
        ended |= {walk["name"]: arrays[f"walk:{walk['name']}"][-1] for walk in head["walks"] if walk["steps"]}
        if all(walk["done"] for walk in head["walks"]):
            break
    else:
        pytest.fail("the walks have no end")
    assert set(ended) == set(SCORE_SAMPLERS) and all(np.isfinite(x).all() for x in ended.values())


def test_evaluations_are_counted_from_one_start() -> None:
    session = small(samplers=["heun", "ddim"], levels=6, score="exact")
    counted: dict[str, list[int]] = {"heun": [], "ddim": []}
    started: dict[str, Any] = {}
    # an answer holds as many steps as its time allows
    while True:
        head, arrays = good(session, walk={"steps": 50})
        started = started or arrays
        for walk in head["walks"]:
            counted[walk["name"]] += walk["evaluations"]
        if all(walk["done"] for walk in head["walks"]):
            break
    arrays = started
    assert counted == {"heun": [0, 2, 4, 6, 8, 10, 11], "ddim": [0, 1, 2, 3, 4, 5, 6]}
    assert np.array_equal(arrays["walk:heun"][0], arrays["walk:ddim"][0])
    assert arrays["walk:heun"][0].std() == pytest.approx(head["state"]["ends"][1], rel=0.25)


def test_particles_given_a_measurement_have_the_exact_posterior() -> None:
    # one Gaussian: given (x + y) / sqrt(2) = 1 with noise 0.5 that sum has variance 1 / (1 / 0.64 + 1 / 0.25)
    settings = {"mixture": [[1, 0, 0, 0.8]], "measured": True, "angle": 45, "offset": 1, "noise": 0.5}
    session = small(data="mixture", **settings, levels=30, particles=200)
    states = []
    while True:
        head, arrays = good(session, walk={"steps": 50})
        states += [*arrays.get("walk:given the measurement", [])]
        if head["walks"][0]["done"]:
            break
    along = states[-1] @ [0.5**0.5, 0.5**0.5]
    variance = 1 / (1 / 0.64 + 1 / 0.25)
    assert abs(along.mean() - variance / 0.25) < 4 * (variance / 200) ** 0.5
    assert along.std() == pytest.approx(variance**0.5, rel=0.25)


def test_shares_given_a_measurement_are_those_of_bayes() -> None:
    # the measured direction x: modes at -1 and 1 alike in all else; y = 1 with noise 1 weighs them exp(-0) to exp(-2)
    session = small(
        data="mixture", mixture=[[0.5, -1, 0, 0.01], [0.5, 1, 0, 0.01]], points=4000, measured=True, angle=0, offset=1,
        noise=1.0, particles=10,
    )  # fmt: skip
    _, arrays = good(session, walk={"steps": 1})
    share = 1 / (1 + np.exp(-2))
    np.testing.assert_allclose(arrays["truth"], [1 - share, share], atol=0.015)


def test_the_log_density_integrates_to_one() -> None:
    session = small(data="mixture", mixture=MIXTURE, sigma=0.3)
    _, arrays = good(session, density={"n": 30})
    cell = (6 / 29) ** 2
    assert np.exp(arrays["log:exact"]).sum() * cell == pytest.approx(1, abs=0.01)
    # untrained, the method's network is the flow of a Gaussian, whose density is one too
    assert np.exp(arrays["log:learned"]).sum() * cell == pytest.approx(1, abs=0.05)


def test_a_table_is_standardised_and_named_in_the_code(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(5, 2, 50), "word": ["x"] * 50, "b": rng.normal(-1, 0.1, 50)})
    session = small()
    head, _ = good(session, table={"name": "../some.csv", "text": frame.to_csv(index=False)})
    assert head["columns"] == ["a", "b"] and head["settings"]["data"] == "table"
    _, arrays = good(session, points=1)
    np.testing.assert_allclose(arrays["points"].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(arrays["points"].std(0, ddof=1), 1, atol=1e-5)
    monkeypatch.chdir(tmp_path)
    frame.to_csv("some.csv", index=False)
    assert np.array_equal(run_code(session)["X"].numpy(), arrays["points"])


def test_a_change_begins_anew_only_what_it_changes() -> None:
    session = small()
    good(session, train={"steps": 5}, walk={"steps": 3})
    head, _ = good(session, SMALL | {"sigma": 0.7}, field={"n": 5})
    assert head["state"]["step"] == 5
    head, _ = good(session, walk={"steps": 1})
    assert head["walks"][0]["steps"] == [0]
    head, _ = good(session, {"width": 24}, field={"n": 5})
    assert head["state"]["step"] == 0
    head, _ = good(session, {"data": "rings"}, points=1)
    assert head["state"]["labels"] == 4


def test_an_animation_is_a_gif() -> None:
    import base64
    import io

    from PIL import Image

    pictures = []
    for shade in (0, 128, 255):
        out = io.BytesIO()
        Image.new("RGB", (8, 6), (shade, 0, 0)).save(out, "PNG")
        pictures.append("data:image/png;base64," + base64.b64encode(out.getvalue()).decode())
    _, arrays = good(small(), gif={"pictures": pictures})
    gif: Any = Image.open(io.BytesIO(arrays["gif"].tobytes()))
    assert gif.format == "GIF" and gif.size == (8, 6) and gif.n_frames == 3


@pytest.mark.parametrize(
    ("settings", "do", "message"),
    [
        ({"data": "moon"}, {}, "unknown data 'moon'; did you mean 'moons'"),
        ({"colour": 1}, {}, "unknown setting 'colour'"),
        ({"points": "many"}, {}, "points must be a whole number of at least 2, not 'many'"),
        ({"points": 10**6}, {}, "points must be at most 5,000, not 1,000,000"),
        ({"sigma": 0}, {}, "sigma must be a positive finite number, not 0"),
        ({"labels": 1}, {}, "labels must be like False, not 1"),
        ({"samplers": ["consistency"]}, {}, "unknown sampler 'consistency'"),
        ({"mixture": [[1, 0, 0]]}, {}, "a mode is a weight above 0"),
        ({"strokes": [[[1, 2, 3]]]}, {}, "a stroke is made of points"),
        ({"strokes": [[1, 2]]}, {}, "a setting is of another kind than it should be"),
        ({"data": "drawing"}, {"points": 1}, "draw something first"),
        ({"data": "table"}, {"points": 1}, "choose a CSV file first"),
        ({"data": "swiss_roll", "labels": True}, {"train": {}}, "classes need points of several modes"),
        ({"label": 7}, {"field": {}}, "there is no class 7"),
        ({"score": "printed"}, {"walk": {}}, "the network as printed is not trained"),
        ({}, {"dance": 1}, "no such question: 'dance'"),
        (
            {},
            {"table": {"name": "a.csv", "text": "x\n1\n"}, "points": 1},
            "columns of numbers are needed, and only 'x' holds",
        ),
        (
            {},
            {"table": {"name": "a.csv", "text": "x\nb\n"}, "points": 1},
            "columns of numbers are needed, and no column",
        ),
        ({}, {"guide": {"page": "../index"}}, "the guide has no page '../index'"),
        ({}, {"gif": {"pictures": ["none"]}}, "the pictures of the animation are damaged"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(settings: dict[str, Any], do: dict[str, Any], message: str) -> None:
    session = small()
    head, _ = ask(session, settings, **do)
    assert message in head["error"] and "\n" not in head["error"]
    # and the session goes on
    good(session, {"data": "moons", "labels": False, "label": -1, "score": "exact"}, points=1)


def test_steps_that_run_away_are_said() -> None:
    session = small(data="mixture", mixture=[[1, 0, 0, 0.001]], samplers=["langevin"], step=16.0, langevin_steps=1000)
    for _ in range(30):
        head, _ = ask(session, walk={"steps": 50})
        if "error" in head:
            break
    assert "not finite" in head["error"]


def test_questions_of_several_threads_are_answered_one_by_one_and_leave_the_global_generator_alone() -> None:
    session = small()
    state = torch.get_rng_state()
    threads = [threading.Thread(target=lambda: good(session, train={"steps": 3}, field={"n": 5})) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert good(session, field={"n": 5})[0]["state"]["step"] == 12
    assert torch.equal(torch.get_rng_state(), state)


def test_the_printed_network_is_asked_for_the_raw_score() -> None:
    session = small(printed=True)
    good(session, train={"steps": 10})
    _, arrays = good(session, field={"n": 5})
    assert {"exact", "learned", "printed", "density"} == set(arrays)
    network: Any = session.learning.trainers["printed"].score_model
    # twice the last layer is twice the score, at every level: nothing is divided by sigma
    x, sigma = torch.tensor([[0.5, 0.5]]), torch.tensor([0.01])
    before = network(x, sigma)
    with torch.no_grad():
        network.body[-1].weight *= 2
        network.body[-1].bias *= 2
    torch.testing.assert_close(network(x, sigma), 2 * before)


def test_an_exact_score_of_points_is_that_of_the_library() -> None:
    session = small(data="pinwheel", sigma=0.5)
    _, arrays = good(session, points=1, field={"n": 6})
    axis = torch.linspace(-3, 3, 6)
    x = torch.cartesian_prod(axis, axis).flip(1)
    exact = ncsn.EmpiricalScore(torch.tensor(arrays["points"]))
    np.testing.assert_allclose(arrays["exact"], exact(x, torch.tensor(0.5)), rtol=1e-5, atol=1e-6)
