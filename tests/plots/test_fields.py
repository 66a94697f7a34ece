"""What the figures of score fields contain."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.quiver import Quiver

from ncsn.errors import DataError, SettingError
from ncsn.evaluation import score_error_by_level
from ncsn.plots import plot_learned_and_exact, plot_multiscale_scores

from .common import SIGMAS, normal, normal_score, offsets, rendered, titles


def test_the_pages_call_shows_four_levels_and_is_pyplots_current_figure() -> None:
    figure = plot_multiscale_scores(normal_score, SIGMAS)
    assert plt.gcf() is figure
    assert titles(figure) == ["σ = 8", "σ = 2", "σ = 0.5", "σ = 0.125"]
    assert [(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes[:4]] == [((-3, 3), (-3, 3))] * 4
    rendered(figure)


def test_the_usual_calls_after_a_figure_work() -> None:
    figure = plot_multiscale_scores(normal_score, SIGMAS)
    plt.tight_layout()
    plt.suptitle("Another title")
    assert rendered(figure).get_suptitle() == "Another title"


def test_arrows_show_the_direction_and_colour_sigma_times_the_score() -> None:
    figure = plot_multiscale_scores(normal_score, torch.tensor([2.0]), xlim=(0, 4), ylim=(-2, 2), n_arrows=4)
    (quiver,) = (each for each in figure.axes[0].collections if isinstance(each, Quiver))
    places = np.stack([quiver.X, quiver.Y], axis=1)
    assert np.unique(places[:, 0]).tolist() == [0.5, 1.5, 2.5, 3.5]
    assert np.unique(places[:, 1]).tolist() == [-1.5, -0.5, 0.5, 1.5]
    length = np.linalg.norm(places, axis=1)
    np.testing.assert_allclose(np.stack([quiver.U, quiver.V], axis=1), -places / length[:, None], rtol=1e-5)
    np.testing.assert_allclose(np.asarray(quiver.get_array()), 2 * length / 5, rtol=1e-5)
    assert "σ|s|" in figure.axes[-1].get_ylabel()


def test_a_field_of_zeros_and_levels_as_a_list_of_whole_numbers_can_be_drawn() -> None:
    figure = plot_multiscale_scores(lambda x, sigma, **condition: torch.zeros_like(x), [2, 1], data=normal(50, 2))  # type: ignore[arg-type]
    assert titles(figure) == ["σ = 2", "σ = 1"]
    np.testing.assert_allclose(offsets(figure.axes[0]), normal(50, 2))
    rendered(figure)


def test_learned_and_exact_gives_the_error_of_each_level() -> None:
    # a shift of sigma s by (0.3, 0.4) has the error (0.09 + 0.16) / 2 everywhere
    shifted = lambda x, sigma, **condition: normal_score(x, sigma) + torch.tensor([0.3, 0.4]) / sigma  # noqa: E731
    data = normal(2000, 2)
    figure = plot_learned_and_exact(shifted, normal_score, SIGMAS, data, generator=torch.Generator())
    assert len(figure.axes) == 3 * 4 + 2
    panels = [ax for ax in figure.axes if ax.get_aspect() == 1]
    assert titles(figure) == ["σ = 8", "σ = 2", "σ = 0.5", "σ = 0.125", *["relative error 0.12"] * 4]
    assert [ax.get_ylabel() for ax in panels[::4]] == ["learned", "exact", "error"]
    for ax in panels[8:]:
        np.testing.assert_allclose(np.asarray(ax.collections[0].get_array()), 0.125, rtol=1e-4)
    error = score_error_by_level(shifted, normal_score, data, SIGMAS[:1], torch.Generator())
    assert error.item() == pytest.approx(0.125, rel=1e-4)
    rendered(figure)


def test_a_score_of_another_shape_leaves_no_open_figure() -> None:
    with pytest.raises(SettingError, match="returned the shape"):
        plot_multiscale_scores(lambda x, sigma, **condition: x[:, :1], SIGMAS)
    with pytest.raises(DataError, match="2 columns"):
        plot_learned_and_exact(normal_score, normal_score, SIGMAS, normal(10, 3))
    with pytest.raises(DataError, match="NaN or infinite"):
        plot_learned_and_exact(normal_score, normal_score, SIGMAS, np.full((10, 2), np.nan))
    assert plt.get_fignums() == []
