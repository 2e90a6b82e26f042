"""One library on one case in a process of its own, which trains whenever it is told to."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

import cases
import turns
from peers import PEERS

# A shorter timing would be of cold caches, and of the clock.
SHORTEST_SECONDS = 0.1


def seconds_of(call: Callable[[], None]) -> float:
    """Seconds that a call takes: the mean of as many as a timing needs."""
    count, started = 0, time.perf_counter()
    while True:
        call()
        count += 1
        passed = time.perf_counter() - started
        if passed >= SHORTEST_SECONDS:
            return passed / count


def main() -> None:
    """Serve ``train``, ``time``, which trains and answers seconds, and ``loss``."""
    peer_name, case_name, folder, epochs, threads = sys.argv[1:]

    def prepare() -> Callable[[str], float | None]:
        case = replace(cases.find(case_name), epochs=int(epochs))
        data = cases.Data(np.load(f"{folder}/x.npy"), np.load(f"{folder}/y.npy"), "")
        peer = PEERS[peer_name]()
        peer.prepare(case, cases.first_weights(case), data, int(threads))

        def answer(command: str) -> float | None:
            if command == "train":
                peer.train(case.epochs)
                return None
            if command == "time":
                return seconds_of(lambda: peer.train(case.epochs))
            weights = peer.weights()
            return None if weights is None else cases.training_loss(case, weights, data)

        return answer

    turns.serve(int(threads), prepare)


if __name__ == "__main__":
    main()
