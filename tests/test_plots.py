"""What the figures contain; how they look was judged by eye."""

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver
from torch import Tensor

from ncsn.evaluation import score_error_by_level
from ncsn.errors import DataError
from ncsn.exact import EmpiricalScore
from ncsn.plots import (
    plot_annealing,
    plot_image_grid,
    plot_learned_and_exact,
    plot_loss_by_level,
    plot_multiscale_scores,
    plot_samples,
    plot_training_curve,
)
from ncsn.plots.style import DATA, SAMPLES, styled
from ncsn.samplers import State, trajectory

SIGMAS = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125])


def normal_score(x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
    return -x / (1 + sigma.square())


def normal(n: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


def titles(figure: Figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def offsets(ax: Axes) -> Any:
    return np.asarray(ax.collections[0].get_offsets())


def rendered(figure: Figure) -> Figure:
    """Draw the figure, which finds what only drawing finds."""
    figure.draw_without_rendering()
    return figure


# Score fields


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
    with pytest.raises(ValueError, match="returned the shape"):
        plot_multiscale_scores(lambda x, sigma, **condition: x[:, :1], SIGMAS)
    with pytest.raises(DataError, match="2 columns"):
        plot_learned_and_exact(normal_score, normal_score, SIGMAS, normal(10, 3))
    with pytest.raises(DataError, match="NaN or infinite"):
        plot_learned_and_exact(normal_score, normal_score, SIGMAS, np.full((10, 2), np.nan))
    assert plt.get_fignums() == []


# Samples


def test_two_columns_are_two_scatter_plots_over_one_window() -> None:
    data, samples = normal(300, 2), normal(200, 2, seed=1)
    figure = rendered(plot_samples(data, samples))
    left, right = figure.axes
    np.testing.assert_allclose(offsets(left), data)
    np.testing.assert_allclose(offsets(right), samples)
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    assert titles(figure) == ["data (300)", "samples (200)"]
    colours: list[Any] = [np.asarray(ax.collections[0].get_facecolor())[0] for ax in figure.axes]
    assert [to_hex(colour).upper() for colour in colours] == [DATA, SAMPLES]


def test_titles_count_what_is_not_drawn() -> None:
    samples = normal(200, 2)
    samples[:3] = 1e6
    samples[3] = torch.nan
    figure = plot_samples(normal(300, 2), samples, n_points=100)
    assert titles(figure) == ["data (100 of 300)", "samples (100 of 199, 3 outside the window, 1 not finite)"]
    assert max(figure.axes[1].get_xlim()) < 10


def test_a_data_frames_columns_name_the_axes() -> None:
    frame = pd.DataFrame(normal(50, 6).numpy(), columns=list("abcdef"))
    figure = rendered(plot_samples(frame, normal(40, 6)))
    assert len(figure.axes) == 4 + 3 + 2 + 1
    assert [ax.get_xlabel() for ax in figure.axes if ax.get_xlabel()] == list("abcd")
    assert [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()] == ["density", *"bcd"]
    np.testing.assert_allclose(offsets(figure.axes[1]), frame[["a", "b"]], rtol=1e-6)


def test_many_columns_without_names_are_seen_in_principal_components() -> None:
    data = normal(500, 10)
    data[:, 1] = data[:, 0]
    figure = rendered(plot_samples(data, data))
    labels = [ax.get_xlabel() for ax in figure.axes if ax.get_xlabel()]
    assert [label.split(" (")[0] for label in labels] == ["PC 1", "PC 2", "PC 3", "PC 4"]
    assert labels[0] in ("PC 1 (20%)", "PC 1 (21%)")


def test_one_column_is_two_histograms_of_unit_area() -> None:
    figure = rendered(plot_samples(normal(400, 1), normal(400)))
    assert len(figure.axes) == 1
    for patch in figure.axes[0].patches:
        x, y = np.asarray(patch.get_path().vertices).T
        assert abs(np.trapezoid(y, x)) == pytest.approx(1, abs=0.02)


def test_constant_columns_and_columns_of_other_units_can_be_drawn() -> None:
    data = normal(50, 2) * torch.tensor([1000.0, 1.0])
    assert rendered(plot_samples(data, data)).axes[0].get_aspect() == "auto"
    data[:, 1] = 3.0
    rendered(plot_samples(data, data))
    rendered(plot_samples(torch.cat([normal(50, 5), data], 1), torch.cat([normal(50, 5), data], 1)))


@pytest.mark.parametrize("shape", [(4, 5), (1, 4, 5), (3, 4, 5)])
def test_images_are_two_grids_of_one_scale(shape: tuple[int, ...]) -> None:
    data = torch.rand(30, *shape)
    figure = rendered(plot_samples(data, 2 * data, n_images=9))
    assert titles(figure) == ["data (9 of 30)", "samples (9 of 30)"]
    grids = [np.asarray(ax.images[0].get_array()).reshape(3 * 5 - 1, 3 * 6 - 1, -1) for ax in figure.axes]
    # both on the data's scale, cut off at its ends
    unit = (torch.stack([data[0], 2 * data[0]]) - data.min()) / (data.max() - data.min())
    expected = unit.clamp(0, 1).reshape(2, -1, 4, 5).movedim(1, -1)
    np.testing.assert_allclose(np.stack(grids)[:, :4, :5], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("training", "samples", "message"),
    [
        (normal(5, 2), normal(5, 3), r"data have points of shape \(2,\), samples of \(3,\)"),
        (normal(5, 2), torch.full((5, 2), torch.nan), "samples: no row is finite"),
        (normal(0, 2), normal(5, 2), "nothing to draw"),
        (normal(5, 7, 4, 4), normal(5, 7, 4, 4), r"images are \(N, H, W\)"),
        (torch.full((5, 4, 4), torch.inf), normal(5, 4, 4), "images hold NaN"),
        (np.array(["a", "b"]), np.array(["a", "b"]), "not all values are numbers"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(training: Any, samples: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        plot_samples(training, samples)
    assert "\n" not in str(caught.value)
    assert plt.get_fignums() == []


def test_an_image_grid_has_the_rows_it_needs() -> None:
    images = torch.arange(7.0).reshape(7, 1, 1).expand(7, 2, 2)
    figure = rendered(plot_image_grid(images, n_columns=3, value_range=(0, 6), title="seven"))
    pixels = np.asarray(figure.axes[0].images[0].get_array())
    assert titles(figure) == ["seven"]
    assert pixels.shape == (3 * 3 - 1, 3 * 3 - 1)
    np.testing.assert_allclose(pixels[0, [0, 3, 6]], [0, 1 / 6, 2 / 6])
    assert np.ma.getmaskarray(np.ma.masked_invalid(pixels))[6, 2:].all()


def test_equal_pixels_and_colours_can_be_drawn() -> None:
    rendered(plot_image_grid(torch.ones(2, 3, 4, 4)))


# Annealing


def test_panels_run_from_the_start_to_the_samples() -> None:
    states = list(trajectory(normal_score, SIGMAS, 100, 2, generator=torch.Generator()))
    figure = rendered(plot_annealing(states))
    shown = titles(figure)
    assert len(shown) == 6
    assert (shown[0], shown[-1]) == ("σ = 8\nstep 0", f"σ = 0\nstep {states[-1].step}")
    np.testing.assert_allclose(offsets(figure.axes[0]), states[0].x)
    np.testing.assert_allclose(offsets(figure.axes[-1]), states[-1].x)


@pytest.mark.parametrize("shape", [(1,), (7,), (6, 4), (3, 4, 4)])
def test_samples_of_any_shape_have_their_panels(shape: tuple[int, ...]) -> None:
    model = EmpiricalScore(normal(50, *shape))
    states = list(trajectory(model, SIGMAS, 20, shape, generator=torch.Generator()))
    figure = rendered(plot_annealing(states, n_panels=3))
    assert len(figure.axes) == 3
    if shape == (7,):
        assert figure.axes[0].get_xlabel().startswith("PC 1")


def test_one_state_is_one_panel_and_none_is_refused() -> None:
    assert len(plot_annealing([State(0, 1.0, normal(10, 2), None, 0)]).axes) == 1
    with pytest.raises(DataError, match="no states"):
        plot_annealing([])


# Training


def test_the_curves_of_the_losses_are_in_the_order_of_the_levels() -> None:
    sigmas, loss = torch.tensor([2.0, 1.0, 0.5]), torch.tensor([0.3, 0.6, 0.9])
    figure = rendered(plot_loss_by_level(sigmas, loss, loss + 0.05, loss - 0.1))
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    assert list(lines) == ["floor: exact score of the training set", "training", "held out"]
    np.testing.assert_allclose(np.asarray(lines["training"].get_xdata()), [0.5, 1, 2])
    np.testing.assert_allclose(np.asarray(lines["training"].get_ydata()), [0.9, 0.6, 0.3], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(lines["held out"].get_ydata()), [0.95, 0.65, 0.35], rtol=1e-6)
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"


def test_what_is_not_given_is_not_drawn() -> None:
    figure = plot_loss_by_level([2.0, 1.0], [0.5, 0.9])
    assert [line.get_label() for line in figure.axes[0].lines] == ["training"]


def test_the_training_curve_has_the_losses_and_their_running_median() -> None:
    steps, losses = np.arange(1, 101) * 50, np.ones(100)
    losses[50] = 100.0
    figure = rendered(plot_training_curve(steps, losses))
    raw, median = (np.asarray(line.get_ydata()) for line in figure.axes[0].lines)
    np.testing.assert_allclose(raw, losses)
    np.testing.assert_allclose(median, 1.0)
    rendered(plot_training_curve([50], [0.7]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(([], []), "steps must be"), (([1, 2], [0.5]), "losses must be 2 numbers"), (([[1]], [1]), "steps must be")],
)
def test_curves_that_do_not_fit_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        plot_training_curve(*arguments)
    with pytest.raises(DataError, match="held_out must be 2 numbers"):
        plot_loss_by_level([2.0, 1.0], [0.5, 0.9], [0.5])


# Style


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
