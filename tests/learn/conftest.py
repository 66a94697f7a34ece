"""What every test of the learning path starts from."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, so that progress is kept there."""
    monkeypatch.delenv("NCSN_PROGRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path
