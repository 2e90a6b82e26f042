"""Libraries that take turns: each in a process of its own, so that a noisy minute hits all alike.

The run sends a line for each command; the answer is one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

from peers import limit_threads

# Thread pools spin after their last task, OpenBLAS's for up to 2^28 cycles; the next library must
# not feel it.
PAUSE_SECONDS = 0.2
WARM_UP_SECONDS = 0.1


def warm_up(call: Callable[[], Any]) -> None:
    """Run a short call again and again: a CPU or a thread that has rested is slow at first."""
    end = time.perf_counter() + WARM_UP_SECONDS
    while time.perf_counter() < end:
        call()


class WorkerError(Exception):
    """A process that ended instead of answering."""


class Worker:
    """A process that runs a Python script and answers commands."""

    def __init__(self, script: Path, words: Sequence[str], threads: int) -> None:
        self._errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, str(script), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=limit_threads(threads),
        )

    def ask(self, command: str) -> Any:
        """Send a command and wait for the answer."""
        assert self._process.stdin is not None
        try:
            print(command, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise WorkerError(self._last_words()) from None
        return self.answer()

    def answer(self) -> Any:
        """The next answer; the first comes unasked, when all is ready."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(self._last_words())
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _last_words(self) -> str:
        """Last line of the worker's errors."""
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().split("\n")
        return next((line for line in reversed(lines) if line.strip()), "no message")


class Turns:
    """Workers by name; one that fails takes no further part.

    Attributes
    ----------
    failures : dict of str
        The last words of those that failed.
    """

    def __init__(self) -> None:
        self.failures: dict[str, str] = {}
        self._workers: dict[str, Worker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers.values():
            worker.close()

    def start(self, name: str, script: Path, words: Sequence[str], threads: int) -> None:
        """Start a worker and wait until it is ready."""
        worker = self._workers[name] = Worker(script, words, threads)
        self._attempt(name, worker.answer)

    def ask(self, command: str) -> dict[str, Any]:
        """Everybody's answer to a command, one after the other."""
        answers = {}
        for name, worker in self._workers.items():
            if name not in self.failures:
                time.sleep(PAUSE_SECONDS)
                answer = self._attempt(name, partial(worker.ask, command))
                if name not in self.failures:
                    answers[name] = answer
        return answers

    def rounds(self, command: str, count: int) -> dict[str, list[Any]]:
        """Answers to a command repeated so many times, after one round that is not counted."""
        self.ask(command)
        answers = [self.ask(command) for _ in range(count)]
        return {
            name: [answer[name] for answer in answers]
            for name in self._workers
            if name not in self.failures
        }

    def _attempt(self, name: str, what: Callable[[], Any]) -> Any:
        """What a worker answers; None, and its failure noted, if it ends."""
        try:
            return what()
        except WorkerError as error:
            self.failures[name] = str(error)
            return None


def serve(threads: int, prepare: Callable[[], Callable[[str], Any]]) -> None:
    """Be a worker: prepare on so many cores, then answer commands until the input ends."""
    # Libraries print what they like to descriptor 1, so answers take another one.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    answer = prepare()
    print(json.dumps("ready"), file=answers)
    for command in sys.stdin:
        print(json.dumps(answer(command.strip())), file=answers)
