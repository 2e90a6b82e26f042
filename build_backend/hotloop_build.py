"""The build: scikit-build-core's, and where the compiled core does not build, a package without it.

Such a package is pure Python, all on NumPy and Numba. It carries the reason in a file beside the
place of the compiled modules, which `hotloop info` and the warning at the first use quote. With
``HOTLOOP_STRICT_BUILD=1`` in the environment, or ``--config-settings strict=true``, a build without
the core fails instead.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scikit_build_core import build as cmake_build
from scikit_build_core.errors import NotFoundError, ScikitBuildError

Settings = dict[str, Any] | None

REASON = Path("src/hotloop/backends/compiled/not_built.txt")
LONGEST = 400

# No prepare_metadata_for_build_...: frontends then ask the wheel itself.
__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]


def build_wheel(directory: str, settings: Settings = None, metadata: str | None = None) -> str:
    """A wheel; without the compiled core, and with the reason in it, where that does not build."""
    try:
        return _build(cmake_build.build_wheel, directory, settings, metadata)
    finally:
        REASON.unlink(missing_ok=True)


def build_editable(directory: str, settings: Settings = None, metadata: str | None = None) -> str:
    """The same for an editable install, which finds the reason in the source folder."""
    return _build(cmake_build.build_editable, directory, settings, metadata)


def build_sdist(directory: str, settings: Settings = None) -> str:
    """An archive of the sources."""
    return cmake_build.build_sdist(directory, _others(settings))


def get_requires_for_build_wheel(settings: Settings = None) -> list[str]:
    """CMake and Ninja, where the machine has none."""
    return cmake_build.get_requires_for_build_wheel(_others(settings))


def get_requires_for_build_editable(settings: Settings = None) -> list[str]:
    """The same."""
    return cmake_build.get_requires_for_build_editable(_others(settings))


def get_requires_for_build_sdist(settings: Settings = None) -> list[str]:
    """Nothing."""
    return cmake_build.get_requires_for_build_sdist(_others(settings))


def _build(
    build: Callable[..., str], directory: str, settings: Settings, metadata: str | None
) -> str:
    strict, settings = _strict(settings), _others(settings)
    REASON.unlink(missing_ok=True)
    said = bytearray()
    try:
        with _overheard(said):
            return build(directory, settings, metadata)
    except SystemExit:  # a CMake run that failed
        reason = first_error(said.decode(errors="replace"))
    except ScikitBuildError as error:  # no CMake or Ninja, or one that is too old
        missing = "was not found" if isinstance(error, NotFoundError) else "cannot be used"
        reason = f"CMake or Ninja {missing}: {error}"
    if strict:
        print(f"\nhotloop's compiled core was not built: {reason}", file=sys.stderr, flush=True)
        raise SystemExit(1)
    print(f"\nhotloop is built without its compiled core: {reason}", file=sys.stderr, flush=True)
    REASON.write_text(reason + "\n", encoding="utf-8")
    return build(directory, settings | {"wheel.cmake": "false", "wheel.py-api": "py3"}, metadata)


def _strict(settings: Settings) -> bool:
    """Whether a build without the core should fail."""
    setting = (settings or {}).get("strict", os.environ.get("HOTLOOP_STRICT_BUILD", ""))
    known = {"": False, "0": False, "false": False, "1": True, "true": True}
    if str(setting).lower() not in known:
        raise SystemExit(
            "HOTLOOP_STRICT_BUILD or --config-settings strict=... must be 1 or true, 0 or false, "
            f"not {setting!r}"
        )
    return known[str(setting).lower()]


def _others(settings: Settings) -> dict[str, Any]:
    """The settings that are scikit-build-core's."""
    return {name: value for name, value in (settings or {}).items() if name != "strict"}


@contextmanager
def _overheard(said: bytearray) -> Iterator[None]:
    """Keeps what this process and its children print to standard output and error, and prints it.

    Messages of compilers are English meanwhile, so that errors can be told from warnings.
    """
    language = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C.UTF-8"
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    for stream in (1, 2):
        os.dup2(writer, stream)
    os.close(writer)

    def listen() -> None:
        while chunk := os.read(reader, 1 << 16):
            said.extend(chunk)
            os.write(kept[0], chunk)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, stream in zip(kept, (1, 2), strict=True):
            os.dup2(number, stream)
        listener.join()
        for number in (reader, *kept):
            os.close(number)
        if language is None:
            del os.environ["LC_ALL"]
        else:
            os.environ["LC_ALL"] = language


def first_error(log: str) -> str:
    """The line of a failed build's output that says what is wrong."""
    log = re.sub(r"\x1b\[[0-9;]*m", "", log).replace(f"{Path.cwd()}/", "")
    for pattern, words in _NO_COMPILER.items():
        if match := re.search(pattern, log):
            return match.expand(words)
    text = _first(_ERRORS, log)
    if text is None:
        text = (log.strip() or "the build failed without a word").splitlines()[-1]
    elif match := re.match(r'The C compiler ("[^"]*") is not able to compile', text):
        # CMake quotes the compiler, which may have said why.
        inner = _first(_ERRORS_OF_COMPILERS, log)
        text = f"the C compiler {match[1]} cannot compile a simple program"
        text += f": {inner}" if inner else ""
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _first(patterns: Iterable[str], log: str) -> str | None:
    """What the first of these matches says, on one line."""
    found = [match for pattern in patterns if (match := re.search(pattern, log, re.MULTILINE))]
    return " ".join(min(found, key=lambda match: match.start())[1].split()) if found else None


_NO_COMPILER = {
    r"No CMAKE_C_COMPILER could be found": "no C compiler was found (gcc or clang on PATH)",
    r"Could not find compiler set in environment\s+variable CC:\s+(\S+?)\.?\s": (
        r"no C compiler was found (gcc or clang on PATH): there is no program \1"
    ),
}
_ERRORS_OF_COMPILERS = (
    r"^(?!ninja:)([^\n]*(?:\berror: |\.p(?:yx|xd):\d+:\d+: )[^\n]*)",
    r"^([^\n]*(?:undefined reference|cannot find |No module named)[^\n]*)",
)
_ERRORS = (
    r"^CMake Error[^\n]*:\n+((?:  [^\n]*\n|\n(?=  ))+)",  # a paragraph, indented
    r"^CMake Error: ([^\n]*)",
    *_ERRORS_OF_COMPILERS,
)
