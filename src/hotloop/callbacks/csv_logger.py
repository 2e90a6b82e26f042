"""Metrics as a table on disk."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import IO, Any

from ..files.whole import text_written_whole
from .base import Callback, Logs


class CSVLogger(Callback):
    """Write the metrics of each epoch to a CSV file, a row as soon as the epoch ends.

    The columns are ``epoch``, from 0, and the metrics by name. What an epoch lacks is ``NA``, as
    where validation is not done after each; what comes only later gets a column then.

    Parameters
    ----------
    filename : path-like
        Folders on the way to it are made.
    separator : str
        One character between two columns.
    append : bool
        Whether rows go behind those of an existing file, instead of replacing it.

    Raises
    ------
    OSError
        When training begins, if the file cannot be written.

    Examples
    --------
    >>> CSVLogger("training.csv", append=True).append
    True
    """

    def __init__(
        self, filename: str | PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"CSVLogger: separator must be one character, not {separator!r}")
        self.filename = Path(filename)
        self.sep = separator
        self.append = append
        self._file: IO[str] | None = None
        self._names: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file; behind rows of an earlier run, keep to that run's columns."""
        self._close()
        self._names = []
        self.filename.parent.mkdir(parents=True, exist_ok=True)
        if self.append and self.filename.exists():
            with self.filename.open(newline="", encoding="utf-8") as file:
                self._names = next(csv.reader(file, delimiter=self.sep), [])
        self._open("a" if self.append else "w")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a row."""
        if self._file is None:
            return
        row = {"epoch": epoch, **(logs or {})}
        if not row.keys() <= set(self._names):
            self._widen(row)
        self._write(self._file, [row.get(name, "NA") for name in self._names])

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        self._close()

    def get_state(self) -> dict[str, Any]:
        """The rows so far."""
        return {"text": self._text(), "names": self._names}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on behind these rows, instead of those in the file."""
        self._close()
        self._names = list(state["names"])
        with text_written_whole(self.filename, newline="") as file:
            file.write(state["text"])
        self._open("a")

    def _text(self) -> str:
        with self.filename.open(newline="", encoding="utf-8") as file:
            return file.read()

    def _widen(self, row: Mapping[str, Any]) -> None:
        """Give this row's new names a column, in the rows before it too: then they are NA."""
        new = [name for name in row if name not in self._names]
        self._close()
        rows: list[list[str]] = []
        if self._names:
            with self.filename.open(newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file, delimiter=self.sep))[1:]
        self._names += new
        with text_written_whole(self.filename, newline="") as file:
            self._write(file, self._names)
            for known in rows:
                self._write(file, [*known, *["NA"] * len(new)])
        self._open("a")

    def _write(self, file: IO[str], row: Iterable[Any]) -> None:
        csv.writer(file, delimiter=self.sep, lineterminator="\n").writerow(row)

    def _open(self, mode: str) -> None:
        """Line by line, so that a row is there as soon as it is written."""
        self._file = self.filename.open(mode, newline="", encoding="utf-8", buffering=1)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
