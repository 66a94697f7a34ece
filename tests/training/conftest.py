"""What every test of training needs."""

import pytest


@pytest.fixture(autouse=True)
def frequent_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report each step, and write a checkpoint every five."""
    monkeypatch.setattr("ncsn.training.trainer.REPORT_EVERY", 1)
    monkeypatch.setattr("ncsn.training.trainer.CHECKPOINT_EVERY", 5)
