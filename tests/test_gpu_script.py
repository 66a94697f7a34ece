"""The script for a GPU works, on a CPU too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


def test_the_script_measures_both_networks_and_the_plane() -> None:
    small = ["--rows", "64", "--samples", "4", "--seconds", "0.5", "--width", "8", "--steps", "4", "--device", "cpu"]
    ran = subprocess.run([sys.executable, SCRIPT, "--images", "--plane", *small], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    for name in ("ncsn", "diffusers' UNet", "cpu"):
        assert any(line.strip().startswith(name) for line in lines)
    assert "sampled a second" in ran.stdout
