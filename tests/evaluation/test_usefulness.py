"""Training on samples, testing on real rows."""

import numpy as np
import pandas as pd
import pytest

from ncsn.errors import DataError
from ncsn.evaluation import train_on_synthetic

from .common import mixed_table, seeded, shuffled


def test_good_samples_teach_as_much_as_real_rows_and_torn_ones_nothing() -> None:
    training, held_out, good = (mixed_table(600, seed) for seed in range(3))
    known = held_out.dropna(subset=["income"])
    # the share of the variance that the rule of the incomes, not the noise, has
    best = 1 - 300**2 / known["income"].var()
    fit = train_on_synthetic(good, training, held_out, "income", generator=seeded())
    assert (
        fit.name == "r2" and 0.85 * best < fit.value < 1.03 * best and fit.value == pytest.approx(fit.floor, abs=0.05)
    )
    torn = train_on_synthetic(shuffled(good, "income"), training, held_out, "income", generator=seeded())
    assert torn.value < 0.1 and torn.floor == pytest.approx(fit.floor, abs=0.05)
    member = train_on_synthetic(good, training, held_out, "member", generator=seeded())
    assert member.name == "auc" and min(member.value, member.floor) > 0.6
    assert train_on_synthetic(shuffled(good, "member"), training, held_out, "member").value < 0.6


def test_classes_that_samples_or_held_out_rows_lack() -> None:
    table = pd.DataFrame({"c": list("abc") * 40, "x": [0.0, 5, 10] * 40})
    assert train_on_synthetic(table, table, table, "c").value == 1
    # b is never expected, and above a and c alike: half right; a and c are told apart from all
    two = table[table["c"] != "b"]
    assert train_on_synthetic(two, table, table, "c").value < 1
    one = table[table["c"] == "a"]
    assert train_on_synthetic(one, table, table, "c").value == 0.5
    assert train_on_synthetic(table, table, two, "c").value == 1


def test_what_cannot_be_predicted_is_refused() -> None:
    table = mixed_table(30)
    for target in ("name", "town"):
        with pytest.raises(DataError, match=f"'{target}' cannot be predicted"):
            train_on_synthetic(table, table, table, target)
    with pytest.raises(DataError, match="are all 'Rome'"):
        train_on_synthetic(table, table, table.assign(city="Rome"), "city")
    with pytest.raises(DataError, match="at least 2 rows of each table"):
        train_on_synthetic(table.assign(income=np.nan), table, table, "income")
