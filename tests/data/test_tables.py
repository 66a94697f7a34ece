"""Tables of any kind: every column comes back as it was, what is drawn is what it can hold, and the rules choose as they say."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ncsn.data import Encoding
from ncsn.data.columns import Category, Constant, Number, Ranks, Smooth, WithAtoms, WithGaps
from ncsn.data.tables import TableColumn, describe
from ncsn.errors import DataError, SettingError

from .columns_of_tables import COLUMNS_OF_TABLES, with_gaps
from .common import seeded

N = 400


def drawn() -> np.random.Generator:
    return np.random.default_rng(0)


def described(column: Any, name: Any = "it", **given: Any) -> TableColumn:
    """Return how a column beside another is described."""
    frame = pd.DataFrame({"other": drawn().normal(size=len(column)), name: column})
    return describe(frame, given)[1]


def again(encoding: Encoding) -> Encoding:
    """Return an encoding from its file."""
    return Encoding.from_dict(json.loads(json.dumps(encoding.to_dict())))


def wild(encoding: Encoding, n: int = 500) -> torch.Tensor:
    """Return rows further out than those of any data."""
    return 3 * torch.randn(n, *encoding.shape, dtype=torch.float64, generator=seeded(0))


# Every kind of column


def as_plain(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return cells that can be compared: numbers or times as such, text of dates as times, others as text."""
    known = column.dropna()
    if pd.api.types.is_bool_dtype(column.dtype) or isinstance(known.iloc[0], bool):
        return known.astype(str)
    return pd.to_numeric(known) if pd.api.types.is_numeric_dtype(column.dtype) else known.astype(object)


@pytest.mark.parametrize("name", COLUMNS_OF_TABLES)
def test_a_column_comes_back_whatever_is_drawn_and_from_its_file(name: str) -> None:
    column = COLUMNS_OF_TABLES[name]
    frame = pd.DataFrame({"other": drawn().normal(size=len(column)), "it": column})
    encoding = Encoding.fit(frame)
    loaded = again(encoding)
    assert loaded.table == encoding.table
    for seed in range(3):
        rows = encoding.encode(frame, generator=seeded(seed))
        assert rows.isfinite().all() and torch.equal(loaded.encode(frame, generator=seeded(seed)), rows)
        pd.testing.assert_frame_equal(loaded.decode(rows), frame, rtol=1e-12)
    pd.testing.assert_frame_equal(encoding.decode(encoding.encode(frame)), frame, rtol=1e-12)


@pytest.mark.parametrize("name", COLUMNS_OF_TABLES)
def test_what_is_drawn_is_what_the_column_can_hold(name: str) -> None:
    column = COLUMNS_OF_TABLES[name]
    frame = pd.DataFrame({"other": drawn().normal(size=len(column)), "it": column})
    encoding = Encoding.fit(frame)
    cells = encoding.decode(wild(encoding))["it"]
    assert cells.dtype == column.dtype and len(cells) == 500
    assert cells.isna().any() == column.isna().any()
    held, seen = as_plain(cells), as_plain(column)
    assert {type(cell) for cell in held} <= {type(cell) for cell in seen}
    type_ = encoding.table[1].type
    if type_.kind == "category":
        assert set(held) <= set(seen)
        return
    held, seen = (pd.Series(type_.numbers(cells.dropna())) for cells in (cells, column))
    # by the numbers that stand for the cells, of which another test says that they are right
    assert held.min() >= seen.min() and held.max() <= seen.max()
    units = (seen - seen.min()) * 1e6
    if name != "sparse" and type_.kind == "date":
        step = float(np.gcd.reduce(units.round().astype(np.int64)))
        step = max(size for size in (1, 1e3, 1e6, 6e7, 3.6e9, 8.64e10) if step % size == 0)
        over = ((held - seen.min()) * 1e6).round() % step
        assert (name == "midnights of UTC in Berlin") or not over.any()


