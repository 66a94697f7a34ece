"""Parquet files with columns of every kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from campaign.edits import REFUSED, Edit, Generator


def _edit(name: str, columns: Callable[[], Any], truth: Any = None, label: str | None = None) -> Edit:
    def make(folder: Path, generator: Generator) -> tuple[Path, Any]:
        made = columns()
        pq.write_table(made if isinstance(made, pa.Table) else pa.table(made), folder / "t.parquet")
        return folder / "t.parquet", truth

    return Edit(f"parquet: {name}", make, label)


def _strange_columns() -> dict[str, Callable[[], Any]]:
    return {
        "lists": lambda: pa.array([[1, 2]] * 8),
        "structs": lambda: pa.array([{"u": 1}] * 8),
        "bytes": lambda: pa.array([b"\xff\0"] * 8),
        "maps": lambda: pa.array([[("k", 1)]] * 8, pa.map_(pa.string(), pa.int64())),
        "nulls": lambda: pa.nulls(8),
        "decimals": lambda: pa.array(range(8), pa.decimal128(38, 10)),
        "times of day": lambda: pa.array(range(8), pa.time32("s")),
        "durations": lambda: pa.array(range(8), pa.duration("us")),
        "the year 9999": lambda: pa.array([253402300799] * 8, pa.timestamp("s")),
        "before all years": lambda: pa.array([-(2**62)] * 8, pa.timestamp("us")),
        "dates": lambda: pa.array(range(8), pa.date32()),
        "dates of half a million years": lambda: pa.array([2**28] * 8, pa.date32()),
        "a time zone that there is not": lambda: pa.array(range(8), pa.timestamp("s", "Mars/Base")),
        "half precision": lambda: pa.array(np.arange(8, dtype=np.float16)),
        "largest unsigned": lambda: pa.array([2**64 - 1 - i for i in range(8)], pa.uint64()),
        "a dictionary with gaps": lambda: pa.array(["a", None] * 4).dictionary_encode(),
        "truth values with gaps": lambda: pa.array([True, None] * 4),
        "an infinite number": lambda: pa.array([float("inf"), *range(7)], pa.float64()),
        "large text": lambda: pa.array(["$x$ <b> \u202e", "\0"] * 4, pa.large_string()),
    }


def _beside(numbers: Any, make: Callable[[], Any]) -> dict[str, Any]:
    return {"a": numbers, "b": make()}


def parquet_edits() -> list[Edit]:
    """Return the kinds."""
    numbers = pa.array(np.arange(8.0))
    whole = [[2**53 + 1 + i, 2**60 + i] for i in range(8)]
    noted = {
        "damaged": "{",
        "of an index that is not there": '{"index_columns": ["no"], "columns": [], "column_indexes": []}',
    }
    found = [_edit(name, partial(_beside, numbers, make)) for name, make in _strange_columns().items()]
    found += [
        _edit(
            f"pandas' notes {name}",
            partial(pa.table({"a": numbers}).replace_schema_metadata, {"pandas": notes}),
        )
        for name, notes in noted.items()
    ]
    return [
        *found,
        _edit("a name twice", lambda: pa.table([numbers, numbers], names=["a", "a"]), REFUSED),
        _edit("an empty name", lambda: {"": numbers, "b": numbers}),
        _edit("no rows", lambda: {"a": numbers[:0]}, REFUSED),
        _edit("no columns", lambda: pa.table({}), REFUSED),
        _edit("one row", lambda: {"a": numbers[:1]}, REFUSED),
        _edit(
            "whole numbers beyond 2^53", lambda: {name: [row[i] for row in whole] for i, name in enumerate("ab")}, whole
        ),
        _edit("labels that are lists", lambda: {"a": numbers, "b": pa.array([[1, 2]] * 8)}, REFUSED, "b"),
        _edit("labels with gaps", lambda: {"a": numbers, "b": pa.array(["u", None] * 4)}, REFUSED, "b"),
        _edit("nothing but labels", lambda: {"b": numbers}, REFUSED, "b"),
        _edit("two thousand columns", lambda: {f"c{i}": numbers for i in range(2000)}),
        _edit(
            "an index of pandas", lambda: pa.Table.from_pandas(pd.DataFrame({"a": range(8)}, index=list("abcdefgh")))
        ),
    ]
