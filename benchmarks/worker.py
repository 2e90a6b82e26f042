"""One library on one case in a process of its own, which trains whenever it is told to.

The run sends a line for each command; the answer is one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace

import numpy as np

import cases
from peers import PEERS


def main() -> None:
    """Serve ``train`` and ``loss`` until the input ends."""
    peer_name, case_name, folder, epochs, threads = sys.argv[1:]
    # Libraries print what they like to descriptor 1, so answers take another one.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])

    case = replace(cases.find(case_name), epochs=int(epochs))
    data = cases.Data(np.load(f"{folder}/x.npy"), np.load(f"{folder}/y.npy"), "")
    peer = PEERS[peer_name]()
    peer.prepare(case, cases.first_weights(case), data, int(threads))
    print(json.dumps("ready"), file=answers)
    for command in sys.stdin:
        if command.strip() == "train":
            started = time.perf_counter()
            peer.train(case.epochs)
            answer: float | None = time.perf_counter() - started
        else:
            weights = peer.weights()
            answer = None if weights is None else cases.training_loss(case, weights, data)
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