@pytest.mark.parametrize(
    ("cells", "step"),
    [
        (25.0 * drawn().integers(0, 90, N) + 12.5, 25),
        (5 * drawn().integers(-20, 90, N), 5),
        (np.round(drawn().normal(0, 40, N), 1), 0.1),
        (np.round(drawn().normal(0, 40, N), 2).astype(np.float32), 0.01),
        (pd.array([10, 30, None, 50, 90, 70] * 20, dtype="Int64"), 20),
    ],
    ids=["prices", "fives", "tenths", "single", "nullable"],
)
def test_numbers_stay_on_their_steps(cells: Any, step: float) -> None:
    frame = pd.DataFrame({"other": drawn().normal(size=len(cells)), "it": cells})
    encoding = Encoding.fit(frame)
    held = encoding.decode(wild(encoding))["it"].dropna().astype(float)
    steps = (held - float(frame["it"].min())) / step
    np.testing.assert_allclose(steps, steps.round(), atol=1e-3)
    assert held.nunique() > 4


@pytest.mark.parametrize(
    "names",
    [
        pd.Index(["a", "b", "ü"]),
        pd.RangeIndex(3),
        pd.Index([0.5, 1.5, -2.0]),
        pd.date_range("2020-01-01", periods=3),
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)]),
        pd.Index(["a", 1, None], dtype=object),
        pd.Index([1, "1", "one"], dtype=object),
        pd.Index(["", " ", "%s {x}\n"]),
    ],
    ids=["text", "range", "float", "dates", "levels", "mixed", "alike", "odd"],
)
def test_columns_of_any_name(names: Any) -> None:
    frame = pd.DataFrame({0: drawn().normal(size=60), 1: ["u", "v", "w"] * 20, 2: drawn().integers(0, 50, 60)})
    frame.columns = names
    encoding = Encoding.fit(frame)
    assert [column.type.kind for column in encoding.table] == ["number", "category", "number"]
    pd.testing.assert_frame_equal(again(encoding).decode(encoding.encode(frame)), frame, check_freq=False)
    less = Encoding.fit(frame, columns={names[1]: "drop", names[2]: "number"})
    assert list(less.container.columns) == [names[0], names[2]]  # type: ignore[arg-type]  # of a frame
    assert less.table[1].rule.startswith("given") and not less.table[0].rule.startswith("given")
    kept = frame.iloc[:, [0, 2]]
    pd.testing.assert_frame_equal(less.decode(less.encode(frame)), kept, check_freq=False)


@pytest.mark.parametrize(
    "cells",
    [
        np.full(30, np.nan),
        pd.array([pd.NA] * 30, dtype="Int64"),
        pd.array([pd.NA] * 30, dtype="boolean"),
        pd.Series([None] * 30, dtype=object),
        pd.Series([None] * 30, dtype="str"),
        pd.Series([None] * 30, dtype="string[python]"),
        pd.to_datetime(pd.Series([None] * 30)),
        pd.Series([pd.NaT] * 30, dtype="datetime64[us, Europe/Berlin]"),
        pd.Series([pd.NaT] * 30, dtype="timedelta64[ns]"),
        pd.Categorical([None] * 30, ["a", "b"]),
        pd.Categorical([None] * 30),
    ],
    ids=lambda cells: str(cells.dtype),
)
def test_columns_that_are_always_missing_stay_so(cells: Any) -> None:
    frame = pd.DataFrame({"other": drawn().normal(size=30), "it": cells})
    encoding = Encoding.fit(frame)
    assert encoding.table[1].rule == "always missing" and encoding.shape == (1,)
    rows = encoding.encode(frame)
    pd.testing.assert_frame_equal(again(encoding).decode(rows), frame)
    assert encoding.log_gain(encoding.values(frame), rows).isfinite().all()


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(4, "Int64"), (0.1, "float64"), ("x", "str"), (True, "boolean"), (pd.Timestamp("2020-01-05"), "datetime64[us]")],
)
def test_constants_with_gaps_and_without(value: Any, dtype: str) -> None:
    always = pd.Series([value] * 42, dtype=dtype)
    frame = pd.DataFrame({"other": drawn().normal(size=42), "always": always, "gaps": with_gaps([value] * 42, dtype)})
    encoding = Encoding.fit(frame)
    assert encoding.shape == (2,)
    assert isinstance(encoding.columns[1], Constant) and isinstance(encoding.columns[2], WithGaps)
    assert encoding.table[1].rule.endswith(f"always {str(value).removesuffix(' 00:00:00')}")
    assert encoding.table[2].rule.endswith("missing in 14%")
    pd.testing.assert_frame_equal(again(encoding).decode(encoding.encode(frame, generator=seeded(1))), frame)
    free = encoding.decode(wild(encoding))
    assert (free["always"] == value).all() and (free["gaps"].dropna() == value).all()


