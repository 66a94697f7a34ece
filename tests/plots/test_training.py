"""What the figures of losses contain."""

from typing import Any

import numpy as np
import pytest
import torch

from ncsn.errors import DataError
from ncsn.plots import plot_loss_by_level, plot_training_curve
from ncsn.training import Look, Validation

from .common import rendered


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


def test_what_is_kept_is_marked_beside_both_losses_and_their_floor() -> None:
    looks = [Look(50, 0.9, 0.8), Look(100, 0.6, 0.7), Look(150, 0.5, 0.75)]
    figure = rendered(plot_training_curve([50, 100, 150], [3.0, 2.0, 1.0], Validation(looks, 0.4)))
    lines = {str(line.get_label()): line for line in figure.axes[1].lines}
    assert list(lines) == ["training rows", "held-out rows", "kept: step 100", "floor: exact score of all rows"]
    np.testing.assert_allclose(np.asarray(lines["training rows"].get_ydata()), [0.9, 0.6, 0.5])
    np.testing.assert_allclose(np.asarray(lines["held-out rows"].get_ydata()), [0.8, 0.7, 0.75])
    np.testing.assert_allclose(np.asarray(lines["kept: step 100"].get_xdata()), [100, 100])
    np.testing.assert_allclose(np.asarray(lines["floor: exact score of all rows"].get_ydata()), [0.4, 0.4])
    # one of about zero would flatten the rest
    for floor in (1e-3, None):
        figure = rendered(plot_training_curve([50], [3.0], Validation(looks, floor)))
        assert len(figure.axes[1].lines) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(([], []), "steps must be"), (([1, 2], [0.5]), "losses must be 2 numbers"), (([[1]], [1]), "steps must be")],
)
def test_curves_that_do_not_fit_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        plot_training_curve(*arguments)
    with pytest.raises(DataError, match="held_out must be 2 numbers"):
        plot_loss_by_level([2.0, 1.0], [0.5, 0.9], [0.5])
