"""The page of messages holds what is said: real errors, each found on it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ncsn import NCSN, EmpiricalScore, GaussianMixtureScore, Heun, compare, create_noise_schedule, load, sample

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))
from messages import GAP, KINDS, messages, write_messages  # noqa: E402

EXACT = GaussianMixtureScore([1.0], [[0.0, 0.0]], 1.0)

CASES: dict[str, Callable[[], Any]] = {
    "unknown method": lambda: NCSN(method="edn").fit(np.zeros((20, 2))),
    "unknown schedule": lambda: create_noise_schedule(0.1, 1.0, 5, kind="geometrc"),
    "unknown sampler": lambda: sample(EXACT, torch.tensor([1.0, 0.1]), 5, 2, "huen"),
    "a count": lambda: create_noise_schedule(0.1, 1.0, 0),
    "a number": lambda: create_noise_schedule(-0.1, 1.0, 5),
    "an option": lambda: Heun(churn=-1.0),
    "a missing file": lambda: load("no/such/file.csv"),
    "not finite": lambda: NCSN().fit(np.array([[0.0, np.inf]] * 20)),
    "no points": lambda: EmpiricalScore(torch.zeros(0, 2)),
    "a run": lambda: NCSN.load("no/such/run"),
    "shapes": lambda: compare(np.zeros((20, 2)), np.zeros((20, 3)), np.zeros((20, 2))),
    "levels": lambda: sample(EXACT, torch.tensor([0.1, 1.0]), 5, 2, "heun"),
}

PAGE = messages()


def patterns(kind: str) -> list[re.Pattern[str]]:
    found = [message for of_room in PAGE[kind].values() for message in of_room]
    # what begins with a gap and holds little else would match anything
    return [
        re.compile(".*".join(map(re.escape, message.split(GAP))), re.DOTALL)
        for message in found
        if len(message.replace(GAP, "")) >= 10
    ]


@pytest.mark.parametrize("case", CASES)
def test_what_is_raised_is_on_the_page(case: str) -> None:
    with pytest.raises(Exception) as raised:
        CASES[case]()
    kind = raised.type.__name__
    assert kind in KINDS
    # checks of `ncsn.errors` fill in whole phrases
    said = str(raised.value)
    assert any(pattern.fullmatch(said) for pattern in patterns(kind)), said


def test_every_kind_says_what_to_do(tmp_path: Path) -> None:
    write_messages(tmp_path / "messages.md")
    text = (tmp_path / "messages.md").read_text(encoding="utf-8")
    for kind, (title, advice) in KINDS.items():
        assert PAGE[kind], kind
        assert f"## {title}" in text and advice in text
    assert sum(len(of_room) for rooms in PAGE.values() for of_room in rooms.values()) > 500
