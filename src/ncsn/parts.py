"""Parts: plain data that say how one piece of a method works.

A part is a frozen dataclass of numbers, names and other parts. It prints as one would type it, is saved as JSON, and what it
leaves None is filled from the plan by the field's name.
"""

import inspect
import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from importlib import import_module
from typing import Any, TypeVar

from ncsn.errors import RunError, SettingError, unknown_name

__all__ = ["Part", "filled", "from_plain", "named", "object_at", "to_plain"]

P = TypeVar("P")


class Part:
    """The base of all parts: it prints what differs from the defaults.

    >>> from ncsn.noise import Karras
    >>> Karras(rho=5.0)
    Karras(rho=5.0)
    """

    def __repr__(self) -> str:
        shown = [
            f"{field.name}={printed(getattr(self, field.name))}"
            for field in fields(self)  # type: ignore[arg-type]  # every part is a dataclass
            if field.repr and getattr(self, field.name) != _default(field)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def printed(value: Any) -> str:
    """Return a value as one would type it: functions and classes by their names."""
    named = inspect.isfunction(value) or isinstance(value, type)
    return value.__qualname__ if named else repr(value)


def filled(part: P, *settings: Any) -> P:
    """Return a part with what it leaves None taken from the first of the settings that has an attribute of that name.

    Args:
        part: A part; what is no dataclass is returned as it is.
        *settings: A `plan.Plan`, or anything with attributes.

    >>> from types import SimpleNamespace
    >>> from ncsn.noise import Discrete
    >>> filled(Discrete(), SimpleNamespace(n_sigmas=10, sigma_min=0.1, sigma_max=5.0))
    Discrete(sigma_min=0.1, sigma_max=5.0, of=Geometric(sigma_min=0.1, sigma_max=5.0), n_sigmas=10)
    """
    if not is_dataclass(part) or isinstance(part, type):
        return part
    changes = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if value is None:
            found = (getattr(source, field.name, None) for source in settings)
            full = next((setting for setting in found if setting is not None), None)
        else:
            full = filled(value, *settings)
        if full is not value:
            changes[field.name] = full
    return replace(part, **changes)


def named(kind: str, value: Any, table: Mapping[str, P]) -> P:
    """Return what a name stands for in a table, or the object itself where an object was given.

    Raises:
        SettingError: The name is unknown; the message has the nearest ones.
    """
    if not isinstance(value, str):
        return value
    if value not in table:
        raise unknown_name(kind, value, table)
    return table[value]


# As JSON, and back


def to_plain(value: Any) -> Any:
    """Return a part, a function or a class as JSON knows it: parts by their fields, functions by their import path.

    Raises:
        SettingError: It has no import path, or is no plain data.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Real):
        number = int(value) if isinstance(value, numbers.Integral) else float(value)
        return number if math.isfinite(number) else {"float": str(number)}
    if isinstance(value, tuple | list):
        return [to_plain(entry) for entry in value]
    if isinstance(value, type) or inspect.isfunction(value):
        return {"path": _path_of(value)}
    kept = fields(value) if is_dataclass(value) else ()
    own = {name for name in ("__init__", "__new__") if getattr(type(value), name) is not getattr(object, name)}
    if not is_dataclass(value) and (own or getattr(value, "__dict__", True)):
        raise SettingError(
            f"{value!r} cannot be saved: make {type(value).__name__} a dataclass of numbers, names and other parts"
        )
    saved = {field.name: to_plain(getattr(value, field.name)) for field in kept if field.metadata.get("saved", True)}
    return {"part": _path_of(type(value))} | saved


def from_plain(saved: Any, allow: Iterable[Any] = ()) -> Any:
    """Rebuild what `to_plain` returned. The library's own parts are known; others are looked up where the caller allows.

    Args:
        saved: What JSON returned.
        allow: Import paths, as ``"package.module"`` or ``"package.module:Name"``, or the modules, classes and functions
            themselves.

    Raises:
        RunError: A part is not allowed, not there, or does not have these fields.
    """
    allow = (allow,) if isinstance(allow, str) else tuple(allow)
    if isinstance(saved, list):
        return tuple(from_plain(entry, allow) for entry in saved)
    if not isinstance(saved, dict):
        return saved
    try:
        # a part may have fields of the other names
        if "part" not in saved:
            return float(saved["float"]) if "float" in saved else _found(saved["path"], allow)
        options = {name: from_plain(value, allow) for name, value in saved.items() if name != "part"}
        return _found(saved["part"], allow)(**options)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"a saved part is damaged or another version's ({error}); restore it or train anew") from error


def object_at(path: str) -> Any:
    """Import what a path ``package.module:Name`` names.

    Raises:
        SettingError: It is no such path, or there is nothing there.

    >>> object_at("ncsn.noise:Karras")
    <class 'ncsn.noise.levels.Karras'>
    """
    module, _, name = path.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    # a path that begins with dots is of a package, of which there is none: TypeError
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise SettingError(
            f"{path!r} names nothing that can be imported ({error}); write package.module:Name"
        ) from error
    return found


def _path_of(value: Any) -> str:
    """Return an import path; of the library's own parts the name alone, which survives a move to another file."""
    name: str = value.__name__
    if _own_parts().get(name) is value:
        return name
    if "<" in value.__qualname__:
        raise SettingError(
            f"{value.__qualname__} has no import path, so it cannot be saved: define it at the top of a module"
        )
    return f"{value.__module__}:{value.__qualname__}"


def _own_parts() -> dict[str, type]:
    found: dict[str, type] = {}
    classes = Part.__subclasses__()
    while classes:
        kind = classes.pop()
        classes += kind.__subclasses__()
        if kind.__module__.startswith("ncsn."):
            found[kind.__name__] = kind
    return found


def _found(path: str, allow: Iterable[Any]) -> Any:
    if ":" not in path:
        if path not in _own_parts():
            raise RunError(f"a saved part is another version's (unknown part {path!r}); train anew")
        return _own_parts()[path]
    module, _, name = path.partition(":")
    for entry in allow:
        allowed = entry.__name__ if inspect.ismodule(entry) else entry
        if not isinstance(allowed, str):
            # what was defined in a script or a notebook is known by its name alone
            if _path_of(allowed) == path or (module, allowed.__qualname__) == ("__main__", name):
                return allowed
        elif path == allowed or path.startswith((f"{allowed}:", f"{allowed}.")):
            try:
                found = object_at(path)
            except SettingError as error:
                raise RunError(str(error)) from error
            # what the module itself has imported is not its own: to allow a module is not to allow os.system
            if f"{getattr(found, '__module__', '')}:{getattr(found, '__qualname__', '')}" != path:
                raise RunError(
                    f"{path} is not defined there: a saved part names a class or function of the module itself"
                )
            return found
    if module == "__main__":
        raise RunError(f"this run uses {name}, defined in a script or a notebook: import it and give allow=[{name}]")
    raise RunError(
        f"this run uses {path}, code of its own; if you trust it, allow it by allow=[{module!r}] (on the command line "
        f"--allow {module})"
    )
