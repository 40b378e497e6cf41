"""ionsmith designs solid-state battery electrolytes: predict, screen, invent, and check with physics."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ionsmith")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
