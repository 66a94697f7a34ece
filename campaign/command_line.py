"""Bad input of every command: options out of range, too large or of another type, names, files and places."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from campaign.children import run
from campaign.small import finished_run, quick, stopped_run
from campaign.verdicts import Bench, Fault, Result, broken_by

DATA, RUN, EITHER = (1,), (2,), (1, 2)
"""The exit codes that are right where the data or the run, the command line, or either may be said to be at fault."""

COMMANDS = {
    "plan": ["plan", "t.csv"],
    "train": ["train", "t.csv", "--out", "new", "--steps", "20"],
    "sample": ["sample", "run", "-n", "3", "-o", "new.csv", "--steps", "3"],
    "impute": ["impute", "run", "gaps.csv", "-o", "new.csv"],
    "evaluate": ["evaluate", "run"],
    "compare": ["compare", "t.csv", "--methods", "edm", "--out", "new", "--budget", "10", "--seeds", "1"],
}
"""Each command as it is right."""

WHOLE = {
    "train": ["--steps", "--points", "--seed"],
    "sample": ["-n", "--steps", "--seed", "--grid-columns"],
    "impute": ["--draws", "--seed"],
    "evaluate": ["--bits", "--seed"],
    "compare": ["--budget", "--seeds", "--points"],
    "plan": ["--points", "--seed"],
}
"""Options that are whole numbers."""

FRACTIONS = {"train": ["--holdout", "--validation", "--minutes"], "sample": ["--guidance"]}
"""Options that are numbers."""


@dataclass(frozen=True)
class Case:
    """A command line that has to be refused.

    Args:
        arguments: What follows ``ncsn``.
        codes: The exit codes that are right.
        special: What has to be made in the folder before, by its name in `SPECIAL`.
    """

    arguments: list[str]
    codes: tuple[int, ...]
    special: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return the command line, long words cut."""
        return " ".join(
            word if len(word) < 40 else f"{word[:20]}... ({len(word)} characters)" for word in self.arguments
        )


def cases() -> list[Case]:
    """Return every case, in a fixed order."""
    return [*_of_numbers(), *_of_names(), *_of_data(), *_of_places(), *_of_runs(), *_of_commands()]


def _with(command: str, *more: str) -> list[str]:
    """Return a right command with options, which take the place of those that it has."""
    words = list(COMMANDS[command])
    for option in more[::2]:
        if option in words:
            place = words.index(option)
            del words[place : place + 2]
    if "--minutes" in more and "--steps" in words:
        del words[words.index("--steps") :][:2]
    return [*words, *more]


def _of_numbers() -> Iterator[Case]:
    for command, options in WHOLE.items():
        for option in options:
            yield from (Case(_with(command, option, bad), RUN) for bad in ("-1", "1.5", "abc", "", "nan", "1e3"))
            yield from (Case(_with(command, option, large), EITHER) for large in ("9" * 20, "9" * 400))
            if option not in ("--seed",):
                yield Case(_with(command, option, "0"), RUN)
    # whole numbers that can be held, of things that cannot
    for command, option, value in (
        ("sample", "-n", str(10**13)),
        ("sample", "--steps", str(10**13)),
        ("train", "--points", str(10**13)),
        ("impute", "--draws", str(10**13)),
        ("sample", "--seed", str(2**64)),
        ("train", "--seed", str(2**64)),
        ("plan", "--seed", str(2**64)),
        ("plan", "--points", str(10**13)),
    ):
        words = [
            "moons" if word == "t.csv" and option == "--points" else word for word in _with(command, option, value)
        ]
        yield Case(words, EITHER)
    for command, options in FRACTIONS.items():
        for option in options:
            yield from (Case(_with(command, option, bad), RUN) for bad in ("abc", "", "nan", "inf", "-1"))
    yield from (Case(_with("train", "--holdout", bad), EITHER) for bad in ("0", "1", "0.01", "0.95", "1e-300"))
    yield from (Case(_with("train", "--validation", bad), EITHER) for bad in ("1", "0.95", "1e300"))
    yield Case(["train", "t.csv", "--out", "new", "--steps", "5", "--minutes", "1"], RUN)
    yield from (
        Case(_with("plan", "--size", bad), EITHER) for bad in ("abc", "0", "-1", "32x", "x", "1e9", "9" * 20, "8")
    )


