"""threadpoolctl lists the compiled core's pool and limits it, whoever is imported first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import hotloop

pytest.importorskip(
    "hotloop.backends.compiled.runtime", reason="the compiled core is an optional part"
)

IMPORTS = {
    "before hotloop": "import threadpoolctl, hotloop",
    "before the core": "import hotloop, threadpoolctl",
    "after the core": "import hotloop; hotloop.config.backend(); import threadpoolctl",
    "after someone asked for it": """
import importlib.util
import hotloop
hotloop.config.backend()
importlib.util.find_spec("threadpoolctl")
import threadpoolctl
""",
    "again": """
import importlib
import hotloop
hotloop.config.backend()
import threadpoolctl
importlib.reload(threadpoolctl)
""",
}
LIMITS = """
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

model = hotloop.Sequential([hotloop.Input((256,)), hotloop.layers.Dense(256)])
executor = model._plans.ready(model, model.forms.only, "predict", 256).executors[0]
def report():
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "hotloop"]
    print(*(pool["num_threads"] for pool in pools), executor.threads())

report()
for limits in (1, {"hotloop": 2}, {"blas": 1}):
    with threadpool_limits(limits):
        report()
    report()
hotloop.set_num_threads(4)
report()
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python with this library, three threads and the default backend."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HOTLOOP_")}
    source = {"PYTHONPATH": str(Path(hotloop.__file__).parents[1]), "HOTLOOP_NUM_THREADS": "3"}
    return subprocess.run(
        [sys.executable, "-c", code], env=kept | source, capture_output=True, text=True
    )


@pytest.mark.parametrize("when", IMPORTS)
def test_threadpoolctl_sees_and_limits_the_pool(when: str) -> None:
    done = run(IMPORTS[when] + LIMITS)
    # The limit that threadpoolctl knows, once, and the threads that a prediction would get.
    seen = ["3 3", "1 1", "3 3", "2 2", "3 3", "3 3", "3 3", "4 4"]
    assert (done.stdout.splitlines(), done.stderr) == (seen, "")


def test_what_threadpoolctl_is_told() -> None:
    done = run("""
import hotloop, threadpoolctl
hotloop.config.backend()
(pool,) = [p for p in threadpoolctl.threadpool_info() if p["user_api"] == "hotloop"]
runtime = hotloop.backends.compiled.runtime
assert pool == {
    "user_api": "hotloop",
    "internal_api": "hotloop",
    "num_threads": 3,
    "prefix": "runtime.",
    "filepath": runtime.__file__,
    "version": hotloop.__version__,
}, pool
""")
    assert done.stderr == ""


@pytest.mark.parametrize("stands_in", ["None", "types.ModuleType('threadpoolctl')"])
def test_a_threadpoolctl_that_cannot_register_does_no_harm(stands_in: str) -> None:
    done = run(f"""
import sys, types
sys.modules["threadpoolctl"] = {stands_in}
import hotloop
hotloop.config.backend()
""")
    assert done.stderr == ""


def test_training_does_not_import_threadpoolctl() -> None:
    done = run("""
import sys
import numpy as np
import hotloop
model = hotloop.Sequential([hotloop.Input((2,)), hotloop.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
print("threadpoolctl" in sys.modules)
""")
    assert (done.stdout, done.stderr) == ("False\n", "")
