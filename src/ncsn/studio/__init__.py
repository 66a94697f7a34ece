"""The studio: score-based models to play with, in the browser (`ncsn studio`) or in a notebook (`Studio`).

The page draws and asks, `Session` answers, over the library itself; nothing is asked of any other host.
"""

from ncsn.studio.session import Session
from ncsn.studio.settings import Settings
from ncsn.studio.widget import Studio

__all__ = ["Session", "Settings", "Studio"]
