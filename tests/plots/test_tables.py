"""What the figures of a table's columns and pairs contain."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ncsn.errors import DataError
from ncsn.evaluation import ColumnFit, Comparison, PairFit, compare
from ncsn.plots import plot_columns, plot_pairs

from .common import normal, offsets, rendered


def table(n: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "$price_a$ of_b": random.normal(100, 10, n),
            "rooms": random.integers(1, 5, n),
            "city_$x": random.choice([f"town {i}" for i in range(15)], n),
            "size": pd.Categorical(random.choice(["S", "M", "L"], n), ["S", "M", "L"], ordered=True),
            "built": pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, n), unit="D"),
            "gaps": np.where(random.random(n) < 0.3, np.nan, random.normal(size=n)),
        }
    )


REAL, MADE = table(200, 0), table(100, 1)


def comparison(*columns: ColumnFit, pairs: tuple[PairFit, ...] = ()) -> Comparison:
    return Comparison((), 100, 200, 0, "standard", columns, pairs)


NUMBERS = [ColumnFit(name, "KS", 0.3, 0.1, 0.2, 0.02) for name in ("$price_a$ of_b", "rooms", "built", "gaps")]
CATEGORIES = [ColumnFit(name, "TV", 0.25, 0.125, 0.0, 0.0) for name in ("city_$x", "size")]


def test_columns_in_order_with_their_figures_and_names_as_they_are() -> None:
    figure: Any = rendered(plot_columns(REAL, MADE, comparison(*NUMBERS, *CATEGORIES)))
    assert [ax.get_title() for ax in figure.axes] == [
        *[f"{row.column}\nKS 0.300 (0.100), missing 0.200 (0.020)" for row in NUMBERS],
        *[f"{row.column}\nTV 0.250 (0.125)" for row in CATEGORIES],
    ]
    assert not any(ax.title.get_parse_math() for ax in figure.axes)
    city, size = figure.axes[-2:]
    labels = [label.get_text() for label in city.get_yticklabels()]
    assert labels[:10] == REAL["city_$x"].value_counts().index[:10].tolist() and labels[10:] == ["5 others"]
    assert [label.get_text() for label in size.get_yticklabels()] == ["S", "M", "L"]
    assert [bar.get_width() for bar in size.patches] == [
        (each["size"] == value).mean() for each in (REAL, MADE) for value in "SML"
    ]
    assert len(plot_columns(REAL, MADE, comparison(*NUMBERS, *CATEGORIES), most=2).axes) == 2


def test_bars_of_whole_numbers_and_of_missing_cells_are_shares_of_all_rows() -> None:
    figure: Any = plot_columns(REAL, MADE, comparison(NUMBERS[1], NUMBERS[3]))
    rooms, gaps = figure.axes
    heights = [bar.get_height() for bar in rooms.patches]
    assert heights == [(each["rooms"] == value).mean() for each in (REAL, MADE) for value in range(1, 5)]
    bars = [patch.get_height() for patch in gaps.patches if hasattr(patch, "get_height")]
    assert bars == pytest.approx([REAL["gaps"].isna().mean(), MADE["gaps"].isna().mean()])
    stairs = [patch.get_data().values.sum() for patch in gaps.patches if hasattr(patch, "get_data")]
    assert stairs == pytest.approx([1 - bars[0], 1 - bars[0], 1 - bars[1], 1 - bars[1]])


def test_pairs_of_every_kind() -> None:
    pairs = (
        PairFit("$price_a$ of_b", "rooms", 0.25, 0.0125, "correlation", 0.5, -0.25),
        PairFit("gaps", "city_$x", 0.25, 0.0125, "correlation ratio", 0.5, 0.25),
        PairFit("city_$x", "size", 0.25, 0.0125, "Cramér's V", 0.5, 0.25),
        PairFit("built", "gaps", 0.25, 0.0125, "correlation", 0.5, 0.25),
        PairFit("built", "size", 0.25, 0.0125, "correlation ratio", 0.5, 0.25),
    )
    figure: Any = rendered(plot_pairs(REAL, MADE, comparison(*NUMBERS, *CATEGORIES, pairs=pairs), n_points=50))
    titles = [part.get_suptitle() for part in figure.subfigs]
    assert titles[0] == "$price_a$ of_b and rooms: trend 0.250 (0.013)\ncorrelation 0.50 real, -0.25 samples"
    assert len(figure.axes) == 10 and [ax.get_title() for ax in figure.axes[:2]] == ["real", "samples"]
    assert len(offsets(figure.axes[0])) == len(offsets(figure.axes[1])) == 50
    shares = figure.axes[4].images[0].get_array()
    assert shares.shape == (6, 3) and shares.sum() == pytest.approx(1)
    assert "2020" in "".join(label.get_text() for label in figure.axes[6].get_xticklabels())
    assert len(plot_pairs(REAL, MADE, comparison(*NUMBERS, *CATEGORIES, pairs=pairs), most=1).axes) == 2


def test_equal_rows_are_one_larger_dot() -> None:
    equal = pd.DataFrame({"a": [0.0, 0, 0, 1], "b": [0.0, 0, 0, 1]})
    columns = [ColumnFit(name, "KS", 0.0, 0.0, 0.0, 0.0) for name in "ab"]
    pair = PairFit("a", "b", 0.0, 0.0, "correlation", 1.0, 1.0)
    figure: Any = plot_pairs(equal, equal, comparison(*columns, pairs=(pair,)))
    sizes = figure.axes[0].collections[0].get_sizes()
    assert sizes[0] == 3 * sizes[1]


def test_what_is_not_there_is_drawn_as_such() -> None:
    empty = REAL.assign(gaps=np.nan, size=None)
    rows = [NUMBERS[3], CATEGORIES[1]]
    pair = PairFit("gaps", "size", 1.0, 0.0, "correlation ratio", 0.0, 0.0)
    numbers = PairFit("gaps", "rooms", 0.0, 0.0, "correlation", 0.0, 0.0)
    for real, made in ((REAL, empty), (empty, MADE), (empty, empty)):
        rendered(plot_columns(real, made, comparison(*rows)))
        rendered(plot_pairs(real, made, comparison(*rows, NUMBERS[1], pairs=(pair, numbers))))


def test_comparisons_that_have_nothing_to_draw_are_refused() -> None:
    arrays = compare(normal(20, 2), normal(20, 2, seed=1), normal(20, 2, seed=2))
    for plot in (plot_columns, plot_pairs):
        with pytest.raises(DataError, match="the comparison is not of data frames"):
            plot(REAL, MADE, arrays)
    with pytest.raises(DataError, match="a table of one column has no pairs"):
        plot_pairs(REAL, MADE, comparison(NUMBERS[0]))
    with pytest.raises(DataError, match=r"the columns \['rooms'\] are missing"):
        plot_columns(REAL.drop(columns="rooms"), MADE, comparison(NUMBERS[1]))
