"""What samples of a table are good for: a column predicted by trees that were trained on samples."""

from __future__ import annotations

from collections.abc import Collection, Hashable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score
from threadpoolctl import threadpool_limits
from torch import Generator

from ncsn.errors import DataError
from ncsn.evaluation.distances import Points, some_of
from ncsn.evaluation.encoded import TableEncoding
from ncsn.evaluation.measure import Measure
from ncsn.evaluation.tables import Kinds


def train_on_synthetic(
    samples: pd.DataFrame,
    training: pd.DataFrame,
    held_out: pd.DataFrame,
    target: Hashable,
    *,
    categorical: Collection[Hashable] | None = None,
    leave_out: Collection[Hashable] | None = None,
    generator: Generator | None = None,
) -> Measure:
    """Return how well trees that were trained on samples predict a column of real rows (Esteban et al. 2017, TSTR).

    Boosted trees predict the column from all others. Samples and training rows are cut, at random, to one size; rows without
    the column are left out.

    Args:
        samples: Samples of the table.
        training: The rows that were trained on.
        held_out: Rows that training did not see, on which both predictions are judged.
        target: The column to predict.
        categorical: Columns that are categories, `Kinds.of`; by the types of the training table when None.
        leave_out: Columns that predict nothing; when None text that is different in each row.
        generator: Source of the cut; torch's default generator when None.

    Returns:
        ``r2`` of a number, of a category ``auc``, the mean over the classes of the area under the ROC curve of each against
        the rest; its floor, here the better figure, is what the same trees reach after training on the real rows.

    Raises:
        DataError: The column is not there or left out, is the only one, or has too few cells: of a number at least two rows of
            each table are needed, of a category two classes in the held-out rows.
    """
    kinds = Kinds.of(training, categorical, leave_out)
    if target not in kinds.compared or len(kinds.compared) < 2:
        raise DataError(f"{target!r} cannot be predicted; the columns that are compared are {list(kinds.compared)}")
    made, known, asked = (_known(table, target) for table in (samples, training, held_out))
    n = min(len(made), len(known))
    if min(n, len(asked)) < 2:
        raise DataError(f"{target!r}: at least 2 rows of each table are needed in which it is not missing")
    made, known = (table.iloc[some_of(len(table), n, generator)] for table in (made, known))
    others = Kinds(*(tuple(name for name in names if name != target) for names in (kinds.numbers, kinds.categories)))
    encoding = TableEncoding.fit(others, training, held_out, samples)
    goal = Kinds((target,), ()) if target in kinds.numbers else Kinds((), (target,))
    answers = [goal.plain(table)[target].to_numpy() for table in (made, known, asked)]
    inputs = [encoding.features(table) for table in (made, known, asked)]
    judge = _r2 if target in kinds.numbers else _auc
    # as in `c2st`, threads would take longer
    with threadpool_limits(1, "openmp"):
        value, floor = (judge(encoding, inputs[i], answers[i], inputs[2], answers[2]) for i in (0, 1))
    return Measure("r2" if target in kinds.numbers else "auc", value, floor)


def _known(table: pd.DataFrame, target: Hashable) -> pd.DataFrame:
    if target not in table:
        raise DataError(f"there is no column {target!r}; the table has {list(table.columns)}")
    return table[table[target].notna()]


def _r2(encoding: TableEncoding, x: Points, y: Points, asked: Points, answers: Points) -> float:
    trees = HistGradientBoostingRegressor(categorical_features=encoding.categorical, random_state=0)
    return float(r2_score(answers, trees.fit(x, y).predict(asked)))


def _auc(
    encoding: TableEncoding, x: Points, y: NDArray[np.object_], asked: Points, answers: NDArray[np.object_]
) -> float:
    classes = pd.unique(answers)
    if len(classes) < 2:
        raise DataError(f"the held-out rows are all {classes[0]!r}: there is nothing to predict")
    # scikit-learn sorts classes, and those of several types have no order
    codes, known = pd.factorize(y)
    scores = np.ones((len(asked), 1))
    if len(known) > 1:
        trees = HistGradientBoostingClassifier(categorical_features=encoding.categorical, random_state=0)
        scores = trees.fit(x, codes).predict_proba(asked)
    # a class that training did not have is never expected
    columns = dict(zip(known, scores.T, strict=True))
    never = np.zeros(len(asked))
    return float(np.mean([roc_auc_score(answers == one, columns.get(one, never)) for one in classes]))
