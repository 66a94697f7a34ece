"""A model held against rows that it never saw, with a model whose samples and densities are known."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_models import gaussian

from ncsn.data import Encoding, load, split
from ncsn.evaluation import judge
from ncsn.evaluation.judging import bits_of

from .common import mixed_table, normal


class KnownModel:
    """What `judge` asks a model for: rows like those of training, and the density of none that lives in Oslo."""

    class method:
        gives_score = True

    is_bound = True
    encoding = Encoding.fit(mixed_table(300), columns={"name": "drop"} if "name" in mixed_table(2) else None)

    def sample(self, n: int, generator: torch.Generator, **options: Any) -> pd.DataFrame:
        return mixed_table(n, 2)

    def log_density(self, X: pd.DataFrame, **options: Any) -> torch.Tensor:
        return torch.from_numpy(np.where(X["city"] == "Oslo", -np.inf, X["age"]))


def test_a_table_is_judged_by_all_that_it_can_be_judged_by() -> None:
    training, held_out = mixed_table(300), mixed_table(200, 1)
    judged = judge(KnownModel(), training, held_out, target="income")  # type: ignore[arg-type]
    possible = held_out[held_out["city"] != "Oslo"]
    assert judged.log_likelihood == pytest.approx(possible["age"].mean())
    assert judged.standardised_log_likelihood is None and judged.n_impossible == len(held_out) - len(possible)
    assert judged.trained_on is not None and judged.trained_on.value > 0.8
    assert judged.comparison.n_rows == 300 and judged.comparison.columns
    text = str(judged)
    assert f"{judged.n_impossible} held-out rows cannot be by the model" in text and "standardised units" not in text
    assert f"r2 {judged.trained_on.value:.3f}; trained on real rows: {judged.trained_on.floor:.3f}" in text
    saved = json.loads(json.dumps(judged.to_dict(), allow_nan=False))
    assert saved["trained_on"]["name"] == "r2" and math.isfinite(saved["log_likelihood"])


def test_where_no_row_can_be_there_is_no_mean() -> None:
    held_out = mixed_table(20, 1).assign(city="Oslo")
    judged = judge(KnownModel(), mixed_table(30), held_out)  # type: ignore[arg-type]
    assert judged.log_likelihood is None and judged.n_impossible == 20 and judged.trained_on is None
    assert "20 held-out rows cannot be by the model" in str(judged)


def test_images_with_labels_are_judged_by_a_classifier_that_is_told_what_was_asked(
    monkeypatch: pytest.MonkeyPatch, no_classifiers: None
) -> None:
    # digits of 8 x 8 need fewer to be read
    monkeypatch.setattr("ncsn.evaluation.classifier._SEEN", 20_000)
    digits = load("digits")
    train, held_out, labels, held_out_labels = split(digits.values, digits.labels, 0.5)
    by_class = {label: held_out[held_out_labels == label] for label in range(10)}

    class Known:
        """Draws real digits of the classes that it is asked for, but nines for the sevens."""

        class method:
            gives_score = False

        is_bound = False
        encoding = Encoding.fit(train, labels)

        def sample(self, n: int, generator: torch.Generator, label: Any) -> Any:
            assert len(label) == n
            return np.stack([by_class[9 if one == 7 else one][i % 80] for i, one in enumerate(label)])

    judged = judge(Known(), train, held_out, labels=labels, held_out_labels=held_out_labels)  # type: ignore[arg-type]
    table = judged.comparison
    assert "accuracy on held-out rows" in table.judge
    assert table["read_as_asked"].value == pytest.approx((labels != 7).mean(), abs=0.04)
    assert table["class_shares"].value == pytest.approx((labels == 7).mean(), abs=0.04)
    assert json.loads(json.dumps(judged.to_dict()))["comparison"]["verdict"] == table.verdict


def test_images_are_asked_for_the_classes_that_go_with_their_contexts(no_classifiers: None) -> None:
    images = (100 + 20 * normal(90, 8, 8)).clip(0, 255)
    labels = np.arange(90) % 3
    # each context tells the class
    known = labels[:, None] + np.random.default_rng(0).random((90, 1)) / 2
    asked: list[Any] = []

    class Known:
        class method:
            gives_score = False

        is_bound = False
        encoding, contexts = Encoding.fit(images, labels), Encoding.fit(known)

        def sample(self, n: int, generator: torch.Generator, label: Any, context: Any) -> Any:
            asked.append((label, context))
            return images[:n]

    how: dict[str, Any] = {"contexts": known[:50], "held_out_contexts": known[50:], "labels": labels[:50]}
    how |= {"features": lambda some: some.flatten(1)}
    judge(Known(), images[:50], images[50:], held_out_labels=labels[50:], **how)  # type: ignore[arg-type]
    judge(Known(), images[:50], images[50:], **how)  # type: ignore[arg-type]
    (label, context), (unasked, _) = asked
    assert len(label) == 20 and unasked is None
    np.testing.assert_array_equal(label, np.floor(context[:, 0]))


def test_bits_of_8_bit_images_are_told_with_their_error(no_classifiers: None) -> None:
    # white noise of 40 grey levels, and a network that stays at its density
    images = (120 + 40 * normal(400, 3, 4)).round().clip(0, 255).astype(np.uint8)
    model = gaussian(images[:300]).model_
    judged = judge(model, images[:300], images[300:], log_likelihood=False, bits_images=64, rows=60)
    bits = judged.bits
    assert bits is not None and bits.n_images == 64 and judged.log_likelihood is None
    # the entropy of the normal density, and the spread of half a chi-square of 12 degrees over 12
    assert bits.mean == pytest.approx(math.log2(40 * math.sqrt(2 * math.pi * math.e)), abs=4 * bits.standard_error)
    assert bits.standard_error == pytest.approx(math.sqrt(0.5 / 12) / math.log(2) / 8, rel=0.35)
    assert f"bits per dimension: {bits.mean:.3f} ± {bits.standard_error:.3f}" in str(judged)
    assert "of 64 held-out images" in str(judged) and "from -0.5 to 0.5" in str(judged)
    assert json.loads(json.dumps(judged.to_dict(), allow_nan=False))["bits"]["n_images"] == 64
    # the same values as floating-point numbers are no 8-bit images, and one has no standard error
    for held_out in (images[300:].astype(float), images[300:301]):
        assert bits_of(model, held_out, 64, torch.Generator()) is None
