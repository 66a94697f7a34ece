"""What holds of any data: what is written comes back as it was, from files of every format and from the encoding."""

import string
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from ncsn.data import FORMATS, Encoding, load, save_samples

PROPERTY = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

# no control characters, which no text file holds, and no halves of characters
CHARACTERS = st.characters(exclude_categories=("Cs", "Cc"))
NAMES = st.text(CHARACTERS, min_size=1, max_size=12).filter(
    # a first line of numbers is refused, as the names are missing then
    lambda name: bool(name.strip()) and not set(name) <= set("0123456789.,eE+- ")
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
DTYPES = st.sampled_from(["float64", "float32", "float16", "int64", "int8", "uint16", "bool"])
ROWS = arrays.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=6)


def numbers(shape: Any) -> st.SearchStrategy[Any]:
    """Return arrays of a shape, of any type of numbers, all of them finite."""
    finite: dict[str, Any] = {"allow_nan": False, "allow_infinity": False}
    return DTYPES.flatmap(
        lambda dtype: arrays.arrays(
            dtype, shape, elements=arrays.from_dtype(np.dtype(dtype), **(finite if "float" in dtype else {}))
        )
    )


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Draw tables of whole numbers, fractions, truth values and texts, with any names, and with gaps."""
    n = draw(st.integers(2, 8))
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    columns: dict[str, Any] = {}
    for name in names:
        kind = draw(st.sampled_from(["whole", "fraction", "truth", "text"]))
        gaps = draw(st.lists(st.booleans(), min_size=n, max_size=n)) if draw(st.booleans()) else [False] * n
        cells: Any = {
            "whole": st.integers(-(2**63), 2**63 - 1),
            "fraction": FINITE,
            "truth": st.booleans(),
            # words, so that no text is taken for a number, a gap or a date
            "text": st.text(CHARACTERS, max_size=8).map(lambda text: f"w{text}w"),
        }[kind]
        drawn = draw(st.lists(cells, min_size=n, max_size=n))
        held = [None if gap else cell for gap, cell in zip(gaps, drawn, strict=True)]
        # a column of nothing has no type
        held[0] = drawn[0]
        dtype: Any = {"whole": "Int64", "fraction": "float64", "truth": "boolean", "text": "str"}[kind]
        columns[name] = pd.array(held, dtype=dtype)
    return pd.DataFrame(columns)


def same(found: Any, expected: pd.DataFrame) -> None:
    """Check that two tables have the same names, gaps and cells, bit for bit, of whichever types."""
    assert list(found.columns) == list(expected.columns)
    for position, name in enumerate(expected.columns):
        read, written = found.iloc[:, position], expected.iloc[:, position]
        np.testing.assert_array_equal(read.isna(), written.isna(), err_msg=name)
        assert read[written.notna()].tolist() == written[written.notna()].tolist(), name


@PROPERTY
@given(table=tables())
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz", ".parquet"])
def test_tables_come_back_from_files(tmp_path: Path, ending: str, table: pd.DataFrame) -> None:
    path = tmp_path / f"table{ending}"
    save_samples(table, path)
    same(load(path).values, table)


@PROPERTY
@given(values=ROWS.flatmap(numbers))
@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_arrays_come_back_from_files(tmp_path: Path, ending: str, values: Any) -> None:
    path = tmp_path / f"rows{ending}"
    save_samples(values, path)
    found = load(path).values
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(np.asarray(found), values)


@PROPERTY
@given(label=st.text(string.ascii_letters + "äß中🙂 _", min_size=1, max_size=6), values=ROWS.flatmap(numbers))
def test_labels_come_back_from_archives_and_tables(tmp_path: Path, label: str, values: Any) -> None:
    assume(label.strip() and label not in ("x", "X", "data", "file") and not label.startswith("x"))
    labels = np.array([f"class {i % 2}" for i in range(len(values))])
    for ending in (kind for kind, format in FORMATS.items() if format.has_labels):
        path = tmp_path / f"rows{ending}"
        save_samples(values, path, labels=labels, label_name=label)
        found = load(path, label=label)
        assert found.labels is not None and found.labels.tolist() == labels.tolist()
        # a text has the digits that tell numbers of the type apart
        np.testing.assert_array_equal(np.asarray(found.values).astype(values.dtype), values)


@PROPERTY
@given(
    values=arrays.array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=5).flatmap(
        lambda shape: arrays.arrays("float64", shape, elements=st.floats(-1e6, 1e6, allow_subnormal=False))
    )
)
def test_arrays_come_back_from_the_encoding(values: Any) -> None:
    assume(values.std() > 1e-3 and (values.ndim > 2 or (values.std(0) > 1e-3).all()))
    encoding = Encoding.fit(values)
    np.testing.assert_allclose(encoding.decode(encoding.encode(values)), values, rtol=1e-9, atol=1e-6)


@PROPERTY
@given(table=tables())
def test_tables_come_back_from_the_encoding(table: pd.DataFrame) -> None:
    """Numbers far beyond what differences between rows can hold are not of a table that can be learned."""
    for name, column in table.items():
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            small = pd.to_numeric(column).astype("Float64") % 997.0
            table[name] = small.round().astype("Int64") if column.dtype == "Int64" else small.astype("float64").round(3)
    assume(any(column.nunique(dropna=False) > 1 for _, column in table.items()))
    encoding = Encoding.fit(table)
    found = encoding.decode(encoding.encode(table))
    assert list(found.columns) == list(table.columns)
    for position, name in enumerate(table.columns):
        read, given_ = found.iloc[:, position], table.iloc[:, position]
        np.testing.assert_array_equal(read.isna(), given_.isna(), err_msg=name)
        if pd.api.types.is_float_dtype(given_):
            np.testing.assert_allclose(read[given_.notna()].astype(float), given_[given_.notna()], atol=1e-3)
        else:
            assert read[given_.notna()].tolist() == given_[given_.notna()].tolist(), name
