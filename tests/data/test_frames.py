"""Data frames of polars: taken, and given back as they came."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ncsn import NCSN
from ncsn.data import Encoding


def penguins(n: int = 60) -> pl.DataFrame:
    """Return a table of each kind of column, with gaps."""
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "species": rng.choice(["Adelie", "Gentoo"], n).tolist(),
            "length": [None if i % 9 == 0 else round(float(x), 1) for i, x in enumerate(rng.normal(40, 5, n))],
            "year": [None if i % 7 == 0 else 2000 + int(x) for i, x in enumerate(rng.integers(0, 20, n))],
            "seen": [date(2020, 1, 1) + timedelta(days=int(x)) for x in rng.integers(0, 300, n)],
            "tagged": (rng.random(n) < 0.5).tolist(),
        }
    )


def test_a_frame_of_polars_is_encoded_as_the_same_one_of_pandas() -> None:
    frame = penguins()
    ours, theirs = Encoding.fit(frame), Encoding.fit(frame.to_pandas())
    assert ours.columns == theirs.columns and ours.container.library == "polars"
    assert theirs.container.library == "pandas"


def test_samples_and_filled_rows_are_frames_of_polars(tmp_path: Path) -> None:
    frame = penguins()
    model = NCSN(training_steps=2, width=8, random_state=0).fit(frame)
    model.save(tmp_path)
    for fitted in (model, NCSN.load(tmp_path)):
        drawn = fitted.sample(20)
        assert isinstance(drawn, pl.DataFrame) and drawn.columns == frame.columns
        assert drawn["species"].dtype == pl.String and drawn["tagged"].dtype == pl.Boolean
        assert set(drawn["species"].drop_nulls()) <= {"Adelie", "Gentoo"}
    filled = model.impute(frame, steps=3, n_sweeps=1)
    assert isinstance(filled, pl.DataFrame) and sum(filled.null_count().row(0)) == 0
    known = frame["length"].is_not_null()
    assert filled.filter(known)["length"].to_list() == frame.filter(known)["length"].to_list()
    given = model.sample(2, given=pl.DataFrame({"species": ["Gentoo", "Adelie"]}), steps=3)
    assert given["species"].to_list() == ["Gentoo", "Adelie"]
    assert np.isfinite(model.score_samples(frame[:3])).all()


def test_what_a_frame_of_polars_lacks_is_said() -> None:
    with pytest.raises(ValueError, match="nothing to learn"):
        Encoding.fit(pl.DataFrame({"a": [1, 1, 1]}))
    model = NCSN(training_steps=2, width=8, random_state=0).fit(penguins())
    with pytest.raises(ValueError, match="lack"):
        model.score_samples(penguins().drop("year"))
    assert isinstance(NCSN(training_steps=2, width=8).fit(penguins().to_pandas()).sample(2), pd.DataFrame)
