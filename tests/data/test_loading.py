"""Data sets by name, file and folder: what loads, and what is said of what does not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_wine

from ncsn.data import DATASETS, Dialect, load, moons
from ncsn.errors import DataError, SettingError

from .common import loaded, seeded


@pytest.mark.parametrize("name", DATASETS)
def test_every_built_in_set_loads(name: str) -> None:
    data = load(name, n=50)
    assert data.name == name and np.isfinite(np.asarray(data.values)).all()
    assert (data.labels is None) == (data.label_name is None)
    if data.labels is not None:
        assert len(data.labels) == len(data.values)


def test_toys_load_with_labels_and_fresh_draws() -> None:
    data = loaded("moons", n=200, seed=4)
    assert torch.equal(torch.from_numpy(data.values), moons(200, seeded(4)))
    upper = data.values[data.labels == 0] + np.array([0.5, 0.25])
    assert np.linalg.norm(upper, axis=1) == pytest.approx(np.ones(len(upper)), abs=0.3)
    fresh = data.draw(70, seeded(5))
    assert fresh.shape == (70, 2) and np.array_equal(fresh, data.draw(70, seeded(5)))
    assert not np.array_equal(load("moons", n=200, seed=5).values, data.values)
    with pytest.raises(SettingError, match="n must be at least 1, not -5"):
        load("rings", n=-5)
    with pytest.raises(DataError, match="swiss_roll: 1 row; at least 2"):
        load("swiss_roll", n=1)


def test_shipped_sets_keep_shape_and_columns() -> None:
    assert load("digits").values.shape == (1797, 8, 8) and load("digits").values.max() == 16
    wine = loaded("wine", label="target")
    pd.testing.assert_frame_equal(wine.values, load_wine(as_frame=True).data)
    assert np.array_equal(np.unique(wine.labels), [0, 1, 2])
    diabetes = load("diabetes")
    assert diabetes.labels is None and list(diabetes.values)[-1] == "target" and diabetes.values["age"].max() == 79
    with pytest.raises(DataError, match="wine: no labels called 'kind'; its labels are called 'target'"):
        load("wine", label="kind")
    with pytest.raises(DataError, match="swiss_roll: no labels called 'x'; it has none"):
        load("swiss_roll", label="x")


def test_missing_and_unknown(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown data set 'swis_roll'; did you mean 'swiss_roll'\?.*no such file"):
        load("swis_roll")
    with pytest.raises(DataError, match=r"^no such file or folder: nothing/here.csv$"):
        load("nothing/here.csv")
    (tmp_path / "a.xls").write_text("x")
    with pytest.raises(
        DataError, match=r"unknown ending '\.xls'; data comes as \.csv \.tsv .*\.parquet \.npy \.npz or a folder"
    ):
        load(tmp_path / "a.xls")


def test_gaps_of_tables_are_kept_and_those_of_arrays_where_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,\n,4\n")
    for gaps in (False, True):
        values = loaded(tmp_path / "a.csv", gaps=gaps).values
        assert values.isna().to_numpy().tolist() == [[False, True], [True, False]]
        assert values.dtypes.tolist() == [pd.Int64Dtype(), pd.Int64Dtype()]
    (tmp_path / "b.csv").write_text("a,b\n1,inf\n,4\n")
    with pytest.raises(DataError, match=r"column 'b': row 1 \(line 2\) holds 'inf', not a finite number"):
        load(tmp_path / "b.csv", gaps=True)
    np.save(tmp_path / "c.npy", np.array([[1.0, np.nan]]))
    with pytest.raises(DataError, match="1 row; at least 2 are needed"):
        load(tmp_path / "c.npy")
    assert np.isnan(load(tmp_path / "c.npy", gaps=True).values).tolist() == [[False, True]]


def test_a_table_says_what_was_decided_in_reading_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a;kind\n1,5;x\n2,5;y\n")
    data = loaded(tmp_path / "a.csv", label="kind")
    assert data.notes == ("semicolons between the cells", "decimal comma")
    assert data.dialect == Dialect(";", ",") and data.values["a"].tolist() == [1.5, 2.5]
    assert load("iris").notes == () and load("iris").dialect is None