def test_tables_of_few_rows() -> None:
    full = pd.DataFrame({"a": [3.5, -1, 7, 2], "b": ["x", "y", "x", "z"], "c": pd.date_range("2020-02-01", periods=4)})
    for n in (2, 3, 4):
        frame = full.head(n)
        encoding = Encoding.fit(frame)
        for seed in range(3):
            pd.testing.assert_frame_equal(encoding.decode(encoding.encode(frame, generator=seeded(seed))), frame)
    with pytest.raises(
        DataError, match=r"nothing to learn: a \(always 3.5\), b \(text; always x\), c \(dates; always 2020"
    ):
        Encoding.fit(full.head(1))


# What cannot be used

UNUSABLE: dict[str, Any] = {
    "complex128": [1j, 2, 3],
    "list": [[1], [2], [3]],
    "dict": [{}, {"a": 1}, {}],
    "bytes": [b"a", b"b", b"c"],
    r"period\[M\]": pd.period_range("2020-01", periods=3, freq="M"),
    r"interval\[int64, right\]": pd.interval_range(0, 3),
    "tuple": [(1, 2), (3, 4), (5, 6)],
    "time": [pd.Timestamp(f"2020-01-01 0{hour}:00").time() for hour in range(3)],
}


@pytest.mark.parametrize("held", UNUSABLE)
def test_types_that_cannot_be_used_are_named_with_what_to_do(held: str) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 4.0], "odd": UNUSABLE[held]})
    message = (
        f"^column 'odd' holds {held}, which is neither numbers, text, categories nor dates; convert it, .* or drop it$"
    )
    with pytest.raises(DataError, match=message):
        describe(frame)
    assert [column.name for column in describe(frame, {"odd": "drop"})] == ["a"]


def test_all_problems_are_in_one_message() -> None:
    frame = pd.DataFrame(
        {
            "fine": [1.0, 2.0, 3.0],
            "mixed": pd.Series(["a", "b", 3], dtype=object),
            "flags": pd.Series([1, True, 2], dtype=object),
            "far": [1.0, np.inf, -np.inf],
            "cut": pd.cut(pd.Series([1, 2, 3]), 2),
            **{str(number): value for number, value in enumerate(UNUSABLE.values())},
        }
    )
    with pytest.raises(DataError) as caught:
        describe(frame)
    said = str(caught.value).split("; column ")
    assert len(said) == 4 + len(UNUSABLE)
    assert said[0] == "column 'mixed' holds text and, in row 3, 3; make them one type, or drop it"
    assert said[1] == "'flags' holds numbers and, in row 2, True; make them one type, or drop it"
    assert said[2] == "'far' holds inf in row 2 and 1 more; leave it empty, or drop the row"
    assert said[3] == "'cut' holds categories that are Interval; make text of them by .astype(str)"


def test_types_that_cannot_be_made_again_are_refused() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    money = pd.Series([Decimal(1), Decimal(2)] * 20, dtype=pd.ArrowDtype(pyarrow.decimal128(5, 2)))
    with pytest.raises(
        DataError, match=r"column 'it' holds decimal128\(5, 2\)\[pyarrow\], which is neither .*; convert"
    ):
        described(money)


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(DataError, match="more than one column 'a'; rename or drop all but one"):
        describe(pd.DataFrame(np.eye(3), columns=["a", "b", "a"]))


