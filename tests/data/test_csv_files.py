"""CSV files as they are: what is found in them, what is said of it, and what is refused, all against known contents."""

import gzip
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ncsn.data.csv_files import CsvTable, Dialect, look_at, read_csv, write_csv
from ncsn.errors import DataError


def table_of(tmp_path: Path, content: str | bytes, name: str = "a.csv") -> CsvTable:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_csv(path)


def column_of(tmp_path: Path, cells: list[str], separator: str = ";") -> tuple[Any, tuple[str, ...]]:
    """Return a column of some cells, beside one of text, and what is said of it."""
    lines = [f"x{separator}other", *(f"{cell}{separator}text" for cell in cells)]
    table = table_of(tmp_path, "\n".join(lines))
    said = tuple(note for note in table.notes if not note.endswith("between the cells"))
    return table.frame["x"], said


def refusal(tmp_path: Path, content: str | bytes, name: str = "a.csv") -> str:
    with pytest.raises(DataError) as error:
        table_of(tmp_path, content, name)
    message = str(error.value)
    assert message.startswith(f"{tmp_path / name}: ") and "\n" not in message
    return message.removeprefix(f"{tmp_path / name}: ")


# Every dialect

KNOWN = pd.DataFrame(
    {
        "whole": [1, -20, 300, 4],
        "whole with gaps": pd.array([1, None, 3, -4], "Int64"),
        "length": [0.1, -1234.5678, 1e-300, 3.0],
        "length, with gaps": [math.nan, 0.30000000000000004, 1e22, 2.5],
        "ripe": [True, False, True, True],
        "ripe with gaps": pd.array([None, False, True, True], "boolean"),
        "caf\u00e9": ["Zo\u00eb", 'say "yes"; or | no', "1,5\tand more", "two\nlines"],
        "text with gaps": ["yes", None, "no", "  yes "],
        "zip": ["01234", "98765", "00001", "12345"],
        "day": ["2020-01-31", None, "31.12.2019", "1/2/2020"],
    }
)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz", ".TSV.GZ"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("decimal", [".", ","], ids=["point", "comma"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"], ids=["commas", "semicolons", "tabs", "bars"])
def test_every_dialect_is_found(
    tmp_path: Path, separator: str, decimal: str, encoding: str, line_end: str, ending: str
) -> None:
    dialect = Dialect(separator, decimal, "", encoding, line_end)
    path = tmp_path / f"a{ending}"
    content = write_csv(KNOWN, path, dialect)
    assert content.startswith(b"\x1f\x8b") == ending.lower().endswith(".gz")
    table = table_of(tmp_path, content, path.name)
    pd.testing.assert_frame_equal(table.frame, KNOWN, check_exact=True)
    assert table.dialect == dialect
    assert Dialect.from_dict(json.loads(json.dumps(table.dialect.to_dict()))) == dialect
    said = ["column 'zip': text, as numbers begin with zeros"]
    names = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
    said += [f"{names[separator]} between the cells"] * (separator != ("\t" if "tsv" in ending.lower() else ","))
    said += ["decimal comma"] * (decimal == ",")
    said += ["read as UTF-16"] * (encoding == "utf-16")
    said += ["read as Latin-1, as it is no UTF-8"] * (encoding == "cp1252")
    assert sorted(table.notes) == sorted(said)
    assert write_csv(table.frame, path, table.dialect) == content


@pytest.mark.parametrize("mark", ["utf-16-be", "utf-16-le"])
def test_utf_16_of_either_order(tmp_path: Path, mark: str) -> None:
    table = table_of(tmp_path, "\ufeffa,b\n1,\u00fc\n2,\u4e2d\n".encode(mark))
    assert table.frame["b"].tolist() == ["\u00fc", "\u4e2d"] and table.dialect.encoding == "utf-16"


