"""The compiled core: Cython modules over the C kernels; absent from a pure-Python install."""

from types import ModuleType


def load() -> ModuleType:
    """The module that holds the compiled ops and executor; ImportError if it was not built."""
    from . import kernels

    module: ModuleType = kernels
    return module
