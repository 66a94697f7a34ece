"""The page of all messages: what the library says when something is wrong, read from its files, so that the search finds it."""

from __future__ import annotations

import ast
import html
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "ncsn"

GAP = "…"
"""Stands for what a message fills in."""

KINDS = {
    "DataError": (
        "The data are at fault",
        "The file, table or array cannot be used as it is: it is missing, damaged, empty, not finite, or of another shape or type "
        "than what it is used with. The message names the file, the column or the row. Change the data, or say what they are with "
        "`--columns` or `columns=`. A command ends with exit code 1. See [your own table](../howto/table.md), "
        "[your images](../howto/images.md) and [missing values](../howto/missing.md).",
    ),
    "SettingError": (
        "A setting is at fault",
        "An argument or an option is unknown, out of range, or does not go with the others. The message says what may stand there. "
        "Leave a setting out, and it is [chosen from the data](../guide/settings.md). A command ends with exit code 2 where it names an option, else with 1.",
    ),
    "BadParameter": (
        "An option of the command line is at fault",
        "`ncsn COMMAND --help` says what there is. A command ends with exit code 2.",
    ),
    "RunError": (
        "A run's folder is at fault",
        "The folder holds no run, one that is not complete, or one of which a file was changed. Go on with a stopped run by the same "
        "command and `--resume`, or train into a new folder. A command ends with exit code 1. See "
        "[reliability](../reliability.md).",
    ),
    "DivergenceError": (
        "Numbers left what is finite",
        "Training or sampling diverged; the message names the step and the noise level. In training take a smaller learning rate, or "
        "leave `lr` out; in sampling leave `step_size` out, or [take another sampler](../howto/samplers.md#if-samples-diverge). A "
        "command ends with exit code 1.",
    ),
    "say_error": (
        "A file or the machine is at fault",
        "The system refused something: a folder that may not be written, a full disk, too little memory. A command ends with exit code 1.",
    ),
    "warn": (
        "Warnings",
        "Nothing is refused, and what was asked for is hardly what was meant. Python shows the line of your program; as a "
        "`SettingWarning` it can be silenced or made an error.",
    ),
}
"""The title and what to do, for each kind of error by the name that raises it."""

ROOMS = {
    "app": "in commands",
    "data": "in reading and encoding data",
    "estimator": "in `NCSN`",
    "evaluation": "in judging",
    "exact": "in exact scores",
    "guidance": "in guidance, known values and measurements",
    "inference": "in posteriors of simulators",
    "learn": "in the notebooks",
    "losses": "in losses",
    "model": "in fitting, sampling and saving",
    "networks": "in networks",
    "noise": "in noise levels",
    "plan": "in the plan",
    "samplers": "in samplers",
    "studio": "in the studio",
    "training": "in training",
}
"""How a part of the library is called on the page; others are "elsewhere"."""

CHECKS = {
    "check_count": f"{{}} must be a whole number of at least {GAP}, not {GAP}",
    "check_number": f"{{}} must be a finite number above {GAP}, not {GAP}",
    "unknown_name": f"unknown {{}} {GAP}; did you mean {GAP}? known: {GAP}",
}
"""What `ncsn.errors` makes of the name that it is given first."""


def messages() -> dict[str, dict[str, list[str]]]:
    """Return all messages, by the kind of error and by the part of the library; gaps stand for what is filled in."""
    found: dict[str, dict[str, set[str]]] = {kind: {} for kind in KINDS}
    for path in sorted(SOURCE.rglob("*.py")):
        room = ROOMS.get(path.relative_to(SOURCE).with_suffix("").parts[0], "elsewhere")
        for kind, message in _of_file(ast.parse(path.read_text(encoding="utf-8"))):
            found[kind].setdefault(room, set()).add(" ".join(message.split()).replace(GAP * 2, GAP))
    return {
        kind: {room: sorted(of_room, key=str.casefold) for room, of_room in sorted(rooms.items())}
        for kind, rooms in found.items()
    }


def _of_file(tree: ast.Module) -> Iterator[tuple[str, str]]:
    named: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named.setdefault(node.targets[0].id, []).append(node.value)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        kind = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if kind in KINDS:
            known = named.get(node.args[0].id, []) if isinstance(node.args[0], ast.Name) else [node.args[0]]
            yield from ((kind, text) for value in known for text in _texts(value) if _says_something(text))
        elif kind in CHECKS and isinstance(node.args[0], ast.Constant):
            yield "SettingError", CHECKS[kind].format(node.args[0].value)


def _texts(value: ast.expr) -> Iterator[str]:
    """Yield what an expression can be as a text."""
    match value:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(next(_texts(part), GAP) for part in parts)
        case ast.IfExp(body=body, orelse=orelse):
            yield from _texts(body)
            yield from _texts(orelse)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield next(_texts(left), GAP) + next(_texts(right), GAP)


def _says_something(text: str) -> bool:
    return any(letter.isalpha() for letter in text)


def write_messages(page: Path) -> None:
    """Write the page; each message is a heading, so that the search knows it by itself."""
    count = 0
    lines = [
        "# Every message, and what to do",
        "",
        "An error is one line that says what is wrong and what to do. Search this site for some of its words, or this page: "
        f"`{GAP}` stands for what a message fills in, such as a name or a number. For what is wrong without any message, see "
        "[troubleshooting](troubleshooting.md).",
        "",
    ]
    for kind, rooms in messages().items():
        title, advice = KINDS[kind]
        named = "" if kind not in ("DataError", "SettingError", "RunError", "DivergenceError") else f" (`{kind}`)"
        lines += [f"## {title}{named}", "", advice, ""]
        for room, of_room in rooms.items():
            lines += [f"### {title}, {room}", ""]
            for message in of_room:
                count += 1
                lines += [f'<h4 class="message" id="message-{count}">{html.escape(message, quote=False)}</h4>', ""]
    page.write_text("\n".join(lines), encoding="utf-8")
