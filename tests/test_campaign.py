"""The campaign of attacks: a small seeded part of it holds, and it finds the faults that are put there for it."""

from __future__ import annotations

import builtins
import json
import os
import shutil
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from campaign import command_line, run_folders
from campaign.children import FORK, Outcome, run
from campaign.damage import DAMAGES, damaged
from campaign.data_files import Reader, Reading, damaged_seed, edited, judged, read_file
from campaign.edits import REFUSED, edits_of
from campaign.page import Row, printed, write_rows
from campaign.seeds import seeds
from campaign.traps import Trap, operations
from campaign.verdicts import Bench, Fault, Result, broken_by
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import ncsn.app.planning
import ncsn.data
import ncsn.model.saving
from ncsn import NCSN
from ncsn.files import digest_of

SEED = 1


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return seeds(tmp_path_factory.mktemp("campaign") / "sound")


def broken(results: list[Result]) -> list[tuple[int, str, str, str]]:
    return [(result.number, result.what, str(result.fault), result.words) for result in results if result.fault]


def test_sound_files_are_read(sound: Any) -> None:
    for seed in sound:
        assert read_file(seed.path, seed.label).ending == "read", seed.name


def test_damaged_files_are_refused_or_read(sound: Any, tmp_path: Path) -> None:
    bench, results = Bench("data-files", SEED, 120, tmp_path), []
    for number in bench.numbers():
        folder = tmp_path / str(number)
        folder.mkdir()
        what, path, label = damaged_seed(sound, folder, bench.generator(number))
        results.append(judged(number, what, read_file(path, label), path))
    assert broken(results) == []


