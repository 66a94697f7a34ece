"""Build the sdist and, from it, the wheel; install the wheel where nothing is but what it asks for; run the demonstration.

    python .ci/wheel.py    # a minute or two

What the wheel asks for is not fetched again: the distributions that it names, and those that they name, are linked from
the environment that runs this, at the versions of constraints.txt. What is only there for development is not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]

BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def built(what: str, source: Path, out: Path) -> Path:
    """Build an sdist or a wheel from a folder, and return its file."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, f"build_{what}", out], cwd=source, check=True, text=True, stdout=subprocess.PIPE
    )
    return out / done.stdout.splitlines()[-1]


def needed(names: list[str]) -> set[str]:
    """Return the distributions that some need, each by its name, those of an extra where one is asked for."""
    found: set[str] = set()
    left = [Requirement(name) for name in names]
    while left:
        asked = left.pop()
        key = str(asked)
        if key in found:
            continue
        found.add(key)
        for line in metadata.requires(asked.name) or []:
            requirement = Requirement(line)
            extras = [*asked.extras, ""]
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
                left.append(requirement)
    return {re.sub(r"[-_.]+", "-", Requirement(key).name).lower() for key in found}


def link(name: str, packages: Path) -> None:
    """Link what a distribution has installed into another environment's packages."""
    distribution = metadata.distribution(name)
    for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
        if not (packages / top).exists():
            (packages / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())


def main() -> None:
    """Do all of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached"], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE
        )
        for file in filter(None, listed.stdout.split("\0")):
            (folder / "checkout" / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, folder / "checkout" / file)
        sdist = built("sdist", folder / "checkout", folder)
        # of our own making
        shutil.unpack_archive(sdist, folder)
        wheel = built("wheel", folder / sdist.name.removesuffix(".tar.gz"), folder)

        environment = folder / "environment"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        python = environment / "bin" / "python"
        install = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            wheel,
        ]
        subprocess.run(install, check=True)
        (packages,) = environment.glob("lib/python*/site-packages")
        asked = [line for line in metadata.distribution("ncsn").requires or [] if "extra ==" not in line]
        for distribution in sorted(needed(asked)):
            link(distribution, packages)
        alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
        where = [python, "-c", "import ncsn; print(ncsn.__file__)"]
        said = subprocess.run(where, cwd=folder, env=alone, check=True, text=True, stdout=subprocess.PIPE).stdout
        if not Path(said.strip()).is_relative_to(packages):
            raise SystemExit(f"not the wheel's: {said}")
        program = environment / "bin" / "ncsn"
        subprocess.run([program, "demo", "--quick", "--out", "demo"], cwd=folder, env=alone, check=True)
        # the notebooks are data of the wheel
        subprocess.run([program, "learn", "--no-open", "--out", "notebooks"], cwd=folder, env=alone, check=True)
        notebooks = sorted((folder / "notebooks").glob("*.ipynb"))
        if not (folder / "demo" / "report.html").is_file() or len(notebooks) != 4:
            raise SystemExit("the demonstration wrote no report, or the notebooks are missing")
        print(f"{sdist.name} and {wheel.name}: installed, and the demonstration ran")


if __name__ == "__main__":
    main()
