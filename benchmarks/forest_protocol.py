"""The protocol by which ForestDiffusion was judged (Jolicoeur-Martineau, Fatras & Kachman 2024), and what was published.

80/20 splits of seeds 0, 1, 2, by class where there is one. Wasserstein-1 with the L1 cost, columns from 0 to 1 by the training
rows and categories one-hot at 1/2, from five sets of samples to the training and the test rows. F1 (macro) or R2 on the test
rows after training on samples: the mean of a linear model, a random forest and boosted trees. The published mean has
AdaBoost besides, which scikit-learn has made another algorithm since; the published figures of the other three are here.
Boosted trees are XGBoost's where it is installed, else scikit-learn's.

The definitions were read in github.com/SamsungSAILMontreal/ForestDiffusion (script_generation.py, metrics.py, utils.py), the
figures are those of Results/"Results_tabular - generation.csv" there. ``congress`` has all 435 rows there, here 232.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import ot
import pandas as pd
from common import Figures, Rows
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import f1_score, r2_score
from sklearn.model_selection import train_test_split

from ncsn import NCSN

Array = NDArray[np.float64]

GENERATED = 5
HAS_XGBOOST = find_spec("xgboost") is not None

# Wasserstein-1 to the training and to the test rows, F1 or R2 of three judges; "oracle" is the training set itself.
FIGURES = ("W train", "W test", "F1 or R2")
_PUBLISHED = {
    "iris": ((0.0, 0.2361, 0.9732), (0.1966, 0.3282, 0.9752), (0.1932, 0.3286, 0.9734)),
    "wine": ((0.0, 1.4403, 0.9716), (0.8447, 1.4206, 0.9543), (0.7122, 1.5305, 0.9612)),
    "breast_cancer": ((0.0, 1.8527, 0.9632), (1.2814, 1.7488, 0.944), (3.0238, 3.4377, 0.9411)),
    "sonar": ((0.0, 8.528, 0.8137), (6.346, 8.3797, 0.7708), (26.2364, 26.6461, 0.4487)),
    "ionosphere": ((0.0, 4.4178, 0.9044), (3.2392, 4.2982, 0.8737), (8.0969, 8.8442, 0.8336)),
    "vowel": ((0.0, 0.6725, 0.8417), (0.4087, 0.7274, 0.7789), (0.3266, 0.7119, 0.8035)),
    "libras": ((0.0, 8.9062, 0.7585), (7.676, 9.9968, 0.5817), (38.2231, 38.8348, 0.0355)),
    "tictactoe": ((0.0, 2.0335, 0.9596), (1.2304, 1.9455, 0.7702), (0.8015, 2.0077, 0.9336)),
    "congress": ((0.0, 2.3998, 0.9449), (3.1252, 3.6714, 0.9242), (1.0468, 2.386, 0.946)),
    "concrete": ((0.0, 0.4851, 0.7977), (0.3191, 0.5423, 0.7416), (0.223, 0.5133, 0.766)),
}
PUBLISHED: dict[str, dict[str, Figures]] = {
    name: {
        f"{method}, published": dict(zip(FIGURES, figures, strict=True))
        for method, figures in zip(("oracle", "ForestDiffusion-flow", "TabDDPM"), rows, strict=True)
    }
    for name, rows in _PUBLISHED.items()
}
"""What was published of each set."""

SETS = tuple(PUBLISHED)

_OF_SKLEARN = {"iris": load_iris, "wine": load_wine, "breast_cancer": load_breast_cancer}
_FILES = {"libras": "movement_libras", "tictactoe": "tic-tac-toe", "congress": "housevotes"}
_OF_CATEGORIES = ("tictactoe", "congress")

TARGET = "target"


def read(name: str, table: Callable[[str], pd.DataFrame]) -> pd.DataFrame:
    """Return a set, its target last: text where it is a class.

    Args:
        name: One of `SETS`.
        table: Reads a table by its name.
    """
    if name in _OF_SKLEARN:
        made = _OF_SKLEARN[name](as_frame=True)
        X, y = made["data"], made["target"]
    else:
        whole = table(_FILES.get(name, name))
        X, y = whole.iloc[:, 3 if name == "vowel" else 0 : -1], whole.iloc[:, -1]
    X = X.set_axis([f"x{i}" for i in range(X.shape[1])], axis=1)
    if name in _OF_CATEGORIES:
        X = X.astype(str)
    if name != "concrete":
        y = pd.Series(pd.factorize(y)[0], index=X.index).map("class {:02}".format)
    return X.assign(**{TARGET: y})


def judge(fitted: Callable[[pd.DataFrame], tuple[NCSN, Figures]], name: str, whole: pd.DataFrame, seed: int) -> Rows:
    """Fit to one split of a set, and return the rows ``real`` and ``ncsn``; ``fitted`` fits and says how long it took."""
    is_number = pd.api.types.is_numeric_dtype(whole[TARGET])
    training, test = train_test_split(
        whole, test_size=0.2, random_state=seed, stratify=None if is_number else whole[TARGET]
    )
    training, test = training.reset_index(drop=True), test.reset_index(drop=True)
    model, seconds = fitted(training)
    made = [model.sample(len(training), random_state=1000 * seed + k) for k in range(GENERATED)]
    each = [_figures(samples, training, test, name, k) for k, samples in enumerate(made)]
    mean = {figure: float(np.mean([figures[figure] for figures in each])) for figure in FIGURES}
    none = dict.fromkeys(seconds, float("nan"))
    return {"real": _figures(training, training, test, name, 0) | none, "ncsn": mean | seconds}


def mean_of(sets: Sequence[Mapping[str, Figures]]) -> Rows:
    """Return the mean over sets of each row's figures, those that all have."""
    return {
        row: {figure: float(np.mean([one[row][figure] for one in sets])) for figure in sets[0][row]} for row in sets[0]
    }