def test_a_table_of_which_nothing_can_be_learned_says_why_of_each_column() -> None:
    frame = pd.DataFrame({"row": range(30), "key": [f"k{i}" for i in range(30)], "same": 5, "gone": np.nan})
    message = (
        "every column is constant: there is nothing to learn: row (whole numbers, all distinct where chance would repeat "
        "some), key (text, all distinct), same (always 5), gone (always missing)"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        describe(frame)
    with pytest.raises(DataError, match="all columns are dropped: nothing is left to learn"):
        describe(frame[["row"]], {"row": "drop"})


# The rules


def test_zeros_among_others_are_an_atom() -> None:
    rain = np.where(np.arange(1000) < 220, 0.0, drawn().gamma(2.0, 3.0, 1000))
    column = described(rain)
    assert column.rule == "0 in 22%" and column.encoding == "a code of its atoms, and smooth map"
    assert isinstance(column.column, WithAtoms) and column.column.atoms == (0.0,)
    capped = described(np.minimum(drawn().normal(50, 20, 1000), 80.0))
    assert isinstance(capped.column, WithAtoms) and capped.column.atoms == (80.0,)


@pytest.mark.parametrize(
    "tail",
    [
        lambda rng, n: np.exp(2 * rng.standard_normal(n)),
        lambda rng, n: rng.standard_cauchy(n),
        lambda rng, n: rng.pareto(1.2, n),
        lambda rng, n: -rng.pareto(0.8, n) - 1e6,
    ],
    ids=["lognormal", "Cauchy", "Pareto", "below"],
)
@pytest.mark.parametrize("n", [50, 1000, 20_000])
def test_heavy_tails_are_made_nearly_normal(tail: Callable[..., Any], n: int) -> None:
    cells = tail(drawn(), n)
    frame = pd.DataFrame({"it": cells, "other": drawn().normal(size=n)})
    encoding = Encoding.fit(frame)
    assert isinstance(encoding.columns[0], Smooth)
    assert re.search("a tail reaches .* standard deviations|from a normal distribution", encoding.rules[0])
    rows = encoding.encode(frame)[:, 0]
    assert float(rows.abs().max()) < 4.5
    assert float(rows.mean()) == pytest.approx(0, abs=0.05 if n > 50 else 0.1) and float(rows.std()) == pytest.approx(
        1, abs=0.1
    )
    np.testing.assert_allclose(encoding.decode(encoding.encode(frame))["it"], cells, rtol=1e-9)


def test_whole_numbers_that_repeat_go_by_their_ranks_and_have_the_shares_of_the_training_rows() -> None:
    ages = np.clip(drawn().normal(40, 12, N).round(), 18, 90).astype(int)
    column = described(ages)
    assert isinstance(column.column, Ranks) and column.rule.startswith(f"{len(set(ages))} values")
    assert column.type.words == f"whole numbers from {ages.min()} to {ages.max()}"
    z = torch.randn(200_000, 1, dtype=torch.float64, generator=seeded(0))
    decoded = pd.Series(column.type.cells(column.column.decode(z).numpy())).value_counts(normalize=True)
    shares = pd.Series(ages).value_counts(normalize=True)
    # what is rare stands for those around it too, and what was never seen takes up to half of what was seen once
    unseen = (shares * N < 1.5).sum() / 2 / N
    for age in shares.index[shares * N > 2.5]:
        share = shares[age]
        assert decoded[age] == pytest.approx(share, abs=5 * (share / len(z)) ** 0.5 + unseen * share)


def test_prices_are_in_steps() -> None:
    column = described(25 * drawn().integers(1, 200, N))
    assert column.type.words.startswith("whole numbers in steps of 25 from ")
    assert isinstance(column.column, Ranks)


@pytest.mark.parametrize(
    ("name", "cells", "rule", "fresh"),
    [
        ("rownames", np.arange(1, 201), "whole numbers, all distinct, and its name", 201),
        ("it", np.arange(1000)[np.sort(drawn().permutation(1000)[:700])], "whole numbers, all distinct where", 1000),
        ("it", drawn().permutation(3000)[:1500], "whole numbers, all distinct where chance would repeat some", 3000),
        ("customer_id", drawn().permutation(10**6)[:500], "whole numbers, all distinct, and its name", None),
        ("customerID", drawn().permutation(10**6)[:500], "whole numbers, all distinct, and its name", None),
        ("it", np.sort(drawn().permutation(10**6)[:500]), "whole numbers in ascending order", None),
        ("it", np.arange(50, 0, -1, dtype=np.int8), "whole numbers, all distinct where chance would repeat some", 51),
        ("it", [f"A-{i:04}" for i in range(300)], "text, all distinct", "A-0300"),
        ("it", [f"user{i}" for i in range(1, 102)], "text, all distinct", "user102"),
        ("it", [f"{name} {i}x" for i, name in enumerate("abcdefghij" * 30)], "text, all distinct", "id_0001"),
        ("it", [f"id_{i:04}" if i % 2 else f"x{i}" for i in range(300)], "text, all distinct", "id_0300"),
        ("it", [str(uuid.UUID(int=i * 7919**9)) for i in range(50)], "text, all distinct", None),
    ],
    ids=["rownames", "subset", "shuffled", "id", "ID", "ascending", "int8", "codes", "users", "text", "taken", "uuids"],
)
def test_identifiers_are_made_anew_in_kind(name: str, cells: Any, rule: str, fresh: Any) -> None:
    frame = pd.DataFrame({name: cells, "other": drawn().normal(size=len(cells))})
    encoding = Encoding.fit(frame)
    assert encoding.table[0].type.kind == "identifier" and encoding.rules[0].startswith(rule)
    assert encoding.shape == (1,)
    made = again(encoding).decode(wild(encoding))[name]
    assert made.is_unique and not set(made) & set(frame[name])
    assert {type(cell) for cell in made.tolist()} == {type(cell) for cell in frame[name].tolist()}
    assert fresh is None or made[0] == fresh
    if "-" in str(cells[0]) and len(str(cells[0])) == 36:
        assert all(str(uuid.UUID(cell)) == cell for cell in made)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("it", drawn().permutation(10**6)[:500]),
        ("it", drawn().normal(size=500)),
        ("id", [*range(499), 7]),
        ("it", list(range(19))),
        ("width", np.arange(30) + 0.5),
    ],
    ids=["distinct by chance", "fractions", "repeated", "few rows", "halves"],
)
def test_what_is_no_identifier(name: str, cells: Any) -> None:
    assert described(pd.Series(cells), name).type.kind == "number"


