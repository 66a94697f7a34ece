"""The studio's files: one module of JavaScript made of several, its style, and the guide that it links to."""

from __future__ import annotations

import importlib.metadata
import re
from functools import cache
from pathlib import Path

FILES = Path(__file__).parent
MODULES = (
    *("messages", "canvas", "charts", "settings", "explanations", "tours"),
    *("controls", "views", "layout", "hands", "local", "studio"),
)
"""The JavaScript, each file after those that it imports from."""

_IMPORT = re.compile(r"^import .*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class|let) )", re.MULTILINE)


@cache
def module() -> str:
    """Return the studio as one module, as a widget needs it: what several files export has different names."""
    parts = [_IMPORT.sub("", (FILES / f"{name}.js").read_text(encoding="utf-8")) for name in MODULES]
    return "\n".join(
        [*(_EXPORT.sub("", part) for part in parts), "export { mount, overFiles };", "export default { render };", ""]
    )


@cache
def style() -> str:
    """Return the style sheet."""
    return (FILES / "studio.css").read_text(encoding="utf-8")


def guide_page(name: str) -> str | None:
    """Return a page of the guide as Markdown, from the checkout that this runs from or from the installation; None without."""
    if not re.fullmatch(r"[a-z_]+", name):
        return None
    checkout = FILES.parents[2] / "docs" / "guide"
    found = [checkout / f"{name}.md"]
    if not checkout.is_dir():
        installed = importlib.metadata.files("ncsn") or []
        found = [Path(str(path.locate())) for path in installed if path.match(f"ncsn/guide/{name}.md")]
    return next((path.read_text(encoding="utf-8") for path in found if path.is_file()), None)
