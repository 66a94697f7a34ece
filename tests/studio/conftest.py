"""What the browsers' tests of the studio share."""

from pathlib import Path

import pytest

from ncsn.studio.pages import module, style

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def site_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with what the site's pages have of the studio, and two sets that were recorded in haste."""
    monkeypatch.syspath_prepend(str(DOCS))
    import studio_files

    usual = {"levels": 6, "per_level": 3, "langevin_steps": 20, "step": 0.2, "particles": 50, "width": 16, "steps": 30}
    monkeypatch.setattr(studio_files, "USUAL", usual)
    for page in ("index", "studio"):
        text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
        body = text[text.index('<div id="studio">') : text.index("</script>")] + "</script>"
        head = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">'
        (tmp_path / f"{page}.html").write_text(head + body)
    folder = tmp_path / "studio"
    folder.mkdir()
    (folder / "studio.js").write_text(module(), encoding="utf-8")
    (folder / "studio.css").write_text(style(), encoding="utf-8")
    (folder / "index.bin").write_bytes(studio_files.index())
    for name in ("swiss_roll", "rings"):
        (folder / f"{name}.bin").write_bytes(studio_files.recorded(name))
    return tmp_path
