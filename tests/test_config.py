"""Settings, the environment variables behind them, and the report."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hotloop
from hotloop import backends, config
from hotloop.backends import numpy as reference

ROOT = Path(__file__).parents[1]
CORE = "hotloop.backends.compiled."


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python with this library and these variables."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HOTLOOP_")}
    source = str(Path(hotloop.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", code],
        env=kept | {"PYTHONPATH": source} | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def hide(*modules: str) -> str:
    """Code that makes modules unimportable."""
    return f"import sys; sys.modules.update(dict.fromkeys({modules!r}))\n"


HIDE_CORE = hide(*(CORE + name for name in ("kernels", "runtime", "matmul", "steps", "executor")))


# ------------------------------------------------------------------------------ backend


def test_a_backend_is_chosen_by_name(backend: str) -> None:
    assert config.backend() == backend
    assert backends.reason() == "chosen by name"


@pytest.mark.parametrize("name", ["torch", "NumPy", "", None])
def test_an_unknown_backend(name: str) -> None:
    before = config.backend()
    message = "unknown backend .*: choose 'auto', 'cython', 'numba' or 'numpy'"
    with pytest.raises(ValueError, match=message):
        config.set_backend(name)
    assert config.backend() == before


def test_a_backend_by_environment() -> None:
    done = run("import hotloop; print(hotloop.config.backend())", HOTLOOP_BACKEND="numpy")
    assert done.stdout == "numpy\n"
    assert done.stderr == ""
    done = run("import hotloop; hotloop.config.backend()", HOTLOOP_BACKEND="gpu")
    assert "ValueError: unknown backend 'gpu': choose 'auto'" in done.stderr
    assert "(HOTLOOP_BACKEND or hotloop.config.set_backend)" in done.stderr


@pytest.mark.parametrize("how", ["environment", "call"])
def test_a_backend_that_is_not_there(how: str) -> None:
    hidden = {"cython": HIDE_CORE, "numba": hide("numba")}
    for name, code in hidden.items():
        if how == "environment":
            code += "import hotloop; hotloop.config.backend()"
            done = run(code, HOTLOOP_BACKEND=name)
        else:
            done = run(code + f"import hotloop; hotloop.config.set_backend({name!r})")
        assert f"RuntimeError: the backend '{name}' cannot be used here: " in done.stderr


def test_a_missing_core_is_announced_once_and_models_still_train() -> None:
    code = """
import numpy as np
import hotloop
print("imported")
model = hotloop.Sequential([hotloop.Input((2,)), hotloop.layers.Dense(1)])
for _ in range(2):
    hotloop.config.set_backend("auto")
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
print(hotloop.config.backend(), model.optimizer.iterations)
"""
    done = run(HIDE_CORE + hide("numba") + code)
    assert done.stdout == "imported\nnumpy 1\n"
    message = "UserWarning: hotloop's compiled core is missing ("
    assert done.stderr.count(message) == 1
    assert "models run on numpy, more slowly" in done.stderr
    assert "(it is hidden: sys.modules holds None in its place)" in done.stderr
    assert "pip install --no-cache-dir --force-reinstall --no-deps ." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_backend_chosen_by_name_needs_no_announcement() -> None:
    done = run(HIDE_CORE + "import hotloop; hotloop.config.backend()", HOTLOOP_BACKEND="numpy")
    assert (done.returncode, done.stderr) == (0, "")


# ------------------------------------------------------------------------------ threads


def test_threads_are_a_whole_number_of_at_least_one() -> None:
    before = config.num_threads()
    for wrong in (0, -1, 1.0, "2", None, True):
        with pytest.raises(ValueError, match="whole number of at least 1, not "):
            hotloop.set_num_threads(wrong)
        assert config.num_threads() == before
    hotloop.set_num_threads(3)
    assert config.num_threads() == 3
    hotloop.set_num_threads(before)


def test_threads_by_environment() -> None:
    code = "import hotloop; print(hotloop.config.num_threads())"
    assert run(code, HOTLOOP_NUM_THREADS="7").stdout == "7\n"
    assert 1 <= int(run(code, HOTLOOP_NUM_THREADS="").stdout) <= (os.cpu_count() or 1)
    for wrong in ("0", "-1", "1.5", "many", "two 2"):
        message = "ValueError: HOTLOOP_NUM_THREADS must be a whole number of at least 1, not "
        assert message + repr(wrong) in run(code, HOTLOOP_NUM_THREADS=wrong).stderr


def test_openmp_bounds_the_default() -> None:
    """joblib tells its processes so how many threads each may have."""
    code = "import hotloop; print(hotloop.config.num_threads())"
    assert run(code, OMP_NUM_THREADS="1").stdout == "1\n"
    assert run(code, OMP_NUM_THREADS="1,2").stdout == "1\n"
    assert run(code, OMP_NUM_THREADS="1", HOTLOOP_NUM_THREADS="3").stdout == "3\n"
    default = run(code, OMP_NUM_THREADS="").stdout
    for no_limit in ("1000", "0", "many"):
        assert run(code, OMP_NUM_THREADS=no_limit).stdout == default


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_process_bound_to_one_cpu_uses_one_thread() -> None:
    code = """
