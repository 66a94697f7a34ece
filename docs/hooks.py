"""What the site needs beyond MkDocs: pages that may be few or none, formulas as MathML, a reference by public names, no gaps."""

from __future__ import annotations

import html
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from public_names import public_names

_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\s*(?:\\\((?P<inline>.*?)\\\)|\\\[(?P<block>.*?)\\\])\s*</(?P=tag)>',
    re.DOTALL,
)

_TITLE, _CAPTION = re.compile(r'title="[^"]*"'), re.compile(r"<summary>Source code in <code>[^<]*</code></summary>")

_IN_A_FILE = re.compile(r"\b(?P<package>ncsn\.\w+)\.[a-z_]+\.(?P<name>\w+)")

_SIBLING = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>(?!https?:)[\w./-]+(?:\.ipynb|\.md|/))\)")


def on_config(config: Any) -> Any:
    """Put the pages of a folder where the navigation names the folder."""
    config.nav = _with_pages(config.nav, Path(config.docs_dir))
    return config


def _with_pages(entries: list[Any], docs: Path) -> list[Any]:
    found: list[Any] = []
    for entry in entries:
        if not isinstance(entry, dict):
            found.append(entry)
            continue
        ((name, target),) = entry.items()
        if isinstance(target, str) and target.endswith("/"):
            target = [page.relative_to(docs).as_posix() for page in sorted((docs / target).glob("*.md"))]
            target.sort(key=lambda page: not page.endswith("/index.md"))
        elif isinstance(target, list):
            target = _with_pages(target, docs)
        if target:
            found.append({name: target})
    return found


def on_page_markdown(text: str, page: Any, files: Any, **_: Any) -> str:
    """Let notebooks point to each other's pages, and leave out links to what the site does not have."""
    folder = Path(page.file.src_uri).parent.as_posix()
    if folder not in ("notebooks", "exercises"):
        return text

    def link(found: re.Match[str]) -> str:
        target = found["target"].replace("../docs/", "../")
        target = (
            target + "index.md" if target.endswith("/") else target.removesuffix(".ipynb").removesuffix(".md") + ".md"
        )
        there = files.get_file_from_path(posixpath.normpath(f"{folder}/{target}")) is not None
        return f"[{found['text']}]({target})" if there else found["text"]

    return _SIBLING.sub(link, text)


def on_page_content(text: str, page: Any, **_: Any) -> str:
    """Turn formulas into MathML, which browsers show without any script."""

    def formula(found: re.Match[str]) -> str:
        block = found["block"] is not None
        source = html.unescape(found["block"] if block else found["inline"]).strip()
        try:
            return convert(source, display="block" if block else "inline")
        except Exception as error:
            raise PluginError(f"{page.file.src_path}: no formula: {source}") from error

    return _FORMULA.sub(formula, text)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Show in the reference what a reader can import, where a title or a caption names the file behind it."""
    if not page.file.src_uri.startswith("reference/"):
        return output
    public = set(public_names())
    packages = {name.rpartition(".")[0] for name in public}

    def importable(found: re.Match[str]) -> str:
        if found["package"] not in packages:
            return found[0]
        name = f"{found['package']}.{found['name']}"
        return name if name in public else found["name"]

    output = _CAPTION.sub("<summary>Source code</summary>", output)
    return _TITLE.sub(lambda title: _IN_A_FILE.sub(importable, title[0]), output)


def on_post_build(config: Any) -> None:
    """Refuse a reference in which a public name is missing."""
    pages = (Path(config.site_dir) / "reference").glob("*.html")
    known = {anchor for page in pages for anchor in re.findall(r'id="(ncsn[\w.]*)"', page.read_text(encoding="utf-8"))}
    missing = [name for name in public_names() if name not in known]
    if missing:
        raise PluginError(f"not in the reference: {', '.join(missing)}")
