"""Numba's loops against the reference: signatures, numbers, edges, threads."""

import inspect
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from concurrency import in_threads

import hotloop.backends
from hotloop.backends import numpy as reference
from hotloop.backends.formulas import ACTIVATIONS, FOCAL_LOSSES, LOSSES, OPTIMIZERS

loops = pytest.importorskip("hotloop.backends.loops", reason="numba is an optional dependency")

SIZES = (1, 2, 3, 7, 17, 31, 33, 257)
DTYPES = (np.float32, np.float64)
EXTREME = (-np.inf, -1e30, -0.5, 0.0, 0.5, 1e30, np.inf, np.nan)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def assert_same(ours, truth, scale=1.0):
    """Equal to 1e-6 (float32) or 1e-13 (float64) of the value, or of the terms it is made of."""
    assert ours.dtype == truth.dtype
    tolerance = 1e-6 if truth.dtype == np.float32 else 1e-13
    np.testing.assert_allclose(ours, truth, rtol=tolerance, atol=tolerance * scale)


def both(op, *arrays, out, **keywords):
    """The named outputs of the op, by the loop and by the reference."""
    results = []
    for ops in (loops.OPS, reference.OPS):
        outputs = {name: np.full_like(array, 7.0) for name, array in out.items()}
        assert ops[op](*arrays, **outputs, **keywords) is None
        results.append(outputs)
    return results


def assert_parity(op, *arrays, out, scale=1.0, **keywords):
    ours, truth = both(op, *arrays, out=out, **keywords)
    for name in out:
        assert_same(ours[name], truth[name], scale)


def shapes():
    return [(size, other) for size, other in zip(SIZES, SIZES[::-1], strict=True)]


# ---------------------------------------------------------------------- the interface


def test_every_loop_has_the_signature_of_the_reference():
    for name, op in loops.OPS.items():
        assert inspect.signature(op) == inspect.signature(reference.OPS[name]), name


def test_loops_serve_every_op_that_is_one():
    ours = {
        *LOSSES,
        *FOCAL_LOSSES,
        *OPTIMIZERS,
        *ACTIVATIONS,
        *(name + "_gradient" for name in ACTIVATIONS),
    }
    rows = {"softmax", "softmax_gradient", "log_softmax", "log_softmax_gradient"}
    fused = {
        prefix + op
        for prefix in ("", "sparse_")
        for op in ("categorical_crossentropy", "softmax_crossentropy")
    }
    noise = {"dropout", "alpha_dropout", "alpha_dropout_gradient"}
    noise |= {"gaussian_noise", "gaussian_dropout"}
    others = {"prelu", "prelu_gradient", "penalty", "penalty_gradient"}
    assert set(loops.OPS) == ours | rows | fused | noise | others


