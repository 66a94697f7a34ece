"""The report of runs: what there is of each, in its order."""

from pathlib import Path

import pytest
import torch

from ncsn.app.report import RUN_FIGURES, RunSummary, environment, write_run_report
from ncsn.errors import SettingError
from ncsn.evaluation import Comparison, Measure
from ncsn.plan import make_plan
from ncsn.training import Look, Validation

from .common import Page, drawing


def comparison(n_non_finite: int = 0) -> Comparison:
    measures = (
        Measure("sliced_wasserstein2", 0.046, 0.04),
        Measure("copied_fraction", 0.0, 0.0),
        Measure("own_measure", 1.0, 2.0),
    )
    return Comparison(measures, 1000, 200, n_non_finite, "standard")


def test_a_run_has_its_parts_in_order(tmp_path: Path) -> None:
    plan = make_plan(torch.randn(200, 2, generator=torch.Generator().manual_seed(0)))
    run = RunSummary(
        "Swiss roll",
        facts={"rows": 200},
        comparison=comparison(n_non_finite=7),
        figures={name: drawing() for name in reversed(RUN_FIGURES)},
        loss_history=[(50, 1.0), (100, 0.5)],
        plan=plan,
        tables={"Further": [{"σ": 0.5, "error": 0.01}]},
    )
    page = Page(write_run_report(tmp_path, "A run", [run], introduction="Intro.").read_text(encoding="utf-8"))
    figures = [heading for heading, _ in RUN_FIGURES.values()]
    expected = ["A run", "Swiss roll", figures[0], "How good the samples are", *figures[1:]]
    assert page.headings == [*expected, "Training", "Further", "Settings, and why", "Environment"]
    assert page.rows[:4] == [
        ["measure", "samples", "real data", "ratio", ""],
        ["Sliced Wasserstein-2", "0.046", "0.04", "1.15", "distance along random directions"],
        ["Copied", "0", "0", "–", "share of samples that repeat a training row"],
        ["own measure", "1", "2", "0.50", ""],
    ]
    assert "7 samples are not finite" in page.text
    settings = {row[0]: row[2:] for row in page.rows}
    for choice in plan.choices:
        assert settings[choice.name] == [choice.rule, choice.reason]
    saved = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert saved == {*RUN_FIGURES, "training_curve"}
    assert len(page.images) == len(saved)
    assert all(image["alt"].startswith("Swiss roll: ") for image in page.images)


def test_intervals_and_what_is_not_compared_are_told(tmp_path: Path) -> None:
    measures = (Measure("c2st", 0.75, 0.5, 0.625, 0.875), Measure("duplicates", 0.0, 0.0))
    tables = Comparison(measures, 1000, 200, 0, "standard", left_out=("name", 3))
    run = RunSummary("Table", comparison=tables, figures={name: drawing() for name in ("columns", "pairs")})
    page = Page(write_run_report(tmp_path, "A run", [run]).read_text(encoding="utf-8"))
    assert page.headings == ["A run", "Table", "How good the samples are", "Columns", "Pairs of columns", "Environment"]
    assert page.rows[0] == ["measure", "samples", "95% interval", "real data", "ratio", ""]
    assert page.rows[1][:5] == ["C2ST", "0.75", "0.625 to 0.875", "0.5", "1.50"]
    assert page.rows[2][:5] == ["Duplicates", "0", "", "0", "–"]
    assert "Compared in duplicates only: name, 3." in page.text


def test_what_a_run_lacks_is_left_out(tmp_path: Path) -> None:
    page = Page(write_run_report(tmp_path, "A run", [RunSummary("Bare")]).read_text(encoding="utf-8"))
    assert page.headings == ["A run", "Bare", "Environment"]
    assert "–" not in page.text


def test_which_weights_were_kept_is_told(tmp_path: Path) -> None:
    looks = [Look(50, 0.5, 0.7), Look(100, 0.4, 0.81)]
    told = {}
    for name, validation in (("earlier", Validation(looks, 0.3)), ("last", Validation(looks[:1], None))):
        run = RunSummary(name, loss_history=[(50, 1.0), (100, 0.5)], validation=validation)
        told[name] = Page(write_run_report(tmp_path / name, "A run", [run]).read_text(encoding="utf-8")).text
    assert "Kept are the averaged weights of step 50" in told["earlier"]
    both = "0.7 on those, 0.5 on training rows, 0.7 at the smallest"
    assert f"{both}, 0.81 after the last step, 0.3 of the exact score of all rows, the floor." in told["earlier"]
    assert f"{both}." in told["last"]


def test_several_runs_keep_their_figures_apart(tmp_path: Path) -> None:
    runs = [RunSummary(name, figures={"samples": drawing()}) for name in ("Swiss roll", "Digits (8 x 8)")]
    write_run_report(tmp_path, "Runs", runs)
    saved = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert saved == ["digits_8_x_8_samples.png", "swiss_roll_samples.png"]
    alike = [RunSummary("One", figures={"samples": drawing()}) for _ in range(2)]
    with pytest.raises(SettingError, match="one_samples"):
        write_run_report(tmp_path, "Runs", alike)


def test_an_unknown_figure_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="did you mean 'samples'"):
        write_run_report(tmp_path, "Runs", [RunSummary("One", figures={"sample": drawing()})])
    assert list(tmp_path.iterdir()) == []


def test_the_environment_says_what_ran() -> None:
    found = environment("cpu")
    assert found["torch"] == torch.__version__
    assert found["device"] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert set(found) == {"python", "torch", "ncsn", "platform", "cores", "threads", "device"}