def test_edited_files_are_refused_or_read_as_they_say(tmp_path: Path) -> None:
    bench, results = Bench("data-files", SEED, 0, tmp_path), []
    for number, edit in enumerate(edits_of()):
        if "50 MB" in edit.name:
            # seconds
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        what, path, label, truth = edited(edit, folder, bench.generator(number))
        results.append(judged(number, what, read_file(path, label), path, truth))
    assert broken(results) == []


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_changes_a_file_and_is_the_same_for_a_seed(name: str) -> None:
    content = bytes(range(256)) * 4
    done = [DAMAGES[name](content, np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert done[0] == done[1] != content
    assert done[2] != done[0]
    assert damaged(content, [content], np.random.default_rng(5)) == damaged(
        content, [content], np.random.default_rng(5)
    )


def raises(path: Path, label: str | None) -> Reading:
    raise NotImplementedError("compression")


def never_ends(path: Path, label: str | None) -> Reading:
    time.sleep(60)
    return Reading("read")


def dies(path: Path, label: str | None) -> Reading:
    os.kill(os.getpid(), signal.SIGKILL)
    return Reading("read")


@pytest.mark.parametrize(("read", "fault"), [(never_ends, Fault.HANG), (dies, Fault.DIED)])
def test_a_reader_that_hangs_or_dies_is_found_and_replaced(read: Any, fault: Fault, tmp_path: Path) -> None:
    reader = Reader(read, limit=0.3)
    for number in range(2):
        assert judged(number, "a file", reader(tmp_path, None), tmp_path).fault is fault
    reader.close()


def test_a_reader_that_lets_an_error_through_warns_or_reads_otherwise_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, truth = tmp_path / "t.csv", [["1", "2.5"], ["3", "4.5"], ["5", "6.5"]]
    path.write_text("a,b\n1,2.5\n3,4.5\n5,6.5\n")
    assert judged(0, "sound", read_file(path, None), path, truth).fault is None
    assert judged(0, "to be refused", read_file(path, None), path, REFUSED).fault is Fault.SILENT
    real = ncsn.data.load

    def shifted(*arguments: Any, **options: Any) -> Any:
        dataset = real(*arguments, **options)
        dataset.values["b"] += 1
        return dataset

    def warned(*arguments: Any, **options: Any) -> Any:
        warnings.warn("columns have mixed types", UserWarning, stacklevel=1)
        return real(*arguments, **options)

    planted = {Fault.TRACEBACK: raises, Fault.SILENT: shifted, Fault.WARNING: warned}
    for fault, load in planted.items():
        monkeypatch.setattr(ncsn.data, "load", load if load is not raises else lambda path, label: raises(path, label))
        assert judged(0, "a file", read_file(path, None), path, truth).fault is fault
    monkeypatch.setattr(ncsn.data, "load", real)
    path.write_text("a,b\n1,2.5\n")
    assert judged(0, "one row", read_file(path, None), path, truth).words.startswith("a sound file is refused")


@pytest.mark.parametrize(
    ("code", "words", "fault"),
    [
        (0, "wrote run/report.html\n", None),
        (1, "note: 2 rows\nerror: no such file\n", None),
        (2, "Usage: ncsn\n╭─ Error ─╮\n│ Invalid value │\n╰─╯\n", None),
        (None, "", Fault.HANG),
        (-11, "", Fault.DIED),
        (1, "Traceback (most recent call last):\n  File\nValueError: x\n", Fault.TRACEBACK),
        (1, "", Fault.WORDS),
        (1, "error: no such file: a\nb.csv\n", Fault.WORDS),
        (1, "error: one\nerror: two\n", Fault.WORDS),
        (2, "╭─ Error ─╮\n│ a │\n│ b │\n╰─╯\n", Fault.WORDS),
        (3, "error: what\n", Fault.CODE),
        (0, "/lib/pandas/io.py:3: DtypeWarning: mixed types\n", Fault.WARNING),
    ],
)
def test_what_a_command_says_is_judged(code: int | None, words: str, fault: Fault | None) -> None:
    found = broken_by(Outcome(code, "", words, 1.0), (0, 1, 2))
    assert (None if found is None else found[0]) is fault


def test_a_code_is_held_against_those_that_are_right() -> None:
    assert broken_by(Outcome(1, "", "error: x\n", 1.0), (2,)) == (Fault.CODE, "exit code 1, not 2: error: x")
    assert broken_by(Outcome(0, "", "", 1.0), (1, 2)) == (Fault.CODE, "exit code 0, not 1 or 2: nothing is said")


def sleeping() -> None:
    time.sleep(60)


def tripping() -> None:
    def plan_for(*arguments: Any, **options: Any) -> Any:
        raise KeyError("planted")

    ncsn.app.planning.plan_for = plan_for


def leaving() -> None:
    Path("left").touch()


@pytest.mark.parametrize(
    ("before", "limit", "fault"), [(sleeping, 0.5, Fault.HANG), (tripping, 20.0, Fault.TRACEBACK), (None, 20.0, None)]
)
def test_a_command_that_hangs_or_trips_is_found(
    before: Callable[[], None] | None, limit: float, fault: Fault | None, tmp_path: Path
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "t.csv").write_text("a\n1\n2\n3\n4.5\n")
    found = broken_by(run(["plan", "t.csv"], folder, before, limit=limit), (0,))
    assert (None if found is None else found[0]) is fault


def test_what_a_refused_command_leaves_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = command_line.Case(["plan", "nosuch.csv"], (1,))
    (tmp_path / "place").mkdir()
    assert command_line.attacked(0, case, tmp_path / "place").fault is None
    monkeypatch.setattr(command_line, "quick", leaving)
    found = command_line.attacked(0, case, tmp_path / "place")
    assert (found.fault, found.words) == (Fault.LEFT, "refused, but left left")


def test_command_lines_that_load_little_are_refused(tmp_path: Path) -> None:
    names = [case for case in command_line.cases() if case.arguments[:1] in (["plan"], ["train"])]
    place = tmp_path / "place"
    place.mkdir()
    (place / "t.csv").write_text("a,b,kind\n" + "".join(f"{i}.5,{i % 7},x\n" for i in range(20)))
    command_line._fill(place)
    chosen = [case for case in names if not {"run", "stopped", "pipe.csv", "endless.csv"} & set(case.arguments)][::17]
    assert len(chosen) > 10
    assert broken([command_line.attacked(number, case, place) for number, case in enumerate(chosen)]) == []


def unchecked(folder: Path) -> Any:
    return json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")


def test_a_run_that_changes_silently_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    place = tmp_path / "place"
    place.mkdir()
    np.save(place / "array.npy", generator.normal(size=(40, 2)))
    NCSN(training_steps=5, width=16, n_blocks=1, random_state=0).fit(np.load(place / "array.npy")).save(place / "run")
    drawn = run(run_folders.SAMPLE, place)
    assert drawn.code == 0, drawn.words
    sampled = (place / "samples.csv").read_bytes()
    made = run_folders.Sound("an array", place.rename(tmp_path / "made"), sampled, "")

    def forged(path: Path, generator: np.random.Generator) -> str:
        """Change all weights and write the digest anew."""
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
            tensors = {name: file.get_tensor(name) + 0.1 for name in file.keys()}  # noqa: SIM118
        save_file(tensors, path, header | {"sha256": digest_of(tensors, header["ncsn"])})
        return "forged"

    monkeypatch.setattr(run_folders, "EVALUATED", 0.0)
    monkeypatch.setattr(
        run_folders, "_ways", lambda place, *_: [(1.0, lambda g: forged(place / "run" / "model.safetensors", g))]
    )
    attacked = run_folders.finished_attacked(0, place, made, made, [], generator)
    assert attacked.fault is None and attacked.ending == "refused", attacked
    shutil.rmtree(place)
    monkeypatch.setattr(ncsn.model.saving, "read_model", unchecked)
    attacked = run_folders.finished_attacked(0, place, made, made, [], generator)
    assert attacked.fault is Fault.SILENT
    shutil.rmtree(place)
    monkeypatch.setattr(run_folders, "_ways", lambda *_: [(1.0, lambda g: "nothing")])
    assert run_folders.finished_attacked(0, place, made, made, [], generator).ending == "the same"


def test_edits_change_one_entry_of_a_configuration() -> None:
    content = {"a": 1, "b": {"c": [1.5, {"d": "x"}], "e": None}}
    assert list(run_folders.paths_of(content)) == [
        ("a",),
        ("b",),
        ("b", "c"),
        ("b", "c", 0),
        ("b", "c", 1),
        ("b", "c", 1, "d"),
        ("b", "e"),
    ]
    for seed in range(50):
        changed, what = run_folders.edited(content, np.random.default_rng(seed))
        assert changed != content or "= 1" in what or "None" in what or "= True" in what
        assert (changed.get("a") == 1) or what.startswith("a")


def writes(folder: Path, trap: Trap) -> None:
    trap.set()
    with builtins.open(folder / "part", "wb") as file:
        file.write(b"0123456789")
        file.flush()
        os.fsync(file.fileno())
    os.replace(folder / "part", folder / "whole")


@pytest.mark.parametrize(
    ("at", "way", "left"),
    [
        (0, "before", {}),
        (0, "after", {"part": b""}),
        (1, "half", {"part": b"01234"}),
        (2, "before", {"part": b"0123456789"}),
        (3, "before", {"part": b"0123456789"}),
        (3, "after", {"whole": b"0123456789"}),
    ],
)
def test_a_trap_kills_at_one_file_operation(at: int, way: str, left: dict[str, bytes], tmp_path: Path) -> None:
    process = FORK.Process(target=writes, args=(tmp_path, Trap(tmp_path, at, way)))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == left


def test_a_trap_counts_operations_and_fills_disks(tmp_path: Path) -> None:
    folder, log = tmp_path / "here", tmp_path / "log"
    folder.mkdir()
    for trap, code in ((Trap(folder, None, "count", log), 0), (Trap(folder, 1, "full"), 1)):
        process = FORK.Process(target=writes, args=(folder, trap))
        process.start()
        process.join()
        assert process.exitcode == code
    assert operations(log) == [("open", "part"), ("write", "part"), ("fsync", "part"), ("replace", "part")]
    assert (folder / "part").read_bytes() == b"01234"


def test_the_table_keeps_rows_of_other_parts(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- campaign -->\n<!-- end of campaign -->\nafter\n")
    write_rows(page, [Row("kills", 300, {"the same": 300}, {}, 60.0), Row("crashes", 100, {}, {"lost run": 2}, 90.0)])
    write_rows(page, [Row("crashes", 110, {"the same": 110}, {}, 600.0, ("226 places",))])
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("before", "after", 8)
    assert lines[4].endswith("| 300 | the same 300 | none | 1 min |")
    assert lines[5].endswith("| 110 | the same 110 | none | 10 min |")
    assert "crashes: 226 places" in printed([Row("crashes", 1, {}, {}, 1.0, ("226 places",))])
    with pytest.raises(ValueError, match="no place for the table"):
        write_rows(Path(__file__), [])


def test_tables_of_seeds_hold_what_tables_hold(sound: Any) -> None:
    frame = pd.read_csv(next(seed.path for seed in sound if seed.name == "t.csv"))
    assert frame["gap"].isna().any() and frame["kind"].str.contains(",").any()