# --------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_parity(name, dtype, rng):
    for shape in shapes():
        x, dy = (3.0 * rng.normal(size=(2, *shape))).astype(dtype)
        saved = x if ACTIVATIONS[name].reads == "x" else np.empty_like(x)
        if saved is not x:
            reference.OPS[name](x, out=saved)
        assert_parity(name, x, out={"out": x}, alpha=0.3)
        assert_parity(name + "_gradient", dy, saved, out={"out": x}, alpha=0.3, scale=10.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_parity_at_the_ends(name, dtype):
    x = np.array([EXTREME], dtype)
    ours, truth = both(name, x, out={"out": x})
    assert_same(ours["out"], truth["out"])
    saved = x if ACTIVATIONS[name].reads == "x" else truth["out"]
    ours, truth = both(name + "_gradient", np.ones_like(x), saved, out={"out": x})
    assert_same(ours["out"][:, :-1], truth["out"][:, :-1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_parity(name, dtype, rng):
    for shape in shapes():
        x, dy = (5.0 * rng.normal(size=(2, *shape))).astype(dtype)
        y = np.empty_like(x)
        reference.OPS[name](x, out=y)
        assert_parity(name, x, out={"out": x}, scale=10.0)
        assert_parity(name + "_gradient", dy, y, out={"out": x}, scale=20.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_parity_at_the_ends(name, dtype):
    x = np.array([[1e30, 0], [-1e30, -1e30], [-np.inf, 0], [np.inf, 0], [0, np.nan]], dtype)
    assert_parity(name, x, out={"out": x})


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_loss_parity(name, dtype, weighted, rng):
    for shape in shapes():
        y, p = rng.uniform(0.02, 0.98, size=(2, *shape)).astype(dtype)
        weight = rng.uniform(0.5, 2.0, size=shape[0]).astype(dtype) if weighted else None
        out = {"values": np.empty(shape[0], dtype), "gradient": p}
        assert_parity(name, y, p, weight, out=out, scale=10.0, param=0.3)
    ours, truth = both(name, y, p, weight, out={"values": out["values"]}, param=0.3)
    assert_same(ours["values"], truth["values"], scale=10.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_loss_parity_at_the_ends(name, dtype):
    p = np.array([EXTREME, (0.0, 1.0, 1e-8, 1.0 - 1e-8, -1.0, 2.0, 0.3, 0.4)], dtype).T.copy()
    for label in (0.0, 1.0):
        y = np.full_like(p, label)
        assert_parity(name, y, p, None, out={"values": p[:, 0].copy(), "gradient": p}, param=1.0)


def test_hinge_labels_are_read_as_in_the_reference():
    p = np.array([[0.5, -0.5]])
    for labels in ([[0.0, 1.0]], [[-1.0, 1.0]]):
        out = {"values": np.empty(1), "gradient": p}
        assert_parity("hinge", np.array(labels), p, None, out=out)


CROSSENTROPIES = [
    ("categorical_crossentropy", {"smoothing": 0.0}),
    ("categorical_crossentropy", {"smoothing": 0.2}),
    ("sparse_categorical_crossentropy", {}),
    ("softmax_crossentropy", {"clip": False, "smoothing": 0.2}),
    ("softmax_crossentropy", {"clip": True, "smoothing": 0.2}),
    ("sparse_softmax_crossentropy", {"clip": False}),
    ("sparse_softmax_crossentropy", {"clip": True}),
]


def crossentropy_outputs(op, scores):
    out = {"values": np.empty(len(scores), scores.dtype), "gradient": scores}
    return out | ({"probability": scores} if "softmax" in op else {})


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("op", "options"), CROSSENTROPIES)
def test_crossentropy_parity(op, options, dtype, weighted, rng):
    for rows, cols in shapes():
        label = rng.integers(0, cols, rows).astype(np.int32)
        target = label if op.startswith("sparse") else np.eye(cols, dtype=dtype)[label]
        scores = rng.uniform(0.05, 0.95, size=(rows, cols)).astype(dtype)
        weight = rng.uniform(0.5, 2.0, size=rows).astype(dtype) if weighted else None
        out = crossentropy_outputs(op, scores)
        assert_parity(op, target, scores, weight, out=out, scale=10.0, **options)
        values = {"values": out["values"]}
        assert_parity(op, target, scores, weight, out=values, scale=10.0, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("op", "options"), CROSSENTROPIES)
def test_crossentropy_parity_at_the_ends(op, options, dtype):
    rows = [[0.0, 1.0], [1.0, 0.0], [0.0, 1e30], [50.0, -50.0], [np.nan, 1.0], [0.0, 0.0]]
    if "softmax" in op:
        rows.append([-np.inf, 0.0])
        options = options | ({"smoothing": 0.0} if "smoothing" in options else {})
    scores = np.array(rows, dtype)
    for label in (np.zeros(len(rows), np.int32), np.ones(len(rows), np.int32)):
        target = label if op.startswith("sparse") else np.eye(2, dtype=dtype)[label]
        assert_parity(op, target, scores, None, out=crossentropy_outputs(op, scores), **options)


@pytest.mark.parametrize("op", ["softmax_crossentropy", "sparse_softmax_crossentropy"])
def test_outputs_may_share_memory_with_the_scores(op, rng):
    label = rng.integers(0, 4, 6).astype(np.int32)
    target = label if op.startswith("sparse") else np.eye(4)[label]
    for shared in ("gradient", "probability"):
        for clip in (False, True):
            x = rng.normal(size=(6, 4))
            out = crossentropy_outputs(op, x)
            _, truth = both(op, target, x, None, out=out, clip=clip)
            outputs = {name: np.empty_like(array) for name, array in out.items()} | {shared: x}
            loops.OPS[op](target, x, None, clip=clip, **outputs)
            for name, array in outputs.items():
                assert_same(array, truth[name])


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_is_the_reference_to_the_bit(dtype, rate, rng):
    for shape in shapes():
        x = rng.normal(size=shape).astype(dtype)
        ours, truth = both("dropout", x, out={"out": x}, rate=rate, key=2**64 - 3)
        np.testing.assert_array_equal(ours["out"], truth["out"])


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("dtype", DTYPES)
def test_noise(dtype, rate, rng):
    for shape in shapes():
        x = rng.normal(size=shape).astype(dtype)
        key = {"key": 2**64 - 3, "out": {"out": x}}
        for op in ("alpha_dropout", "alpha_dropout_gradient"):
            assert_parity(op, x, rate=rate, **key)
        for op in ("gaussian_noise", "gaussian_dropout"):
            assert_parity(op, x, stddev=rate, **key)


@pytest.mark.parametrize("dtype", DTYPES)
def test_prelu(dtype, rng):
    for shape in shapes():
        x, dy = rng.normal(size=(2, *shape)).astype(dtype)
        alpha = rng.normal(size=shape[1]).astype(dtype)
        x[::3] = 0.0
        assert_parity("prelu", x, alpha, out={"out": x})
        assert_parity("prelu_gradient", dy, x, alpha, out={"out": x})


HYPER = {
    "learning_rate": 0.05,
    "momentum": 0.8,
    "learning_rate_power": -0.5,
    "l1": 0.01,
    "l2": 0.02,
    "l2_shrinkage": 0.01,
    "beta": 0.1,
    "beta_1": 0.9,
    "beta_2": 0.99,
    "epsilon": 1e-7,
    "weight_decay": 0.01,
    "rho": 0.9,
    "warmup_steps": 5,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_parity(name, dtype, rng):
    rule = OPTIMIZERS[name]
    hyper = {setting: HYPER[setting] for setting in rule.hyper}
    for shape in [*shapes(), (), (3, 2, 5)]:
        arrays = [
            [np.ones(shape, dtype), *(np.zeros(shape, dtype) for _ in range(rule.slots))]
            for _ in range(2)
        ]
        for iteration in range(1, 4):
            g = rng.uniform(0.5, 1.5, size=shape).astype(dtype)
            for (w, *slots), ops in zip(arrays, (loops.OPS, reference.OPS), strict=True):
                ops[name](w, g, tuple(slots), iteration=iteration, **hyper)
        for ours, truth in zip(*arrays, strict=True):
            assert_same(ours, truth)


@pytest.mark.parametrize("dtype", DTYPES)
def test_penalty_parity(dtype, rng):
    for shape in shapes():
        w, g = rng.normal(size=(2, *shape)).astype(dtype)
        ours, truth = (ops["penalty"](w, l1=0.3, l2=0.2) for ops in (loops.OPS, reference.OPS))
        assert isinstance(ours, float)
        assert ours == pytest.approx(truth, rel=1e-13)
        copies = g.copy(), g.copy()
        for copy, ops in zip(copies, (loops.OPS, reference.OPS), strict=True):
            ops["penalty_gradient"](w, copy, l1=0.3, l2=0.2)
        assert_same(*copies)


# ----------------------------------------------------------------------------- edges


def test_empty_arrays():
    x = np.empty((0, 3), np.float32)
    label, none = np.empty(0, np.int32), np.empty(0, np.float32)
    loops.OPS["relu"](x, out=x)
    loops.OPS["softmax"](x, out=x)
    loops.OPS["mean_squared_error"](x, x, None, values=none, gradient=x)
    loops.OPS["sparse_softmax_crossentropy"](label, x, none, values=none, gradient=x)
    assert loops.OPS["penalty"](x, l1=1.0, l2=1.0) == 0.0


def test_strided_and_read_only_inputs(rng):
    x = rng.normal(size=(8, 6))[::2, ::-2]
    x.flags.writeable = False
    assert_parity("tanh", x, out={"out": np.empty(x.shape)})
    assert_parity("softmax", x, out={"out": np.empty(x.shape)})


def test_strided_output_is_refused():
    with pytest.raises(ValueError, match="out: expected a C-contiguous array"):
        loops.OPS["relu"](np.ones((3, 2)), out=np.ones((2, 3)).T)


def test_wrong_shapes_are_refused():
    x, small = np.ones((3, 2)), np.ones((2, 2))
    v = np.ones(3)
    with pytest.raises(ValueError, match=r"x: expected shape \(2, 2\), got \(3, 2\)"):
        loops.OPS["relu"](x, out=small)
    with pytest.raises(ValueError, match="out: expected shape"):
        loops.OPS["softmax"](x, out=small)
    with pytest.raises(ValueError, match="y_true: expected shape"):
        loops.OPS["huber"](small, x, None, values=v)
    with pytest.raises(ValueError, match="weight: expected shape"):
        loops.OPS["huber"](x, x, np.ones(2), values=v)
    with pytest.raises(ValueError, match="values: expected shape"):
        loops.OPS["huber"](x, x, None, values=np.ones(2))
    with pytest.raises(ValueError, match="gradient: expected shape"):
        loops.OPS["huber"](x, x, None, values=v, gradient=small)
    with pytest.raises(ValueError, match=r"slots\[0\]: expected shape"):
        loops.OPS["adagrad"](x, x, (small,), iteration=1, learning_rate=0.1, epsilon=0.0)


@pytest.mark.parametrize("op", ["sparse_categorical_crossentropy", "sparse_softmax_crossentropy"])
@pytest.mark.parametrize("wrong", [-1, 3])
def test_label_out_of_range(op, wrong):
    label = np.array([0, wrong], np.int32)
    with pytest.raises(ValueError, match=f"class numbers from 0 to 2, .* got {wrong}"):
        loops.OPS[op](label, np.ones((2, 3)), None, values=np.empty(2))


# --------------------------------------------------------------------------- threads

LARGE = 4 * loops.GRAIN + 37


@pytest.fixture
def threads(monkeypatch):
    """Sets how many threads the loops may use."""
    return lambda n: monkeypatch.setattr(loops, "num_threads", lambda: n)


def test_results_do_not_depend_on_the_number_of_threads(threads, rng):
    x = rng.normal(size=LARGE).astype(np.float32)
    scores = x[:-37].reshape(-1, 32)
    label = rng.integers(0, 32, len(scores)).astype(np.int32)
    results = []
    for n in (1, 2, 3, 4):
        threads(n)
        y, values, gradient = np.empty_like(x), np.empty(len(scores), "f4"), np.empty_like(scores)
        loops.OPS["gelu"](x, out=y)
        loops.OPS["sparse_softmax_crossentropy"](
            label, scores, None, values=values, gradient=gradient
        )
        results.append((y, values, gradient))
    for result in results[1:]:
        for ours, first in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(ours, first)


def test_small_arrays_stay_on_the_calling_thread(threads, monkeypatch):
    threads(4)
    monkeypatch.setattr(loops, "_pool", lambda: pytest.fail("a thread was used"))
    x = np.ones(2 * loops.GRAIN - 1)
    loops.OPS["relu"](x, out=x)
    assert (x == 1.0).all()


def test_concurrent_callers(threads, rng):
    threads(3)
    x = rng.normal(size=LARGE)
    expected = np.tanh(x)
    outputs = [np.empty_like(x) for _ in range(6)]
    in_threads(*[lambda out=out: loops.OPS["tanh"](x, out=out) for out in outputs])
    for out in outputs:
        np.testing.assert_allclose(out, expected, rtol=1e-13)


@pytest.mark.parametrize("layer", ["workqueue", "default"])
def test_models_that_train_at_once_never_start_numbas_own_threads(layer, python):
    """Of those, the layer named workqueue ends a process that uses it from two threads."""
    code = """
import threading
import numba
import numpy as np
import hotloop
from hotloop import layers
from hotloop.backends import loops

models = [hotloop.Sequential([hotloop.Input((300,)), layers.Dense(300, "gelu")]) for _ in range(3)]
histories = []
def train(model):
    model.compile("adam", "mse")
    x = np.ones((500, 300))
    histories.append(model.fit(x, x, 500, epochs=5, verbose=0).history["loss"])
threads = [threading.Thread(target=train, args=(model,)) for model in models]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(histories), all(np.isfinite(history).all() for history in histories))
print(loops._pool.cache_info().currsize)  # our own threads were used
try:
    print(numba.threading_layer())
except ValueError:
    print("none")
"""
    settings = {"HOTLOOP_BACKEND": "numba", "HOTLOOP_NUM_THREADS": "3"}
    assert python(code, NUMBA_THREADING_LAYER=layer, **settings) == ["3 True", "1", "none"]


def _relu_in_child(connection):
    x = np.full(LARGE, -1.0)
    loops.OPS["relu"](x, out=x)
    connection.send(float(x.sum()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_threads_work_after_a_fork(threads):
    threads(2)
    x = np.ones(LARGE)
    loops.OPS["relu"](x, out=x)  # the pool exists now
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_relu_in_child, args=(sender,))
    child.start()
    assert receiver.poll(60)
    assert receiver.recv() == 0.0
    child.join()
    assert child.exitcode == 0


# ------------------------------------------------------------------- the cache on disk

REPORT = """
import numpy as np
from hotloop.backends import loops
from hotloop.backends.formulas import sigmoid
x = np.zeros(3)
loops.OPS["sigmoid"](x, out=x)
stats = loops._value_kernel(sigmoid).stats
print(x[0], sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def report(package, **environment):
    """sigmoid(0), cache hits and cache misses in a new process."""
    result = subprocess.run(
        [sys.executable, "-c", REPORT],
        env={**os.environ, "PYTHONPATH": str(package.parent), **environment},
        cwd=package.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.split()


@pytest.fixture
def package(tmp_path):
    """A copy of the Python files that the loops need."""
    copy = tmp_path / "hotloop"
    backends = Path(hotloop.backends.__file__).parent
    (copy / "backends").mkdir(parents=True)
    (copy / "__init__.py").touch()
    names = ("__init__", "formulas", "labels", "loops", "multirow_losses", "numpy", "weights")
    for name in names:
        shutil.copy(backends / f"{name}.py", copy / "backends" / f"{name}.py")
    for name in ("forks", "threadpool", "version"):
        shutil.copy(backends.parent / f"{name}.py", copy / f"{name}.py")
    return copy


def test_loops_are_compiled_once_and_again_when_a_formula_changes(package):
    assert report(package) == ["0.5", "0", "1"]
    assert report(package) == ["0.5", "1", "0"]
    formulas = package / "backends" / "formulas.py"
    formulas.write_text(formulas.read_text().replace("/ (1.0 + e)", "/ (1.0 + e) + 1.0"))
    assert report(package) == ["1.5", "0", "1"]


def test_loops_work_where_nothing_can_be_written(package, tmp_path):
    # A cache folder that is a file: Numba finds no place of its own to write to.
    (package / "backends" / "__pycache__").touch()
    blocked = tmp_path / "blocked"
    blocked.touch()
    environment = {
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(blocked),
        "XDG_CACHE_HOME": str(blocked),
        "LOCALAPPDATA": str(blocked),
    }
    for _ in range(2):
        assert report(package, **environment) == ["0.5", "0", "1"]
