"""What the figures of posteriors and of their checks contain."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from ncsn.errors import DataError, SettingError
from ncsn.inference import RankCheck, calibrate, posterior_predictive
from ncsn.plots import pairs, plot_predictive, plot_ranks
from ncsn.plots.style import DATA, SAMPLES

from .common import normal, offsets, rendered


def test_pairs_show_draws_beside_the_reference_and_the_truth() -> None:
    draws, reference = normal(300, 3), normal(200, 3, seed=1)
    figure = rendered(pairs(draws, truth=[0.1, 0.2, 0.3], reference=reference, names=["a", "b", "c"]))
    assert len(figure.axes) == 6
    below = figure.axes[1]
    np.testing.assert_allclose(offsets(below), reference[:, :2])
    np.testing.assert_allclose(np.asarray(below.collections[1].get_offsets()), draws[:, :2])
    # lines at the first parameter across and at the second up
    vertical, horizontal = below.lines
    assert set(np.asarray(vertical.get_xdata()).tolist()) == {0.1}
    assert set(np.asarray(horizontal.get_ydata()).tolist()) == {0.2}
    assert [ax.get_xlabel() for ax in figure.axes if ax.get_xlabel()] == ["a", "b", "c"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["reference (200)", "posterior (300)", "truth"]


def test_pairs_keep_to_limits_and_to_the_most_that_is_shown() -> None:
    figure = pairs(normal(2000, 4), limits=[[-9, 9]] * 4, most=2, n_points=100)
    assert len(figure.axes) == 3
    assert figure.axes[1].get_xlim() == (-9, 9)
    assert len(offsets(figure.axes[1])) == 100
    assert len(rendered(pairs(normal(50, 1))).axes) == 1


def test_pairs_of_what_does_not_go_together_are_refused() -> None:
    with pytest.raises(DataError, match="truth must hold 2 parameters, not 3"):
        pairs(normal(10, 2), truth=[0, 0, 0])
    with pytest.raises(DataError, match="needs points of 2 columns"):
        pairs(normal(10, 2), reference=normal(10, 3))
    with pytest.raises(DataError, match=r"limits must be of shape \(2, 2\), not \(1, 2\)"):
        pairs(normal(10, 2), limits=[[0, 1]])
    with pytest.raises(DataError, match="must be finite"):
        pairs(np.full((3, 2), np.nan))
    with pytest.raises(SettingError, match="1 names for 2 parameters"):
        pairs(normal(10, 2), names=["a"])


def test_ranks_that_leave_the_band_stand_out() -> None:
    rng = np.random.default_rng(0)
    ranks = np.stack([rng.integers(0, 51, 400), rng.integers(0, 40, 400)], axis=1)
    figure = rendered(plot_ranks(RankCheck("ranks", ("right", "wrong"), ranks, 50)))
    right, wrong = figure.axes[0].lines
    assert [to_hex(line.get_color()).upper() for line in (right, wrong)] == [DATA, SAMPLES]
    # all ranks are below 40 of 51
    at = np.asarray(wrong.get_xdata()) >= 40 / 51
    np.testing.assert_allclose(np.asarray(wrong.get_ydata())[at], 1 - np.asarray(wrong.get_xdata())[at])
    assert "rejected" in figure.axes[0].get_title()


def test_all_checks_are_a_panel_each() -> None:
    theta = normal(100, 2).numpy()
    checks = calibrate(lambda n, x: normal(n, 100, 2, seed=2), theta, theta, n_draws=50)
    assert len(rendered(plot_ranks(checks)).axes) == 3


def test_what_is_foretold_has_its_band_about_what_is_observed() -> None:
    made = np.asarray(normal(400, 3)) * [1.0, 10.0, 0.0] + [5.0, 0.0, 2.0]
    check = posterior_predictive([5.0, 100.0, 2.0], made, names=["near", "far", "same"])
    (ax,) = rendered(plot_predictive(check)).axes
    middle, spread = np.median(made, 0), np.array([made[:, 0].std(), made[:, 1].std(), 1.0])
    (observed,) = ax.lines
    np.testing.assert_allclose(np.asarray(observed.get_ydata(), float), ([5.0, 100.0, 2.0] - middle) / spread)
    ends = [bar.get_path().get_extents(bar.get_patch_transform()) for bar in ax.patches]
    np.testing.assert_allclose([end.y0 for end in ends], (check.band[0] - middle) / spread)
    np.testing.assert_allclose([end.y1 for end in ends], (check.band[1] - middle) / spread)
    assert "rejected" in ax.get_title()
    assert [text.get_text() for text in ax.get_xticklabels()] == ["near", "far", "same"]


def test_of_one_value_that_is_foretold_the_title_is_beside_the_legend() -> None:
    figure = rendered(plot_predictive(posterior_predictive([0.0], np.asarray(normal(400, 1)), names=["x"])))
    (legend,) = figure.legends
    assert not legend.get_window_extent().overlaps(figure.axes[0].title.get_window_extent())
