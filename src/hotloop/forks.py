"""Locks that a forked child finds free."""

from __future__ import annotations

import os
from typing import Any


def kept_over_forks(lock: Any) -> Any:
    """The lock itself; a fork waits for it, as the child would wait for its holder for ever.

    A fork copies the thread that forks and no other, but every lock as it is.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock
