"""Damaged and edited run folders: each is refused in one line, or does what it did before."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from campaign.children import run
from campaign.damage import damaged
from campaign.small import finished_run, quick, stopped_run
from campaign.trees import differing, digests
from campaign.verdicts import Bench, Fault, Result, broken_by, ended

Generator = np.random.Generator
SAMPLE = ["sample", "run", "-n", "5", "--steps", "4", "-o", "samples.csv"]
EVALUATE = ["evaluate", "run", "--json"]
EVALUATED = 0.08
"""Share of the attacks on finished runs that are judged, which takes longer than samples."""


@dataclass(frozen=True)
class Sound:
    """A run before any damage.

    Args:
        name: What it is.
        folder: The folder that has it as ``run``, and its data.
        sampled: What `SAMPLE` wrote.
        evaluated: What `EVALUATE` printed.
    """

    name: str
    folder: Path
    sampled: bytes
    evaluated: str


def sound_runs(place: Path) -> list[Sound]:
    """Train small runs of a table with labels, of one with contexts, and of an array, use each, and move it beside the place."""
    ways = {
        "labels": ["table.csv", "--label", "kind"],
        "contexts": ["table.csv", "--given", "a"],
        "an array": ["array.npy"],
        "another table": ["table.csv", "--seed", "1"],
    }
    found = []
    for name, arguments in ways.items():
        finished_run(place, arguments)
        given = ["--given", "a=0.5"] if name == "contexts" else []
        drawn = run([*SAMPLE, *given], place)
        said = run(EVALUATE, place)
        if drawn.code or said.code:
            raise RuntimeError(f"a sound run cannot be used: {drawn.words or said.words}")
        folder = place.with_name(name)
        place.rename(folder)
        found.append(Sound(name, folder, (folder / "samples.csv").read_bytes(), said.printed))
    return found


def paths_of(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each entry of a JSON value, through keys and places."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield (*way, key)
        yield from paths_of(entry, (*way, key))


def _other_value(value: Any, generator: Generator) -> Any:
    """Return something else: near it, of another type, too large, or nonsense."""
    near: list[Any] = []
    if isinstance(value, bool):
        near = [not value]
    elif isinstance(value, int | float):
        near = [value + 1, -value, value * 1000 + 0.5, 0, int(value) + 1, float(value) * 1.01 + 1e-3]
    elif isinstance(value, str):
        near = [value + "x", "", value.upper(), "os:system", "../../x"]
    elif isinstance(value, list):
        near = [value[::-1], value[1:], [*value, *value[:1]], []]
    elif isinstance(value, dict):
        near = [dict(list(value.items())[1:]), {}, value | {"more": 1}, dict(reversed(value.items()))]
    far: list[Any] = [
        None,
        True,
        -1,
        10**400,
        float("nan"),
        float("inf"),
        1e308,
        "text",
        [],
        {},
        [[[]]],
        {"part": "Method"},
    ]
    chosen = near if near and generator.random() < 0.6 else far
    return copy.deepcopy(chosen[generator.integers(len(chosen))])


def edited(content: dict[str, Any], generator: Generator) -> tuple[dict[str, Any], str]:
    """Return a configuration with one entry changed, dropped, or doubled under another name, and what was done."""
    changed = copy.deepcopy(content)
    # what the samples depend on lies under few of the keys: each of these is as likely as the others
    first = list(changed)[generator.integers(len(changed))]
    ways = [(first,), *paths_of(changed[first], (first,))]
    way = ways[generator.integers(len(ways))]
    holder = changed
    for key in way[:-1]:
        holder = holder[key]
    name = ".".join(map(str, way))
    if generator.random() < 0.2:
        del holder[way[-1]]
        return changed, f"{name} dropped"
    holder[way[-1]] = _other_value(holder[way[-1]], generator)
    return changed, f"{name} = {str(holder[way[-1]])[:40]}"


def _edit_json(path: Path, generator: Generator) -> str:
    content, what = edited(json.loads(path.read_text()), generator)
    path.write_text(json.dumps(content, indent=1))
    return f"{path.name}: {what}"


def _damage(path: Path, others: list[bytes], generator: Generator) -> str:
    content, what = damaged(path.read_bytes(), others, generator)
    path.write_bytes(content)
    return f"{path.name}: {what}"


def _odd_text(path: Path, generator: Generator) -> str:
    texts = [
        "",
        "[]",
        "null",
        "{",
        "[" * 200_000,
        '{"a": ' * 50_000,
        "1" * 5000,
        "\ufeff{}",
        '"\\ud800"',
        "{}" * 9,
        "NaN",
    ]
    place = int(generator.integers(len(texts)))
    path.write_text(texts[place])
    return f"{path.name}: the text {texts[place][:12]!r}"


def _forged(path: Path, generator: Generator) -> str:
    """Change one number of the weights, and the digest with it, as another program would write the file."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    from ncsn.files import digest_of

    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    names = [name for name, tensor in tensors.items() if tensor.is_floating_point() and tensor.numel()]
    name = sorted(names)[generator.integers(len(names))]
    values = [0.0, 1e30, float("nan"), float("inf"), -1.0]
    tensors[name].view(-1)[int(generator.integers(tensors[name].numel()))] = values[generator.integers(len(values))]
    save_file(tensors, path, header | {"sha256": digest_of(tensors, header["ncsn"])})
    return f"{path.name}: a number of {name} changed, and the digest with it"


