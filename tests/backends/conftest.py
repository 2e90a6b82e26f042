"""A Python of one's own, with a C library that counts and pretends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def fresh_python(code: str, *arguments: str, **environment: str) -> list[str]:
    """What a new process with this library prints, line by line."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HOTLOOP_")}
    # Not at the top: --without hides extensions before the library is imported.
    import hotloop

    source = str(Path(hotloop.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=kept | {"PYTHONPATH": source} | environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture
def compiled() -> Iterator[None]:
    """The compiled backend; it and the number of threads are what they were afterwards."""
    import hotloop  # not at the top: see fresh_python

    config = hotloop.config
    backend, threads = config.backend(), config.num_threads()
    config.set_backend("cython")
    yield
    config.set_backend(backend)
    config.set_num_threads(threads)


@pytest.fixture
def python() -> Callable[..., list[str]]:
    return fresh_python


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """The same with preload.c in front of the C library."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("what is preloaded needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("preload") / "preload.so"
    source = Path(__file__).with_name("preload.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    front = ":".join(filter(None, [os.environ.get("LD_PRELOAD"), str(library)]))

    def run(code: str, *arguments: str, **environment: str) -> list[str]:
        return fresh_python(code, *arguments, LD_PRELOAD=front, **environment)

    return run
