"""What columns hold, as numbers: against Python's own numbers and dates; decimals, steps, text that stands for a cell."""

from __future__ import annotations

import datetime
import json
import math
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from ncsn.data.column_types import (
    COLUMN_TYPES,
    Categories,
    ColumnType,
    Dates,
    Identifiers,
    Numbers,
    column_type_from,
    decimals_of,
    formats_of,
    step_of,
)
from ncsn.data.tables import describe
from ncsn.errors import DataError, SettingError

from .columns_of_tables import COLUMNS_OF_TABLES

BERLIN = ZoneInfo("Europe/Berlin")


def type_of(cells: Any) -> ColumnType:
    """Return the type that a column beside another has."""
    return describe(pd.DataFrame({"other": np.arange(len(cells)) % 7 + 0.5, "it": cells}))[1].type


@pytest.mark.parametrize("name", COLUMNS_OF_TABLES)
def test_each_comes_back_from_its_numbers_and_survives_json(name: str) -> None:
    column = COLUMNS_OF_TABLES[name]
    type_ = type_of(column)
    assert type_.kind in COLUMN_TYPES
    loaded = column_type_from(json.loads(json.dumps(type_.to_dict())))
    assert loaded == type_ and loaded.words == type_.words
    numbers = type_.numbers(column)
    assert numbers.dtype == np.float64 and (np.isnan(numbers) == column.isna()).all()
    pd.testing.assert_series_equal(loaded.cells(numbers), column, check_names=False)
    # a cell is read as the column reads it, as such and as text
    for place in np.flatnonzero(column.notna())[:9]:
        assert type_.number_of(column.iloc[place]) == numbers[place]
        if name != "mixed categories" and not name.startswith("text") and "duration" not in name:
            assert type_.number_of(str(column.iloc[place])) == pytest.approx(numbers[place], rel=1e-12)


# Numbers


@pytest.mark.parametrize(
    ("values", "single", "decimals"),
    [
        ([1, 2, 3], False, 0),
        ([0.5], False, 1),
        ([0.1, 0.25, 1234567.375], False, 3),
        ([1 / 3], False, None),
        ([1e-8, 1.0], False, 8),
        ([1e-9], False, None),
        ([1e300, 3e305], False, 0),
        ([1e300, 0.5], False, None),
        ([1e-300], False, None),
        ([-0.0, 0.0], False, 0),
        ([], False, None),
        ([0.1, 12.3], True, 1),
        ([0.1, 12.3], False, None),
        ([123456.7], True, 1),
        # every number of single precision is one of nine digits
        ([0.7182818], True, None),
    ],
)
def test_decimals(values: list[float], single: bool, decimals: int | None) -> None:
    held = np.array(values, dtype=np.float32 if (single or values == [0.1, 12.3]) else np.float64).astype(np.float64)
    assert decimals_of(held, single) == decimals


def test_random_numbers_have_no_decimals() -> None:
    rng = np.random.default_rng(0)
    for scale in (1e-3, 1.0, 1e3, 1e7):
        x = rng.normal(size=50) * scale
        assert decimals_of(x) is None and decimals_of(x.astype(np.float32).astype(np.float64), True) is None
        for decimals in range(1, 4):
            assert decimals_of(np.round(x + scale, decimals)) in (
                None if scale == 1e-3 else decimals,
                decimals,
                0,
                1,
                2,
            )