def _replaced(path: Path, generator: Generator) -> str:
    """Put something else where a file was."""
    way = ["gone", "a folder", "empty", "a link to itself", "a link to nowhere", "a device"][generator.integers(6)]
    path.unlink()
    if way == "a folder":
        path.mkdir()
    elif way == "empty":
        path.touch()
    elif way != "gone":
        path.symlink_to({"a link to itself": str(path), "a link to nowhere": "/no/such", "a device": "/dev/null"}[way])
    return f"{path.name}: {way}"


def _swapped(folder: Path, other: Path, generator: Generator) -> str:
    """Take one of the files of another run."""
    name = ["config.json", "model.safetensors", "metrics.jsonl"][generator.integers(3)]
    shutil.copy(other / name, folder / name)
    return f"{name} of another run"


def _crossed(folder: Path, other: Path, generator: Generator) -> str:
    """Take an entry of the configuration of another run."""
    mine, theirs = (json.loads((place / "config.json").read_text()) for place in (folder, other))
    names = [name for name in mine if name in theirs and mine[name] != theirs[name]]
    name = names[generator.integers(len(names))]
    (folder / "config.json").write_text(json.dumps(mine | {name: theirs[name]}, indent=1))
    return f"config.json: {name} of another run"


def _data_changed(place: Path, generator: Generator) -> str:
    """Change the data that the run was trained on, which only `evaluate` looks at."""
    file = next(path for path in (place / "table.csv", place / "array.npy") if path.exists())
    if file.suffix == ".npy":
        values = np.load(file)
        values[int(generator.integers(len(values))), 0] += 10.0 ** generator.integers(-9, 3)
        np.save(file, values)
        return "a value of the data changed"
    lines = file.read_text().splitlines(keepends=True)
    first, second = generator.choice(np.arange(1, len(lines)), 2, replace=False)
    lines[first], lines[second] = lines[second], lines[first]
    file.write_text("".join(lines))
    return "two rows of the data change places"


def attack(bench: Bench) -> Iterator[Result]:
    """Yield what came of each attack: most on finished runs, and some on one that was stopped."""
    runs = sound_runs(bench.place)
    stopped = Stopped.made(bench.place)
    others = [path.read_bytes() for path in runs[0].folder.glob("run/*.*")]
    for number in bench.numbers():
        generator = bench.generator(number)
        place = bench.place
        if number % 8 == 7:
            yield stopped.attacked(number, place, others, generator)
        else:
            chosen = int(generator.integers(len(runs)))
            yield finished_attacked(number, place, runs[chosen], runs[chosen - 1], others, generator)
        if place.exists():
            shutil.rmtree(place)


