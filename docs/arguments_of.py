"""Show the arguments of functions that take those of another, which are stated there alone."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Module

_DECORATOR = re.compile(r"_arguments_of\((\w+)\)")

_ARGUMENTS = re.compile(r"^ *Args:\n(?: +\S.*\n)+", re.MULTILINE)


class ArgumentsOf(Extension):  # type: ignore[misc]
    """Gives what is decorated by ``_arguments_of(other)`` the parameters of ``other``, and their description."""

    def on_module_members(self, *, mod: Module, **_: Any) -> None:
        """Rewrite the functions of a module, once all of them are known."""
        for function in mod.functions.values():
            for decorator in () if function.is_alias else function.decorators:
                found = _DECORATOR.fullmatch(str(decorator.value))
                if found is not None:
                    _take(function, mod.functions[found[1]])


def _take(function: Any, other: Any) -> None:
    function.parameters = other.parameters
    described = _ARGUMENTS.findall(other.docstring.value)[0]
    function.docstring.value = _ARGUMENTS.sub(lambda _: described, function.docstring.value)