def test_names_most_of_which_occur_once_are_categories() -> None:
    names = [f"name {i}" for i in range(N - 1)] + ["name 0"]
    column = described(names)
    assert column.type.kind == "category" and column.rule.startswith("text") and column.encoding == "9 bits"
    frame = pd.DataFrame({"it": names, "other": drawn().normal(size=N)})
    encoding = Encoding.fit(frame)
    assert encoding.decode(encoding.encode(frame, generator=seeded(0)))["it"].tolist() == names


def test_many_categories_are_said_to_be_many() -> None:
    cells = [f"c{i}" for i in [*range(10_000), *range(5000)]]
    column = described(cells)
    assert re.search("10,000 of .*drop it, or say it is an identifier", column.rule)
    assert isinstance(column.column, Category) and column.column.width == 14
    # codes that are none are taken for the nearest that is one
    decoded = column.column.decode(3 * torch.randn(20_000, 14, dtype=torch.float64, generator=seeded(0)))
    assert decoded.min() >= 0 and decoded.max() < 10_000


def test_a_value_is_one_of_few_where_it_occurs_often() -> None:
    assert described([1, 2, 4] * 5).rule == "3 values"
    assert described([1, 2, 4] * 4).type.kind == "number"
    assert described([1, 2, 3, 4, 5, 6] * 9).type.kind == "number"
    assert described([0.5, np.nan, 1.5] * 9).rule == "2 values; missing in 33%"


