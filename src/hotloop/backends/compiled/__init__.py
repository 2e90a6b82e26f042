"""The compiled core: Cython modules over the C kernels; absent from a pure-Python install."""

import sys
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_HERE = Path(__file__).parent


def load() -> ModuleType:
    """The module that holds the compiled ops and executor.

    Raises
    ------
    ImportError
        If it was not built, or does not load; with the reason.
    """
    name = f"{__name__}.kernels"
    if sys.modules.get(name, ...) is None:
        raise ImportError("it is hidden: sys.modules holds None in its place")
    if find_spec(name) is None:
        raise ImportError(_why_not_built(_HERE))
    try:
        return import_module(name)
    except (AttributeError, TypeError) as error:  # Cython's words for modules of two builds
        raise ImportError(f"its modules do not fit together: {error}") from error


def _why_not_built(folder: Path) -> str:
    """What the build left in `folder`: its error, modules for another Python, or nothing."""
    reason = folder / "not_built.txt"  # written by build_backend/hotloop_build.py
    if reason.exists():
        return f"it was not built: {reason.read_text(encoding='utf-8').strip()}"
    if others := sorted(file.name for file in folder.glob("kernels.*") if file.suffix != ".pyx"):
        return (
            f"it was built for another Python: found {', '.join(others)}, but this one loads "
            f"modules that end in {', '.join(EXTENSION_SUFFIXES)}"
        )
    return f"it was not built: {folder} is a folder of sources, not of an installation"
