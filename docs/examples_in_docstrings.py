"""Show the examples of docstrings, lines that begin with ``>>>``, as code."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"(?:^(?P<indent>[ ]*)>>> .*\n?(?:^(?P=indent)(?!\s*$).*\n?)*)+", re.MULTILINE)


class ExamplesInDocstrings(Extension):  # type: ignore[misc]
    """Fences the examples of every docstring, which Markdown would take for quotations."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite one docstring before it is parsed."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(
                lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", obj.docstring.value
            )
