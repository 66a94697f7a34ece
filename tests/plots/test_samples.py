"""What the figures of samples, of images and of the annealing contain."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex

from ncsn.errors import DataError
from ncsn.exact import EmpiricalScore
from ncsn.plots import plot_annealing, plot_image_grid, plot_samples
from ncsn.plots.style import DATA, SAMPLES
from ncsn.samplers import State, trajectory

from .common import SIGMAS, normal, normal_score, offsets, rendered, titles


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


def test_images_are_a_strip_of_one_range_of_grey() -> None:
    images = torch.rand(20, 3, 4, generator=torch.Generator().manual_seed(0))
    states = [State(step, 2.0**-step, 2.0**-step + images, None, step) for step in range(5)]
    figure = rendered(plot_annealing(states, n_panels=3, n_images=2, value_range=(0.0, 2.0)))
    assert titles(figure) == ["σ = 1\nstep 0", "σ = 0.25\nstep 2", "σ = 0.0625\nstep 4"]
    for ax, noise in zip(figure.axes, (1, 0.25, 0.0625), strict=True):
        picture = np.asarray(ax.images[0].get_array())
        # a row a sample, a pixel apart
        assert picture.shape == (2 * 4 - 1, 4)
        np.testing.assert_allclose(picture[4:], (noise + images[1]) / 2, atol=1e-6)
    # of 8-bit images black and white are those of all such images, whatever these hold
    figure = rendered(plot_image_grid(np.full((4, 2, 2), 51, dtype=np.uint8)))
    np.testing.assert_allclose(np.asarray(figure.axes[0].images[0].get_array())[0, 0], 0.2)


def test_one_state_is_one_panel_and_none_is_refused() -> None:
    assert len(plot_annealing([State(0, 1.0, normal(10, 2), None, 0)]).axes) == 1
    with pytest.raises(DataError, match="no states"):
        plot_annealing([])
