"""Columns that follow from others are found, and others are not."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ncsn.data import Encoding
from ncsn.data.relations import Relation, relations

N = 500


def found(**columns: object) -> tuple[Relation, ...]:
    frame = pd.DataFrame(columns)
    encoding = Encoding.fit(frame)
    return relations(encoding, encoding.values(frame))


def test_sums_copies_and_what_is_nearly_one_are_found() -> None:
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(5, 2, N), rng.exponential(3, N), rng.normal(size=N)
    (total,) = found(a=a, b=b, c=c, total=a + b)
    assert total.name == "total" and set(total.others) == {"a", "b"} and total.left < 1e-9
    assert "follows from a, b exactly" in str(total) and "'drop'" in str(total)
    (copy,) = found(a=a, c=c, inches=a / 2.54)
    assert (copy.name, copy.others) == ("inches", ("a",))
    (nearly,) = found(a=a, c=c, d=a + 0.01 * c * a.std() / 2)
    # the share of its own standard deviation that is left open, by the way it was made
    assert nearly.name == "d" and set(nearly.others) <= {"a", "c"} and nearly.left < 0.01
    assert "standard deviation" in str(Relation("d", ("a",), 0.004))


def test_correlated_columns_gaps_and_categories_are_left_alone() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=N)
    assert found(a=a, b=0.99 * a + 0.14 * rng.normal(size=N), kind=rng.choice(["x", "y"], N)) == ()
    assert found(a=a, kind=rng.choice(["x", "y"], N)) == ()
    few = pd.DataFrame({"a": a[:6], "b": 2 * a[:6]})
    encoding = Encoding.fit(few)
    assert relations(encoding, encoding.values(few)) == ()
    gaps = np.where(rng.random(N) < 0.2, np.nan, a)
    (copy,) = found(a=gaps, b=3 * gaps)
    assert copy.name == "b"