def _figures(made: pd.DataFrame, training: pd.DataFrame, test: pd.DataFrame, name: str, seed: int) -> Figures:
    rows = _as_distances_go(made, training, test, name)
    to_training, to_test = (
        float(ot.emd2(ot.unif(len(part)), ot.unif(len(rows[0])), ot.dist(part, rows[0], metric="cityblock")))
        for part in rows[1:]
    )
    return dict(zip(FIGURES, (to_training, to_test, _usefulness(made, test, seed)), strict=True))


def _as_distances_go(made: pd.DataFrame, training: pd.DataFrame, test: pd.DataFrame, name: str) -> list[Array]:
    """Return rows whose L1 distance is Gower's: numbers from 0 to 1 in training, categories one-hot at 1/2."""
    tables = [table[list(training)].copy() for table in (made, training, test)]
    if name == "vowel":
        # there its classes are judged as classes, and its distances measured as a number's
        for table in tables:
            table[TARGET] = table[TARGET].str.removeprefix("class ").astype(float)
    numbers = [column for column in tables[1] if pd.api.types.is_numeric_dtype(tables[1][column])]
    low = tables[1][numbers].min()
    size = (tables[1][numbers].max() - low).replace(0, 1)
    categories = [column for column in tables[1] if column not in numbers]
    codes = _one_hot([table[categories] for table in tables])
    return [
        np.concatenate([((table[numbers] - low) / size).to_numpy(float), code / 2], axis=1)
        for table, code in zip(tables, codes, strict=True)
    ]


def _one_hot(tables: Sequence[pd.DataFrame]) -> list[Array]:
    whole = pd.concat(tables, ignore_index=True)
    coded = (
        pd.get_dummies(whole.astype(object), dtype=float).to_numpy() if whole.shape[1] else np.empty((len(whole), 0))
    )
    return np.split(coded, np.cumsum([len(table) for table in tables])[:-1])


def _usefulness(made: pd.DataFrame, test: pd.DataFrame, seed: int) -> float:
    """Return macro F1, or R2, on test rows: the mean of the judges that were trained on samples."""
    tables = [table.drop(columns=TARGET)[list(test.columns[:-1])] for table in (made, test)]
    if all(pd.api.types.is_numeric_dtype(tables[1][column]) for column in tables[1]):
        X, X_test = (table.to_numpy(float) for table in tables)
    else:
        X, X_test = _one_hot(tables)
    y, y_test = (table[TARGET].to_numpy() for table in (made, test))
    if pd.api.types.is_numeric_dtype(test[TARGET]):
        return float(np.mean([r2_score(y_test, each.fit(X, y).predict(X_test)) for each in _regressors(seed)]))
    if not np.isin(np.unique(y_test), np.unique(y)).all():
        return 0.0
    classes, codes = np.unique(y, return_inverse=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = [classes[each.fit(X, codes).predict(X_test)] for each in _classifiers(seed)]
    return float(np.mean([f1_score(y_test, one, average="macro") for one in said]))


def _classifiers(seed: int) -> list[Any]:
    if HAS_XGBOOST:
        boosted = import_module("xgboost").XGBClassifier(reg_lambda=0.0, random_state=seed, n_jobs=1)
    else:
        boosted = HistGradientBoostingClassifier(random_state=seed)
    forest = RandomForestClassifier(max_depth=28, random_state=seed)
    return [LogisticRegression(C=np.inf, max_iter=500), forest, boosted]


def _regressors(seed: int) -> list[Any]:
    if HAS_XGBOOST:
        boosted = import_module("xgboost").XGBRegressor(reg_lambda=0.0, random_state=seed, n_jobs=1)
    else:
        boosted = HistGradientBoostingRegressor(random_state=seed)
    return [LinearRegression(), RandomForestRegressor(max_depth=28, random_state=seed), boosted]
