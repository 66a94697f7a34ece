"""The table that sets each measure of samples beside what real data reach."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from ncsn.data import load, moons, split, swiss_roll
from ncsn.errors import DataError, SettingError
from ncsn.evaluation import Measure, compare, frechet_distance, sliced_wasserstein2

from .common import mixed_table, normal, seeded, shuffled


def test_ratio_is_one_for_fresh_real_data_and_grows_with_error() -> None:
    training, held_out = swiss_roll(800, seeded(1)), swiss_roll(800, seeded(2))
    ratios = []
    for seed in range(3, 6):
        table = compare(swiss_roll(800, seeded(seed)), held_out, training, generator=seeded(), max_rows=500)
        ratios.append(table["sliced_wasserstein2"].ratio or 0)
        assert table["c2st"].value == pytest.approx(0.5, abs=0.08)
        assert table["copied_fraction"].value < 0.04 and table["stray_fraction"].value < 0.04
    assert 0.6 < np.median(ratios) < 1.6
    worse = compare(swiss_roll(800, seeded(3)) * 1.5, held_out, training, generator=seeded(), max_rows=500)
    for name in ("sliced_wasserstein2", "wasserstein2", "energy_distance", "mmd", "frechet_distance", "c2st"):
        assert (worse[name].ratio or 0) > 1.3
    copies = compare(training, held_out, training, generator=seeded(), max_rows=500)
    assert copies["copied_fraction"].value == 1 and copies["sliced_wasserstein2"].ratio == pytest.approx(1)


def test_samples_and_training_set_are_cut_to_one_size(no_classifiers: None) -> None:
    # Unmatched, a few samples would look worse than many training rows of the same distribution.
    training, held_out = moons(2000, seeded(1)), moons(2000, seeded(2))
    few = [
        compare(moons(100, seeded(s)), held_out, training, generator=seeded(1000 + s), max_rows=300) for s in range(9)
    ]
    assert all(table.n_rows == 100 and table.n_held_out == 2000 for table in few)
    for name in ("sliced_wasserstein2", "wasserstein2", "frechet_distance"):
        values, floors = ([getattr(table[name], of) for table in few] for of in ("value", "floor"))
        assert 0.4 < np.mean(values) / np.mean(floors) < 2.5
    many = compare(moons(3000, seeded(5)), held_out, training[:300], generator=seeded(), max_rows=200)
    assert many.n_rows == 300


def test_the_same_generator_gives_the_same_table() -> None:
    sets = [moons(100, seeded(s)) for s in range(3)]
    assert compare(*sets, generator=seeded()).to_dict() == compare(*sets, generator=seeded()).to_dict()
    assert compare(*sets, generator=seeded()).to_dict() != compare(*sets, generator=seeded(1)).to_dict()


def test_non_finite_samples_are_counted_and_left_out() -> None:
    samples, held_out, training = (moons(100, seeded(s)) for s in range(3))
    samples[:7] = math.nan
    table = compare(samples, held_out, training, generator=seeded())
    assert table.n_non_finite == 7 and table.n_rows == 93
    assert "7 samples are not finite and are left out." in str(table)
    for n_bad in (99, 100):
        samples[:n_bad] = math.inf
        with pytest.raises(DataError, match=f"samples: {n_bad} of 100 are not finite, too few are left"):
            compare(samples, held_out, training)
    with pytest.raises(DataError, match="held-out: 100 of 100 rows are not finite"):
        compare(training, samples, training)
    # one column, which could be broadcast to two, included
    for width in (1, 3):
        for made, kept in ((normal(50, width), held_out), (held_out, normal(50, width))):
            with pytest.raises(DataError, match="points of shape"):
                compare(made, kept, training)


def test_scaling() -> None:
    samples, held_out, training = (moons(200, seeded(s)).double() for s in range(3))
    units = torch.tensor([1000.0, 0.01])
    plain, standard = (
        compare(samples, held_out, training, generator=seeded(), scaling=s) for s in ("none", "standard")
    )
    assert plain.scaling == "none" and standard.scaling == "standard"
    rescaled = compare(samples * units, held_out * units, training * units, generator=seeded())
    for row, other in zip(standard.measures, rescaled.measures, strict=True):
        assert row.value == pytest.approx(other.value, rel=1e-6)
    expected = sliced_wasserstein2(samples, held_out, 2000, seeded())
    assert plain["sliced_wasserstein2"].value == pytest.approx(expected, rel=0.1)
    with pytest.raises(SettingError, match=r"unknown scaling 'rage'; did you mean 'range'\?"):
        compare(samples, held_out, training, scaling="rage")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="values are all equal"):
        compare(samples, held_out, torch.ones(20, 2), scaling="range")


def test_images_are_scaled_by_their_range() -> None:
    data = load("digits")
    train, held_out, *_ = split(data.values, data.labels, 0.2)
    table = compare(train + 0.01 * normal(*train.shape), held_out, train, generator=seeded())
    assert table.scaling == "range"
    # to the components comes one number more, the distance from them, and a distance of more columns is no smaller
    expected = frechet_distance(train / 16, held_out / 16, 40, train / 16)
    assert expected < table["frechet_distance"].floor < 1.2 * expected
    assert table["copied_fraction"].value == 1
    # Classifiers see no single pixels, in which that noise would tell samples from whole numbers.
    assert table["c2st"].value < 0.6


def test_the_table_prints_and_serialises() -> None:
    table = compare(*(moons(100, seeded(s)) for s in range(3)), generator=seeded())
    text = str(table)
    assert text.splitlines()[0].split() == ["measure", "samples", "real", "data", "ratio"]
    assert "sliced_wasserstein2" in text and "100 samples, and as many training rows, against 100 held-out rows" in text
    saved = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert saved["measures"]["mmd"]["value"] == table["mmd"].value and saved["n_rows"] == 100
    assert Measure("copied_fraction", 0.1, 0.0).ratio is None
    with pytest.raises(SettingError, match=r"unknown measure 'mdm'; did you mean 'mmd'\?"):
        table["mdm"]


# Tables


def test_good_samples_of_a_table_are_as_good_as_real_rows_and_bad_ones_are_found() -> None:
    training, held_out, good = (mixed_table(500, seed) for seed in range(3))
    table = compare(good, held_out, training, generator=seeded())
    assert table.left_out == ("name",) and table.n_non_finite == 0 and table.scaling == "standard"
    told_apart = table["c2st"]
    assert (told_apart.low or 1) < 0.5 < (told_apart.high or 0)
    for name in ("column_shape", "pair_trend", "sliced_wasserstein2", "energy_distance", "closest_record"):
        assert 0.6 < (table[name].ratio or 0) < 1.6, name
    bad = shuffled(good.assign(age=good["age"] * 1.4), "income")
    worse = compare(bad, held_out, training, generator=seeded())
    for name in ("column_shape", "pair_trend", "energy_distance", "c2st"):
        assert (worse[name].ratio or 0) > 1.4, name
    assert worse.columns[0].column == "age" and {worse.pairs[0].first, worse.pairs[0].second} == {"age", "income"}
    copies = compare(training, held_out, training, generator=seeded())
    assert copies["duplicates"].value == 1 and copies["duplicates"].floor == 0
    assert copies["closest_record"].value == copies["closest_record_low"].value == 0 < copies["closest_record"].floor
    # not one column of its own is wrong
    assert copies["column_shape"].ratio == pytest.approx(1)


def test_the_text_shows_the_worst_columns_and_json_keeps_all() -> None:
    tables = [mixed_table(60, seed).rename(columns={"age": ("a", 1), "rooms": 3}) for seed in range(3)]
    table = compare(*tables, generator=seeded())
    text = str(table)
    lines = text.splitlines()
    first = lines.index("the columns and pairs that are kept worst:")
    assert [line.split()[0] for line in lines[first + 1 : first + 9]].count("trend") == 3
    assert "not compared but in duplicates: name" in text and f"{table['c2st'].low:.3f} to" in text
    saved = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert len(saved["columns"]) == 7 and len(saved["pairs"]) == 21 and saved["left_out"] == ["name"]
    assert {"('a', 1)", "3"} < {row["column"] for row in saved["columns"]}
    assert saved["measures"]["c2st"]["low"] == table["c2st"].low and "low" not in saved["measures"]["mmd"]


def test_tables_as_bad_as_they_come_are_compared() -> None:
    training, held_out, samples = (mixed_table(12, seed) for seed in range(3))
    hard = compare(
        samples.assign(city="Lima", income=np.nan, empty=np.nan, constant=1),
        held_out.assign(city="Baku", empty=np.r_[1.0, np.full(11, np.nan)], constant=1),
        training.assign(empty=np.nan, constant=1),
        generator=seeded(),
    )
    assert all(math.isfinite(measure.value) and math.isfinite(measure.floor) for measure in hard.measures)
    city = next(row for row in hard.columns if row.column == "city")
    assert city.value == city.floor == 1
    samples.loc[3, "age"] = math.inf
    assert compare(samples, held_out, training, generator=seeded()).n_non_finite == 1
    with pytest.raises(DataError, match="training: 1 of 12 rows are not finite"):
        compare(held_out, held_out, samples)
    with pytest.raises(DataError, match=r"the columns lack \['age'\] and have besides \[\]"):
        compare(samples.drop(columns="age"), held_out, training)
    with pytest.raises(SettingError, match="compared in standard scaling"):
        compare(held_out, held_out, training, scaling="range")
    with pytest.raises(SettingError, match="name columns of a data frame"):
        compare(normal(9, 2), normal(9, 2), normal(9, 2), categorical=["a"])


def test_a_table_of_numbers_is_compared_as_an_array_is_but_for_its_columns() -> None:
    sets = [moons(200, seeded(s)).double() for s in range(3)]
    array = compare(*sets, generator=seeded())
    table = compare(sets[0], *(pd.DataFrame(x.numpy()) for x in sets[1:]), generator=seeded())
    for name in ("sliced_wasserstein2", "energy_distance", "mmd", "frechet_distance", "precision"):
        assert table[name].value == pytest.approx(array[name].value)
    assert len(table.columns) == 2 and len(table.pairs) == 1 and not array.columns + array.pairs
