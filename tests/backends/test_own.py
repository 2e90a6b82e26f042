"""Ops that call functions of the user's own, in compiled steps."""

from __future__ import annotations

import json

import pytest

from hotloop import backends
from hotloop.backends import own

COUNTS = """
import ctypes, json, math
import numpy as np
import hotloop
from hotloop import layers
from hotloop.data.feed import Feed
from hotloop.models import examples

allocations = ctypes.CDLL(None).preload_allocations
allocations.restype = ctypes.c_long

def silu(x):
    return x / (1.0 + math.exp(-x))

def squares(y_true, y_pred):
    return (y_true - y_pred) ** 2

model = hotloop.Sequential([hotloop.Input((65,)), layers.Dense(130, silu), layers.Dense(3)])
model.compile("adam", squares)
x, y = np.ones((32_000, 65)), np.ones((32_000, 3))
data = examples.read(model, model._compilation, x, y)
objective = model._compilation.bind(data.form, data.y, False)
run = model._plans.ready(model, model.forms.only, "train", 32, objective).executors[0].run
feed = Feed([*data.x, *objective.feeds(data.y, data.weight)], data.rows, np.arange(data.rows))
sums = np.zeros(1)

def count(batches):
    before = allocations()
    run(feed, 0, batches, sums)
    return allocations() - before

count(10)
print(json.dumps([count(batches) for batches in (1, 1000, 1, 1000)]))
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_batch_calls_no_malloc(threads, preloaded, tmp_path):
    if backends.current() != "cython" or not own.has_numba():
        pytest.skip("only compiled steps allocate nothing")
    script = tmp_path / "script.py"
    script.write_text(COUNTS)
    run = f"import runpy; runpy.run_path({str(script)!r})"
    (counts,) = preloaded(run, HOTLOOP_NUM_THREADS=threads)
    one, thousand, *again = json.loads(counts)
    assert one == thousand
    assert again == [one, thousand]