def test_latin_1_where_windows_has_no_such_character(tmp_path: Path) -> None:
    table = table_of(tmp_path, b"a,b\n1,\x81\n2,\xfc\n")
    assert table.frame["b"].tolist() == ["\x81", "\xfc"] and table.dialect.encoding == "latin-1"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_ends_of_lines_and_blank_lines(tmp_path: Path, end: str, last: bool) -> None:
    content = end.join(["", "a,b", "1,x", "", "2,y", *[""] * last])
    table = table_of(tmp_path, content)
    pd.testing.assert_frame_equal(table.frame, pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        # the decimal comma splits each line as often as the semicolon does
        ("name;price, EUR\nx;1,5\ny;2,5\n", {"name": ["x", "y"], "price, EUR": [1.5, 2.5]}),
        ("a;b;c\n1,5;2,5;x\n3,5;4,5;y\n", {"a": [1.5, 3.5], "b": [2.5, 4.5], "c": ["x", "y"]}),
        ("a,note\n1,x;y\n2,z;w\n", {"a": [1, 2], "note": ["x;y", "z;w"]}),
        ('a,"b;c"\n1,"2;3, 4"\n2,"x"\n', {"a": [1, 2], "b;c": ["2;3, 4", "x"]}),
        ('"a";"b"\n"1,5";"x"\n"2,5";"y"\n', {"a": [1.5, 2.5], "b": ["x", "y"]}),
        ("a, b, c\n1, x, 2.5\n2, y, 3.5\n", {"a": [1, 2], "b": ["x", "y"], "c": [2.5, 3.5]}),
        ('a, b\n1, "x, y"\n2, "z"\n', {"a": [1, 2], "b": ["x, y", "z"]}),
        ("only\n1\n2\n", {"only": [1, 2]}),
        ('only\n"a, b"\n"c"\n', {"only": ["a, b", "c"]}),
        ('a,b\n1,x"y\n2,"z"w\n', {"a": [1, 2], "b": ['x"y', "zw"]}),
    ],
)
def test_what_stands_between_cells(tmp_path: Path, text: str, columns: dict[str, list[Any]]) -> None:
    pd.testing.assert_frame_equal(table_of(tmp_path, text).frame, pd.DataFrame(columns))


# Columns


@pytest.mark.parametrize(
    ("cells", "values", "kind"),
    [
        (["1", "-2", "+3"], [1, -2, 3], "int64"),
        (["9223372036854775807", "-9223372036854775808"], [2**63 - 1, -(2**63)], "int64"),
        (["9007199254740993", ""], [2**53 + 1, pd.NA], "Int64"),
        (["1", " 2 ", ""], [1, 2, pd.NA], "Int64"),
        (["1.0", "2"], [1.0, 2.0], "float64"),
        (["1e3", "-2E-2", ".5", "5."], [1000.0, -0.02, 0.5, 5.0], "float64"),
        (["0", "0.5", "-0"], [0.0, 0.5, 0.0], "float64"),
        (["2.5", "NA", "-1.#IND"], [2.5, math.nan, math.nan], "float64"),
        (["true", "FALSE", "True"], [True, False, True], "bool"),
        (["true", "", "False"], [True, pd.NA, False], "boolean"),
        (["0", "1", "0"], [0, 1, 0], "int64"),
        (["", "NA"], [math.nan, math.nan], "float64"),
    ],
)
def test_types_of_columns(tmp_path: Path, cells: list[str], values: list[Any], kind: str) -> None:
    column, _ = column_of(tmp_path, cells)
    pd.testing.assert_series_equal(column, pd.Series(values, dtype=kind, name="x"), check_exact=True)


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        (["yes", "no", "yes"], None),
        (["true", "false", "maybe"], None),
        (["01234", "98765"], "text, as numbers begin with zeros"),
        (["01234", "K1A"], None),
        (["9223372036854775808", "1"], "text, as whole numbers have more than 64 bits"),
        (["2020-01-31", "2021-12-01"], None),
        (["31.12.2020", "01.02.2021"], None),
        (["12:30", "1:05"], None),
        (["1_000", "2"], None),
        (["0x10", "12"], None),
        (["5%", "$7"], None),
        (["?", "-", "a"], None),
        (["?", "?"], None),
        ([" a", "a "], None),
        (["1", "2", "3", "abc"], "text, though most cells are numbers"),
        (["\u0663", "\u0664"], None),
    ],
)
def test_text_stays_as_it_is(tmp_path: Path, cells: list[str], note: str | None) -> None:
    column, said = column_of(tmp_path, cells)
    assert column.tolist() == cells and column.dtype == pd.Series(cells).dtype
    assert said == (() if note is None else (f"column 'x': {note}",))


