"""A run trained given some columns, from its file through every command and back."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ncsn.app.runs import RunSettings, train_run
from ncsn.errors import DataError, SettingError

from .common import Command

N = 200


def patients() -> pd.DataFrame:
    """Return a table in which the response is dose / 10 + 0.1 e, and the others nothing of each other."""
    rng = np.random.default_rng(0)
    dose = rng.choice([0, 10, 50], N)
    return pd.DataFrame(
        {
            "age": rng.normal(50, 10, N).round(1),
            "response": (dose / 10 + 0.1 * rng.standard_normal(N)).round(3),
            "dose": dose,
            "better": rng.choice(["no", "yes"], N),
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    patients().to_csv(folder / "patients.csv", index=False)
    settings = RunSettings(str(folder / "patients.csv"), "edm", 300, None, 0.2, 5000, 0, given=["dose", "age"])
    train_run(settings, folder / "run")
    return folder


def test_the_plan_says_which_columns_are_given(run: Path, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("plan", run / "patients.csv", "--given", "dose", "--given", "age") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["age", "(given)"], ["dose", "(given)"]]
    assert lines[3].split()[0] == "response"
    assert any(line.startswith("context_dim") for line in lines)
    assert any("given their contexts" in line for line in lines)


def test_samples_stand_beside_what_they_are_given(run: Path, command: Command) -> None:
    folder = run / "run"
    assert command("sample", folder, "--given", "dose=50", "--given", "age=40", "-n", 200, "-o", "drawn.csv") == 0
    drawn = pd.read_csv("drawn.csv")
    assert list(drawn.columns) == ["age", "dose", "response", "better"]
    assert (drawn["age"] == 40).all() and (drawn["dose"] == 50).all()
    assert drawn["response"].mean() == pytest.approx(5, abs=0.4)
    rows = pd.DataFrame({"dose": [0, 10, 50] * 40, "age": 45.0})
    rows.to_csv("rows.csv", index=False)
    assert command("sample", folder, "--given", "rows.csv", "-o", "each.csv") == 0
    each = pd.read_csv("each.csv")
    assert each["dose"].tolist() == rows["dose"].tolist()
    means = each.groupby("dose")["response"].mean()
    np.testing.assert_allclose(means, [0, 1, 5], atol=0.5)
    # a number between those of training, and one beyond them, stand there as they were asked for
    for age in (40.25, 200.0):
        assert command("sample", folder, "--given", "dose=50", "--given", f"age={age}", "-n", 3, "-o", "new.csv") == 0
        assert pd.read_csv("new.csv")["age"].tolist() == [age] * 3
    # what is no context is known while it samples
    arguments = ["--given", "dose=0", "--given", "age=40", "--given", "better=yes"]
    assert command("sample", folder, *arguments, "-n", 5, "-o", "better.csv") == 0
    assert (pd.read_csv("better.csv")["better"] == "yes").all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["dose=50"], "the run was trained with --given age --given dose: give age too"),
        ([], "the run was trained with --given age --given dose: give age, dose too"),
        (["dose=high", "age=40"], "context, column 'dose': 'high' is none of"),
        (["dose=50", "age=40", "height=3"], "unknown column 'height'"),
        (["dose=50", "age="], "context, column 'age': no value is given, where training had no gaps"),
    ],
)
def test_contexts_that_are_not_all_there_are_refused(
    run: Path, command: Command, capsys: pytest.CaptureFixture[str], given: list[str], message: str
) -> None:
    arguments = [part for each in given for part in ("--given", each)]
    assert command("sample", run / "run", *arguments, "-n", 3, "-o", "drawn.csv") == 1
    assert message in capsys.readouterr().err


def test_gaps_are_filled_given_the_contexts_in_the_order_of_the_file(run: Path, command: Command) -> None:
    gaps = patients().iloc[:40].assign(response=np.nan)
    gaps.to_csv("gaps.csv", index=False)
    assert command("impute", run / "run", "gaps.csv", "-o", "full.csv") == 0
    full = pd.read_csv("full.csv")
    assert list(full.columns) == list(patients().columns)
    pd.testing.assert_frame_equal(full[["age", "dose", "better"]], gaps[["age", "dose", "better"]])
    assert (full["response"] - full["dose"] / 10).abs().mean() < 0.5


def test_files_without_the_columns_that_are_needed_are_refused(
    run: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    patients()[["dose", "age"]].to_csv("told.csv", index=False)
    patients().drop(columns="age").to_csv("ageless.csv", index=False)
    alone = "told holds the columns that are given alone, and lacks the others: response, better"
    for data, message in (
        ("told.csv", alone),
        ("ageless.csv", "ageless lacks age, which the run was trained given"),
    ):
        for line in (["impute", run / "run", data, "-o", "full.csv"], ["evaluate", run / "run", "--data", data]):
            assert command(*line) == 1
            assert message in capsys.readouterr().err.replace("\n", " ")


def test_names_with_spaces_are_quoted_where_a_command_is_shown(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    table = patients().rename(columns={"dose": "daily dose"})
    table.to_csv(tmp_path / "patients.csv", index=False)
    settings = RunSettings(str(tmp_path / "patients.csv"), "edm", 3, None, 0.2, 5000, 0, given=["daily dose"])
    train_run(settings, tmp_path / "run")
    card = (tmp_path / "run" / "README.md").read_text()
    shown = next(line for line in card.splitlines() if "ncsn sample" in line).split("`")[1]
    assert shlex.split(shown)[-2:] == ["--given", "daily dose=..."]
    assert command("sample", tmp_path / "run", "-n", 2, "-o", "x.csv") == 1
    assert "trained with --given 'daily dose': give" in capsys.readouterr().err


def test_a_run_is_judged_jointly_given_held_out_contexts(
    run: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((run / "run" / "config.json").read_text())
    assert config["run"]["given"] == ["dose", "age"]
    assert "context" in (run / "run" / "README.md").read_text()
    assert "dose (given)" in (run / "run" / "report.html").read_text()
    assert command("evaluate", run / "run", "--json") == 0
    judged = json.loads(capsys.readouterr().out)
    assert {row["column"] for row in judged["comparison"]["columns"]} == {"age", "dose", "response", "better"}
    assert judged["sampler"].endswith("given the contexts of held-out rows")
    # of the 40 rows held back one half gives the contexts, and the other is what samples are held against
    assert judged["comparison"]["n_held_out"] == 20
    assert judged["log_likelihood"] == pytest.approx(config["evaluation"]["log_likelihood"], abs=0.3)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (["height"], SettingError, "unknown column 'height'"),
        (["age", "dose", "response", "better"], DataError, "every column is given, and none is left to learn"),
    ],
)
def test_columns_that_cannot_be_given_are_refused(
    run: Path, tmp_path: Path, given: list[str], error: type[Exception], message: str
) -> None:
    settings = RunSettings(str(run / "patients.csv"), "edm", 3, None, 0.2, 5000, 0, given=given)
    with pytest.raises(error, match=message):
        train_run(settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_columns_of_what_is_no_table_and_labels_that_are_quantities_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--given names columns of a table, and these are none"):
        train_run(RunSettings("moons", "edm", 3, None, 0.2, 60, 0, given=["x1"]), tmp_path / "run")
    with pytest.raises(DataError, match="age holds fractions, and no classes: name it by --given"):
        train_run(RunSettings(str(run / "patients.csv"), "edm", 3, "age", 0.2, 60, 0), tmp_path / "run")


def test_a_label_that_is_given_too_and_too_few_rows_to_judge_by_are_refused(tmp_path: Path) -> None:
    patients().iloc[:4].to_csv(tmp_path / "few.csv", index=False)
    both = RunSettings(str(tmp_path / "few.csv"), "edm", 3, "better", 0.5, 60, 0, given=["better"])
    with pytest.raises(SettingError, match="better is the --label, so it is known already; leave it out of --given"):
        train_run(both, tmp_path / "run")
    # rows that are held back of four: too few to be drawn for and held against each other
    for holdout, given, message in (
        (0.25, None, "only 1 row is held back, and 6 are needed to judge by; raise --holdout"),
        (0.5, ["age"], "only 2 rows are held back, and 12 are needed to judge by; raise --holdout"),
    ):
        few = RunSettings(str(tmp_path / "few.csv"), "edm", 3, None, holdout, 60, 0, given=given)
        with pytest.raises(DataError, match=message):
            train_run(few, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    for n, enough in ((12, None), (24, ["age"])):
        patients().iloc[:n].to_csv(tmp_path / "enough.csv", index=False)
        settings = RunSettings(str(tmp_path / "enough.csv"), "edm", 3, None, 0.5, 60, 0, given=enough)
        train_run(settings, tmp_path / f"run_{n}")


def test_an_empty_value_is_a_gap_where_training_had_gaps(tmp_path: Path, command: Command) -> None:
    table = patients()
    table.loc[::4, "age"] = np.nan
    table.to_csv(tmp_path / "gaps.csv", index=False)
    settings = RunSettings(str(tmp_path / "gaps.csv"), "edm", 3, None, 0.2, 5000, 0, given=["age"])
    train_run(settings, tmp_path / "run")
    assert command("sample", tmp_path / "run", "--given", "age=", "-n", 3, "-o", "drawn.csv") == 0
    assert pd.read_csv("drawn.csv")["age"].isna().all()


def test_held_out_rows_whose_contexts_training_never_had_are_left_out(tmp_path: Path, command: Command) -> None:
    table = patients()
    table["ward"] = np.where(np.arange(N) % 2, "north", "south")
    table.loc[:59, "ward"] = [f"ward {i}" for i in range(60)]
    table.to_csv(tmp_path / "wards.csv", index=False)
    settings = RunSettings(str(tmp_path / "wards.csv"), "edm", 3, None, 0.2, 5000, 0, given=["ward"])
    _, parts = settings.split()
    alone = int((table.loc[parts.held_out.index, "ward"].str.len() > 5).sum())
    assert 0 < alone < 30
    judged = train_run(settings, tmp_path / "run")
    assert judged is not None and judged.n_impossible == alone
    assert judged.comparison.n_held_out == (len(parts.held_out) - alone + 1) // 2
    assert f"{alone} held-out rows cannot be by the model, for values that training never had" in str(judged)
    assert command("evaluate", tmp_path / "run") == 0
