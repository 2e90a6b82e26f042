"""Files that a command writes: looked at before the work, so that none of it is lost."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..tabular.source import STANDARD_INPUT


def check_outputs(
    outputs: Mapping[str, Path | None], inputs: Sequence[str | os.PathLike[str]] = ()
) -> None:
    """That files can be written, and that none is what another option reads or writes.

    Parameters
    ----------
    outputs : mapping of str to path-like or None
        Of options to files.
    inputs : sequence of path-like
        What the command reads, ``"-"`` being standard input.

    Raises
    ------
    ValueError
        Naming the option and what is in the way.
    """
    written: dict[str, Path] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        _check_writable(option, path)
        for given in inputs:
            if _same(path, given):
                raise ValueError(
                    f"{option}: {path} is a file that this command reads ({given}); writing would "
                    "destroy it"
                )
        for other, taken in written.items():
            if _same(path, taken):
                raise ValueError(f"{option}: {path} is what {other} writes")
        written[option] = path


def _check_writable(option: str, path: Path) -> None:
    """That a file of this name can be made, by making one beside it."""
    if not path.name or path.is_dir():
        raise ValueError(f"{option}: {path} is a folder; name a file")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ValueError(f"{option}: there is no folder {folder}")
    if _is_special(path):
        return
    probe = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise ValueError(f"{option}: {path} cannot be written: {error.strerror}") from None


def _is_special(path: Path) -> bool:
    """Whether this is a device or a pipe, which is written to and not replaced."""
    return path.exists() and not path.is_file()


def _same(path: Path, other: str | os.PathLike[str]) -> bool:
    """Whether both are one file: by any name, link or path; or will be."""
    if other == STANDARD_INPUT:
        try:
            return path.is_file() and os.path.samestat(path.stat(), os.fstat(sys.stdin.fileno()))
        except (OSError, ValueError):  # standard input is no file of the operating system
            return False
    if _is_special(path):
        return False
    try:
        return os.path.samefile(path, other)
    except OSError:  # one does not exist yet
        return os.path.realpath(path) == os.path.realpath(other)
