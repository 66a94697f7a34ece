"""One person's studio: what is set, what has been learned, where the particles are. It answers the page's questions."""

from __future__ import annotations

import base64
import binascii
import io
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ncsn.data.csv_files import read_csv
from ncsn.errors import DataError, DivergenceError, SettingError
from ncsn.likelihood import log_density
from ncsn.losses import WEIGHTINGS
from ncsn.noise import SCHEDULES
from ncsn.score import evaluate
from ncsn.studio.as_python import code_of
from ncsn.studio.learning import Learning
from ncsn.studio.messages import packed
from ncsn.studio.settings import DATA, NETWORKS, SCORE_METHODS, SCORE_SAMPLERS, SOURCES, TRAINING, VIEW, WALK, Settings
from ncsn.studio.sources import Source, numeric_columns, source_of
from ncsn.studio.walking import Walks

EXTENT = 3.0
"""The plane that is shown reaches from -EXTENT to EXTENT."""

BUDGET = 12.0
"""Milliseconds of work a question, but for what is asked for at once."""

MOST_STATES = 50
"""Most states of a walk in an answer."""

MOST_POINTS, MOST_PICTURES, MOST_CHARACTERS = 100, 300, 20_000_000
"""Most points of a grid along an axis, pictures of an animation, and characters of a table."""

Arrays = dict[str, Tensor | bytes]