@pytest.mark.parametrize(
    ("values", "decimals", "step"),
    [
        ([3, 3.5, 5], 1, 0.5),
        ([100, 125, 350], 0, 25),
        ([7, 7, 7], 0, None),
        ([0.3, 0.9, 1.5], 1, 0.6),
        ([0, 2**60], 0, None),
        ([1e300, 0.0], 0, None),
        ([1.0, 2.0], None, None),
        ([], 0, None),
    ],
)
def test_steps(values: list[float], decimals: int | None, step: float | None) -> None:
    assert step_of(np.array(values, dtype=float), decimals) == step


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64", "Int64", "UInt64", "float32", "float64"])
def test_the_ends_of_a_type_are_kept_to(dtype: str) -> None:
    plain: Any = np.iinfo(dtype.lower()) if "f" not in dtype else np.finfo(dtype)
    low, high = (plain.min, plain.max) if "f" not in dtype else (-1e30, 1e30)
    column = pd.Series([low, 0, high], dtype=dtype)
    type_ = Numbers.of(column)
    cells = type_.cells(np.array([-1e300, -0.2, 1e300]))
    assert cells.dtype == column.dtype
    assert float(cells[0]) == pytest.approx(float(low)) and float(cells[2]) == pytest.approx(float(high))
    assert cells[1] == 0 and column[0] <= cells[0] <= cells[2] <= column[2]


def test_no_zero_is_negative() -> None:
    column = pd.Series([-1.5, -0.0, 2.5, 1.0, 0.5, 4.0, 4.5, 7.5])
    cells = Numbers.of(column).cells(np.array([-0.2, -0.0, 0.2]))
    assert not np.signbit(cells).any() and cells.tolist() == [0, 0, 0]


def test_missing_cells_in_a_type_that_has_none_come_in_the_nearest() -> None:
    numbers = np.array([1.0, np.nan])
    assert Numbers.of(pd.Series([1, 3])).cells(numbers).dtype == np.float64
    assert Categories.of(pd.Series([1, 3])).cells(np.array([0, np.nan])).dtype == np.float64
    assert Categories.of(pd.Series([True, False])).cells(np.array([0, np.nan])).tolist() == [True, None]


def test_words_of_numbers() -> None:
    assert Numbers.of(pd.Series(3 * np.arange(1, 9))).words == "whole numbers in steps of 3 from 3 to 24"
    # of few values a common step is chance
    assert Numbers.of(pd.Series(3 * np.arange(1, 8))).words == "whole numbers from 3 to 21"
    assert Numbers.of(pd.Series([0.25, 1.0, 7.51])).words == "numbers of 2 decimals from 0.25 to 7.51"
    assert Numbers.of(pd.Series([1 / 3, 2.0])).words == "numbers from 0.333333 to 2"
    assert Numbers.of(pd.Series([np.nan])).words == "numbers"


# Dates

TIMES = [
    datetime.datetime(1889, 4, 20, 18, 30),
    datetime.datetime(1969, 12, 31, 23, 59, 59),
    datetime.datetime(2020, 2, 29, 12, 0, 0, 250_000),
    datetime.datetime(2199, 1, 1),
]
"""Times without a zone; the seconds since 1970 are Python's own."""


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_are_seconds_since_1970(unit: Any) -> None:
    times = [time.replace(microsecond=0) if unit == "s" else time for time in TIMES]
    expected = [time.replace(tzinfo=datetime.UTC).timestamp() for time in times]
    type_ = Dates.of(pd.Series(pd.to_datetime(times)).dt.as_unit(unit))
    assert type_.numbers(pd.Series(times, dtype=object)).tolist() == expected
    assert (type_.low, type_.high) == (expected[0], expected[-1])
    assert [type_.number_of(time) for time in times] == expected
    assert [type_.number_of(str(time)) for time in times] == expected
    # beyond what was seen, and beyond what the type can say
    cells = type_.cells(np.array([-1e15, 1e15]))
    assert [cell.to_pydatetime() for cell in cells] == [times[0], times[-1]]


@pytest.mark.parametrize(
    ("times", "step"),
    [
        (["2020-01-01", "2020-01-05"], 86400),
        (["2020-01-01 12:30", "2020-01-05 12:30", "2020-01-06 12:30"], 86400),
        (["2020-01-01 12:30", "2020-01-05 11:30"], 3600),
        (["2020-01-01 12:30:07", "2020-01-05 11:31:07"], 60),
        (["2020-01-01 12:30:07.5", "2020-01-05 11:31:08.5"], 1),
        (["2020-01-01 12:30:07.5", "2020-01-05 11:31:08.503"], 0.001),
        (["2020-01-01 12:30:07.5", "2020-01-05 11:31:08.503004"], 0),
    ],
)
def test_dates_are_on_steps_from_the_first(times: list[str], step: float) -> None:
    column = pd.Series(pd.to_datetime(times, format="ISO8601"))
    type_ = Dates.of(column)
    assert type_.step == step
    pd.testing.assert_series_equal(type_.cells(type_.numbers(column)), column)
    between = type_.cells(np.linspace(type_.low, type_.high, 500)) - column[0]
    assert step == 0 or not ((between.dt.total_seconds() * 1e6).round() % (step * 1e6)).any()


