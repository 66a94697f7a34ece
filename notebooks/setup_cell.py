# @title Set-up: run this cell first. It installs only what is missing, and leaves your PyTorch as it is.
import importlib.metadata
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path


def install_ncsn():
    source = "{{repository}}"
    for folder in [Path.cwd(), *Path.cwd().parents]:
        settings = folder / "pyproject.toml"
        if settings.is_file() and 'name = "ncsn"' in settings.read_text(encoding="utf-8"):
            source = str(folder)
            break
    if source is None:
        print("ncsn is missing. Install it into this Python from your copy of the project's folder:")
        print(f"    {sys.executable} -m pip install PATH/TO/THE/FOLDER")
        print("then restart the kernel and run this cell again.")
        return
    has_torch = importlib.util.find_spec("torch") is not None
    with tempfile.TemporaryDirectory() as folder:
        pinned = Path(folder, "keep.txt")
        pinned.write_text(f"torch=={importlib.metadata.version('torch')}\n" if has_torch else "", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(pinned), source]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout + done.stderr)
        print(f"ncsn could not be installed from {source}; the lines above say why.")
    importlib.invalidate_caches()


if importlib.util.find_spec("ncsn") is None:
    install_ncsn()
if importlib.util.find_spec("ncsn") is not None:
    print("ready: ncsn", importlib.metadata.version("ncsn"), "with torch", importlib.metadata.version("torch"))
