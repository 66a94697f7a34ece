from typing import Any

import pytest
from small_models import GAUSSIAN, clusters, table

from ncsn import NCSN


@pytest.fixture(scope="session")
def conditional() -> NCSN:
    """Return a model trained on two labelled clusters."""
    settings: dict[str, Any] = {"width": 32, "n_blocks": 1, "random_state": 0, "dropout": 0.0}
    return NCSN(training_steps=400, batch_size=128, lr=1e-2, **settings).fit(*clusters())


@pytest.fixture(scope="session")
def of_table() -> NCSN:
    """Return the Gaussian of the table's columns."""
    return NCSN(**GAUSSIAN).fit(table())