def test_days_in_a_zone_are_those_of_its_clock() -> None:
    days = pd.Series(pd.date_range("2020-03-20", "2020-11-20", tz="Europe/Berlin"))
    type_ = Dates.of(days)
    assert type_.step == 86400
    cells = type_.cells(np.linspace(type_.low, type_.high, 5000))
    assert set(cells) == set(days)
    # the clock says 2:30 twice; hours are counted by UTC
    hours = pd.Series([datetime.datetime(2020, 10, 25, 2, 30, tzinfo=BERLIN, fold=fold) for fold in (0, 1)])
    hours = pd.to_datetime(hours, utc=True).dt.tz_convert("Europe/Berlin")
    type_ = Dates.of(hours)
    assert type_.step == 3600 and type_.high - type_.low == 3600
    pd.testing.assert_series_equal(type_.cells(type_.numbers(hours)), hours)
    # a time without a zone is one of the column's own
    naive = type_.number_of("2020-10-26 12:00")
    assert naive == datetime.datetime(2020, 10, 26, 12, tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("2020-01-31", "%Y-%m-%d"),
        ("31.01.2020", "%d.%m.%Y"),
        ("31/01/2020", "%d/%m/%Y"),
        ("01/31/2020", "%m/%d/%Y"),
        ("1/31/2020", "%-m/%-d/%Y"),
        ("31.1.2020", "%-d.%-m.%Y"),
        ("20200131", "%Y%m%d"),
        ("31 Jan 2020", "%d %b %Y"),
        ("Jan 31, 2020", "%b %d, %Y"),
        ("31.01.20", "%d.%m.%y"),
        ("2020-01-31 09:05:00", "%Y-%m-%d %H:%M:%S"),
        ("2020-01-31T09:05:00Z", "%Y-%m-%dT%H:%M:%SZ"),
        ("2020-01-31 09:05:00+00:00", "%Y-%m-%d %H:%M:%S+00:00"),
        ("2020-01-31T09:05:00.250Z", "%Y-%m-%dT%H:%M:%S.%LZ"),
        ("2020-01-31 09:05:00.250001", "%Y-%m-%d %H:%M:%S.%f"),
        ("1/31/2020 09:05", "%-m/%-d/%Y %H:%M"),
        ("9999-12-31", "%Y-%m-%d"),
    ],
)
def test_formats_of_text(text: str, format: str) -> None:
    assert formats_of(pd.Series([text, None, text])) == [format]
    type_ = Dates.of(pd.Series([text, None]), format)
    number = type_.number_of(text)
    assert type_.cells(np.array([number, np.nan])).tolist()[0] == text
    if text.startswith("2020") and "T" not in text and "+" not in text and len(text) > 9:
        assert number == datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()
    # the days of other formats are understood too
    if "2020" in text and "09" not in text:
        assert type_.number_of("2020-01-31") == type_.number_of(datetime.date(2020, 1, 31)) == 1580428800


@pytest.mark.parametrize(
    "texts", [["soon"], ["A1"], ["2020-13-01"], ["31.02.2020"], ["2020-01-01", "01.01.2020"], ["1"], []]
)
def test_text_that_is_no_date(texts: list[str]) -> None:
    assert formats_of(pd.Series(texts, dtype="str")) == []


# Cells written as text


