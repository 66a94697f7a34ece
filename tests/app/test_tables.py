"""A mixed table, from its file through every command and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from .common import Command

N = 120


def mixed() -> pd.DataFrame:
    """Return a table of every kind of column, some of whose cells are missing."""
    rng = np.random.default_rng(0)
    species = rng.choice(["Adelie", "Gentoo", "Chinstrap"], N, p=[0.5, 0.3, 0.2])
    table = pd.DataFrame(
        {
            "id": [f"P{number:04}" for number in rng.permutation(N)],
            "species": species,
            "length": np.round(rng.normal(40, 5, N), 1),
            "mass": 25 * rng.integers(100, 250, N),
            "spent": np.where(rng.random(N) < 0.4, 0, np.round(rng.exponential(50, N), 2)),
            "seen": pd.to_datetime("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, N), unit="D"),
            "tagged": rng.random(N) < 0.3,
        }
    )
    table["seen"] = table["seen"].dt.strftime("%d.%m.%Y")
    return table.assign(
        length=table["length"].where(rng.random(N) < 0.9), species=table["species"].where(rng.random(N) < 0.95)
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on the table, written with semicolons and decimal commas; return the folder of the run and the table."""
    from ncsn.app.runs import RunSettings, train_run

    folder = tmp_path_factory.mktemp("tables")
    mixed().to_csv(folder / "mixed.csv", index=False, sep=";", decimal=",")
    settings = RunSettings(str(folder / "mixed.csv"), "edm", 20, None, 0.2, 5000, 0)
    train_run(settings, folder / "run")
    return folder