def _of_names() -> Iterator[Case]:
    odd = ["nosuch", "", " ", "$x$", "a\nb", "名前", "\u202egnp", "x" * 5000, "[red]x[/red]", "-"]
    for name in odd:
        yield Case(["train", "t.csv", "--out", "new", f"--label={name}"], DATA)
        yield Case(["plan", "t.csv", f"--given={name}"], EITHER)
        yield Case([*COMMANDS["sample"], f"--sampler={name}"], RUN)
        yield Case(["train", "t.csv", "--out", "new", f"--method={name}"], RUN)
        yield Case(["evaluate", "run", f"--target={name}"], EITHER)
        yield Case(["sample", "run", "-n", "2", "-o", "new.csv", f"--given={name}=1"], EITHER)
    for bad in ("nosuch:Thing", ":", "os:", "os:nosuch", "os:sep", "a b:c", "..:x", "t.csv:x"):
        yield from (
            Case([*_with("train"), f"--{option}={bad}"], EITHER) for option in ("method", "network", "augmentation")
        )
        yield Case([*COMMANDS["sample"], f"--sampler={bad}"], RUN)
    yield from (
        Case([*_with("train"), f"--{name}=nosuch"], EITHER) for name in ("channels", "background", "log", "teacher")
    )
    yield from (
        Case([*_with("evaluate"), f"--features={bad}"], EITHER) for bad in ("nosuch", "a:b", "inception:no", "t.csv")
    )
    yield from (Case([*_with("sample"), f"--label={bad}"], EITHER) for bad in ("nosuch", "", "1", "x\ny"))
    yield from (
        Case([*_with("sample"), "--given", bad], EITHER)
        for bad in ("a", "a=text", "=1", "a=", "a=inf", "kind=nosuch", "a=1e400")
    )
    yield from (
        Case([*_with("plan"), "--columns", bad], EITHER)
        for bad in ("nosuch.json", "t.csv", "words.json", "deep.json", ".")
    )
    yield from (Case(_with("compare", "--methods", bad), EITHER) for bad in ("", ",", "edm,nosuch", "edm,edm,,"))
    yield from (
        Case([*_with("impute"), "--mask", bad], EITHER)
        for bad in ("nosuch.npy", "t.csv", "array.npy", "pictures", "broken.png")
    )


BAD_DATA = [
    "nosuch.csv",
    "nosuch",
    "",
    " ",
    "empty.csv",
    "empty",
    "texts",
    "pictures/0.png",
    "t.txt",
    "t",
    "run",
    "broken.npy",
    "broken.npz",
    "broken.parquet",
    "broken.csv.gz",
    "broken.png",
    "folder.csv",
    "~nosuchuser/t.csv",
    "~",
    "x" * 300 + ".csv",
    "x/" * 3000 + "t.csv",
    "/dev/null",
    "/proc/self/mem",
    "a\nb.csv",
    "\x1b[31mred.csv",
    "名前.csv",
    "\udcff.csv",
    "t.csv/x.csv",
    "one.csv",
    "texts.csv",
    "swiss_rol",
    "http://example.org/t.csv",
    "-",
    "*",
    "loop.csv",
    "nowhere.csv",
    "pipe.csv",
    "endless.csv",
    "closed",
]
"""What is no data, or cannot be read."""

BAD_PLACES = [
    "new.xyz",
    "new",
    "",
    "folder.csv",
    "nosuch/new.csv",
    "t.csv/new.csv",
    "x" * 300 + ".csv",
    "/dev/null/new.csv",
    "/proc/new.csv",
    "~nosuchuser/new.csv",
    ".csv",
    "a\nb.xyz",
    "\udcff/x.csv",
    "new.png.exe",
]
"""Where no samples can be written."""

BAD_FOLDERS = [
    "t.csv",
    "t.csv/new",
    "x" * 300,
    "x/" * 3000,
    "/dev/null/new",
    "/proc/new",
    "loop.csv",
    "run",
    "texts",
    "stopped",
    "",
]
"""Where no new run can be."""


def _of_data() -> Iterator[Case]:
    for name in BAD_DATA:
        special = [name] if name in SPECIAL else []
        yield Case(["plan", name], EITHER, special)
        yield Case(["train", name, "--out", "new"], EITHER, special)
        yield Case(["impute", "run", name, "-o", "new.csv"], EITHER, special)
        yield Case(["evaluate", "run", "--data", name], EITHER, special)


def _of_places() -> Iterator[Case]:
    for name in BAD_PLACES:
        special = [name] if name in SPECIAL else []
        yield Case(["sample", "run", "-n", "3", "--steps", "3", "-o", name], EITHER, special)
        yield Case(["impute", "run", "gaps.csv", "-o", name], EITHER, special)
    for name in BAD_FOLDERS:
        special = [name] if name in SPECIAL else []
        yield Case(["train", "t.csv", "--steps", "5", "--out", name], EITHER, special)


