"""The compiled core's thread pool as threadpoolctl sees it.

`threadpoolctl <https://github.com/joblib/threadpoolctl>`_ (3.2 or newer) lists and limits the
thread pools of a process; scikit-learn and joblib keep nested parallelism in check with it.
Once the core is loaded, which the first fit or prediction does, ``threadpool_info()`` has an
entry whose ``user_api`` is ``"hotloop"``, and ``threadpool_limits`` sets what
`hotloop.set_num_threads` sets. Nothing needs to be called, whichever of the two is imported
first, and hotloop imports threadpoolctl never::

    with threadpoolctl.threadpool_limits(1):                     # every library
        model.fit(x, y)
    with threadpoolctl.threadpool_limits(limits={"hotloop": 1}):  # hotloop alone
        model.fit(x, y)

As with any library, a limit holds for what is loaded when it is set, and for the whole
process, not for one of its threads.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import ClassVar

from .version import __version__

_NAME = "threadpoolctl"


class _Pool:
    """What threadpoolctl asks of a LibController."""

    user_api = internal_api = "hotloop"
    filename_prefixes = ("runtime.",)  # the file that holds the pool: backends/compiled/runtime
    check_symbols = ("PyInit_runtime",)
    threads: ClassVar[tuple[Callable[[], int], Callable[[int], None]]]  # from `announce`

    def get_num_threads(self) -> int:
        return self.threads[0]()

    def set_num_threads(self, num_threads: int) -> None:
        self.threads[1](num_threads)

    def get_version(self) -> str:
        return __version__


class _Finder:
    """Finds threadpoolctl as the other finders do, and registers the pool once it is loaded."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _NAME:
            return None
        others = (finder for finder in sys.meta_path if finder is not cls)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_register(module: ModuleType) -> None:
                load(module)
                _register(module)

            spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec


def announce(num_threads: Callable[[], int], set_num_threads: Callable[[int], None]) -> None:
    """Makes the pool known to threadpoolctl: now, or as soon as that is imported.

    The two functions say, and set, how many threads the pool may use.
    """
    _Pool.threads = (num_threads, set_num_threads)
    if sys.modules.get(_NAME) is not None:
        _register(import_module(_NAME))  # which waits for a thread that is just importing it
    elif _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


def _register(threadpoolctl: ModuleType) -> None:
    """Adds the pool to the libraries that threadpoolctl looks for."""
    if hasattr(threadpoolctl, "register"):
        controller = type("HotloopController", (_Pool, threadpoolctl.LibController), {})
        threadpoolctl.register(controller)