def _ways(place: Path, other: Path, others: list[bytes]) -> list[tuple[float, Callable[[Generator], str]]]:
    """Return the ways to attack a finished run, with their weights."""
    folder = place / "run"
    config, weights, metrics = (folder / name for name in ("config.json", "model.safetensors", "metrics.jsonl"))
    return [
        (0.42, partial(_edit_json, config)),
        (0.14, partial(_damage, config, others)),
        (0.14, partial(_damage, weights, others)),
        (0.02, partial(_damage, metrics, others)),
        (0.05, partial(_odd_text, config)),
        (0.05, partial(_forged, weights)),
        (
            0.06,
            lambda generator: _replaced(
                folder / ["config.json", "model.safetensors", "metrics.jsonl"][generator.integers(3)], generator
            ),
        ),
        (0.06, partial(_swapped, folder, other)),
        (0.06, partial(_crossed, folder, other)),
    ]


def finished_attacked(
    number: int, place: Path, sound: Sound, other: Sound, others: list[bytes], generator: Generator
) -> Result:
    """Attack a copy of a finished run, and use it."""
    shutil.copytree(sound.folder, place)
    (place / "samples.csv").unlink()
    judged = generator.random() < EVALUATED
    if judged and generator.random() < 0.3:
        what = _data_changed(place, generator)
    else:
        weights, ways = zip(*_ways(place, other.folder / "run", others), strict=True)
        what = ways[generator.choice(len(ways), p=np.array(weights) / sum(weights))](generator)
    what = f"run of {sound.name}, {what}; {'evaluate' if judged else 'sample'}"
    given = ["--given", "a=0.5"] if sound.name == "contexts" else []
    outcome = run(EVALUATE if judged else [*SAMPLE, *given], place)
    broken = broken_by(outcome, (0, 1))
    drawn = place / "samples.csv"
    if broken is None and outcome.code == 0:
        same = outcome.printed == sound.evaluated if judged else drawn.read_bytes() == sound.sampled
        # data that have changed may be judged on, if that is said
        if not same and "changed" not in outcome.words:
            broken = Fault.SILENT, f"exit 0, {'another judgement' if judged else 'other samples'}, and not a word"
    elif broken is None and drawn.exists():
        broken = Fault.LEFT, "refused, but there are samples"
    return ended(number, what, "refused" if outcome.code else "the same", broken, place, outcome.words)


@dataclass(frozen=True)
class Stopped:
    """A run that was stopped in the middle of its training.

    Args:
        folder: The folder that has it as ``run``, and its data.
        arguments: The command that goes on with it.
        whole: The digests of the run's files, where nothing interrupts it.
    """

    folder: Path
    arguments: list[str]
    whole: dict[str, str]

    @classmethod
    def made(cls, place: Path) -> Stopped:
        """Train one to its end, and one until its first checkpoint, which is moved beside the place."""
        arguments, whole = stopped_run(place)
        return cls(place.rename(place.with_name("stopped")), arguments, whole)

    def attacked(self, number: int, place: Path, others: list[bytes], generator: Generator) -> Result:
        """Attack a copy, and go on with it."""
        shutil.copytree(self.folder, place)
        files = sorted(path for path in (place / "run").iterdir() if path.is_file() and path.stat().st_size)
        path = files[generator.integers(len(files))]
        way = generator.random()
        if way < 0.15:
            what = _data_changed(place, generator)
        elif way < 0.3:
            what = _replaced(path, generator)
        elif path.suffix == ".json" and way < 0.7:
            what = _edit_json(path, generator)
        else:
            what = _damage(path, others, generator)
        what = f"stopped run, {what}; --resume"
        outcome = run([*self.arguments, "--resume"], place, quick)
        broken = broken_by(outcome, (0, 1))
        if broken is None and outcome.code == 0:
            names = differing(self.whole, digests(place / "run"))
            if names:
                broken = Fault.SILENT, f"went on to another end: {', '.join(names)} differ"
        return ended(number, what, "refused" if outcome.code else "the same", broken, place, outcome.words)
