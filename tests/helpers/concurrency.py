"""What tests of threads and forks share. A thread or a child that hangs fails its test."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

PATIENCE = 60.0  # seconds: longer than any thread or child takes on a busy machine


def in_threads(*works: Callable[[], Any]) -> list[Any]:
    """What these return, each run by a thread of its own; raises what one of them raises."""
    results: list[Any] = [None] * len(works)
    failed: list[BaseException] = []

    def attempt(i: int) -> None:
        try:
            results[i] = works[i]()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=attempt, args=(i,), daemon=True) for i in range(len(works))]
    for thread in threads:
        thread.start()
    until = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0.0))
    if failed:
        raise failed[0]
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    return results


def in_child(work: Callable[[], object]) -> None:
    """Forks; fails unless the child does its work and ends."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:
            print(f"in the child: {error!r}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    assert exit_code(child) == 0


def exit_code(child: int) -> int:
    """That of a child, once it has ended; a child that hangs is killed."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the child hangs")