def _of_runs() -> Iterator[Case]:
    for name in (
        "nosuch",
        "t.csv",
        "empty",
        "texts",
        "stopped",
        "",
        "x" * 300,
        "\udcff",
        "a\nb",
        "loop.csv",
        "/proc/self",
    ):
        special = [name] if name in SPECIAL else []
        yield Case(["sample", name, "-n", "3", "-o", "new.csv"], EITHER, special)
        yield Case(["evaluate", name], EITHER, special)
        yield Case(["impute", name, "gaps.csv", "-o", "new.csv"], EITHER, special)
        yield Case(["train", "t.csv", "--out", name, "--resume"], EITHER, special)
    yield Case(["train", "t.csv", "--out", "stopped", "--steps", "149", "--resume"], EITHER)
    yield Case(["train", "array.npy", "--out", "stopped", "--steps", "150", "--resume"], EITHER)
    yield Case(
        ["train", "t.csv", "--out", "new", "--method", "consistency", "--teacher", "stopped", "--steps", "5"], EITHER
    )
    yield Case(
        ["train", "array.npy", "--out", "new", "--method", "consistency", "--teacher", "run", "--steps", "5"], EITHER
    )
    yield Case(["evaluate", "run", "--data", "array.npy"], EITHER)
    yield Case(["impute", "run", "array.npy", "-o", "new.csv"], EITHER)


def _of_commands() -> Iterator[Case]:
    yield from (
        Case(words, RUN)
        for words in (["nosuch"], ["--nosuch"], ["train"], ["sample"], ["sample", "run"], ["compare", "t.csv"])
    )
    for command, words in COMMANDS.items():
        yield Case([*words, "--nosuch"], RUN)
        yield Case([*words, "more", "and more"], RUN)
        yield Case([command], RUN)


def _fill(folder: Path) -> None:
    """Write what the cases name beside the two runs."""
    (folder / "gaps.csv").write_text("a,b,kind\n1,,x\n,2,y\n")
    (folder / "one.csv").write_text("a,b\n1,2\n")
    (folder / "texts.csv").write_text("a,b\n" + "x" * 50 + ",y\n")
    for name in ("empty.csv", "t.txt", "t"):
        (folder / name).touch()
    (folder / "words.json").write_text('"zip"')
    (folder / "deep.json").write_text("[" * 100_000)
    for name in ("npy", "npz", "parquet", "csv.gz", "png"):
        (folder / f"broken.{name}").write_bytes(np.random.default_rng(0).bytes(500))
    for name in ("empty", "texts", "folder.csv", "pictures"):
        (folder / name).mkdir()
    (folder / "texts" / "a.txt").write_text("hello")
    Image.new("RGB", (4, 4)).save(folder / "pictures" / "0.png")
    np.save(folder / "array.npy", np.random.default_rng(0).normal(size=(20, 5)))


SPECIAL: dict[str, Callable[[Path], None]] = {
    "loop.csv": lambda path: path.symlink_to(path.name),
    "nowhere.csv": lambda path: path.symlink_to("no/such/place.csv"),
    "pipe.csv": os.mkfifo,
    "endless.csv": lambda path: path.symlink_to("/dev/zero"),
    "closed": lambda path: path.mkdir(mode=0),
}
"""What is made anew for each case, as it cannot be copied."""


def attack(bench: Bench) -> Iterator[Result]:
    """Yield what came of each case; those beyond the bench's count are left out, evenly."""
    stopped_run(bench.place)
    bench.place.rename(bench.folder / "other")
    finished_run(bench.place, ["table.csv"])
    template = bench.folder / "template"
    bench.place.rename(template)
    (template / "table.csv").rename(template / "t.csv")
    shutil.copytree(bench.folder / "other" / "run", template / "stopped")
    _fill(template)
    every = cases()
    chosen = np.linspace(0, len(every) - 1, min(bench.count, len(every))).round().astype(int)
    for number in [bench.only] if bench.only is not None else chosen.tolist():
        shutil.copytree(template, bench.place)
        yield attacked(number, every[number], bench.place)
        shutil.rmtree(bench.place)


def attacked(number: int, case: Case, place: Path) -> Result:
    """Run a case in its folder, and look at what it said and left."""
    for name in case.special:
        SPECIAL[name](place / name)
    before = _listing(place)
    outcome = run(case.arguments, place, quick)
    broken = broken_by(outcome, case.codes)
    left = sorted(_listing(place) - before)
    if broken is None and left:
        broken = Fault.LEFT, f"refused, but left {', '.join(left)}"
    if broken is not None:
        return Result(number, str(case), "", *broken)
    return Result(number, str(case), f"exit {outcome.code}", words=outcome.words)


def _listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
