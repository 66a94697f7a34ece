"""Columns of every kind that a data frame can have, for the tests of tables."""

from __future__ import annotations

import datetime
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

N = 120


def drawn() -> np.random.Generator:
    return np.random.default_rng(5)


def with_gaps(cells: Any, dtype: Any = None, missing: Any = None) -> pd.Series[Any]:
    """Return cells of which every seventh is missing, in a type; that of the cells when None."""
    held = pd.Series(cells, dtype=object)
    held[::7] = missing
    return held.astype(pd.Series(cells).dtype if dtype is None else dtype)


def days(n: int = N, first: str = "2019-11-20") -> pd.DatetimeIndex:
    """Return days in no order, some of them more than once."""
    return pd.DatetimeIndex(pd.Timestamp(first) + pd.to_timedelta(drawn().integers(0, 300, n), unit="D"))


def moments(step: Any, n: int = N, first: str = "2020-03-28 12:00") -> pd.DatetimeIndex:
    """Return times on a step in no order, on both sides of a change of clocks."""
    return pd.DatetimeIndex(pd.Timestamp(first) + pd.Timedelta(1, step) * drawn().integers(0, 200, n))


def texts(n: int = N) -> list[str]:
    return drawn().choice(["red", "green", "ünder, way", "", "1"], n).tolist()


def numeric() -> dict[str, pd.Series[Any]]:
    rng = drawn()
    whole = rng.integers(0, 100, N)
    columns = {f"{kind}": pd.Series(whole.astype(kind)) for kind in ("int8", "uint8", "int16", "uint16", "int32")}
    columns |= {f"{kind}": pd.Series(whole.astype(kind)) for kind in ("uint32", "int64", "uint64")}
    columns |= {f"{kind} with gaps": with_gaps(whole, kind) for kind in ("Int8", "UInt16", "Int64", "UInt64")}
    columns |= {
        "whole": pd.Series(np.round(rng.normal(0, 40, N))),
        "long": pd.Series(rng.integers(2**40, 2**41, N)),
        "long float": pd.Series(rng.integers(2**60, 2**61, N).astype(float)),
        "below zero": pd.Series(-whole - 3),
        "prices": pd.Series(25.0 * whole + 12.5),
        "one decimal": pd.Series(np.round(rng.normal(0, 1, N), 1)),
        "three decimals": pd.Series(np.round(rng.normal(0, 1e4, N), 3)),
        "float64": pd.Series(rng.normal(5, 2, N)),
        "float64 with gaps": with_gaps(rng.normal(5, 2, N), float),
        "Float64 with gaps": with_gaps(rng.normal(5, 2, N), "Float64", pd.NA),
        "float32": pd.Series(rng.normal(5, 2, N).astype(np.float32)),
        "float32 decimals": pd.Series(np.round(rng.normal(5, 2, N), 2).astype(np.float32)),
        "Float32 with gaps": with_gaps(rng.normal(5, 2, N).astype(np.float32), "Float32", pd.NA),
        "float16": pd.Series(np.round(rng.normal(5, 2, N), 1).astype(np.float16)),
        "skewed": pd.Series(np.exp(2 * rng.normal(size=N))),
        "zeros": pd.Series(np.where(rng.random(N) < 0.4, 0.0, rng.gamma(2, 3, N))),
        "zeros with gaps": with_gaps(np.where(rng.random(N) < 0.4, 0.0, rng.gamma(2, 3, N)), float),
        "few": pd.Series(rng.choice([4, 6, 8], N)),
        "few with gaps": with_gaps(rng.choice([0.5, 1.5], N), float),
        "sparse": pd.Series(pd.arrays.SparseArray(np.where(rng.random(N) < 0.7, 0, whole % 7))),
        "python ints": pd.Series(whole.tolist(), dtype=object),
        "python ints with gaps": with_gaps(whole.tolist(), object),
        "python floats": pd.Series(rng.normal(size=N).tolist(), dtype=object),
        "decimals": pd.Series([Decimal(int(cents)) / 100 for cents in whole], dtype=object),
    }
    return columns


def categorical() -> dict[str, pd.Series[Any]]:
    rng = drawn()
    flags = rng.random(N) < 0.3
    return {
        "bool": pd.Series(flags),
        "boolean with gaps": with_gaps(flags, "boolean", pd.NA),
        "python bools": pd.Series(flags.tolist(), dtype=object),
        "python bools with gaps": with_gaps(flags.tolist(), object),
        "str": pd.Series(texts(), dtype="str"),
        "str with gaps": with_gaps(texts(), "str"),
        "objects": pd.Series(texts(), dtype=object),
        "objects with gaps": with_gaps(texts(), object),
        "string[python]": pd.Series(texts(), dtype="string[python]"),
        "string[python] with gaps": with_gaps(texts(), "string[python]", pd.NA),
        "mostly distinct": pd.Series([f"name {i // 2 if i < 10 else i}" for i in range(N)]),
        "categories": pd.Series(pd.Categorical(texts())),
        "categories with gaps": with_gaps(texts(), pd.CategoricalDtype(sorted(set(texts())))),
        "unused categories": pd.Series(pd.Categorical(texts(), [*"abc", *sorted(set(texts()))])),
        "ordered": pd.Series(pd.Categorical(rng.choice(["low", "high"], N), ["low", "mid", "high"], ordered=True)),
        "numeric categories": pd.Series(pd.Categorical(rng.choice([10, 2, 33], N))),
        "small categories": pd.Series(pd.Categorical(rng.choice(np.array([1, 2, 3], dtype=np.int8), N))),
        "flags as categories": pd.Series(pd.Categorical(flags)),
        "object categories": pd.Series(pd.Categorical(texts(), pd.Index(sorted(set(texts())), dtype=object))),
        "mixed categories": pd.Series(pd.Categorical(rng.choice(np.array([1, "1"], dtype=object), N), [1, "1"])),
    }


