"""``python -m ncsn`` is the command ``ncsn``."""

from ncsn.cli import main

if __name__ == "__main__":
    main()
