"""``python -m ncsn`` is the command ``ncsn``."""

from ncsn.app.cli import main

if __name__ == "__main__":
    main()
