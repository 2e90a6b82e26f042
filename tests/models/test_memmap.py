"""A file larger than what memory may grow by is trained on in place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hotloop import config

ROWS, COLUMNS = 100_000, 1000  # 400 MB of float32, none of which the sparse file has on disk
ROOM = 48_000_000

PROGRAM = """
import re
import sys
import threading
import warnings

sys.modules.update(dict.fromkeys({hidden!r}))
warnings.simplefilter("ignore")

import numpy as np
import hotloop
from hotloop import layers


def anonymous():
    status = open("/proc/self/status").read()
    return 1024 * int(re.search(r"RssAnon:\\s+(\\d+)", status).group(1))


class Watch(threading.Thread):
    peak = 0
    over = threading.Event()

    def run(self):
        while not self.over.wait(0.002):
            self.peak = max(self.peak, anonymous())


x = np.memmap({file!r}, np.float32, "r+", shape=({rows}, {columns}))
x[-1] = 1.0
y = np.zeros(len(x), np.uint8)
y[-1] = 1
model = hotloop.Sequential([layers.Dense(4, "tanh"), layers.Dense(2, "softmax")])
model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
part = slice(0, 2048)
model.fit(x[part], y[part], batch_size=1024, verbose=0)
model.evaluate(x[part], y[part], batch_size=1024, verbose=0)
model.predict(x[part], batch_size=1024, verbose=0)

before = anonymous()
watch = Watch()
watch.start()
model.fit(x, y, batch_size=1024, validation_split=0.1, verbose=0)
model.evaluate(x, y, batch_size=1024, verbose=0)
last = model.predict(x, batch_size=1024, verbose=0)[-2:]
model.fit(((x[i : i + 1024], y[i : i + 1024]) for i in range(0, len(x), 1024)), verbose=0)
watch.over.set()
watch.join()
last_differs = (last[0] != last[1]).all()
print(watch.peak - before, len(x) * x.strides[0], last_differs, hotloop.config.backend())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tells of memory in /proc")
def test_a_large_file_leaves_memory_flat(tmp_path: Path) -> None:
    file = tmp_path / "x.float32"
    with file.open("wb") as sparse:
        sparse.truncate(4 * ROWS * COLUMNS)
    # The process has the backends that this one has.
    hidden = [] if config.backend() == "cython" else ["hotloop.backends.compiled.executor"]
    hidden += ["numba"] if config.backend() == "numpy" else []
    program = PROGRAM.format(file=str(file), rows=ROWS, columns=COLUMNS, hidden=hidden)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    growth, size, last_differs, backend = run.stdout.split()
    assert int(size) == 400_000_000
    assert int(growth) < ROOM
    assert last_differs == "True"  # the only row that is not all zeros was read
    assert backend == config.backend()
