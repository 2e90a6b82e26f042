"""What a bad file raises: a ValueError that names the file, whatever went wrong inside."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import formats

_HOW = "truncated, corrupt or another format"
# What the system says of a file that it cannot read; libraries give nonsense addresses EINVAL.
_OF_THE_SYSTEM = {errno.EIO, errno.ENOENT, errno.EACCES, errno.EPERM, errno.ESTALE, errno.EMFILE}


class DamagedError(ValueError):
    """What no program can have meant to write."""


@contextmanager
def refusals(path: Path | str, what: str) -> Iterator[None]:
    """Makes one error of the many that damaged or hostile content causes.

    Errors that are not the file's fault stay what they are: a lack of memory or of a package,
    and files that the system does not let be read.
    """
    try:
        yield
    except (MemoryError, ImportError):
        raise
    except RecursionError as error:
        raise ValueError(f"{path}: what it describes is nested too deeply") from error
    except DamagedError as error:
        raise ValueError(f"{path} is not a complete {what} ({_HOW}): {error}") from error
    except ValueError as error:
        words = str(error)
        raise ValueError(words if str(path) in words else f"{path}: {words}") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_SYSTEM:
            raise
        raise ValueError(
            f"{path} is not a complete {what} ({_HOW}): {type(error).__name__}: {error}"
        ) from error


def not_readable(path: Path, wanted: str) -> ValueError:
    """The error for a file of another kind; `wanted` where its name does not say what it was."""
    wanted = _BY_SUFFIX.get(path.suffix.lower(), wanted)
    return ValueError(f"{path} is not {wanted}, but {formats.description(path)}")


_BY_SUFFIX = {
    ".hotloop": "a complete hotloop model",
    ".keras": "a complete .keras file of Keras 3",
    ".safetensors": "a complete safetensors file",
}
