"""Noise-conditional score networks and the family that grew from them.

Every public name, in the table ``__init__.pyi``, is imported when it is first used, so that ``ncsn --help`` does not wait
for PyTorch.
"""

from importlib.metadata import version

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = version("ncsn")
