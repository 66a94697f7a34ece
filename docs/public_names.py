"""The public names of the library, read from its files."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def public_names() -> list[str]:
    """Return every name in an ``__all__`` of the library, under the module that defines it."""
    trees = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        trees[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    sources = {
        (module, alias.asname or alias.name): f"{node.module}.{alias.name}"
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    def home(module: str, name: str) -> str:
        source = sources.get((module, name))
        return f"{module}.{name}" if source is None else home(*source.rsplit(".", 1))

    return sorted(
        {
            home(module, name)
            for module, tree in trees.items()
            for node in tree.body
            if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["__all__"]
            for name in ast.literal_eval(node.value)
        }
    )
