"""The version of the package, which files and reports name."""

__version__ = "0.1.0"
