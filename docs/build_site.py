"""Build the site, in site/: what is computed for it, the generator, and what the generator leaves to do.

    python docs/build_site.py            # notebooks are run, and the studio's sets recorded, where the library has changed
    python docs/build_site.py --quick    # notebooks unrun unless pages of them are there, no sets for the studio: half a minute

The generator, MkDocs with the theme Material, reads `mkdocs.yml` and knows nothing of the other steps. They read and write
files alone, so that another generator can take its place which reads the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from formulas import show_formulas
from messages import write_messages
from reference_names import show_public_names

DOCS = Path(__file__).parent
ROOT = DOCS.parent
SITE = ROOT / "site"


def generate() -> None:
    """Let the generator make pages of HTML; a warning is an error."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(SITE)]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=True)


def main() -> None:
    """Take all steps."""
    quick = "--quick" in sys.argv
    subprocess.run([sys.executable, DOCS / "notebooks.py", *(["--unrun"] if quick else [])], check=True)
    subprocess.run([sys.executable, DOCS / "studio_files.py", *(["--index"] if quick else [])], check=True)
    write_messages(DOCS / "help" / "messages.md")
    generate()
    show_formulas(SITE)
    show_public_names(SITE)


if __name__ == "__main__":
    main()
