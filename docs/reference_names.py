"""The reference of the built site, by the names that a reader can import, and without gaps."""

from __future__ import annotations

import re
from pathlib import Path

from public_names import public_names

_TITLE, _CAPTION = re.compile(r'title="[^"]*"'), re.compile(r"<summary>Source code in <code>[^<]*</code></summary>")

_IN_A_FILE = re.compile(r"\b(?P<package>ncsn\.\w+)\.[a-z_]+\.(?P<name>\w+)")


def show_public_names(site: Path) -> None:
    """Show in the reference what a reader can import, where a title or a caption names the file behind it.

    Raises:
        SystemExit: A public name is not in the reference.
    """
    public = set(public_names())
    packages = {name.rpartition(".")[0] for name in public}

    def importable(found: re.Match[str]) -> str:
        if found["package"] not in packages:
            return found[0]
        name = f"{found['package']}.{found['name']}"
        return name if name in public else found["name"]

    known: set[str] = set()
    for page in sorted((site / "reference").glob("*.html")):
        text = page.read_text(encoding="utf-8")
        known |= set(re.findall(r'id="(ncsn[\w.]*)"', text))
        text = _CAPTION.sub("<summary>Source code</summary>", text)
        page.write_text(_TITLE.sub(lambda title: _IN_A_FILE.sub(importable, title[0]), text), encoding="utf-8")
    missing = sorted(public - known)
    if missing:
        raise SystemExit(f"not in the reference: {', '.join(missing)}")
