"""Standard outputs that programs really have: none, closed, of `write` alone, of few characters."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hotloop

PROGRAM = """
import io, os, sys
import numpy as np
import hotloop
from hotloop import callbacks

class OnlyWrite:
    def __init__(self): self.text = ""
    def write(self, text): self.text += text
    def flush(self): pass

class Ascii(io.TextIOWrapper):
    def isatty(self): return TERMINAL

TERMINAL = {terminal}
out = {stream}
{close}
sys.stdout = out
x = hotloop.Input((2,))
model = hotloop.Model(x, hotloop.layers.Dense(1, name="gr\\u00f6\\u00dfe")(x))
model.summary()
model.compile("sgd", "mse", metrics=[hotloop.metrics.MeanSquaredError(name="\\u03b1")])
data = np.ones((8, 2)), np.ones(8)
shown = [
    callbacks.EarlyStopping("loss", patience=0, min_delta=9.0, verbose=1),
    callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=9.0, verbose=1),
    callbacks.LearningRateScheduler(lambda epoch: 0.01, verbose=1),
]
for verbose in (1, 2, "auto"):
    model.fit(*data, epochs=3, verbose=verbose, callbacks=shown)
    model.evaluate(*data, verbose=verbose)
    model.predict(data[0], verbose=verbose)
hotloop.show_config()
print("done", len(getattr(out, "text", "")), file=sys.stderr, flush=True)
os._exit(0)  # or Python itself complains of the closed file
"""

STREAMS = {
    "none": ("None", "", False),
    "closed": ("io.StringIO()", "out.close()", False),
    "closed beneath": ("open(os.dup(1), 'w', closefd=False)", "os.close(out.fileno())", False),
    "only write and flush": ("OnlyWrite()", "", False),
    "ascii file": ("Ascii(io.BytesIO(), 'ascii')", "", False),
    "ascii terminal": ("Ascii(io.BytesIO(), 'ascii')", "", True),
    "latin-1 terminal": ("Ascii(io.BytesIO(), 'latin-1')", "", True),
}


@pytest.mark.parametrize("name", STREAMS)
def test_everything_that_prints_works_or_is_silent(name: str) -> None:
    stream, close, terminal = STREAMS[name]
    code = PROGRAM.format(stream=stream, close=close, terminal=terminal)
    source = str(Path(hotloop.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | {"PYTHONPATH": source, "HOTLOOP_BACKEND": "numpy"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    last = done.stderr.splitlines()[-1].split()
    assert last[0] == "done"
    if name == "only write and flush":
        assert int(last[1]) > 1000


def screen_of(code: str, rows: int, columns: int) -> str:
    """What a program writes to a terminal of this size."""
    pty = pytest.importorskip("pty", reason="this system has no terminals")
    import fcntl
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    source = str(Path(hotloop.__file__).parents[1])
    program = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment | {"PYTHONPATH": source, "HOTLOOP_BACKEND": "numpy"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    text = io.BytesIO()
    try:
        while chunk := os.read(leader, 1 << 16):
            text.write(chunk)
    except OSError:  # Linux's end of it
        pass
    os.close(leader)
    assert program.wait() == 0, text.getvalue().decode()
    return text.getvalue().decode().replace("\r\n", "\n")


FIT = """
import numpy as np, hotloop
model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=2)])
model.compile("sgd", "mse", metrics=["mae"])
x, y = np.ones((8, 2)), np.ones(8)
"""


@pytest.mark.parametrize(
    ("rows", "columns"), [(0, 0), (1, 80), (0, 80), (24, 0), (24, 80), (5, 20)]
)
def test_metrics_are_shown_on_terminals_of_every_size(rows: int, columns: int) -> None:
    text = screen_of(FIT + "model.fit(x, y, epochs=2)", rows, columns)
    lines = [line.split("\r")[-1] for line in text.split("\n")[:-1]]
    assert len(lines) == 4, lines
    for line in lines[1::2]:
        assert "loss: " in line
        assert "mae: " in line


def test_a_prediction_in_the_middle_has_its_own_line_and_the_fit_goes_on_below() -> None:
    code = """
from hotloop.callbacks import CallbackList, ProgressBar
outer, inner = ProgressBar(1), ProgressBar(1)
CallbackList([outer], params={"epochs": 1, "steps": 9})
CallbackList([inner], params={"epochs": None, "steps": 4})
outer.on_train_begin()
outer.on_epoch_begin(0)
outer.update(3, 9, {"loss": 3.0})
inner.on_predict_begin()
inner.update(2, 4)
inner.on_predict_end()
outer.update(5, 9, {"loss": 2.0})
outer.on_epoch_end(0, {"loss": 1.0})
outer.on_train_end()
"""
    text = screen_of(code, 24, 80)
    assert "\x1b" not in text  # nothing moves up or down
    prediction, fit = (line.split("\r") for line in text.split("\n")[:-1])
    assert prediction[-1].startswith("4/4")
    assert re.fullmatch(r"9/9 .* - loss: 1\.0000 *", fit[-1])
    # Blanks stand only where a longer line stood before.
    assert len(fit[-1]) <= max(len(line.rstrip(" ")) for line in fit)


@pytest.mark.parametrize("counted", [False, True])
def test_a_prediction_that_takes_a_while_has_one_line_which_is_its_last(counted: bool) -> None:
    code = f"""
import time, numpy as np, hotloop
model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=2)])
def batches():
    for _ in range(4):
        time.sleep(0.15)
        yield np.ones((8, 2))
model.predict(batches(), steps={4 if counted else None})
"""
    text = screen_of(code, 24, 80)
    lines = [line.split("\r")[-1] for line in text.split("\n")[:-1]]
    assert len(lines) == 1, lines
    assert lines[0].startswith("4/4 "), lines


def test_a_short_prediction_warns_after_all_else() -> None:
    code = """
import numpy as np, hotloop
from hotloop.callbacks import LambdaCallback
ends = LambdaCallback()
ends.on_predict_end = ends.on_test_end = lambda logs=None: print("over", flush=True)
model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=2)])
model.compile("sgd", "mse")
x, y = np.ones((8, 2)), np.ones(8)
model.predict((x for _ in range(2)), steps=4, verbose=0, callbacks=[ends])
model.evaluate(((x, y) for _ in range(2)), steps=4, verbose=0, callbacks=[ends])
"""
    text = screen_of(code, 24, 200)
    assert re.findall("over|ran out", text) == ["over", "ran out"] * 2
