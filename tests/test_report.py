"""The report: what it says, that it needs nothing beside it, and that it is written whole or not at all."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from ncsn.errors import RunError
from ncsn.evaluation import Comparison, Measure
from ncsn.app.report import RUN_FIGURES, Report, RunSummary, environment, write_run_report
from ncsn.plan import make_plan

PNG = b"\x89PNG\r\n\x1a\n"
HOSTILE = "<script>alert('&\"')</script>"


class Page(HTMLParser):
    """The text, headings, tables and images of a page; unclosed tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self.numeric: list[list[bool]] = []
        self.images: list[dict[str, Any]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in ("img", "meta"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.numeric.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.numeric[-1].append(("class", "number") in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def drawing() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([1, 2])
    return figure


def comparison(n_non_finite: int = 0) -> Comparison:
    measures = (
        Measure("sliced_wasserstein2", 0.046, 0.04),
        Measure("copied_fraction", 0.0, 0.0),
        Measure("own_measure", 1.0, 2.0),
    )
    return Comparison(measures, 1000, 200, n_non_finite, "standard")


def test_a_page_has_what_was_added_in_its_order() -> None:
    report = Report("Title", "First paragraph.\n\nSecond one.")
    report.section("One")
    report.facts({"rows": 12_345, "share": 0.123456})
    report.section("Two")
    report.section("Part", level=2)
    report.prose("Prose.")
    report.figure(drawing(), "a-figure_1", "A caption.")
    page = Page(report.to_html())
    assert page.headings == ["Title", "One", "Two", "Part"]
    assert page.tags.count("p") == 3
    assert page.tags.count("a") == 2
    order = ["First paragraph.", "Second one.", "12,345", "0.1235", "Prose.", "A caption."]
    assert sorted(order, key=page.text.index) == order


def test_one_section_needs_no_contents() -> None:
    report = Report("Title")
    report.section("One")
    assert "nav" not in Page(report.to_html()).tags


def test_tables_align_numbers_and_mark_what_is_missing() -> None:
    report = Report("Title")
    report.table(
        [
            {"name": "a", "value": 0.000123456, "ratio": 1.0},
            {"name": "b", "value": 1_234_567, "ratio": None},
            {"name": "c", "value": np.float32(25_000.4), "ratio": float("nan")},
            {"name": "d", "value": True, "other": np.int64(3)},
        ],
        "A caption",
        formats={"ratio": ".2f"},
    )
    page = Page(report.to_html())
    assert page.rows == [
        ["name", "value", "ratio", "other"],
        ["a", "0.0001235", "1.00", "–"],
        ["b", "1,234,567", "–", "–"],
        ["c", "25,000", "–", "–"],
        ["d", "True", "–", "3"],
    ]
    assert page.numeric[0] == [False, False, True, True]
    assert page.numeric[1] == [False, True, True, True]
    assert "A caption" in page.text


def test_a_data_frame_is_a_table() -> None:
    report = Report("Title")
    report.table(pd.DataFrame({"a": [1, 2], 3: ["x", "y"]}, index=["k", "l"]))
    assert Page(report.to_html()).rows == [["a", "3"], ["1", "x"], ["2", "y"]]


def test_everything_is_escaped() -> None:
    report = Report(HOSTILE, HOSTILE)
    report.section(HOSTILE)
    report.section(HOSTILE)
    report.section(HOSTILE, level=2)
    report.prose(HOSTILE)
    report.facts({HOSTILE: HOSTILE})
    report.table([{HOSTILE: HOSTILE}], HOSTILE)
    report.figure(drawing(), "name", HOSTILE)
    report.figure(drawing(), "other", "caption", alternative=HOSTILE)
    page = Page(report.to_html())
    assert "script" not in page.tags
    # the title, its heading, two links, five blocks, and each part of the list, the table and the figure
    assert page.text.count(HOSTILE) == 2 + 2 + 5 + 2 + 3 + 1
    assert [image["alt"] for image in page.images] == [HOSTILE, HOSTILE]


def test_the_page_needs_nothing_beside_it(tmp_path: Path) -> None:
    report = Report("Title")
    report.figure(drawing(), "curve", "A caption.", alternative="A rising line.")
    path = report.write(tmp_path / "new" / "folder")
    content = path.read_text(encoding="utf-8")
    assert path == tmp_path / "new" / "folder" / "report.html"
    assert not re.search(r"https?:|//|<link|<script|url\(|@import|srcset", content.replace(_image_data(content), ""))
    (image,) = Page(content).images
    assert image["alt"] == "A rising line."
    assert image["width"] == "192"
    saved = (path.parent / "figures" / "curve.png").read_bytes()
    assert saved.startswith(PNG)
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == saved


def _image_data(content: str) -> str:
    found = re.search(r"base64,[\w+/=]+", content)
    assert found
    return found.group()


def test_figures_are_taken_out_of_pyplots_hands() -> None:
    figure, _ = plt.subplots()
    Report("Title").figure(figure, "name", "caption")
    assert not plt.fignum_exists(figure.number)


@pytest.mark.parametrize("name", ["../outside", "a b", "", "name.png", "taken"])
def test_figure_names_name_one_file_each(name: str) -> None:
    report = Report("Title")
    report.figure(drawing(), "taken", "caption")
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        report.figure(drawing(), name, "caption")


@pytest.mark.parametrize("rows", [[], [{}], pd.DataFrame()])
def test_a_table_without_rows_is_refused(rows: Any) -> None:
    with pytest.raises(ValueError, match="at least one row"):
        Report("Title").table(rows)


def test_a_failed_write_keeps_the_page_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Report("First").write(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="No space left on device"):
        Report("Second").write(tmp_path)
    assert "First" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures", "report.html"]


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(RunError, match=r"cannot make .*taken.* choose another folder"):
        Report("Title").write(tmp_path / "taken")


def test_the_same_content_is_the_same_page() -> None:
    pages = []
    for _ in range(2):
        report = Report("Title")
        report.figure(drawing(), "name", "caption")
        pages.append(report.to_html())
    assert pages[0] == pages[1]


# Runs


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


def test_what_a_run_lacks_is_left_out(tmp_path: Path) -> None:
    page = Page(write_run_report(tmp_path, "A run", [RunSummary("Bare")]).read_text(encoding="utf-8"))
    assert page.headings == ["A run", "Bare", "Environment"]
    assert "–" not in page.text


def test_several_runs_keep_their_figures_apart(tmp_path: Path) -> None:
    runs = [RunSummary(name, figures={"samples": drawing()}) for name in ("Swiss roll", "Digits (8 x 8)")]
    write_run_report(tmp_path, "Runs", runs)
    saved = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert saved == ["digits_8_x_8_samples.png", "swiss_roll_samples.png"]
    alike = [RunSummary("One", figures={"samples": drawing()}) for _ in range(2)]
    with pytest.raises(ValueError, match="one_samples"):
        write_run_report(tmp_path, "Runs", alike)


def test_an_unknown_figure_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'samples'"):
        write_run_report(tmp_path, "Runs", [RunSummary("One", figures={"sample": drawing()})])
    assert list(tmp_path.iterdir()) == []


def test_the_environment_says_what_ran() -> None:
    found = environment("cpu")
    assert found["torch"] == torch.__version__
    assert found["device"] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert set(found) == {"python", "torch", "ncsn", "platform", "cores", "threads", "device"}