def test_long_whole_numbers_are_codes_where_they_repeat() -> None:
    top = 2**64 - 1
    codes = pd.Series([top, top - 1, top - 3, 5, 6, 7] * 10, dtype="uint64")
    column = described(codes)
    assert column.type.kind == "category" and column.rule.startswith("whole numbers of more than 15 digits that repeat")
    frame = pd.DataFrame({"it": codes, "other": drawn().normal(size=60)})
    encoding = Encoding.fit(frame)
    pd.testing.assert_frame_equal(again(encoding).decode(encoding.encode(frame)), frame)
    # ns since 1970, say: float64 keeps 15 digits of them
    times = pd.Series(drawn().integers(2**60, 2**63 - 1, 100))
    frame = pd.DataFrame({"it": times, "other": drawn().normal(size=100)})
    encoding = Encoding.fit(frame)
    back = encoding.decode(encoding.encode(frame))["it"]
    assert encoding.rules[0].startswith("to 15 digits") and back.dtype == times.dtype
    np.testing.assert_allclose(back.astype(float), times.astype(float), rtol=1e-14)


def test_text_of_dates_says_its_format_and_the_other_that_fits() -> None:
    early = [f"0{1 + i % 9}/0{1 + i % 7}/2020" for i in range(40)]
    assert described(early).rule.startswith("text, %d/%m/%Y (%m/%d/%Y fits too)")
    late = [*early, "25/03/2020"]
    assert described(late).rule.startswith("text, %d/%m/%Y;")
    assert described(["2020-01-31", "soon"] * 20).type.kind == "category"
    assert described(["31.02.2020", "01.01.2020"] * 20).type.kind == "category"


# What columns are said to be


def test_a_column_is_what_it_is_said_to_be() -> None:
    zips = drawn().integers(10_000, 99_999, N)
    assert described(zips).type.kind == "number"
    column = described(zips, it="category")
    assert column.type.kind == "category" and column.rule == "given" and column.type.dtype == "int64"
    ages = drawn().integers(18, 90, N)
    assert isinstance(described(ages, it="smooth").column, Smooth)
    assert isinstance(described(drawn().normal(size=N), it="ranks").column, Ranks)
    assert described(ages, it="identifier").type.kind == "identifier"
    assert described([1, 2, 3, 4] * 20, it="number").type.kind == "number"
    assert described([True, False] * 20, it="number").type.dtype == "bool"
    assert described(["1.5", "2", None, "7"] * 20, it="number").type.words == "numbers of 1 decimal from 1.5 to 7"
    assert described(pd.Categorical(["2020-01-31", "2020-03-01"] * 20), it="date").type.kind == "date"
    days = pd.Series(pd.date_range("2020-01-01", periods=40))
    dated = described(days, it="smooth")
    assert dated.type.kind == "date" and isinstance(dated.column, Smooth)
    # what never varies is left out whatever it is said to be
    for kind in ("number", "ranks", "smooth", "category"):
        assert isinstance(described([3] * 40, it=kind).column, Constant)


