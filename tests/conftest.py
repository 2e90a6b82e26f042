"""Options and fixtures of the whole suite."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

pytest_plugins = ["pytester"]

# Keras on PyTorch: of its backends here, the one that compiles nothing, for hundreds of models that
# train for a few steps each.
os.environ.setdefault("KERAS_BACKEND", "torch")

# What --without makes unimportable.
COMPILED = ("runtime", "matmul", "steps", "executor", "kernels")
EXTENSIONS = {
    "cython": [f"hotloop.backends.compiled.{module}" for module in COMPILED],
    "numba": ["numba"],
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without",
        default="",
        metavar="cython,numba",
        help="run the suite as if these extensions were not installed",
    )
    parser.addoption(
        "--fuzz-factor",
        type=float,
        default=1.0,
        metavar="N",
        help="tests/fuzz: try N times as many random cases",
    )
    parser.addoption(
        "--fuzz-seed", type=int, metavar="SEED", help="tests/fuzz: only the case of this seed"
    )


def pytest_configure(config: pytest.Config) -> None:
    hidden = [name for name in config.getoption("--without").split(",") if name]
    unknown = [name for name in hidden if name not in EXTENSIONS]
    if unknown:
        raise pytest.UsageError(f"--without knows {', '.join(EXTENSIONS)}, not {unknown}")
    if hidden and "hotloop" in sys.modules:
        raise pytest.UsageError("--without came too late: hotloop is imported already")
    for name in hidden:
        sys.modules.update(dict.fromkeys(EXTENSIONS[name]))


@pytest.fixture(scope="session", autouse=True)
def announced() -> None:
    """Lets the one warning about missing extensions appear before any test, and fail none."""
    config = importlib.import_module("hotloop.config")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        config.backend()


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers in every run of a test, whatever ran before it."""
    importlib.import_module("hotloop.utils").set_random_seed(0)


def pytest_report_header(config: pytest.Config) -> str:
    states = importlib.import_module("hotloop.backends").availability()
    return "backends: " + ", ".join(f"{name} {state}" for name, state in states.items())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test that asks for `backend` with each backend that can be had here."""
    own = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "backend" in metafunc.fixturenames and "backend" not in own:
        states = importlib.import_module("hotloop.backends").availability()
        here = [name for name, state in states.items() if state == "available"]
        metafunc.parametrize("backend", here, indirect=True)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Python's own handler, which a process that runs in the background may not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The backend that runs the test; the one before is back afterwards."""
    config = importlib.import_module("hotloop.config")
    before = config.backend()
    try:
        config.set_backend(request.param)
    except RuntimeError as error:
        pytest.skip(str(error))
    yield request.param
    config.set_backend(before)


@pytest.fixture(scope="session")
def schedule_free_as_in_the_paper() -> None:
    """Keras where tensors change in place: it means z before the step, and reads it behind it."""
    keras = pytest.importorskip("keras")

    def assign_sub(self: object, variable: Any, value: Any) -> None:
        variable._initialize(keras.ops.subtract(variable, value))

    if keras.backend.backend() == "torch":
        keras.optimizers.ScheduleFreeAdamW.assign_sub = assign_sub
