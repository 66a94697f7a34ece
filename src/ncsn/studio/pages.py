"""The studio's files: one module of JavaScript made of several, and its style."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FILES = Path(__file__).parent
MODULES = (
    *("messages", "canvas", "charts", "settings", "explanations", "tours"),
    *("controls", "views", "dialog", "saving", "touring", "layout", "hands", "local", "studio"),
)
"""The JavaScript, each file after those that it imports from."""

_IMPORT = re.compile(r"^import .*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class|let) )", re.MULTILINE)


@cache
def module() -> str:
    """Return the studio as one module, as a widget needs it: what several files export has different names."""
    parts = [_IMPORT.sub("", (FILES / f"{name}.js").read_text(encoding="utf-8")) for name in MODULES]
    return "\n".join(
        [
            *(_EXPORT.sub("", part) for part in parts),
            "export { mount, overFiles, show };",
            "export default { render };",
            "",
        ]
    )


@cache
def style() -> str:
    """Return the style sheet."""
    return (FILES / "studio.css").read_text(encoding="utf-8")