import os
import hotloop
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
hotloop.config.set_backend("numpy")
print(hotloop.config.num_threads())
"""
    for hidden in ("", HIDE_CORE):
        assert run(hidden + code).stdout == "1\n"
    assert run(code, HOTLOOP_NUM_THREADS="3").stdout == "3\n"


# ------------------------------------------------------------------------------- report


def report(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, str], list[list[str]]]:
    """The facts of show_config by name, and its table of ops."""
    hotloop.show_config()
    text = capsys.readouterr().out
    facts, _, table = re.split(r"^(op +served by   why\n)", text, maxsplit=1, flags=re.MULTILINE)
    assert facts.startswith(f"hotloop {hotloop.__version__} on Python ")
    named = {line[:18].strip(): line[18:] for line in facts.splitlines() if line.startswith("  ")}
    return named, [line.split(None, 2) for line in table.splitlines()]


def test_the_report_lists_every_op_with_its_server_and_why(
    backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    facts, table = report(capsys)
    assert facts["backend"] == f"{backend} (chosen by name)"
    assert facts["numpy"]
    assert facts["threads"].startswith(f"{config.num_threads()} of ")
    assert facts["float type"] == "float32"
    assert [op for op, _, _ in table] == sorted(reference.OPS)
    for op, server, why in table:
        own = op in backends.operations(backend)
        assert server == (backend if own else "numpy")
        assert why == ("chosen by name" if own else f"{backend} has no such op")


def test_what_serves_which_op() -> None:
    servers = {op: server for op, server, _ in backends.routes()}
    assert set(servers) == set(reference.OPS)
    for op, server in servers.items():
        assert backends.table()[op][1] is backends.operations(server)[op]


def test_the_report_says_why_a_backend_is_missing() -> None:
    done = run(HIDE_CORE + hide("numba") + "import hotloop; hotloop.show_config()")
    assert "backend         numpy (the fastest that is installed)" in done.stdout
    assert "numba           missing: numba is not installed" in done.stdout
    assert "cython          missing: " in done.stdout
    (matmul,) = [line for line in done.stdout.splitlines() if line.startswith("  matmul ")]
    assert matmul.split(None, 2) == ["matmul", "numpy", "the fastest that is installed"]
    assert "none (no compiled core)" in done.stdout


# ------------------------------------------------------------- a core that is not there


def without_core(folder: Path) -> Path:
    """A copy of the package without its compiled modules; the folder of those."""
    package = Path(hotloop.__file__).parent
    shutil.copytree(
        package,
        folder / "hotloop",
        ignore=shutil.ignore_patterns("*.so", "*.pyx", "*.pxd", "__pycache__", "not_built.txt"),
    )
    return folder / "hotloop" / "backends" / "compiled"


def reports(folder: Path) -> tuple[str, str]:
    """What the first use warns of, and what the report says, of the copy in a folder."""
    code = "import warnings, hotloop; hotloop.show_config()"
    done = run(code, PYTHONPATH=str(folder))
    assert done.returncode == 0, done.stderr
    warned = re.search(r"compiled core is missing \((.*)\); models run on", done.stderr)
    shown = re.search(r"^  cython +missing: (.*)$", done.stdout, re.MULTILINE)
    assert warned, done.stdout + done.stderr
    assert shown, done.stdout + done.stderr
    return warned[1], shown[1]


def test_the_reason_of_a_failed_build_is_told(tmp_path: Path) -> None:
    reason = "csrc/hotloop.h:1:2: error: #error broken"
    (without_core(tmp_path) / "not_built.txt").write_text(reason + "\n")
    assert reports(tmp_path) == (f"it was not built: {reason}",) * 2


def test_sources_that_were_never_built(tmp_path: Path) -> None:
    folder = without_core(tmp_path)
    for told in reports(tmp_path):
        assert told == f"it was not built: {folder} is a folder of sources, not of an installation"


def test_a_core_for_another_python(tmp_path: Path) -> None:
    (without_core(tmp_path) / "kernels.cpython-27-m68k.so").write_bytes(b"")
    for told in reports(tmp_path):
        assert told.startswith("it was built for another Python: found kernels.cpython-27-m68k.so")
        assert ".abi3.so" in told


@pytest.mark.parametrize("broken", ["kernels", "runtime"])
@pytest.mark.parametrize("content", [b"", b"no such format"])
def test_a_core_that_does_not_load_tells_in_the_words_of_the_loader(
    broken: str, content: bytes, tmp_path: Path
) -> None:
    pytest.importorskip(CORE + "kernels", reason="the compiled core is an optional part")
    folder = without_core(tmp_path)
    for module in ("kernels", "runtime", "matmul", "steps", "executor"):
        file = Path(sys.modules[CORE + module].__file__ or "")
        shutil.copy(file, folder / file.name)
        if module == broken:
            (folder / file.name).write_bytes(content)
    code = f"import ctypes; ctypes.CDLL({str(next(folder.glob(f'{broken}.*')))!r})"
    words = run(code).stderr.splitlines()[-1].removeprefix("OSError: ")
    assert reports(tmp_path) == (words,) * 2


def test_training_on_the_core_needs_no_numba() -> None:
    pytest.importorskip(CORE + "kernels", reason="the compiled core is an optional part")
    code = """
import sys
import numpy as np
import hotloop
model = hotloop.Sequential([hotloop.Input((2,)), hotloop.layers.Dense(1, "gelu")])
model.compile("adam", "huber", metrics=["mae"])
model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
print(sorted({"numba", "scipy", "tqdm", "matplotlib", "safetensors"} & set(sys.modules)))
"""
    done = run(code)
    assert done.stdout == "[]\n"
    assert done.stderr == ""
