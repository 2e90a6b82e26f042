"""What ``import hotloop`` brings along, counted, and the doors to what it leaves out."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import hotloop
from hotloop import callbacks

# Each costs every program that imports hotloop, and few need it, or not before they train.
HEAVY = {"numba", "llvmlite", "scipy", "matplotlib", "sklearn", "pandas", "torch", "IPython"}
HEAVY |= {"h5py", "tqdm", "safetensors", "multiprocessing", "asyncio", "socket", "concurrent"}
UNUSED = {"argparse", "csv", "difflib", "hashlib", "html", "json", "logging", "pathlib", "random"}
UNUSED |= {"secrets", "shutil", "subprocess", "tempfile", "urllib", "zipfile"}
DOORS = {
    "hotloop.backends.compiled",
    "hotloop.backends.interpreter",
    "hotloop.backends.loops",
    "hotloop.backends.numpy",
    "hotloop.backends.scalar_functions",
    "hotloop.cli",
    "hotloop.datasets",
    "hotloop.backends.differentiation",
    "hotloop.kernels",
    "hotloop.notebook",
    "hotloop.profiling",
    "hotloop.sklearn",
    "hotloop.tabular",
}


def run(code: str) -> str:
    """What a fresh Python prints."""
    source = str(Path(hotloop.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | {"PYTHONPATH": source},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    return done.stdout


def imported(code: str) -> list[str]:
    """The modules that some code imports, after NumPy."""
    start = "import sys, numpy; before = set(sys.modules)\n"
    return run(f"{start}{code}\nprint(*sorted(set(sys.modules) - before))").split()


@pytest.fixture(scope="module")
def new() -> list[str]:
    return imported("import hotloop")


def test_nothing_heavy_is_imported(new: list[str]) -> None:
    packages = {name.partition(".")[0] for name in new}
    assert not packages & HEAVY
    assert packages <= {*sys.stdlib_module_names, "hotloop", "numpy", "org"}  # org: of `copy`


def test_nothing_is_imported_that_most_programs_do_without(new: list[str]) -> None:
    assert not UNUSED & set(new)
    assert not [name for name in new if name.startswith("numpy.random")]
    assert not DOORS & set(new)
    inside = ("hotloop.files.", "hotloop.saving.")
    assert [name for name in new if name.startswith(inside)] == ["hotloop.files.models"]


def test_modules_are_few(new: list[str]) -> None:
    """Each module of ours costs 0.1 to 0.2 ms, whatever is in it."""
    own = [name for name in new if name.startswith("hotloop")]
    assert len(own) <= 153
    assert len(new) - len(own) <= 12


@pytest.mark.parametrize("module", [hotloop, callbacks], ids=["hotloop", "hotloop.callbacks"])
def test_a_door_shows_every_name(module: object) -> None:
    name = getattr(module, "__name__", "")
    code = f"import {name} as m\nprint(*sorted(set(m.__all__) - set(dir(m))))"
    assert run(code) == "\n"
    code = f"from {name} import *\nimport {name} as m\nprint(*sorted(set(m.__all__) - set(dir())))"
    assert run(code) == "\n"


@pytest.mark.parametrize("module", ["hotloop", "hotloop.callbacks"])
def test_a_door_knows_no_other_name(module: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'Nothing'"):
        _ = sys.modules[module].Nothing


@pytest.mark.parametrize("name", ["datasets", "kernels", "profiling"])
def test_a_module_behind_a_door_is_there_without_importing_it(name: str) -> None:
    assert run(f"import hotloop\nprint(hotloop.{name}.__name__)") == f"hotloop.{name}\n"
    assert run(f"from hotloop import {name}\nprint({name}.__name__)") == f"hotloop.{name}\n"


@pytest.mark.parametrize("name", ["BackupAndRestore", "CSVLogger", "ModelCheckpoint"])
def test_a_callback_behind_the_door(name: str) -> None:
    made = getattr(callbacks, name)("folder.hotloop")
    assert isinstance(made, callbacks.Callback)
    assert type(pickle.loads(pickle.dumps(made))) is getattr(callbacks, name)


def test_numbers_that_nobody_asked_for_are_not_imported_by_a_fork() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    code = """
import os, sys, hotloop
child = os.fork()
if child == 0:
    first = "numpy.random" in sys.modules
    hotloop.utils.set_random_seed(0)
    os._exit(first)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(code, "numpy.random" in sys.modules)
"""
    assert run(code) == "0 False\n"
