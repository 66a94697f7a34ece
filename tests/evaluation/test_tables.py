"""Columns and pairs of columns: kinds, distances and associations, against SDMetrics, SciPy and counts by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats.contingency import association

from ncsn.errors import DataError
from ncsn.evaluation import (
    ColumnFit,
    Kinds,
    PairFit,
    TableEncoding,
    column_shapes,
    duplicate_fraction,
    pair_trends,
)

from .common import mixed_table, shuffled

REAL = pd.DataFrame(
    {
        "x": [1.0, 2, 3, 4, 5, 6, 7, np.nan],
        "y": [2.0, 1, 4, 3, 6, 5, 8, 7],
        "c": [*"aabbbcc", None],
        "d": list("uvuvuvuu"),
    }
)
MADE = pd.DataFrame(
    {
        "x": [0.0, 2, 2, 5, np.nan, 9],
        "y": [5.0, 1, 2, 2, 8, 7],
        "c": ["a", "d", "b", "b", None, "c"],
        "d": list("uuuvvu"),
    }
)


def column(samples: pd.DataFrame, held_out: pd.DataFrame, training: pd.DataFrame, name: str) -> ColumnFit:
    return {row.column: row for row in column_shapes(samples, held_out, training)}[name]


def pair(samples: pd.DataFrame, held_out: pd.DataFrame, training: pd.DataFrame, first: str, second: str) -> PairFit:
    rows = {frozenset((row.first, row.second)): row for row in pair_trends(samples, held_out, training)}
    return rows[frozenset((first, second))]


# Kinds of columns


def test_kinds_follow_from_the_types() -> None:
    table = mixed_table(20)
    kinds = Kinds.of(table.assign(exact=pd.array([1, None] * 10, dtype="Int64"), mixed=[1, 2.5] * 10))
    assert kinds.numbers == ("age", "income", "rooms", "joined", "exact", "mixed")
    assert kinds.categories == ("city", "member", "size") and kinds.left_out == ("name",)
    own = Kinds.of(table, categorical=["rooms", "city"], leave_out=["name", "size", "joined"])
    assert own.numbers == ("age", "income", "member") and own.categories == ("rooms", "city")
    # text that is missing once, or twice the same, tells no rows apart
    assert Kinds.of(pd.DataFrame({"a": ["x", "y", "z", "z"], "b": ["x", "y", "z", None]})).left_out == ()
    plain = kinds.plain(table.assign(exact=pd.array([1, None] * 10, dtype="Int64"), mixed=2))
    assert plain["joined"][0] == (table["joined"][0] - pd.Timestamp("1970-01-01")).days
    assert plain["exact"].isna().sum() == 10 and plain["member"].dtype == object


def test_columns_that_do_not_fit_are_named() -> None:
    table = mixed_table(10)
    with pytest.raises(DataError, match=r"there are no columns \['town'\]"):
        Kinds.of(table, categorical=["town"])
    with pytest.raises(DataError, match="no column is left to compare"):
        Kinds.of(table[["name"]])
    with pytest.raises(DataError, match="more than one column is called 'a'"):
        Kinds.of(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match="column 'city' is a number, and has cells that are not"):
        column_shapes(table, table, table, Kinds(("city",), ()))
    with pytest.raises(DataError, match=r"the columns \['age'\] are missing"):
        column_shapes(table.drop(columns="age"), table, table)
    with pytest.raises(DataError, match="a table has no rows"):
        pair_trends(table[:0], table, table)


# Columns and pairs


def test_distances_are_those_of_sdmetrics() -> None:
    # 1 - KSComplement and TVComplement of sdmetrics 0.32.0, which adds 1e-6 to each count
    shapes = {"x": 0.3142857142857143, "y": 0.25, "c": 0.1999998571428775, "d": 0.04166666666666663}
    for name, expected in shapes.items():
        assert column(MADE, REAL, REAL, name).value == pytest.approx(expected, abs=1e-6)
    # 1 - CorrelationSimilarity, and ContingencySimilarity with the bins of the real column
    trends = {
        ("x", "y"): 0.1953697559459744,
        ("x", "c"): 0.5,
        ("x", "d"): 0.75,
        ("y", "c"): 1.0,
        ("y", "d"): 0.75,
        ("c", "d"): 0.45833333333333326,
    }
    for names, expected in trends.items():
        row = pair(MADE, REAL, REAL, *names)
        assert row.value == pytest.approx(expected, abs=1e-12) and row.floor == 0
    row = pair(MADE, REAL, REAL, "x", "y")
    assert (row.real, row.synthetic) == pytest.approx((0.8962581595302717, 0.5055186476383228))


def test_missing_cells_have_a_figure_of_their_own() -> None:
    row = column(MADE, REAL, REAL[:4], "x")
    assert row.missing == pytest.approx(1 / 6 - 1 / 8) and row.missing_floor == 1 / 8
    none = REAL.assign(x=np.nan, c=None)
    assert column(none, REAL, none, "x").value == 1 and column(none, none, none, "x").value == 0
    assert column(none, REAL, REAL, "c").value == 1 and column(none, REAL, REAL, "c").missing == 7 / 8


def test_a_bad_column_and_a_bad_pair_are_found() -> None:
    real, held_out, good = (mixed_table(1000, seed) for seed in range(3))
    shifted = good.assign(age=good["age"] + 15)
    # the uniform distribution over 62 years and itself, 15 years on
    assert column(shifted, held_out, real, "age").value == pytest.approx(15 / 62, abs=0.05)
    assert column(shifted, held_out, real, "age").floor < 0.06
    dropped = good[good["city"] != "Oslo"]
    assert column(dropped, held_out, real, "city").value == pytest.approx(0.2, abs=0.05)
    assert column(good.assign(income=3000.0), held_out, real, "income").missing == pytest.approx(0.2, abs=0.05)
    torn = shuffled(good, "income", "member")
    assert column(torn, held_out, real, "income").value < 0.06
    row = pair(torn, held_out, real, "age", "income")
    assert row.value == pytest.approx(row.real / 2, abs=0.05) and row.floor < 0.02 and row.real > 0.9
    row = pair(torn, held_out, real, "age", "member")
    assert row.association == "correlation ratio" and row.value > 1.5 * row.floor
    assert row.synthetic < 0.1 < row.real


def test_associations_are_those_of_scipy_and_of_the_variances() -> None:
    table = mixed_table(300)
    table["town"] = np.where(table["member"], table["city"], "Rome")
    table.loc[:20, "town"] = None
    row = pair(table, table, table, "town", "size")
    expected = association(pd.crosstab(table["town"], table["size"]).to_numpy(), method="cramer")
    assert row.real == row.synthetic == pytest.approx(expected) and row.association == "Cramér's V"
    known = table.dropna()
    total = known["age"].var(ddof=0)
    within = (known.groupby("town")["age"].var(ddof=0) * known["town"].value_counts()).sum() / len(known)
    row = pair(known, known, known, "age", "town")
    assert row.real == pytest.approx(math.sqrt(1 - within / total))
    perfect = pd.DataFrame({"a": list("xyz") * 5, "b": list("uvw") * 5, "n": [1.0, 2, 3] * 5})
    assert pair(perfect, perfect, perfect, "a", "b").real == pytest.approx(1)
    assert pair(perfect, perfect, perfect, "a", "n").real == pytest.approx(1)


def test_what_does_not_vary_goes_with_nothing() -> None:
    constant = REAL.assign(x=0.1, c="a")
    for first, second in (("x", "y"), ("x", "d"), ("c", "d"), ("c", "x")):
        row = pair(constant, REAL, constant, first, second)
        assert row.synthetic == 0 and row.value == row.floor
    assert pair(constant, REAL, REAL, "x", "y").value == pytest.approx(0.8962581595302717 / 2)
    empty = REAL.assign(x=np.nan, c=None)
    assert all(math.isfinite(row.value + row.real) for row in pair_trends(empty, empty, REAL))


def test_duplicates() -> None:
    training = mixed_table(50)
    fresh = mixed_table(50, 1)
    assert duplicate_fraction(training, training) == 1 and duplicate_fraction(fresh, training) == 0
    mixed = pd.concat([training[:10], fresh[:30]])
    assert duplicate_fraction(mixed, training) == 0.25
    # a name of its own makes a row another one
    assert duplicate_fraction(training.assign(name=fresh["name"]), training) == 0
    without = training.drop(columns="name")
    assert duplicate_fraction(without.astype({"rooms": float}), without) == 1


# Tables as numbers


def test_rows_of_numbers() -> None:
    training = pd.DataFrame({"x": [1.0, 3.0, np.nan], "k": [5, 5, 5], "c": ["a", "b", "a"]})
    encoding = TableEncoding.fit(Kinds.of(training), training)
    rows = encoding.rows(training)
    # x in standard deviations, whether it is missing, the constant, and both categories
    np.testing.assert_allclose(rows[:, :3], [[-1, 0, 0], [1, 0, 0], [0, 1, 0]])
    assert rows.shape == (3, 5) and np.linalg.norm(rows[0, 3:] - rows[1, 3:]) == pytest.approx(1)
    features = encoding.features(pd.DataFrame({"x": [2.0, None], "k": [7, 5], "c": [None, "a"]}))
    np.testing.assert_array_equal(features, [[2, 7, 0], [-1, 5, 1]])
    assert encoding.categorical == [False, False, True]


def test_categories_beyond_the_most_frequent_are_one() -> None:
    names = [f"often {i}" for i in range(100)] * 2 + ["rare one", "rare two"]
    training = pd.DataFrame({"c": names})
    rows = TableEncoding.fit(Kinds.of(training), training).rows(training)
    assert rows.shape == (202, 101) and (rows > 0).sum(axis=1).tolist() == [1] * 202
    np.testing.assert_array_equal(rows[-1], rows[-2])
    np.testing.assert_array_equal(rows[:100], rows[100:200])
