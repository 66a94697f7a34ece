"""Random rows for the tests of measures."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).normal(size=shape)


def mixed_table(n: int, seed: int = 0) -> pd.DataFrame:
    """Return a table of every kind of column: the older, the richer and the more likely a member; incomes are missing."""
    random = np.random.default_rng(seed)
    age = random.uniform(18, 80, n)
    income = np.round(1000 + 50 * age + 300 * random.normal(size=n), 2)
    return pd.DataFrame(
        {
            "name": [f"person {seed}-{i}" for i in range(n)],
            "age": np.round(age, 1),
            "income": np.where(random.random(n) < 0.2, np.nan, income),
            "rooms": random.poisson(3, n),
            "city": random.choice(["Bern", "Rome", "Oslo"], n, p=[0.5, 0.3, 0.2]),
            "member": random.random(n) < age / 100,
            "size": pd.Categorical(random.choice(["S", "M", "L"], n), ["S", "M", "L"], ordered=True),
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 1000, n), unit="D"),
        }
    )


def shuffled(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Return the table with the cells of columns in another order, each in its own."""
    return table.assign(**{c: table[c].sample(frac=1, random_state=i).to_numpy() for i, c in enumerate(columns)})
