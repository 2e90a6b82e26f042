"""The build backend: what it makes of a build that fails. `.ci/fallback` runs real ones."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "build_backend"


@pytest.fixture
def builder(monkeypatch, tmp_path):
    pytest.importorskip("scikit_build_core", reason="builds, and nothing else, need it")
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delenv("HOTLOOP_STRICT_BUILD", raising=False)
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module("hotloop_build")
    module.REASON.parent.mkdir(parents=True)
    return module


@pytest.fixture
def failing(builder, monkeypatch):
    """A backend whose first attempt prints an error; what the builds were asked for."""
    asked = []

    def build(directory, settings, metadata):
        reason = builder.REASON
        asked.append((settings, reason.read_text() if reason.exists() else None))
        if settings.get("wheel.cmake") != "false":
            subprocess.run([sys.executable, "-c", "print('a.c:1:2: error: no such thing')"])
            raise SystemExit(1)
        return "a wheel"

    monkeypatch.setattr(builder.cmake_build, "build_wheel", build)
    monkeypatch.setattr(builder.cmake_build, "build_editable", build)
    return asked


PURE = {"wheel.cmake": "false", "wheel.py-api": "py3"}


def test_a_failing_build_is_repeated_without_the_core_and_keeps_the_reason(builder, failing, capfd):
    builder.REASON.write_text("an older one")
    assert builder.build_wheel("out", {"logging.level": "INFO"}) == "a wheel"
    reason = "a.c:1:2: error: no such thing"
    level = {"logging.level": "INFO"}
    assert failing == [(level, None), (level | PURE, reason + "\n")]
    assert not builder.REASON.exists()  # in the wheel, not in the sources
    out, err = capfd.readouterr()
    assert out == reason + "\n"
    assert err == f"\nhotloop is built without its compiled core: {reason}\n"


def test_an_editable_install_finds_the_reason_in_the_sources(builder, failing, monkeypatch):
    assert builder.build_editable("out") == "a wheel"
    assert builder.REASON.read_text() == "a.c:1:2: error: no such thing\n"
    monkeypatch.setattr(builder.cmake_build, "build_editable", lambda *arguments: "a wheel")
    builder.build_editable("out")
    assert not builder.REASON.exists()


@pytest.mark.parametrize("how", ["variable", "setting"])
@pytest.mark.parametrize("value", ["1", "true", "True"])
def test_a_strict_build_fails(builder, failing, monkeypatch, capfd, how, value):
    if how == "variable":
        monkeypatch.setenv("HOTLOOP_STRICT_BUILD", value)
    with pytest.raises(SystemExit) as stopped:
        builder.build_wheel("out", {"strict": value} if how == "setting" else None)
    assert stopped.value.code == 1
    assert [settings for settings, _ in failing] == [{}]
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == "hotloop's compiled core was not built: a.c:1:2: error: no such thing"


def test_the_setting_goes_before_the_variable(builder, failing, monkeypatch):
    monkeypatch.setenv("HOTLOOP_STRICT_BUILD", "1")
    assert builder.build_wheel("out", {"strict": "false"}) == "a wheel"
    monkeypatch.setenv("HOTLOOP_STRICT_BUILD", "0")
    assert builder.build_wheel("out") == "a wheel"


def test_another_value_is_an_error(builder, failing, monkeypatch):
    monkeypatch.setenv("HOTLOOP_STRICT_BUILD", "maybe")
    with pytest.raises(SystemExit, match=r"HOTLOOP_STRICT_BUILD or .* must be .*, not 'maybe'"):
        builder.build_wheel("out")
    assert failing == []


def test_a_missing_cmake(builder, monkeypatch):
    from scikit_build_core.errors import CMakeNotFoundError

    told = []

    def build(directory, settings, metadata):
        if not settings:
            raise CMakeNotFoundError("Could not find CMake with version >=3.20")
        told.append(builder.REASON.read_text())

    monkeypatch.setattr(builder.cmake_build, "build_wheel", build)
    builder.build_wheel("out")
    assert told == ["CMake or Ninja was not found: Could not find CMake with version >=3.20\n"]


def test_the_environment_is_as_it_was(builder, failing, monkeypatch):
    for language in ("de_DE.UTF-8", None):
        if language:
            monkeypatch.setenv("LC_ALL", language)
        else:
            monkeypatch.delenv("LC_ALL")
        before = dict(os.environ)
        builder.build_wheel("out")
        assert dict(os.environ) == before


LOGS = {
    """\
