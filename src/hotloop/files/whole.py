"""Files that appear whole or not at all: the one way in which this package replaces a file.

What is written goes into a temporary file beside the target, which takes the target's name when
all of it is on disk. Readers see the old file or the new one, never a part, also after a kill, a
full disk or a loss of power, and however many threads, processes and containers write to one path.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import platform
import re
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO

# Named alike for all targets, so that it never is too long, and for this boot of this machine:
# only here does a lock say whether a writer lives.
_TEMPORARY = re.compile(r"\.hotloop-([0-9a-f]{8})-[0-9a-f]{16}\.tmp")
# When nobody can be asked, a temporary file that was not written to for so long is left over.
_ABANDONED_SECONDS = 24 * 60 * 60


@contextmanager
def written_whole(filepath: str | PathLike[str], overwrite: bool = True) -> Iterator[IO[bytes]]:
    """A file to write to and read from; it takes its place when all is on disk, or never.

    A link is followed: the file that it points to is replaced. A file that is replaced leaves its
    mode to the new one, and its owner where the system allows that; a new file has the mode that
    the umask says. Pipes and devices are never replaced: they are sent the bytes, at the end.

    Raises
    ------
    FileExistsError
        If there is one already and `overwrite` is false.
    OSError
        If the folder is missing or not writable, the disk is full, and so on; the path is in the
        error, and what was there still is.
    """
    path = Path(filepath)
    if not overwrite and os.path.lexists(path):
        raise _exists(path)
    try:
        before = path.stat()
    except FileNotFoundError:
        before = None
    if before is not None and stat.S_ISDIR(before.st_mode):
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    try:
        if before is not None and not stat.S_ISREG(before.st_mode):
            yield from _sent(path)
        else:
            yield from _replaced(Path(os.path.realpath(path)), before, overwrite)
    except OSError as error:
        name = error.filename
        if error.errno is None or (name and not _TEMPORARY.fullmatch(os.path.basename(str(name)))):
            raise  # not of the system, or about another file
        words = f"{error.strerror or os.strerror(error.errno)}; {_kept(before)}"
        raise OSError(error.errno, words, str(path)) from error


@contextmanager
def text_written_whole(
    filepath: str | PathLike[str], newline: str | None = None
) -> Iterator[IO[str]]:
    """The same for text, in UTF-8; `newline` as in `open`."""
    with written_whole(filepath) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline=newline)
        try:
            yield text
            text.flush()
        finally:
            with contextlib.suppress(OSError):  # of what an error has left unwritten
                text.detach()


def remove_leftovers(folder: Path) -> None:
    """Deletes the temporary files of writers that were killed; never one of a living writer."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if match := _TEMPORARY.fullmatch(entry.name):
                _remove_if_left(entry.path, here=match[1] == _machine())


def _sent(path: Path) -> Iterator[IO[bytes]]:
    """A file whose bytes are sent to a pipe or device when they are complete."""
    import shutil
    import tempfile

    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        with open(path, "wb") as sink:
            shutil.copyfileobj(file, sink)


def _replaced(target: Path, before: os.stat_result | None, overwrite: bool) -> Iterator[IO[bytes]]:
    """A temporary file beside the target, which becomes the target."""
    folder = target.parent
    if before is not None and not os.access(target, os.W_OK):
        raise PermissionError(f"{target} is read-only; {_kept(before)}")
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} to write {target.name} into")
    remove_leftovers(folder)
    # Until it is complete, nobody else may read what may be secret.
    temporary, descriptor = _created(folder, 0o666 if before is None else 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            if before is not None:
                _take_over(file.fileno(), before)
            os.fsync(file.fileno())
            # Still open, and so locked: nobody takes it for a leftover.
            if overwrite:
                os.replace(temporary, target)
            else:
                _link_anew(temporary, target)
        _sync_folder(folder)
    finally:
        temporary.unlink(missing_ok=True)


def _created(folder: Path, mode: int) -> tuple[Path, int]:
    """A new file that is this writer's alone, locked for as long as it is open."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        path = folder / f".hotloop-{_machine()}-{os.urandom(8).hex()}.tmp"
        try:
            descriptor = os.open(path, flags, mode)
        except FileExistsError:
            continue
        if _lock(descriptor, wait=True) is False or os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # somebody took it for a leftover before it was locked


def _lock(descriptor: int, *, wait: bool) -> bool | None:
    """Locks a file: True. None if another has it, False where there are no locks."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return None
    except OSError:
        return False
    return True


def _remove_if_left(path: str, *, here: bool) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            locked = _lock(descriptor, wait=False)
            old = time.time() - os.fstat(descriptor).st_mtime > _ABANDONED_SECONDS
            if locked is not None and ((locked and here) or old):
                os.unlink(path)
        finally:
            os.close(descriptor)


@functools.cache
def _machine() -> str:
    """Eight digits for this boot of this machine, the same in all of its containers."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes()[:8].decode()
    except OSError:
        return f"{zlib.crc32(platform.node().encode()):08x}"


def _take_over(descriptor: int, before: os.stat_result) -> None:
    """Owner and mode of the file that is replaced."""
    mode, new = stat.S_IMODE(before.st_mode), os.fstat(descriptor)
    if hasattr(os, "fchown") and (new.st_uid, new.st_gid) != (before.st_uid, before.st_gid):
        try:
            os.fchown(descriptor, before.st_uid, before.st_gid)
        except OSError:
            try:
                os.fchown(descriptor, -1, before.st_gid)
            except OSError:  # another group may do no more than everybody may
                mode = (mode & ~0o070) | (mode & 0o007) << 3
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, mode)


def _link_anew(temporary: Path, target: Path) -> None:
    """Gives a file its name, unless somebody else was faster: FileExistsError."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise _exists(target) from None
    except OSError:  # a file system without links
        if target.exists():
            raise _exists(target) from None
        os.replace(temporary, target)


def _sync_folder(folder: Path) -> None:
    """Puts the new name on disk too, where a folder can be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(f"{path} exists already; pass overwrite=True to replace it")


def _kept(before: os.stat_result | None) -> str:
    return "nothing was written" if before is None else "the file is as it was"