@pytest.mark.parametrize(
    ("cells", "written", "cell"),
    [
        ([True, False], "True", True),
        ([True, False], "false", False),
        ([True, False], np.True_, True),
        ([1, 2, 3] * 9, "1", 1),
        ([1, 2, 3] * 9, "2.0", 2),
        ([1.0, 2.0] * 9, "1", 1.0),
        ([1.0, 2.0] * 9, 1, 1.0),
        (np.array([0.1, 0.2] * 9, dtype=np.float32), "0.1", float(np.float32(0.1))),
        (["1", "2"], "1", "1"),
        (["1", "2"], 1, "1"),
        (["1", "True"], True, "True"),
        (pd.Categorical([1, "1", 1.5], [1, "1", 1.5]), "1", "1"),
        (pd.Categorical([1, "1", 1.5], [1, "1", 1.5]), 1, 1),
        (pd.Categorical(["1", 1], ["1", 1]), 1, 1),
        (["", "x"], "", ""),
    ],
)
def test_a_category_is_found_by_itself_and_then_by_its_text(cells: Any, written: Any, cell: Any) -> None:
    type_ = Categories.of(pd.Series(cells))
    found = type_.values[int(type_.number_of(written))]
    assert found == cell and type(found) is type(cell)


@pytest.mark.parametrize(
    ("cells", "written", "number"),
    [
        ([32.1, 59.6, 40.0], "39.1", 39.1),
        ([32.1, 59.6, 40.0], 39, 39),
        ([1, 70, 33], "39", 39),
        ([1, 70, 33], 39.0, 39),
        (range(10, 360, 25), "85", 85),
        ([10, 35, 1000], "736", 736),
        (np.array([0.1, 0.7, 5.3], dtype=np.float32), "0.5", 0.5),
        (np.array([0.1, 0.7, 5.3], dtype=np.float32), 0.4, float(np.float32(0.4))),
        ([1 / 3, 5.0], "0.123456789", 0.123456789),
        ([Decimal("0.1"), Decimal("2.5")], "0.4", 0.4),
        # the range is another's question
        ([1, 70, 33], 100, 100),
    ],
)
def test_a_number_is_read_from_text(cells: Any, written: Any, number: float) -> None:
    assert Numbers.of(pd.Series(cells)).number_of(written) == number


