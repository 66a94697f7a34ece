"""The commands as a user runs them: exit codes, one clear line for each fault, files whole or not there."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from disks import unreadable
from PIL import Image
from small_models import SMALL

from ncsn import NCSN
from ncsn.errors import DataError, SettingWarning

from .common import TABLE, Command


def test_help_does_not_import_torch() -> None:
    code = """
import sys
from ncsn.app.cli import main
sys.argv = ["ncsn", "train", "--help"]
try:
    main()
finally:
    assert "torch" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for option in ("--out", "--method", "--steps", "--label", "--seed", "--resume", "--holdout"):
        assert option in result.stdout


def test_plan_names_each_rule(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("plan", "wine") == 0
    out = capsys.readouterr().out
    assert "178 rows x 13 features" in out
    for word in ("sigma_max", "technique 1", "technique 2", "technique 4", "training_steps", "reason"):
        assert word in out


def test_samples_come_back_in_the_files_columns_and_units(finished: Path, command: Command) -> None:
    assert command("sample", finished, "-n", 30, "-o", "out.csv", "--label", "a", "--seed", 3) == 0
    out = pd.read_csv("out.csv")
    assert list(out.columns) == ["length", "count", "constant", "kind"]
    assert (out["constant"] == 7.0).all() and (out["kind"] == "a").all()
    assert pd.api.types.is_integer_dtype(out["count"])
    # an untrained model draws from the data's Gaussian: mean within five standard errors
    assert abs(out["length"].mean() - 100.0) < 5 * 5.0 / np.sqrt(30) + 1.0
    assert command("sample", finished, "-n", 30, "-o", "again.csv", "--label", "a", "--seed", 3) == 0
    assert Path("again.csv").read_bytes() == Path("out.csv").read_bytes()


@pytest.mark.parametrize("ending", ["parquet", "npy", "npz"])
def test_every_format_is_written(finished: Path, command: Command, ending: str) -> None:
    assert command("sample", finished, "-n", 5, "-o", f"out.{ending}") == 0
    if ending == "parquet":
        assert pd.read_parquet("out.parquet").shape == (5, 3)
    elif ending == "npy":
        assert np.load("out.npy").shape == (5, 3)
    else:
        assert np.load("out.npz")["x"].shape == (5, 3)


def test_evaluate_judges_on_the_rows_held_back(
    finished: Path, command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.parent)
    assert command_in(finished.parent, command, "evaluate", finished, "--json") == 0
    judged = json.loads(capsys.readouterr().out)
    assert judged["comparison"]["n_held_out"] == 12
    trained = json.loads((finished / "config.json").read_text())["evaluation"]
    assert judged["log_likelihood"] == pytest.approx(trained["log_likelihood"], rel=1e-3)


def command_in(folder: Path, command: Command, *arguments: object) -> int:
    os.chdir(folder)
    return command(*arguments)


def _no_rows(path: Path) -> None:
    TABLE.head(0).to_csv(path, index=False)


def _one_row(path: Path) -> None:
    TABLE.head(1).to_csv(path, index=False)


def _infinite(path: Path) -> None:
    TABLE.assign(length=[*range(59), np.inf]).to_csv(path, index=False)


def _all_constant(path: Path) -> None:
    TABLE[["constant"]].to_csv(path, index=False)


BAD_TABLES: list[tuple[Callable[[Path], object], list[str]]] = [
    (lambda path: None, ["no such file"]),
    (lambda path: path.touch(), ["empty"]),
    (_no_rows, ["row"]),
    (_one_row, ["1 row"]),
    (_infinite, ["row 60", "'length'"]),
    (_all_constant, ["constant"]),
    (lambda path: path.write_bytes(b"\x00\xff\x01"), ["table.csv"]),
]


@pytest.mark.parametrize(("write", "words"), BAD_TABLES, ids=range(len(BAD_TABLES)))
def test_bad_data_get_one_line_and_leave_nothing(
    write: Callable[[Path], object], words: list[str], command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    write(Path("table.csv"))
    for arguments in (("plan", "table.csv"), ("train", "table.csv", "--out", "run", "--steps", 5)):
        assert command(*arguments) == 1
        error = capsys.readouterr().err.strip()
        assert len(error.splitlines()) == 1, error
        for word in words:
            assert word in error
    assert not Path("run").exists()


BAD_LINES: list[tuple[list[str], int, str]] = [
    (["train", "swis_roll", "--out", "run"], 1, "swiss_roll"),
    (["train", "moons", "--out", "run", "--method", "edn"], 2, "edm"),
    (["train", "moons", "--out", "run", "--steps", "0"], 2, "--steps"),
    (["train", "moons", "--out", "run", "--steps", "-3"], 2, "--steps"),
    (["train", "moons"], 2, "--out"),
    (["train", "moons", "--out", "run", "--holdout", "1.5"], 2, "--holdout"),
    (["train", "moons", "--out", "file"], 1, "file"),
    (["train", "moons", "--out", "/proc/run", "--steps", "5"], 1, "/proc/run"),
    (["train", "moons", "--out", "other", "--steps", "5"], 1, "not empty"),
    (["train", "moons", "--out", "run", "--resume"], 1, "resume"),
    (["sample", "RUN", "-n", "0", "-o", "x.csv"], 2, "-n"),
    (["sample", "RUN", "-n", "3", "-o", "x.txt"], 1, ".csv"),
    (["sample", "RUN", "-n", "3", "-o", "x.png"], 1, "two columns"),
    (["sample", "RUN", "-n", "3", "-o", "x.csv", "--sampler", "hein"], 2, "heun"),
    (["sample", "RUN", "-n", "3", "-o", "x.csv", "--label", "c"], 1, "a, b"),
    (["sample", "RUN", "-n", "3", "-o", "no/such/x.csv"], 1, "no/such"),
    (["sample", "missing", "-n", "3", "-o", "x.csv"], 1, "missing"),
    (["sample", "other", "-n", "3", "-o", "x.csv"], 1, "config.json"),
    (["sample", "RUN", "-n", "3", "-o", "x.csv", "--guidance", "2"], 2, "--label"),
    (["sample", "RUN", "-n", "3", "-o", "x.csv", "--label", "a", "--guidance", "nan"], 1, "finite"),
    (["sample", "RUN", "-n", "3", "-o", "x.csv", "--sampler", "consistency"], 1, "'consistency'"),
    (["train", "moons", "--out", "run", "--teacher", "RUN"], 2, "distils no teacher"),
    (["train", "moons", "--out", "run", "--method", "consistency", "--teacher", "RUN"], 1, "other data"),
    (["train", "moons", "--out", "run", "--method", "consistency", "--teacher", "missing"], 1, "missing"),
    (["impute", "RUN", "missing.csv", "-o", "x.csv"], 1, "missing.csv"),
    (["impute", "RUN", "moons", "-o", "x.csv", "--label", "a"], 1, "no labels called 'kind'"),
    (["impute", "RUN", "table.csv", "-o", "x.csv", "--mask", "table.csv"], 1, "mask"),
    (["impute", "RUN", "table.csv", "-o", "x.txt"], 1, ".csv"),
    (["compare", "moons", "--methods", "edm,edn", "--out", "run"], 2, "edm"),
    (["compare", "moons", "--methods", "edm", "--out", "other"], 1, "not empty"),
    (["compare", "missing.csv", "--methods", "edm", "--out", "run"], 1, "missing.csv"),
    (["evaluate", "RUN", "--data", "moons"], 1, "labels"),
    (["evaluate", "missing"], 1, "missing"),
    (["fly"], 2, "fly"),
    # what is beyond every use is refused before anything is loaded
    (["sample", "RUN", "-n", "100000000000", "-o", "x.csv"], 2, "-n"),
    (["sample", "RUN", "-n", "9223372036854775808", "-o", "x.csv"], 2, "-n"),
    (["sample", "RUN", "-n", "3", "-o", "x.csv", "--steps", "1099511627776"], 2, "--steps"),
    (["sample", "RUN", "-n", "3", "-o", "x.csv", "--seed", "4294967296"], 2, "--seed"),
    (["sample", "RUN", "-n", "3", "-o", "x.png", "--grid-columns", "1000000"], 2, "--grid-columns"),
    (["plan", "moons", "--points", "100000000000000"], 2, "--points"),
    (["plan", "moons", "--seed", "18446744073709551616"], 2, "--seed"),
    (["plan", "moons", "--seed", "-1"], 2, "--seed"),
    (["train", "moons", "--out", "run", "--steps", "10000000000"], 2, "--steps"),
    (["train", "moons", "--out", "run", "--minutes", "1e300"], 2, "--minutes"),
    (["train", "moons", "--out", "run", "--minutes", "nan"], 2, "--minutes"),
    (["train", "moons", "--out", "run", "--holdout", "nan"], 2, "--holdout"),
    (["train", "moons", "--out", "run", "--validation", "nan"], 2, "--validation"),
    (["compare", "moons", "--methods", "edm", "--out", "run", "--seeds", "1000000"], 2, "--seeds"),
    (["impute", "RUN", "table.csv", "-o", "x.csv", "--draws", "1000000"], 2, "--draws"),
    (["evaluate", "RUN", "--bits", "100000000000"], 2, "--bits"),
    # names that no file can have
    (["sample", "n" * 300, "-n", "3", "-o", "x.csv"], 1, "name too long"),
    (["sample", "RUN", "-n", "3", "-o", f"{'n' * 300}.csv"], 1, "name too long"),
    (["train", "moons", "--steps", "5", "--out", "n" * 300], 1, "name too long"),
    (["compare", "moons", "--methods", "edm", "--out", "n" * 300], 1, "name too long"),
    (["demo", "--quick", "--out", "n" * 300], 1, "name too long"),
    (["evaluate", "n" * 300], 1, "name too long"),
    (["train", "moons", "--steps", "5", "--out", "file/run"], 1, "Not a directory"),
]


@pytest.mark.parametrize(("arguments", "code", "word"), BAD_LINES, ids=[" ".join(line[0]) for line in BAD_LINES])
def test_bad_command_lines(
    arguments: list[str], code: int, word: str, finished: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    Path("other").mkdir()
    Path("other/thing").touch()
    # what the run was trained on is named relative to its folder
    Path("table.csv").write_bytes((finished.parent / "table.csv").read_bytes())
    before = sorted(Path().rglob("*"))
    assert command(*[str(finished) if argument == "RUN" else argument for argument in arguments]) == code
    error = capsys.readouterr().err
    assert word.lower() in error.lower()
    assert "Traceback" not in error
    assert code == 2 or len(error.strip().splitlines()) == 1
    assert sorted(Path().rglob("*")) == before


UNREADABLE = [
    ["plan", "locked/x.csv"],
    ["plan", "locked"],
    ["sample", "locked/run", "-n", "2", "-o", "x.csv"],
    ["sample", "locked", "-n", "2", "-o", "x.csv"],
    ["evaluate", "locked/run"],
    ["train", "moons", "--steps", "5", "--out", "locked/run"],
    ["train", "moons", "--steps", "5", "--out", "locked"],
    ["train", "moons", "--steps", "5", "--out", "locked", "--resume"],
    ["compare", "moons", "--methods", "edm", "--out", "locked"],
    ["demo", "--out", "locked/demo"],
]


@pytest.mark.parametrize("arguments", UNREADABLE, ids=" ".join)
def test_places_that_may_not_be_entered_get_one_line(
    arguments: list[str], command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("locked").mkdir()
    with unreadable(Path("locked")):
        assert command(*arguments) == 1
    error = capsys.readouterr().err
    assert "Permission denied" in error and len(error.strip().splitlines()) == 1
    assert sorted(Path().rglob("*")) == [Path("locked")]


def test_too_little_memory_gets_one_line(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*given: object, **named: object) -> object:
        # 10**16 bytes, more than any machine's
        return torch.empty(10**16, dtype=torch.uint8)

    for fails in (too_large, lambda *given, **named: np.empty((10**8, 10**8))):
        monkeypatch.setattr("ncsn.app.planning.load", fails)
        assert command("plan", "moons") == 1
        error = capsys.readouterr().err
        assert len(error.strip().splitlines()) == 1 and "the memory is too small" in error


def test_no_librarys_warning_reaches_the_user_and_those_of_settings_are_notes(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "warnoptions", [])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    warns = Path("warns.csv")
    warns.write_text("a,b\n" + "".join(f"{i},{i * i % 7}.5\n" for i in range(30)))

    def planned(*given: object, **named: object) -> None:
        warnings.warn("a library's own", UserWarning, stacklevel=1)
        warnings.warn("give fewer [levels]", SettingWarning, stacklevel=1)
        raise DataError("enough")

    monkeypatch.setattr("ncsn.app.planning.plan_for", planned)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert command("plan", "moons") == 1
    assert capsys.readouterr().err.splitlines() == ["note: give fewer [levels]", "error: enough"]


@pytest.mark.parametrize("damage", ["truncate", "foreign", "json"])
def test_a_damaged_run_is_refused(
    damage: str, finished: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("run").mkdir()
    for name in ("model.safetensors", "config.json"):
        Path("run", name).write_bytes((finished / name).read_bytes())
    weights = Path("run/model.safetensors")
    if damage == "truncate":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "foreign":
        weights.write_bytes(b"PK\x03\x04 not safetensors")
    else:
        Path("run/config.json").write_text("{")
    assert command("sample", "run", "-n", 3, "-o", "x.csv") == 1
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1 and "damaged" in error
    assert not Path("x.csv").exists()


def test_gaps_of_a_table_are_filled_and_the_rest_is_kept(
    finished: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.read_csv(finished.parent / "table.csv").head(6)
    gaps = table.astype({"count": "Int64"})
    gaps.loc[1, "length"] = np.nan
    gaps.loc[3, "count"] = pd.NA
    gaps.to_csv("gaps.csv", index=False)
    assert command("impute", finished, "gaps.csv", "-o", "filled.csv", "--seed", 1) == 0
    assert "filled 2 values" in capsys.readouterr().err
    filled = pd.read_csv("filled.csv")
    assert list(filled.columns) == list(table.columns)
    assert list(filled["kind"]) == list(table["kind"])
    changed = (filled != table).to_numpy()
    assert changed[1, 0] and not np.delete(changed.reshape(-1), [4, 13]).any()
    # of the data's Gaussian, which the network is next to
    assert abs(float(filled["length"].to_numpy()[1]) - 100.0) < 5 * 5.0
    gaps.drop(columns="kind").to_csv("without.csv", index=False)
    for data in ("without.csv", "gaps.csv"):
        assert command("impute", finished, data, "-o", "again.csv", "--label", "a") == 0
        assert (pd.read_csv("again.csv")["kind"] == "a").all()
    assert command("impute", finished, "without.csv", "-o", "again.csv") == 0
    assert list(pd.read_csv("again.csv").columns) == ["length", "count", "constant"]
    assert command("sample", finished, "-n", 3, "-o", "a.npy", "--label", "a") == 0


def test_images_are_inpainted_where_a_mask_file_is_black(command: Command) -> None:
    images = np.random.default_rng(0).random((30, 4, 4)).astype(np.float32)
    np.save("images.npy", images)
    assert command("train", "images.npy", "--out", "run", "--steps", 5) == 0
    pixels = np.full((4, 4), 255, dtype=np.uint8)
    pixels[2:] = 0
    Image.fromarray(pixels).save("mask.png")
    assert command("impute", "run", "images.npy", "-o", "filled.npy", "--mask", "mask.png") == 0
    filled = np.load("filled.npy")
    np.testing.assert_array_equal(filled[:, :2], images[:, :2])
    assert not (filled[:, 2:] == images[:, 2:]).any()
    Image.fromarray(pixels[:3]).save("small.png")
    assert command("impute", "run", "images.npy", "-o", "other.npy", "--mask", "small.png") == 1
    assert not Path("other.npy").exists()


def test_pictures_of_a_run_keep_the_black_and_white_of_its_data(command: Command) -> None:
    # dark images, whose brightest grey would be white by their own range
    images = np.random.default_rng(0).integers(0, 60, (30, 40, 40), dtype=np.uint8)
    NCSN(**SMALL, training_steps=1, batch_size=4).fit(images).save("run")
    assert command("sample", "run", "-n", 5, "-o", "a.npy", "--steps", 3) == 0
    assert command("sample", "run", "-n", 5, "-o", "a.png", "--steps", 3, "--grid-columns", 5) == 0
    shown = np.asarray(Image.open("a.png"))
    assert shown.shape == (42, 5 * 42)
    np.testing.assert_array_equal(shown[1:41, 1:41], np.load("a.npy")[0])
    assert command("sample", "run", "-n", 5, "-o", "walk.gif", "--steps", 3, "--grid-columns", 5) == 0
    with Image.open("walk.gif") as animation:
        # the start, two steps and the last denoising
        assert animation.n_frames == 4  # type: ignore[attr-defined]
        start = np.asarray(animation.convert("L"))[1:41, 1:41]
        animation.seek(3)
        np.testing.assert_array_equal(np.asarray(animation.convert("L"))[1:41, 1:41], shown[1:41, 1:41])
    # noise far beyond the range of grey is black or white
    assert np.isin(start, (0, 255)).mean() > 0.8
    assert command("sample", "run", "-n", 5, "-o", "a.png", "--grid-columns", 0) == 2


def test_one_mask_serves_all_channels_of_colour_images(command: Command) -> None:
    images = np.random.default_rng(0).random((30, 3, 4, 4)).astype(np.float32)
    np.save("images.npy", images)
    assert command("train", "images.npy", "--out", "run", "--steps", 5) == 0
    Image.fromarray(np.array([[255] * 4] * 2 + [[0] * 4] * 2, dtype=np.uint8)).save("mask.png")
    np.save("few.npy", images[:3])
    assert command("impute", "run", "few.npy", "-o", "filled.npy", "--mask", "mask.png") == 0
    np.testing.assert_array_equal(np.load("filled.npy")[:, :, :2], images[:3, :, :2])


@pytest.mark.parametrize("rows", [2, 12])
def test_too_few_rows_to_compare_on(rows: int, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    TABLE.head(rows).to_csv("few.csv", index=False)
    assert command("compare", "few.csv", "--methods", "edm", "--budget", 5, "--out", "out") == 1
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1 and "few" in error
    assert not Path("out").exists()


def test_features_that_cannot_be_had_are_refused(
    finished: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    for value, said in (("no.pt2", "is no file"), ("no.module:Net", "names nothing"), ("inception:x", "no such file")):
        assert command("evaluate", finished, "--features", value) == 2
        assert said in capsys.readouterr().err
