"""The compiled core: Cython modules over the C kernels; absent from a pure-Python install."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from ... import threadpool


def load() -> ModuleType:
    """The module that holds the compiled ops and executor.

    Raises
    ------
    ImportError
        If it was not built, or does not load.
    """
    name = f"{__name__}.kernels"
    try:
        built = find_spec(name) is not None
    except ValueError:  # hidden: None in sys.modules
        built = False
    if not built:
        raise ImportError("it was not built, for want of a C compiler")
    kernels = import_module(name)
    threadpool.announce()
    return kernels