@pytest.mark.parametrize(
    ("cells", "written", "words"),
    [
        ([32.1, 59.6, 40.0], "x", "'x' is none of the numbers of 1 decimal from 32.1 to 59.6"),
        ([32.1, 59.6, 40.0], "39.13", "'39.13' is none of the numbers of 1 decimal"),
        ([32.1, 59.6, 40.0], np.nan, "nan is none of the numbers"),
        ([32.1, 59.6, 40.0], None, "None is none of the numbers"),
        ([32.1, 59.6, 40.0], np.inf, "inf is none of the numbers"),
        ([1, 70, 33], 3.5, "3.5 is none of the whole numbers from 1 to 70"),
        (range(10, 360, 25), 30, "30 is none of the whole numbers in steps of 25 from 10 to 335"),
        (range(10, 360, 25), "35x", "'35x' is none of the whole numbers in steps of 25"),
        ([True, False], "1x", "'1x' is none of the 2 values: True, False"),
        (["a", "b"], "c", "'c' is none of the 2 values: a, b"),
        (["a", "b"], None, "None is none of the 2 values: a, b"),
        (
            pd.to_datetime(["2020-01-01", "2020-01-09"]),
            "soon",
            "'soon' is none of the dates from 2020-01-01 to 2020-01-09",
        ),
        (pd.to_datetime(["2020-01-01", "2020-01-09"]), 5, "5 is none of the dates"),
        (pd.to_datetime(["2020-01-01", "2020-01-09"]), None, "None is none of the dates"),
        (pd.to_timedelta(["1h", "3h"]), 5, "5 is none of the durations from 0 days 01:00:00 to 0 days 03:00:00"),
        (["01.02.2020", "09.02.2020"], "soon", "'soon' is none of the dates from .*, as %d.%m.%Y"),
    ],
)
def test_a_cell_that_the_column_cannot_hold(cells: Any, written: Any, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        type_of(cells).number_of(written)


def test_durations_and_python_dates_are_read_from_text() -> None:
    assert Dates.of(pd.Series(pd.to_timedelta(["1h", "3h"]))).number_of("2h") == 7200
    days = Dates.of(pd.Series([datetime.date(2020, 1, 1), datetime.date(2020, 1, 9)]))
    assert days.number_of("2020-01-05") == days.number_of(datetime.date(2020, 1, 5)) == 1578182400
    assert days.cells(np.array([1578182400.0])).tolist() == [datetime.date(2020, 1, 5)]


# Categories


def test_categories_are_in_the_order_of_their_frequency_and_unknown_ones_come_behind() -> None:
    type_ = Categories.of(pd.Series(["b", "a", "c", "c", None]))
    assert type_.values == ("c", "b", "a")
    numbers = type_.numbers(pd.Series(["a", "new", None, "c"]))
    np.testing.assert_array_equal(numbers, [2, 3, np.nan, 0])
    assert type_.holds(numbers).tolist() == [True, False, False, True]
    assert type_.words == "3 values: c, b, a"


def test_categories_that_no_file_keeps_are_refused() -> None:
    for cells, held in ((pd.cut(pd.Series([1, 2, 3]), 2), "Interval"), (pd.Series([Decimal(1)]), "Decimal")):
        with pytest.raises(DataError, match=f"holds categories that are {held}; make text of them by .astype"):
            Categories.of(cells)


# Identifiers


@pytest.mark.parametrize("dtype", ["int8", "uint8", "Int16", "int64", "uint64", "UInt64", "float32", "object"])
@pytest.mark.parametrize("n", [1, 3, 400])
def test_new_identifiers_near_the_end_of_a_type_do_not_run_over(dtype: str, n: int) -> None:
    ends = {"float32": 2**24, "object": 10**30}
    top = ends[dtype] if dtype in ends else int(np.iinfo(dtype.lower()).max)
    column = pd.Series([top - 2, top - 4], dtype=dtype)
    type_ = Identifiers.of(column)
    cells = type_.cells(np.zeros(n))
    assert [int(cell) for cell in cells] == list(range(top - 1, top - 1 + n))
    # what the type has room for stays in it
    assert (cells.dtype == column.dtype) == (n == 1 or dtype == "object")


def test_identifiers_with_gaps_and_of_categories() -> None:
    assert Identifiers.of(pd.Series([4, None], dtype="Int64")).cells(np.zeros(2)).tolist() == [5, 6]
    assert Identifiers.of(pd.Series(["a-8", None])).cells(np.zeros(2)).tolist() == ["a-9", "a-10"]
    made = Identifiers.of(pd.Series(pd.Categorical(["a-8", "a-9"]))).cells(np.zeros(2))
    assert made.tolist() == ["a-10", "a-11"] and made.dtype == "category"
    assert Identifiers.of(pd.Series([], dtype="str")).cells(np.zeros(1)).tolist() == ["id_0001"]
    assert not math.isnan(Identifiers.of(pd.Series([1])).number_of("anything"))


@pytest.mark.parametrize(
    ("asked", "dtype"), [([20, 30], "int8"), ([95, 20], "int8"), ([40.5, 20], "float64"), ([300, 20], "float64")]
)
def test_numbers_widened_hold_what_is_asked_for(asked: list[float], dtype: str) -> None:
    seen = type_of(np.arange(20, 80, dtype=np.int8).repeat(2))
    assert isinstance(seen, Numbers)
    held = seen.widened(np.array([*asked, np.nan])).cells(np.array(asked, dtype=np.float64))
    assert held.tolist() == asked and held.dtype == dtype


def test_dates_widened_hold_what_is_asked_for() -> None:
    seen = type_of(pd.Series(pd.date_range("2020-01-01", periods=30).repeat(2)))
    asked = pd.Series(pd.to_datetime(["2019-05-05", "2030-01-01"]))
    assert seen.widened(seen.numbers(asked)).cells(seen.numbers(asked)).tolist() == asked.tolist()