CMake Error at CMakeLists.txt:4 (project):
  No CMAKE_C_COMPILER could be found.

  Tell CMake where to find the compiler ...
""": "no C compiler was found (gcc or clang on PATH)",
    """\
CMake Error at /usr/share/cmake/Modules/CMakeDetermineCCompiler.cmake:49 (message):
  Could not find compiler set in environment variable CC:

  gcc-99.

Call Stack (most recent call first):
""": "no C compiler was found (gcc or clang on PATH): there is no program gcc-99",
    """\
-- Check for working C compiler: /bin/false - broken
CMake Error at /usr/share/cmake/Modules/CMakeTestCCompiler.cmake:67 (message):
  The C compiler

    "/bin/false"

  is not able to compile a simple test program.

  It fails with the following output:

    FAILED: x.o
    ninja: build stopped: subcommand failed.

  CMake will not be able to correctly generate this project.
Call Stack (most recent call first):
  CMakeLists.txt:4 (project)
""": 'the C compiler "/bin/false" cannot compile a simple program',
    """\
CMake Error at /usr/share/cmake/Modules/CMakeTestCCompiler.cmake:67 (message):
  The C compiler

    "/usr/bin/cc"

  is not able to compile a simple test program.

  It fails with the following output:

    /usr/bin/ld: cannot find Scrt1.o: No such file or directory
    collect2: error: ld returned 1 exit status

""": 'the C compiler "/usr/bin/cc" cannot compile a simple program: '
    "/usr/bin/ld: cannot find Scrt1.o: No such file or directory",
    """\
CMake Error at Modules/FindPackageHandleStandardArgs.cmake:230 (message):
  Could NOT find Python (missing: Python_INCLUDE_DIRS
  Development.Module) (found version "3.13.0")
Call Stack (most recent call first):
  CMakeLists.txt:6 (find_package)
""": 'Could NOT find Python (missing: Python_INCLUDE_DIRS Development.Module) (found version "3.13.0")',  # noqa: E501
    "CMake Error: CMAKE_MAKE_PROGRAM is not set\nmore\n": "CMAKE_MAKE_PROGRAM is not set",
    """\
[3/27] Building C object CMakeFiles/executor.dir/executor.c.o
\x1b[31mFAILED: \x1b[0mCMakeFiles/executor.dir/executor.c.o
/usr/bin/cc -Werror=format -c executor.c
executor.c:3:9: warning: unused
executor.c:44:10: \x1b[1merror: \x1b[0m'CLOCK_MONOTONIC' undeclared
executor.c:45:10: error: another
ninja: error: nothing
""": "executor.c:44:10: error: 'CLOCK_MONOTONIC' undeclared",
    """\
Error compiling Cython file:
------------------------------------------------------------
...
x = y
    ^
------------------------------------------------------------

src/hotloop/backends/compiled/steps.pyx:4:5: undeclared name not builtin: y
""": "src/hotloop/backends/compiled/steps.pyx:4:5: undeclared name not builtin: y",
    "FAILED: steps.c\n/usr/bin/python3: No module named cython\nninja: build stopped\n": (
        "/usr/bin/python3: No module named cython"
    ),
    "a.o: in function `f':\na.c:(.text+0x9): undefined reference to `g'\n": (
        "a.c:(.text+0x9): undefined reference to `g'"
    ),
    "gcc: fatal error: Killed signal terminated program cc1\n": (
        "gcc: fatal error: Killed signal terminated program cc1"
    ),
    "something\nelse\n\n": "else",
    "": "the build failed without a word",
}


@pytest.mark.parametrize("log", LOGS)
def test_the_line_that_says_what_is_wrong(builder, log):
    assert builder.first_error(log) == LOGS[log]


def test_lines_of_any_length_and_without_the_folder(builder, tmp_path):
    assert builder.first_error(f"{tmp_path}/csrc/a.c:1:1: error: x\n") == "csrc/a.c:1:1: error: x"
    assert len(builder.first_error("a.c:1:1: error: " + "x" * 5000)) == builder.LONGEST