def dated() -> dict[str, pd.Series[Any]]:
    rng = drawn()
    berlin, times = "Europe/Berlin", moments("min")
    units: Any = ("s", "ms", "us", "ns")
    columns: dict[str, pd.Series[Any]] = {f"days, {unit}": pd.Series(days()).dt.as_unit(unit) for unit in units}
    columns |= {
        "hours": pd.Series(moments("h")),
        "seconds": pd.Series(moments("s")),
        "noons": pd.Series(days() + pd.Timedelta("12h")),
        "microseconds": pd.Series(pd.to_datetime(rng.integers(0, 10**15, N), unit="us")),
        "milliseconds": pd.Series(pd.to_datetime(rng.integers(0, 10**12, N), unit="ms")),
        "with gaps": with_gaps(days(), "datetime64[us]", pd.NaT),
        "before 1970": pd.Series(days(first="1890-01-01")),
        "year 9999": pd.Series(days(first="9999-01-01")),
        "in UTC": pd.Series(times.tz_localize("UTC")),
        "in Berlin": pd.Series(times.tz_localize("UTC").tz_convert(berlin)),
        "hours in Berlin": pd.Series(moments("h", first="2020-10-24").tz_localize("UTC").tz_convert(berlin)),
        "days in Berlin": pd.Series(days().tz_localize(berlin)),
        "days in Berlin with gaps": with_gaps(days().tz_localize(berlin), f"datetime64[ns, {berlin}]", pd.NaT),
        "midnights of UTC in Berlin": pd.Series(days().tz_localize("UTC").tz_convert(berlin)),
        "days in Sao Paulo": pd.Series(
            days(first="2018-10-01").tz_localize("America/Sao_Paulo", nonexistent="shift_forward")
        ),
        "durations": pd.Series(pd.to_timedelta(rng.integers(0, 10**5, N), unit="s")),
        "negative durations": pd.Series(pd.to_timedelta(-rng.integers(0, 10**5, N), unit="ms")),
        "durations with gaps": with_gaps(pd.to_timedelta(rng.integers(0, 99, N), unit="D"), "timedelta64[ns]", pd.NaT),
        "python days": pd.Series([time.date() for time in days()], dtype=object),
        "python days with gaps": with_gaps([time.date() for time in days()], object),
        "python times": pd.Series([time.to_pydatetime() for time in times], dtype=object),
        "python days of 9999": pd.Series([datetime.date(9999, 12, 1 + i % 31) for i in range(N)], dtype=object),
    }
    formats = (
        "%Y-%m-%d",
        "%d.%m.%Y",
        "%m/%d/%Y",
        "%d/%m/%y",
        "%Y%m%d",
        "%d %b %Y",
        "%Y-%m-%dT%H:%M:%S",
        "%d.%m.%Y %H:%M",
    )
    for format in (*formats, "%Y-%m-%d %H:%M:%S+00:00", "%Y-%m-%dT%H:%M:%S.%f", "%-m/%-d/%Y", "%-d.%-m.%Y %H:%M"):
        columns[f"text, {format}"] = pd.Series(
            (days() + times.minute * pd.Timedelta("1min")).strftime(format), dtype="str"
        )
    columns["text, milliseconds"] = pd.Series([f"{time:%Y-%m-%dT%H:%M:%S}.{i:03}Z" for i, time in enumerate(times)])
    columns["text with gaps"] = with_gaps(days().strftime("%d.%m.%Y"), object)
    columns["text as categories"] = pd.Series(pd.Categorical(days().strftime("%Y-%m-%d")))
    return columns


def arrow() -> dict[str, pd.Series[Any]]:
    if find_spec("pyarrow") is None:
        return {}
    import pyarrow as pa

    whole = drawn().integers(0, 100, N)
    stamp = pd.ArrowDtype(pa.timestamp("us", "Europe/Berlin"))
    columns: dict[str, pd.Series[Any]] = {
        "int32": pd.Series(whole).astype("int32[pyarrow]"),
        "uint64 with gaps": with_gaps(whole, "uint64[pyarrow]"),
        "double with gaps": with_gaps(drawn().normal(size=N), "double[pyarrow]"),
        "float": pd.Series(np.round(drawn().normal(size=N), 2)).astype("float[pyarrow]"),
        "bool with gaps": with_gaps(whole > 40, "bool[pyarrow]"),
        "string[pyarrow]": with_gaps(texts(), "string[pyarrow]"),
        "string of Arrow": with_gaps(texts(), pd.ArrowDtype(pa.string())),
        "dates in strings of Arrow": pd.Series(days().strftime("%d.%m.%Y")).astype(pd.ArrowDtype(pa.string())),
        "timestamp": pd.Series(moments("s")).astype("timestamp[us][pyarrow]"),
        "timestamp in a zone": pd.Series(moments("h").tz_localize("UTC").tz_convert("Europe/Berlin")).astype(stamp),
        "days in a zone": pd.Series(days().tz_localize("Europe/Berlin")).astype(stamp),
        "date32": pd.Series(days()).astype(pd.ArrowDtype(pa.date32())),
        "duration": pd.Series(pd.to_timedelta(whole, unit="s")).astype(pd.ArrowDtype(pa.duration("us"))),
    }
    return {f"arrow {name}": column for name, column in columns.items()}


COLUMNS_OF_TABLES: dict[str, pd.Series[Any]] = numeric() | categorical() | dated() | arrow()
"""One column of each kind, by a name of it."""
