"""The demonstration."""

from pathlib import Path

import pytest

from ncsn.app.demo import run_demo
from ncsn.errors import RunError

from .common import Page


@pytest.mark.slow
def test_the_quick_demonstration_is_one_page_of_two_runs(tmp_path: Path) -> None:
    page = run_demo(tmp_path / "demo", quick=True)
    assert page == tmp_path / "demo" / "report.html"
    headings = Page(page.read_text(encoding="utf-8")).headings
    assert [heading for heading in headings if heading in ("Swiss roll", "Handwritten digits")] == [
        "Swiss roll",
        "Handwritten digits",
    ]
    assert (tmp_path / "demo" / "figures" / "swiss_roll_samples.png").exists()


def test_a_demonstration_does_not_overwrite_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file is a file; name a folder for the report"):
        run_demo(tmp_path / "file")
    (tmp_path / "config.json").touch()
    with pytest.raises(RunError, match="holds a run; name another folder for the report"):
        run_demo(tmp_path)
