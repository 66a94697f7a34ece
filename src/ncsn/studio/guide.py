"""The guide that the studio links to, as HTML."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ncsn.errors import SettingError

try:
    from markdown_it import MarkdownIt
    from mdit_py_plugins.admon import admon_plugin
    from mdit_py_plugins.anchors import anchors_plugin
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    from ncsn.studio.formulas import mathml
except ImportError as error:
    raise SettingError(f"the studio's guide needs {error.name}: pip install 'ncsn[studio]'") from error

CHECKOUT = Path(__file__).parents[3]

FONT = "STIXTwoMath.woff2"
"""What formulas are shown in."""


def guide_html(name: str) -> str | None:
    """Return a page of the guide as HTML, with links to the guide's other pages by their names; None where there is none."""
    path = _file(f"guide/{name}.md") if re.fullmatch(r"[a-z_]+", name) else None
    if path is None:
        return None
    page: str = _markdown().render(path.read_text(encoding="utf-8"))
    # the guide's own pages are here, others and pictures are not
    page = re.sub(r'<a href="\.\./[^"]*">(.*?)</a>', r"\1", re.sub("<img [^>]*>", "", page))
    return page.replace(".md", "")


def font() -> bytes | None:
    """Return the font of formulas; None where it is not installed."""
    path = _file(f"fonts/{FONT}")
    return None if path is None else path.read_bytes()


def _file(name: str) -> Path | None:
    """Return a file of the documentation, of the checkout that this runs from or of the installation."""
    found = [CHECKOUT / "docs" / name]
    if not found[0].parent.is_dir():
        installed = importlib.metadata.files("ncsn") or []
        found = [Path(str(path.locate())) for path in installed if path.match(f"ncsn/{name}")]
    return next((path for path in found if path.is_file()), None)


@cache
def _markdown() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    return reader.use(dollarmath_plugin, renderer=_formula).use(admon_plugin).use(anchors_plugin, max_level=4)


def _formula(tex: str, how: Mapping[str, Any]) -> str:
    return mathml(tex.strip(), block=bool(how["display_mode"]))