@pytest.mark.parametrize("marker", ["?", "-", "missing", "Missing", "n/a", "NA", "NULL", "None", " na", "."])
@pytest.mark.parametrize("cells", [["1.5", "2.5"], ["1", "2"], ["2020-01-31", "2020-02-01 10:30"], ["31/12/2020"]])
def test_markers_among_numbers_and_dates_are_gaps(tmp_path: Path, marker: str, cells: list[str]) -> None:
    column, said = column_of(tmp_path, [*cells, marker, ""])
    assert column.isna().tolist() == [*[False] * len(cells), True, True]
    assert said == (f"{marker.strip()!r} is a missing cell in 'x'",)


def test_markers_among_text_are_those_of_pandas(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a,b,c\nx,NA,1\n?,?,?\n-,None,2\nmissing,y,NA\nn/a,z,3\n")
    assert table.frame["a"].tolist()[:4] == ["x", "?", "-", "missing"]
    gaps = {"a": [False] * 4 + [True], "b": [True, False, True, False, False], "c": [False, True, False, True, False]}
    assert table.frame.isna().to_dict("list") == gaps
    assert table.notes == (
        "'n/a' is a missing cell in 'a'",
        "'NA' is a missing cell in 'b', 'c'",
        "'None' is a missing cell in 'b'",
        "'?' is a missing cell in 'c'",
    )


@pytest.mark.parametrize(
    ("separator", "cells", "values", "kind", "note"),
    [
        (",", ['"1,234"', '"12,345,678"', "5"], [1234, 12345678, 5], "int64", "'1,234' is read as 1234"),
        (",", ['"1,234.5"', "999.25"], [1234.5, 999.25], "float64", "'1,234.5' is read as 1234.5"),
        (",", ['"1,5"', '"0,123"'], [1.5, 0.123], "float64", None),
        (
            ";",
            ["1.234,5", "12.345.678,25", "0,5"],
            [1234.5, 12345678.25, 0.5],
            "float64",
            "'1.234,5' is read as 1234.5",
        ),
        (";", ["1.234.567", "12"], [1234567, 12], "int64", "'1.234.567' is read as 1234567"),
        (
            ";",
            ["1 234", "12\u00a0345", "1\u202f000\u202f000"],
            [1234, 12345, 10**6],
            "int64",
            "'1 234' is read as 1234",
        ),
        ("\t", ["1 234,5", "0,25"], [1234.5, 0.25], "float64", "'1 234,5' is read as 1234.5"),
        (";", ["1'234.5", "2\u2019000"], [1234.5, 2000.0], "float64", '"1\'234.5" is read as 1234.5'),
        # what could be either: a fraction beside semicolons, thousands beside commas and tabs
        (";", ["1,234", "5,678"], [1.234, 5.678], "float64", "'1,234' is read as 1.234"),
        (",", ['"1,234"', '"5,678"'], [1234, 5678], "int64", "'1,234' is read as 1234"),
        ("\t", ["1,234", "5,678"], [1234, 5678], "int64", "'1,234' is read as 1234"),
        (";", ["1.234", "5.678"], [1.234, 5.678], "float64", "'1.234' is read as 1.234"),
        (",", ["1.234", "0.678"], [1.234, 0.678], "float64", None),
    ],
)
def test_thousands(
    tmp_path: Path, separator: str, cells: list[str], values: list[float], kind: str, note: str | None
) -> None:
    column, said = column_of(tmp_path, cells, separator)
    pd.testing.assert_series_equal(column, pd.Series(values, dtype=kind, name="x"))
    assert [entry for entry in said if entry != "decimal comma"] == [f"column 'x': {note}"] * (note is not None)


@pytest.mark.parametrize(
    "cells", [["1,23", "1,234,567"], ["0,123,456", "1"], ["1,2345,678", "1"], [",123", "1,000,000"]]
)
def test_groups_of_other_sizes_are_no_thousands(tmp_path: Path, cells: list[str]) -> None:
    column, _ = column_of(tmp_path, cells)
    assert column.tolist() == cells


def test_other_columns_tell_what_a_mark_means(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a;b;c\n1,5;1.234;1 000\n2,25;5.678;2\n")
    assert table.frame.to_dict("list") == {"a": [1.5, 2.25], "b": [1234, 5678], "c": [1000, 2]}
    assert table.dialect == Dialect(";", ",", ".")
    table = table_of(tmp_path, "a;b\n1.5;1,234\n2.25;5,678\n")
    assert table.frame.to_dict("list") == {"a": [1.5, 2.25], "b": [1234, 5678]}
    assert table.dialect == Dialect(";", ".", ",")
    # columns that do not agree are each read as they must be
    table = table_of(tmp_path, "a;b;c\n1,5;1.25;2,5\n2,5;2.5;3,5\n")
    assert table.frame.to_dict("list") == {"a": [1.5, 2.5], "b": [1.25, 2.5], "c": [2.5, 3.5]}
    assert table.notes == ("semicolons between the cells", "decimal comma", "column 'b': '1.25' is read as 1.25")


# Names


@pytest.mark.parametrize(
    ("header", "names", "notes"),
    [
        ("a,b,c", ["a", "b", "c"], []),
        (
            "a,a,a",
            ["a", "a_2", "a_3"],
            [f"another column is called 'a', so column {i} is called 'a_{i}'" for i in (2, 3)],
        ),
        ("a,a_2,a", ["a", "a_2", "a_3"], ["another column is called 'a', so column 3 is called 'a_3'"]),
        (",b, ", ["column_1", "b", "column_3"], [f"column {i} has no name and is called 'column_{i}'" for i in (1, 3)]),
        ("a,,column_2", ["a", "column_2_2", "column_2"], ["column 2 has no name and is called 'column_2_2'"]),
        ("2001,kind,2002", ["2001", "kind", "2002"], []),
    ],
)
def test_names_of_columns(tmp_path: Path, header: str, names: list[str], notes: list[str]) -> None:
    table = table_of(tmp_path, f"{header}\n1,x,2\n3,y,4\n")
    assert list(table.frame) == names and list(table.notes) == notes
    assert table.frame.iloc[0].tolist() == [1, "x", 2]


def test_a_column_without_name_and_values_is_left_out(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a,b,\n1,x,\n2,y,\n")
    assert list(table.frame) == ["a", "b"]
    assert table.notes == ("column 3 has neither name nor values and is left out",)


def test_a_single_column_with_gaps(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a\n1\n\n3\n\n")
    assert table.frame["a"].tolist() == [1, pd.NA, 3] and table.notes == ("blank lines are missing cells",)
    frame = pd.DataFrame({"a": [math.nan, 1.5, math.nan]})
    again = table_of(tmp_path, write_csv(frame, tmp_path / "a.csv", Dialect()))
    pd.testing.assert_frame_equal(again.frame, frame)


# Refusals

MIXED = [str(age) for age in range(20, 60)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n \n\n", "the file is empty"),
        (
            "height,weight\n170.5,70.1,1\n",
            "the header names 2 columns, but line 2 has 3 cells; if rows have names, give",
        ),
        ("a,b\n1,2\n3\n4,5,6\n7,8\n", "the header names 2 columns, but line 3 has 1 cell, line 4 has 3 cells"),
        ('a,b\n1,"two\nlines"\n3\n', "the header names 2 columns, but line 4 has 1 cell"),
        ("a,b\n" + "1\n" * 9, "line 5 has 1 cell, line 6 has 1 cell and 4 more"),
        ("a\n1,2\n3,4\n", "the header names 1 column, but line 2 has 2 cells, line 3 has 2 cells"),
        ("A report\na;b\n1;2\n3;4\n", "the header names 1 column, but line 2 has 2 cells"),
        ("1.0,2.0\n3,4\n", "the first line holds numbers (1.0, 2.0); begin with the columns' names"),
        ("0,0,1e-3,0.0\n3,4,5,6\n", "the first line holds numbers (0, 0, 1e-3)"),
        ("5.1,3,setosa\n4.9,3,setosa\n", "the first line holds numbers (5.1, 3)"),
        ("5,1;3;setosa\n4,9;3;setosa\n", "the first line holds numbers (5,1, 3)"),
        ('x,y\n1,2\n"3,4\n', "a quote in the row that begins in line 3 is never closed"),
        ('x,y\n1,2\n3,"4\n5,6\n', "a quote in the row that begins in line 3 is never closed"),
        (
            'x,y\n1,2\n3,"' + "4\n" * 70_000,
            "line 3 cannot be read (field larger than field limit (131072)); is a quote",
        ),
        (
            "x,y\n1,inf\n2,3\n3,-Infinity\n",
            "column 'y': row 1 (line 2) holds 'inf', row 3 (line 4) holds '-Infinity', not",
        ),
        ("x,y\n1,1e999\n2,3\n", "column 'y': row 1 (line 2) holds '1e999', not a finite number"),
        ("x,y\n1,\0\n", "line 2 holds '\\x00', which no text holds; it is no CSV file, or damaged"),
        (b"x,y\n1,2\n2,\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\n", "line 3 holds bytes that are no utf-8"),
        (b"\xff\xfex\0,\0y\0\n\0\x00\xd8", "line 2 holds bytes that are no utf-16"),
        (
            "age,b\n" + "\n".join(f"{age},x" for age in [*MIXED[:6], "abc", *MIXED]),
            "column 'age': row 7 (line 8) holds 'abc'",
        ),
        (
            "\n\nage,b\n" + "\n".join(f"{age},x" for age in [*MIXED, "1O"]),
            "column 'age': row 41 (line 44) holds '1O' among",
        ),
        (
            "a;b\n" + "\n".join(f"{age};x" for age in [*[f"{age},5" for age in MIXED], "?", "n. a."]),
            "column 'a': row 42 (line 43) holds 'n. a.' among",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert message in refusal(tmp_path, text)


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    rows = [f"{i},{i / 2},{i},x" for i in range(40)]
    rows[2], rows[6], rows[7], rows[30] = "1,2,3", "6,abc,3,x", "7,?,inf,x", "1,2,3,4,5"
    assert refusal(tmp_path, "\n".join(["a,b,c,d", *rows])) == (
        "the header names 4 columns, but line 4 has 3 cells, line 32 has 5 cells; "
        "column 'b': row 7 (line 8) holds 'abc' among numbers; "
        "column 'c': row 8 (line 9) holds 'inf', not a finite number; correct or empty those cells"
    )


def test_many_columns_with_wrong_cells_are_listed_in_part(tmp_path: Path) -> None:
    lines = [",".join(f"c{i}" for i in range(9)), *([",".join(["1"] * 9)] * 40), ",".join(["x"] * 9)]
    message = refusal(tmp_path, "\n".join(lines))
    assert message.count("among numbers") == 5 and message.endswith(
        "among numbers and 4 more; correct or empty those cells"
    )


def test_files_that_are_damaged_or_not_there(tmp_path: Path) -> None:
    whole = gzip.compress(b"a,b\n1,2\n" * 1000)
    for content in (whole[:-30], b"a,b\n1,2\n", whole[:20] + b"junk" + whole[24:]):
        assert refusal(tmp_path, content, "a.csv.gz").startswith("cannot be read as a table, it may be damaged (")
    with pytest.raises(DataError, match=r"^no such file or folder: .*none\.csv$"):
        look_at(tmp_path / "none.csv")


# Looking first


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,x\n2,y\n")
    first = look_at(str(path))
    assert first is not None
    first.frame.loc[0, "a"] = 5
    read: list[Path] = []

    def read_bytes(of: Path) -> bytes:
        read.append(of)
        return b"a,b\n7,x\n8,y\n"

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert read_csv(path).frame["a"].tolist() == [1, 2] and read == []
    os.utime(path, ns=(1, 1))
    assert read_csv(path).frame["a"].tolist() == [7, 8] and read == [path]


def test_what_is_no_csv_file_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "images.csv").mkdir()
    assert [look_at(data) for data in ("moons", tmp_path / "none.npy", tmp_path / "images.csv")] == [None] * 3


def test_a_file_is_looked_at_without_torch(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,x\n2\n")
    code = (
        "import sys\nfrom ncsn.data import look_at\nfrom ncsn.errors import DataError\n"
        "try:\n    look_at(sys.argv[1])\nexcept DataError as error:\n    print(error)\n"
        "print([name for name in ('torch', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    run = [sys.executable, "-c", code, str(tmp_path / "a.csv")]
    lines = subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0].endswith("the header names 2 columns, but line 3 has 1 cell") and lines[1:] == ["[]"]


def test_the_names_of_the_room_are_all_there() -> None:
    from ncsn import data

    assert sorted(vars(data)["__all__"]) == sorted(dir(data))
    assert all(getattr(data, name) is not None for name in dir(data))


def test_a_large_table_is_read_exactly(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(20_000, 8)) * 10.0 ** generator.integers(-200, 200, 8))
    frame.columns = [f"x{i}" for i in range(8)]
    frame["n"] = generator.integers(-(2**62), 2**62, 20_000)
    table = table_of(tmp_path, write_csv(frame, tmp_path / "a.csv", Dialect()))
    pd.testing.assert_frame_equal(table.frame, frame, check_exact=True)
