"""The script for a GPU works, on a CPU too."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


def test_the_script_measures_both_networks_and_the_plane(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--rows", "64", "--samples", "4", "--seconds", "0.5", "--width", "8", "--steps", "4", "--device", "cpu"]
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--images", "--plane", *small])
    # in this process: another would load all libraries again
    with torch.random.fork_rng():
        runpy.run_path(str(SCRIPT), run_name="__main__")
    printed = capsys.readouterr().out
    for name in ("ncsn", "diffusers' UNet", "cpu"):
        assert any(line.strip().startswith(name) for line in printed.splitlines())
    assert "sampled a second" in printed