class Session:
    """The studio's state, over the real library; one question at a time, from any thread.

    What it draws comes from generators of its own.

    Args:
        settings: What is set at first.
        table: A table for the source ``table``.
        table_name: Its file, which the copied code names; None where it came from none.
    """

    def __init__(
        self, settings: Settings | None = None, table: pd.DataFrame | None = None, table_name: str | None = None
    ) -> None:
        self.settings = settings or Settings()
        self._table, self._table_name = table, table_name
        self._lock = threading.Lock()
        self._source: Source | None = None
        self._learning: Learning | None = None
        self._walks: Walks | None = None
        self._seen: tuple[Any, Arrays] | None = None

    @property
    def source(self) -> Source:
        """The points, made when they are first asked for."""
        if self._source is None:
            self._source = source_of(self.settings, self._table, self._table_name)
        return self._source

    @property
    def learning(self) -> Learning:
        """The training, begun when it is first asked for."""
        if self._learning is None:
            self._learning = Learning.begun(self.settings, self.source)
        return self._learning

    @torch.inference_mode(False)
    def answer(self, question: Mapping[str, Any]) -> bytes:
        """Answer a question of the page.

        Args:
            question: ``settings``, those that changed; ``do``, a mapping of what is wanted to its arguments: ``hello``,
                ``table``, ``points``, ``train``, ``reset``, ``field``, ``losses``, ``density``, ``walk``, ``code``, ``gif``,
                ``guide``.

        Returns:
            The answer, as `messages.packed` makes it; what is at fault is its ``error``, in a line.
        """
        head: dict[str, Any] = {}
        arrays: Arrays = {}
        with self._lock:
            try:
                if "settings" in question:
                    self.change(Settings.of(self.settings.plain() | dict(question["settings"])))
                for name, wanted in dict(question.get("do", {})).items():
                    if name not in _ANSWERS:
                        raise SettingError(f"no such question: {name!r}")
                    _ANSWERS[name](self, wanted, head, arrays)
            except (DataError, DivergenceError, SettingError) as error:
                head["error"] = str(error)
            head["state"] = self._state()
            return packed(head, arrays)

    def change(self, settings: Settings) -> None:
        """Take other settings, and forget what they change."""
        old, self.settings = self.settings, settings
        if settings.differ(old, DATA):
            self._source = self._learning = None
        if settings.differ(old, TRAINING):
            self._learning = None
        if settings.differ(old, (*WALK, *VIEW)) or self._learning is None:
            self._walks = None
        if self._learning is None:
            self._seen = None
        else:
            # the class and the guidance are only told
            self._learning.settings = settings

    def _state(self) -> dict[str, Any]:
        """Return what is short and always told."""
        state: dict[str, Any] = {"labels": 0 if self._source is None else self._source.n_labels}
        if self._source is not None:
            state |= {"of": self._source.of, "points": len(self._source.points)}
        if (learning := self._learning) is not None:
            plan = learning.plan
            trainer = learning.trainers["learned"]
            state |= {"step": learning.step, "done": learning.done, "ends": learning.ends}
            state |= {"rate": plan.learning_rate, "curve": learning.curve[-1:]}
            state["weights"] = sum(weight.numel() for weight in trainer.score_model.parameters())
        return state

    # What can be asked for

    def _hello(self, wanted: Any, head: dict[str, Any], arrays: Arrays) -> None:
        head["names"] = {
            "data": SOURCES,
            "method": SCORE_METHODS,
            "network": NETWORKS,
            "levels": tuple(SCHEDULES),
            "weighting": tuple(WEIGHTINGS),
            "samplers": SCORE_SAMPLERS,
        }
        head["groups"] = {"data": DATA, "training": TRAINING, "view": VIEW, "walk": WALK}
        head |= {"defaults": Settings().plain(), "settings": self.settings.plain(), "extent": EXTENT}
        head["columns"] = [] if self._table is None else numeric_columns(self._table)

    def _read_table(self, wanted: Mapping[str, str], head: dict[str, Any], arrays: Arrays) -> None:
        text, name = str(wanted["text"]), Path(str(wanted["name"])).name
        if len(text) > MOST_CHARACTERS:
            raise DataError("the file is too large for the studio; take some of its rows")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "table.csv")
            path.write_text(text, encoding="utf-8")
            try:
                table = read_csv(path).frame
            except DataError as error:
                raise DataError(str(error).replace(str(path), name)) from None
        self._table, self._table_name = table, name
        self.change(Settings.of(self.settings.plain() | {"data": "table", "columns": numeric_columns(table)[:2]}))
        self._source = self._learning = self._walks = self._seen = None
        head |= {"columns": numeric_columns(table), "settings": self.settings.plain()}

    def _points(self, wanted: Any, head: dict[str, Any], arrays: Arrays) -> None:
        arrays["points"] = self.source.points
        if self.source.labels is not None:
            arrays["labels"] = self.source.labels
        # the levels' ends are the data's
        head["ends"] = self.learning.ends

    def _train(self, wanted: Mapping[str, Any], head: dict[str, Any], arrays: Arrays) -> None:
        if "steps" in wanted:
            self.learning.advance(int(wanted["steps"]))
            return
        end = perf_counter() + float(wanted.get("budget", BUDGET)) / 1000
        self.learning.advance(1)
        while perf_counter() < end and not self.learning.done:
            self.learning.advance(1)

    def _reset(self, wanted: Any, head: dict[str, Any], arrays: Arrays) -> None:
        self._learning = self._walks = None

    def _field(self, wanted: Mapping[str, Any], head: dict[str, Any], arrays: Arrays) -> None:
        n, learning, settings = _size(wanted), self.learning, self.settings
        x, sigma = _grid(n), torch.tensor(settings.sigma)
        key = (n, settings.sigma, settings.label, settings.guidance)
        if self._seen is None or self._seen[0] != key:
            exact, told = learning.source.exact, learning.condition("exact")
            with torch.no_grad():
                density = exact.log_density(x, sigma, **told)
                score = learning.guided("exact", exact)(x, sigma, **told)
            self._seen = key, {"exact": score, "density": density}
        arrays |= self._seen[1]
        if learning.step:
            for name, model in learning.scores().items():
                if name not in arrays:
                    with torch.no_grad():
                        arrays[name] = evaluate(learning.guided(name, model), x, sigma, learning.condition(name))

    def _losses(self, wanted: Any, head: dict[str, Any], arrays: Arrays) -> None:
        sigmas, losses = self.learning.losses()
        arrays["loss:sigmas"] = sigmas
        arrays |= {f"loss:{name}": loss for name, loss in losses.items()}

    def _density(self, wanted: Mapping[str, Any], head: dict[str, Any], arrays: Arrays) -> None:
        x, learning = _grid(_size(wanted)), self.learning
        sigma, sigma_max = self.settings.sigma, learning.ends[1]
        moments: dict[str, Any] = dict(learning.moments())
        told = learning.condition("learned")
        model = learning.scores()["learned"]
        arrays["log:learned"] = log_density(model, x, sigma, sigma_max, tolerance=1e-3, condition=told, **moments)
        arrays["log:exact"] = learning.source.exact.log_density(x, torch.tensor(sigma), **told)

    def _walk(self, wanted: Mapping[str, Any], head: dict[str, Any], arrays: Arrays) -> None:
        if wanted.get("again") or self._walks is None:
            self._walks = Walks.begun(self.learning)
        walks, told = self._walks, []
        steps = max(1, min(MOST_STATES, int(wanted.get("steps", 1))))
        end = perf_counter() + len(walks.each) * BUDGET / 1000
        taken: dict[str, list[Any]] = {name: [] for name in walks.each}
        for _ in range(steps):
            for name, walk in walks.each.items():
                taken[name] += walk.advance(1)
            if perf_counter() > end:
                break
        for name, walk in walks.each.items():
            states = taken[name]
            told.append({"name": name, "done": walk.done, "steps": [state.step for state in states]})
            told[-1]["sigmas"] = [state.sigma for state in states]
            told[-1]["evaluations"] = [state.evaluations for state in states]
            if states:
                arrays[f"walk:{name}"] = torch.stack([state.x for state in states])
            if states and self.source.n_labels:
                arrays[f"shares:{name}"] = torch.stack([self.source.shares(state.x) for state in states])
        head |= {"walks": told, "learned_at": walks.learned_at}
        arrays["truth"] = walks.truth

    def _code(self, wanted: Any, head: dict[str, Any], arrays: Arrays) -> None:
        head["code"] = code_of(self.learning, self._walks)

    def _gif(self, wanted: Mapping[str, Any], head: dict[str, Any], arrays: Arrays) -> None:
        try:
            pictures = [
                Image.open(io.BytesIO(base64.b64decode(each.split(",")[-1], validate=True))).convert("RGB")
                for each in wanted["pictures"][:MOST_PICTURES]
            ]
        except (binascii.Error, UnidentifiedImageError) as error:
            raise DataError("the pictures of the animation are damaged") from error
        if not pictures:
            raise DataError("there is nothing to save yet: start the particles first")
        out = io.BytesIO()
        durations = [60] * (len(pictures) - 1) + [1500]
        pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0)
        arrays["gif"] = out.getvalue()

    def _guide(self, wanted: Mapping[str, str], head: dict[str, Any], arrays: Arrays) -> None:
        from ncsn.studio.guide import guide_html

        head["guide"] = guide_html(str(wanted["page"]))
        if head["guide"] is None:
            raise SettingError(f"the guide has no page {wanted['page']!r}")


_ANSWERS: dict[str, Callable[[Session, Any, dict[str, Any], Arrays], None]] = {
    "hello": Session._hello,
    "table": Session._read_table,
    "reset": Session._reset,
    "points": Session._points,
    "train": Session._train,
    "field": Session._field,
    "losses": Session._losses,
    "density": Session._density,
    "walk": Session._walk,
    "code": Session._code,
    "gif": Session._gif,
    "guide": Session._guide,
}


def _size(wanted: Mapping[str, Any]) -> int:
    return max(2, min(MOST_POINTS, int(wanted.get("n", 40))))


def _grid(n: int) -> Tensor:
    """Return the plane's points, ``(n^2, 2)``, from the lower left, along x first."""
    axis = torch.linspace(-EXTENT, EXTENT, n)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)
