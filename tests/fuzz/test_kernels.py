"""Every function of hotloop.kernels: random shapes, layouts, dtypes, and arguments that are wrong.

The result is NumPy's, or there is an error that says what is wrong. These tests also run under
sanitizers: see .ci/sanitize-package.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hotloop import kernels

Array = np.ndarray[Any, Any]
Generator = np.random.Generator

SIZES = [0, 1, 2, 3, 7, 17, 31, 33, 257]
DTYPES = ["float32"] * 3 + ["float64"] * 3 + ["float16", "int8", "int64", "uint8", "bool", ">f4"]
SETTINGS = {
    "learning_rate": 0.05, "momentum": 0.8, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-4,
    "weight_decay": 0.01, "rho": 0.9, "learning_rate_power": -0.5, "l1": 0.01, "l2": 0.02,
    "l2_shrinkage": 0.01, "beta": 0.1, "warmup_steps": 4,
}  # fmt: skip
SAID = (ValueError, TypeError, RuntimeError, OverflowError)


def laid_out(rng: Generator, *shape: int) -> Array:
    """Numbers of any dtype that stand in memory in any way."""
    x = np.asarray(rng.normal(size=shape)).astype(rng.choice(DTYPES))
    kind = int(rng.integers(6))
    if kind == 0 and x.ndim:
        return np.repeat(x, 2, axis=-1)[..., ::2]
    if kind == 1:
        return np.asfortranarray(x)
    if kind == 2 and x.ndim:
        return np.ascontiguousarray(x[::-1])[::-1]
    if kind == 3 and x.size:
        room = np.zeros(x.nbytes + 1, np.uint8)
        view = room[1:].view(x.dtype)
        view[:] = x.reshape(-1)
        return view.reshape(x.shape)
    if kind == 4 and x.ndim:
        return np.broadcast_to(x[:1], x.shape)
    return x


def size(rng: Generator) -> int:
    return int(rng.choice(SIZES))


def call_of(rng: Generator, name: str) -> tuple[list[Any], dict[str, Any]]:
    """Arguments of one function, most often such that it works."""
    m, n, k = size(rng), size(rng), size(rng)
    if name == "matmul":
        a, b = bool(rng.integers(2)), bool(rng.integers(2))
        shapes = [(k, m) if a else (m, k), (n, k) if b else (k, n)]
        return [laid_out(rng, *s) for s in shapes], {"transpose_a": a, "transpose_b": b}
    if name == "dense_forward":
        arrays = [laid_out(rng, m, k), laid_out(rng, k, n), laid_out(rng, n)]
        return arrays, {"activation": str(rng.choice(kernels.ACTIVATIONS))}
    if name == "dense_backward":
        return [laid_out(rng, m, k), laid_out(rng, k, n), laid_out(rng, m, n)], {}
    if name == "softmax_cross_entropy":
        labels = rng.integers(0, max(n, 1), m) if rng.random() < 0.5 else rng.random((m, n))
        weight = rng.random(m) if rng.random() < 0.5 else None
        return [laid_out(rng, m, n), labels], {"sample_weight": weight}
    if "softmax" in name:
        return [laid_out(rng, m, n) for _ in range(1 + name.endswith("_gradient"))], {}
    if name in ("adafactor", "lamb", "muon"):
        m, n = min(m, 40), min(n, 40)
        w = rng.normal(size=(m, n)).astype(rng.choice(["float32", "float64"]))
        shapes = {"adafactor": [(m,), (n,)], "lamb": [(m, n)] * 2, "muon": [(m, n)]}[name]
        options: dict[str, Any] = {"learning_rate": 0.01}
        if name == "muon":
            options |= {"ns_steps": 1}
        return [w, laid_out(rng, m, n), [np.zeros(s, w.dtype) for s in shapes]], options
    if name in kernels.OPTIMIZERS:
        rule = kernels.formulas.OPTIMIZERS[name]
        w = rng.normal(size=(m, n)).astype(rng.choice(["float32", "float64"]))
        slots = [np.zeros((m, n), w.dtype) for _ in range(rule.slots)]
        return [w, laid_out(rng, m, n), slots], {key: SETTINGS[key] for key in rule.hyper}
    shape = [(), (n,), (m, n), (2, 3, n)][rng.integers(4)]
    plain = name.removesuffix("_gradient")
    if plain != name and kernels.formulas.ACTIVATIONS[plain].reads == "y":
        # Nothing else has a slope.
        x = laid_out(rng, *shape).astype("float64")
        return [laid_out(rng, *shape), getattr(kernels, plain)(x, backend="numpy")], {}
    return [laid_out(rng, *shape) for _ in range(1 + name.endswith("_gradient"))], {}


SPOILS: list[Callable[[Any], Any]] = [
    lambda x: x[..., :-1],
    lambda x: x.reshape(-1),
    lambda x: x[None],
    lambda x: x.astype(object),
    lambda x: x.astype(complex),
    lambda x: x.astype(str),
    lambda x: x.astype("float16"),
    lambda x: x.T,
    lambda x: None,
    lambda x: "x",
    lambda x: x.tolist(),
    lambda x: x * np.nan,
    lambda x: x.astype("float64") * 1e300,
    lambda x: np.lib.stride_tricks.as_strided(x, strides=(0,) * x.ndim),
    lambda x: np.ma.masked_array(x),
    lambda x: np.broadcast_to(x, (2, *x.shape)),
]


def functions() -> list[str]:
    named = [
        name
        for name, f in vars(kernels).items()
        if inspect.isfunction(f) and f.__module__ == kernels.__name__ and name[0] != "_"
    ]
    assert {"matmul", "relu_gradient", "adam", "muon"} <= set(named)
    return named


def copied(thing: Any) -> Any:
    if isinstance(thing, (list, tuple)):
        return [copied(part) for part in thing]
    return thing.copy(order="K") if isinstance(thing, np.ndarray) else thing


def arrays_of(*things: Any) -> list[Array]:
    """All arrays in a result, or in arguments, one after the other."""
    found: list[Array] = []
    for thing in things:
        if isinstance(thing, (list, tuple)):
            found += arrays_of(*thing)
        elif isinstance(thing, (np.ndarray, float)):
            found.append(np.asarray(thing))
    return found


def run(name: str, given: list[Any], options: dict[str, Any], backend: str | None) -> Any:
    """What a function returns and what it makes of its arguments, or the type of its error."""
    given = copied(given)
    try:
        with np.errstate(all="ignore"):
            result = getattr(kernels, name)(*given, backend=backend, **options)
    except SAID as error:
        return type(error) if str(error) else None
    return arrays_of(result, given[:1], given[2:] if name in UPDATES else [])


UPDATES = {*kernels.OPTIMIZERS, "adafactor", "lamb", "muon"}


@pytest.mark.filterwarnings("ignore")
def test_results_are_those_of_numpy(seeds: Any) -> None:
    names = functions()
    for seed in seeds(300):
        rng = np.random.default_rng(seed)
        name = str(rng.choice(names))
        given, options = call_of(rng, name)
        ours, truth = run(name, given, options, None), run(name, given, options, "numpy")
        assert isinstance(ours, type) == isinstance(truth, type), (name, ours, truth)
        if isinstance(truth, type):
            assert ours is truth, name
            continue
        tolerance = 1e-10 if all(a.dtype == "float64" for a in truth) else 1e-3
        for one, other in zip(ours, truth, strict=True):
            assert (one.dtype, one.shape) == (other.dtype, other.shape)
            if np.issubdtype(other.dtype, np.floating) and np.isfinite(other).all():
                scale = max(1.0, float(np.max(np.abs(other), initial=0.0)))
                np.testing.assert_allclose(
                    one.astype("float64"), other.astype("float64"), rtol=tolerance,
                    atol=tolerance * scale, err_msg=name,
                )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_wrong_arguments_are_refused(seeds: Any) -> None:
    """With an error that says why, or both backends make something of them."""
    names = functions()
    for seed in seeds(300):
        rng = np.random.default_rng(seed)
        name = str(rng.choice(names))
        given, options = call_of(rng, name)
        i = int(rng.integers(len(given)))
        place, j = (given, i) if isinstance(given[i], np.ndarray) else (given[2], 0)
        if not place or not place[j].size:
            continue
        with np.errstate(all="ignore"):
            try:
                place[j] = SPOILS[rng.integers(len(SPOILS))](place[j])
            except (TypeError, IndexError):  # what has no axes
                continue
        if rng.random() < 0.2:
            options["out"] = [np.empty(3), None, "out", np.empty((2, 2), "float32")][i % 4]
        ours, truth = run(name, given, options, None), run(name, given, options, "numpy")
        assert isinstance(ours, type) == isinstance(truth, type), (name, ours, truth)