@pytest.mark.parametrize(
    ("cells", "given", "message"),
    [
        (["a", "1"] * 20, "number", "column 'it' holds 'a' in row 1, no number"),
        (["a", "1"] * 20, "date", "column 'it' holds no dates of one format"),
        ([1, 2] * 20, "date", "column 'it' holds no dates of one format"),
        (pd.date_range("2020-01-01", periods=40), "number", r"column 'it' holds datetime64\[us\], no numbers"),
        (pd.date_range("2020-01-01", periods=40), "identifier", r"column 'it' holds datetime64\[us\], no identifiers"),
        (
            pd.date_range("2020-01-01", periods=40),
            "category",
            "column 'it' holds categories that are Timestamp; make text",
        ),
        (
            [True, False] * 20,
            "identifier",
            "column 'it' holds bool, no identifiers, which are numbers or text; drop it",
        ),
        (range(40), {"bounds": (0, 20)}, r"column 'it' has values from 0 to 39, outside of the bounds \[0, 20\]"),
        (range(40), {"bounds": (1, None)}, r"column 'it' has values from 0 to 39, outside of the bounds \[1, None\]"),
        (["a", "b"] * 20, {"bounds": (0, 20)}, "column 'it' holds 'a' in row 1, no number"),
        (
            range(40),
            {"kind": "category", "bounds": (0, 99)},
            "column 'it' has bounds, but was said to be of kind 'category'",
        ),
    ],
)
def test_what_is_said_of_a_column_must_fit_it(cells: Any, given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        described(cells, it=given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ot": "drop"}, "unknown column 'ot'.*it"),
        ({"it": "categry"}, r"columns\['it'\]: unknown 'categry'; give one of category, number, ranks, smooth, date"),
        ({"it": {"knd": "number"}}, r"columns\['it'\]: unknown 'knd'; give one of .*, or kind and bounds"),
        ({"it": {"bounds": 3}}, r"columns\['it'\]: bounds are the lowest and the highest value, or None, not 3"),
        ({"it": {"bounds": (0, "9")}}, r"columns\['it'\]: bounds are .*, not \(0, '9'\)"),
        ({"it": {"bounds": (0, np.inf)}}, r"columns\['it'\]: bounds are .*, not \(0, inf\)"),
        ({"it": {"bounds": (0, 1, 2)}}, r"columns\['it'\]: bounds are .*, not \(0, 1, 2\)"),
    ],
)
def test_settings_of_columns_that_are_none(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        describe(pd.DataFrame({"it": [1.0, 2.0, 4.0]}), given)


@pytest.mark.parametrize(
    ("cells", "bounds", "held"),
    [
        (drawn().integers(20, 60, N), (0, 100), (0, 100)),
        (drawn().integers(20, 60, N), (0.5, None), (1, None)),
        (np.round(drawn().normal(5, 1, N), 1), (0, 10.05), (0, 10)),
        (drawn().normal(5, 1, N), (-2.5, 50), (-2.5, 50)),
        (10 * drawn().integers(2, 9, N) + 5, (0, None), (0, None)),
        (np.where(drawn().random(N) < 0.3, 5, drawn().integers(5, 500, N)), (0, 1000), (0, 1000)),
        ([2, 3, 4] * 40, (1, 5), (1, 5)),
    ],
    ids=["whole", "inward", "decimals", "fractions", "steps", "atoms", "few"],
)
def test_bounds_beyond_what_was_seen_are_kept_to(cells: Any, bounds: Any, held: tuple[Any, Any]) -> None:
    frame = pd.DataFrame({"it": cells, "other": drawn().normal(size=len(cells))})
    encoding = Encoding.fit(frame, columns={"it": {"bounds": bounds}})
    pd.testing.assert_frame_equal(encoding.decode(encoding.encode(frame, generator=seeded(0))), frame)
    made = encoding.decode(5 * wild(encoding, 5000))["it"]
    low, high = (
        frame["it"].agg(end) if value is None else value for end, value in zip(("min", "max"), held, strict=True)
    )
    assert low <= made.min() + 1e-12 and made.max() <= high + 1e-12
    # and gone up to, or well towards
    assert high == frame["it"].max() or made.max() > (frame["it"].max() + high) / 2
    assert made.dtype == frame["it"].dtype
    # what was seen alone keeps to that
    assert (
        Encoding.fit(frame, columns={"it": "number"}).decode(5 * wild(encoding, 500))["it"].max() == frame["it"].max()
    )


def test_a_table_that_is_given_nothing_needs_no_numbers() -> None:
    frame = pd.DataFrame({"a": ["x", "y", "y", None] * 5, "b": pd.to_datetime(["2020-01-01", "2020-01-09"] * 10)})
    encoding = Encoding.fit(frame)
    assert [type(column) for column in encoding.columns] == [WithGaps, Ranks]
    assert not any(isinstance(column, Number) for column in encoding.columns)
    pd.testing.assert_frame_equal(encoding.decode(encoding.encode(frame)), frame)
