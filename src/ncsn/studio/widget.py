"""The studio in a notebook: the same page over the same session, by anywidget."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pandas as pd
import torch

from ncsn.data.toys import TOYS
from ncsn.errors import DataError, SettingError, unknown_name
from ncsn.studio.pages import module, style
from ncsn.studio.session import Session
from ncsn.studio.settings import TABLE, Settings


class Studio:
    """The studio as what a notebook's cell shows, in Jupyter, VS Code and Colab; it needs ``ncsn[studio]``.

    Args:
        data: A toy set's name, or points ``(N, 2)``: an array, a tensor, or a data frame, of which two columns of numbers are
            taken; the moons when None.
        **settings: More of `Settings`, such as ``method="ddpm"``.

    Attributes:
        session: What is set and learned.

    Raises:
        DataError: The data are no points of the plane.
        SettingError: A setting is unknown or out of range.

    >>> studio = Studio("rings", method="ddpm")
    >>> studio.session.settings.data, studio.session.settings.method
    ('rings', 'ddpm')
    """

    def __init__(self, data: Any = None, **settings: Any) -> None:
        table = None
        if isinstance(data, str):
            if data not in TOYS:
                raise unknown_name("toy set", data, TOYS)
            settings["data"] = data
        elif data is not None:
            table = data if isinstance(data, pd.DataFrame) else _frame(data)
            settings["data"] = TABLE
        self.session = Session(Settings.of(settings), table)

    @cached_property
    def widget(self) -> Any:
        """The widget.

        Raises:
            SettingError: anywidget is not installed.
        """
        try:
            import anywidget
        except ImportError as error:
            raise SettingError("the studio in a notebook needs anywidget: pip install 'ncsn[studio]'") from error

        class Page(anywidget.AnyWidget):
            _esm = module()
            _css = style()

        widget = Page()
        widget.on_msg(self._answer)
        return widget

    def _answer(self, widget: Any, content: dict[str, Any], buffers: list[bytes]) -> None:
        answer = self.session.answer(content["question"])
        widget.send({"number": content["number"]}, [answer])

    def _repr_mimebundle_(self, **how: Any) -> Any:
        return self.widget._repr_mimebundle_(**how)


def _frame(data: Any) -> pd.DataFrame:
    points = torch.as_tensor(data)
    if points.ndim != 2 or points.shape[1] != 2:
        raise DataError(f"the studio takes points of the plane, (N, 2), not {tuple(points.shape)}")
    return pd.DataFrame(points.double().numpy(), columns=["x", "y"])
