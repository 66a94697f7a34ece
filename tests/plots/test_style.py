"""The style of figures is their own."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ncsn.plots import plot_training_curve
from ncsn.plots.style import styled

from .common import rendered


def test_the_callers_style_is_neither_changed_nor_followed() -> None:
    with plt.style.context("dark_background"):
        before = dict(mpl.rcParams)
        figure = rendered(plot_training_curve([1, 2], [2.0, 1.0]))
        assert dict(mpl.rcParams) == before
        ax = figure.axes[0]
        colours = [figure.get_facecolor(), ax.get_facecolor()]
        assert [to_hex(colour) for colour in colours] == ["#ffffff", "#ffffff"]
        texts = [ax.xaxis.label, ax.title, *ax.get_xticklabels(), *ax.get_yticklabels()]
        assert {to_hex(text.get_color()) for text in texts} == {"#000000"}


def test_a_backend_that_turns_interactive_with_its_first_figure_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    @styled
    def first_figure_of_a_notebook() -> Figure:
        mpl.interactive(True)
        return plt.figure()

    monkeypatch.setitem(mpl.rcParams, "interactive", False)
    size = mpl.rcParams["font.size"]
    plt.close(first_figure_of_a_notebook())
    assert mpl.is_interactive()
    assert mpl.rcParams["font.size"] == size
