"""The page: what it says, that it needs nothing beside it, and that it is written whole or not at all."""

import base64
import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from ncsn.app.page import Report
from ncsn.errors import RunError, SettingError

from .common import Page, drawing

PNG = b"\x89PNG\r\n\x1a\n"
HOSTILE = "<script>alert('&\"')</script>"


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
    with pytest.raises(SettingError, match=re.escape(repr(name))):
        report.figure(drawing(), name, "caption")


@pytest.mark.parametrize("rows", [[], [{}], pd.DataFrame()])
def test_a_table_without_rows_is_refused(rows: Any) -> None:
    with pytest.raises(SettingError, match="at least one row"):
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
