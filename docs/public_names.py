"""The public names of the library, read from its files."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def public_names() -> list[str]:
    """Return every name in an ``__all__`` of the library, under the package or module that lists it.

    Where a package lists what one of its own modules lists too, as `ncsn.learn` does, the name is public under the module.
    """
    trees = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        trees[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    listed = {module: _listed(tree) for module, tree in trees.items()}

    def named_below(module: str, name: str) -> bool:
        return any(
            isinstance(node, ast.ImportFrom)
            and str(node.module).startswith(f"{module}.")
            and name in [alias.asname or alias.name for alias in node.names]
            and name in listed.get(str(node.module), [])
            for node in trees[module].body
        )

    return sorted(
        f"{module}.{name}" for module, names in listed.items() for name in names if not named_below(module, name)
    )


def _listed(tree: ast.Module) -> list[str]:
    """Return a module's ``__all__``; of the library itself, whose table is filled when it is used, nothing."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["__all__"]:
            return list(ast.literal_eval(node.value))
    return []
