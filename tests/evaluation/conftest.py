"""What keeps the tests of comparisons short."""

from typing import Any

import pytest

from ncsn.evaluation import AUC


@pytest.fixture
def no_classifiers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the two-sample test, which takes most of the time, where nothing is said of it."""

    def untold(*sets: Any, **options: Any) -> AUC:
        return AUC(0.5, 0.4, 0.6)

    for module in ("comparison", "images"):
        monkeypatch.setattr(f"ncsn.evaluation.{module}.c2st", untold)
