"""What the figure of a comparison contains."""

import numpy as np
import pandas as pd
import pytest

from ncsn.errors import DataError
from ncsn.plots import plot_quality_by_evaluations

from .common import rendered


def test_a_line_joins_the_medians_and_bars_span_the_seeds() -> None:
    results = pd.DataFrame(
        {
            "method": ["one"] * 6 + ["two"] * 3,
            "evaluations": [5, 5, 5, 10, 10, 10, 1, 1, 1],
            "ratio": [3.0, 1.0, 2.0, 1.5, 1.2, 1.1, 4.0, 6.0, 8.0],
        }
    )
    (ax,) = rendered(plot_quality_by_evaluations(results)).axes
    containers = {container.get_label(): container for container in ax.containers}
    assert list(containers) == ["one", "two"]
    line, _, (bars,) = containers["one"]
    np.testing.assert_allclose(line.get_xydata(), [[5.0, 2.0], [10.0, 1.2]])
    np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], [[1.0, 3.0], [1.1, 1.5]])
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_results_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(DataError, match=r"the results have 1 rows and lack the columns \['method', 'ratio'\]"):
        plot_quality_by_evaluations(pd.DataFrame({"evaluations": [1]}))
    with pytest.raises(DataError, match="nothing to draw: the results have 0 rows"):
        plot_quality_by_evaluations(pd.DataFrame({"method": [], "evaluations": [], "ratio": []}))
