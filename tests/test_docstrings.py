"""Every example in a docstring does what it says."""

import doctest
import importlib
import pkgutil

import pytest

import hotloop

# Extension modules and what must not be imported twice or by itself.
SKIPPED = ("hotloop.backends.compiled.", "hotloop.__main__")

MODULES = [
    module.name
    for module in pkgutil.walk_packages(hotloop.__path__, "hotloop.")
    if not module.name.startswith(SKIPPED)
]


@pytest.mark.parametrize("name", ["hotloop", *MODULES])
def test_examples(name: str) -> None:
    if name == "hotloop.backends.loops":
        pytest.importorskip("numba")
    module = importlib.import_module(name)
    failures, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failures == 0
