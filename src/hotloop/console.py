"""Standard output as the library writes to it: none of its oddities is a reason for a fit to fail.

Programs with windows have none (``sys.stdout`` is None), others replace it by an object that has
``write`` alone, close it, or have an encoding that lacks some characters.
"""

from __future__ import annotations

import errno
import sys
import warnings

_to_log = False


def to_log(wanted: bool) -> None:
    """Whether what would be printed goes to the logger of this package."""
    global _to_log
    _to_log = wanted


def is_to_log() -> bool:
    """Whether it does."""
    return _to_log


def say(text: str) -> None:
    """Prints a line at once; nothing where there is no standard output, or none any more."""
    if _to_log:
        import logging

        logging.getLogger("hotloop").info(text)
        return
    stream = Stream()
    stream.write(f"{text}\n")
    stream.flush()


def warn_user(what: str) -> None:
    """A warning that points at the line that called into this package."""
    depth, frame = 2, sys._getframe(1)  # noqa: SLF001 - the frame, as `inspect` gets it
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(_PACKAGE):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(what, UserWarning, stacklevel=depth)


_PACKAGE = __name__.partition(".")[0] + "."


def is_terminal() -> bool:
    """Whether standard output is a terminal, on which a line can be written over."""
    if _to_log:
        return False
    try:
        return bool(sys.stdout.isatty())
    except (AttributeError, ValueError, OSError):  # without it, closed
        return False


def columns() -> int:
    """Characters on a line; 80 where a terminal does not know."""
    import shutil  # with modules of compression

    return shutil.get_terminal_size(fallback=(80, 24)).columns


class Stream:
    """What is standard output when this is made, as a file that can always be written to."""

    def __init__(self) -> None:
        self._stream = sys.stdout

    @property
    def encoding(self) -> str:
        """Of the characters; ASCII where that is not known."""
        return getattr(self._stream, "encoding", None) or "ascii"

    def write(self, text: str) -> None:
        """Writes text, with escapes for what the encoding lacks."""
        if self._gone():
            return
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self.encoding
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except OSError as error:
            _only_if_closed(error)

    def flush(self) -> None:
        """Writes out what is kept back."""
        flush = getattr(self._stream, "flush", None)
        if flush is None or self._gone():
            return
        try:
            flush()
        except OSError as error:
            _only_if_closed(error)

    def _gone(self) -> bool:
        return self._stream is None or getattr(self._stream, "closed", False) is True


def _only_if_closed(error: OSError) -> None:
    """Passes over a file that was closed beneath Python; a full disk or a broken pipe is told."""
    if error.errno != errno.EBADF:
        raise error
