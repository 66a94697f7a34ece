# @title Set-up: run this cell first. It installs only what is missing, and leaves your PyTorch as it is.
import subprocess
import sys
from importlib import invalidate_caches, metadata, util
from pathlib import Path

if util.find_spec("ncsn") is None:
    source = "{{repository}}"
    for folder in [*reversed(Path.cwd().parents), Path.cwd()]:
        settings = folder / "pyproject.toml"
        if settings.is_file() and 'name = "ncsn"' in settings.read_text(encoding="utf-8"):
            source = str(folder)
    if source is None:
        print("ncsn is missing. Install it from your copy of the project, then run this in a new kernel:")
        print(f"    {sys.executable} -m pip install PATH/TO/THE/FOLDER")
    else:
        kept = [f"torch=={metadata.version('torch')}"] if util.find_spec("torch") else []
        command = [sys.executable, "-m", "pip", "install", "--quiet", source, *kept]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"{done.stdout}{done.stderr}\nncsn was not installed; the lines above say why.")
        invalidate_caches()
if util.find_spec("ncsn") is not None:
    print("ready: ncsn", metadata.version("ncsn"), "with torch", metadata.version("torch"))