def test_the_plan_says_what_each_column_is(run: Path, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("plan", run / "mixed.csv") == 0
    printed = capsys.readouterr()
    lines = {line.split()[0]: line for line in printed.out.splitlines() if line}
    assert "identifier" in lines["id"] and "left out" in lines["id"]
    assert "Adelie" in lines["species"] and "a flag" in lines["species"]
    assert "1 decimal" in lines["length"] and "missing in" in lines["length"]
    assert "steps of 25" in lines["mass"]
    assert "0 in" in lines["spent"]
    assert "date" in lines["seen"] and "%d.%m.%Y" in lines["seen"]
    assert "True" in lines["tagged"]
    assert "semicolon" in printed.err


def test_samples_are_written_as_the_table_was(run: Path, command: Command) -> None:
    assert command("sample", run / "run", "-n", 200, "-o", "out.csv") == 0
    drawn, table = pd.read_csv("out.csv", sep=";", decimal=","), mixed()
    assert list(drawn) == list(table)
    assert drawn["id"].str.fullmatch(r"P\d{4}").all() and not set(drawn["id"]) & set(table["id"])
    assert set(drawn["species"].dropna()) <= set(table["species"].dropna())
    assert drawn["length"].dropna().round(1).eq(drawn["length"].dropna()).all()
    assert drawn["length"].dropna().between(table["length"].min(), table["length"].max()).all()
    assert (drawn["mass"] % 25 == 0).all() and drawn["mass"].between(table["mass"].min(), table["mass"].max()).all()
    assert drawn["spent"].eq(0).any() and drawn["spent"].min() == 0
    assert pd.to_datetime(drawn["seen"], format="%d.%m.%Y").between("2020-01-01", "2022-07-01").all()
    assert drawn["tagged"].dtype == bool


def test_samples_given_some_columns_have_them(run: Path, command: Command) -> None:
    given = ("--given", "species=Gentoo", "--given", "length=42,0".replace(",", "."), "--given", "tagged=True")
    assert command("sample", run / "run", "-n", 5, *given, "--steps", 5, "-o", "out.csv") == 0
    drawn = pd.read_csv("out.csv", sep=";", decimal=",")
    assert drawn["species"].eq("Gentoo").all() and drawn["length"].eq(42.0).all() and drawn["tagged"].all()
    pd.DataFrame({"species": ["Adelie", None, "Gentoo"], "mass": [3000, 4000, 5000]}).to_csv("rows.csv", index=False)
    assert command("sample", run / "run", "--given", "rows.csv", "--steps", 5, "-o", "rows_out.csv") == 0
    drawn = pd.read_csv("rows_out.csv", sep=";", decimal=",")
    assert drawn["mass"].tolist() == [3000, 4000, 5000] and drawn["species"].tolist()[::2] == ["Adelie", "Gentoo"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["species=Emperor"], ["'species'", "Emperor", "Adelie"]),
        (["specis=Adelie"], ["specis", "species"]),
        (["length=400"], ["'length'", "400", "never"]),
        (["length=long"], ["'length'", "long"]),
        (["id=P0001"], ["'id'", "identifiers"]),
        (["seen=2020-13-45"], ["'seen'"]),
        (["species=Adelie", "species=Gentoo"], ["once"]),
    ],
)
def test_impossible_requests_say_so(
    given: list[str], words: list[str], run: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [part for entry in given for part in ("--given", entry)]
    assert command("sample", run / "run", "-n", 5, *options, "-o", "out.csv") == 1
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1 and all(word in error for word in words), error
    assert not Path("out.csv").exists()


def test_only_gaps_are_filled_and_often_where_asked(run: Path, command: Command) -> None:
    table = mixed().head(12)
    table.loc[3, ["length", "mass"]] = None
    table.to_csv("gaps.csv", index=False, sep=";", decimal=",")
    assert command("impute", run / "run", "gaps.csv", "-o", "full.csv", "--draws", 2) == 0
    full = [pd.read_csv(f"full_{draw}.csv", sep=";", decimal=",") for draw in (1, 2)]
    gaps = pd.read_csv("gaps.csv", sep=";", decimal=",")
    for filled in full:
        assert filled.notna().all(axis=None) and list(filled) == list(gaps)
        known = gaps.notna()
        assert filled.astype(object).where(known).fillna(0).astype(str).equals(
            gaps.astype(object).where(known).fillna(0).astype(str)
        ) or ((filled.astype(object) == gaps.astype(object)) | ~known).all(axis=None)
    assert not full[0].equals(full[1])


def test_columns_can_be_said_to_be_something_else(
    run: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("columns.json").write_text(json.dumps({"id": "drop", "mass": "category", "length": {"bounds": [0, 100]}}))
    assert command("plan", run / "mixed.csv", "--columns", "columns.json") == 0
    printed = capsys.readouterr().out
    assert "left out: id" in printed and "category" in next(
        line for line in printed.splitlines() if line.startswith("mass")
    )
    assert "from 0 to 100" in printed
    Path("columns.json").write_text(json.dumps({"masss": "category"}))
    assert command("plan", run / "mixed.csv", "--columns", "columns.json") == 1
    assert "did you mean 'mass'" in capsys.readouterr().err
    for text in ("[1]", "{", "[" * 100_000):
        Path("columns.json").write_text(text)
        assert command("plan", run / "mixed.csv", "--columns", "columns.json") == 2


def test_the_report_shows_columns_and_pairs(run: Path) -> None:
    page = (run / "run" / "report.html").read_text()
    assert {path.stem for path in (run / "run" / "figures").iterdir()} >= {"columns", "pairs", "loss_by_level"}
    assert "lower bound" in page and "Columns, and how they are encoded" in page
    judged = json.loads((run / "run" / "config.json").read_text())["evaluation"]
    assert judged["is_bound"] and np.isfinite(judged["log_likelihood"])


def test_what_samples_are_worth_for_learning_a_column(
    run: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("evaluate", run / "run", "--target", "tagged", "--json") == 0
    trained_on = json.loads(capsys.readouterr().out)["trained_on"]
    assert trained_on["name"] == "auc" and 0 <= trained_on["value"] <= 1 and 0 <= trained_on["floor"] <= 1
    assert command("evaluate", run / "run", "--target", "taged") == 1
    assert "did you mean 'tagged'" in capsys.readouterr().err


def test_a_run_whose_held_out_rows_have_what_training_lacks_is_finished(tmp_path: Path) -> None:
    from ncsn.app.runs import RunSettings, train_run

    towns = [f"hamlet {i}" if i % 3 else "Oslo" for i in range(60)]
    pd.DataFrame({"town": towns, "x": np.random.default_rng(0).normal(size=60)}).to_csv(tmp_path / "t.csv", index=False)
    for seed in range(3):
        # two rows of three have a town of their own, of some seed also the first that is held back
        settings = RunSettings(str(tmp_path / "t.csv"), "edm", 2, None, 0.2, 5000, seed)
        evaluation = train_run(settings, tmp_path / f"run{seed}")
        assert evaluation is not None
        assert evaluation.n_impossible > 0
