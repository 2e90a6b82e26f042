"""The calls that `hotloop profile` times: every op of the backends, on a range of shapes.

Here is what an op's record does not say: shapes that are typical of it, the numbers that it needs,
and how many operations an element takes. An op that stands in no family here has a case too, made
from its record and its reference (`_of_record`).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ..backends.formulas import ACTIVATIONS, FOCAL_LOSSES, LOSSES, OPTIMIZERS
from ..backends.numpy import MERGES, WHOLE_UPDATES, Array, WholeUpdate, newton_schulz_flops
from ..backends.numpy import OPS as REFERENCE
from ..graph.op import OPS, Op
from ..graph.trace import Value, emit

Shape = tuple[int, ...]

_HYPER = {
    "learning_rate": 0.001,
    "momentum": 0.9,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "rho": 0.9,
    "epsilon": 1e-7,
    "weight_decay": 0.0,
    "learning_rate_power": -0.5,
    "l1": 0.0,
    "l2": 0.0,
    "l2_shrinkage": 0.0,
    "beta": 0.0,
    "warmup_steps": 0,
    "beta_2_decay": -0.8,
    "epsilon_1": 1e-30,
    "epsilon_2": 1e-3,
    "clip_threshold": 1.0,
    "nesterov": 1,
    "muon_a": 3.4445,
    "muon_b": -4.775,
    "muon_c": 2.0315,
    "ns_steps": 5,
    "rms_rate": 0.2,
}


@dataclass(frozen=True)
class Call:
    """One call of an op.

    Attributes
    ----------
    arguments, keywords : tuple and dict
        What the op gets; keywords that are arrays are its outputs.
    flops : int
        Floating-point operations that its formula needs: exact for products, a multiply-add
        being two; for all others a count by hand, a function such as exp being one.
    nbytes : int
        Bytes that it must read and write, each array counted once, or twice where the op
        changes it.
    held : int
        Bytes of those arrays, each counted once.
    """

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    flops: int
    nbytes: int
    held: int


@dataclass(frozen=True)
class Kernel:
    """An op and the shapes that it is timed on.

    Attributes
    ----------
    name, group : str
    shapes : tuple of tuple of int
        From the smallest to the largest.
    prepare : callable
        prepare(shape, arrays) is a `Call`.
    """

    name: str
    group: str
    shapes: tuple[Shape, ...]
    prepare: Callable[[Shape, Arrays], Call]


@dataclass
class Arrays:
    """Makes the arrays of a call; the same ones each time."""

    dtype: str
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def normal(self, *shape: int) -> Array:
        """Numbers around 0."""
        return self.random.standard_normal(shape).astype(self.dtype)

    def probabilities(self, *shape: int) -> Array:
        """Numbers well inside (0, 1)."""
        return self.random.uniform(0.05, 0.95, shape).astype(self.dtype)

    def labels(self, rows: int, classes: int) -> Array:
        """A class number a row."""
        return self.random.integers(0, classes, rows).astype(np.int32)

    def one_hot(self, rows: int, classes: int) -> Array:
        """1 in the column of each row's class."""
        return np.eye(classes, dtype=self.dtype)[self.labels(rows, classes)]

    def of(self, kind: str, first: str, *shape: int) -> Array:
        """What a record calls so among its inputs; `first` is what it calls the first one."""
        kind = first if kind == "same" else kind
        if kind in ("float", "any"):
            return self.normal(*shape)
        return self.random.integers(0, 2, shape).astype(kind)

    def empty(self, *shape: int) -> Array:
        """An output, its memory in place."""
        return np.full(shape, 0, self.dtype)


def _call(flops: int, *arguments: Any, changed: tuple[Array, ...] = (), **keywords: Any) -> Call:
    """A call; `changed` are the arguments that the op also writes."""
    held = sum(a.nbytes for a in (*arguments, *keywords.values()) if isinstance(a, np.ndarray))
    return Call(arguments, keywords, flops, held + sum(a.nbytes for a in changed), held)


# ----------------------------------------------------------------------------- products
# (rows, inputs, units): the layers of the seed jobs, and square matrices.

_LAYERS = (
    (32, 2, 5),
    (100, 784, 10),
    (32, 784, 128),
    (32, 784, 256),
    (256, 1024, 1024),
)
# The scores of attention: (matrices, steps, size of a head).
_HEADS = ((256, 8, 8), (128, 64, 16), (128, 256, 64))


def _counted(op: str, rows: int, *dims: Shape) -> int:
    """What the op's record counts for so many rows: of vectors, one a row, and of weights."""
    record = OPS[op]
    values = (Value(of, "float32", len(of) == 1, row_axes=len(of) - 1) for of in dims)
    node = emit(record, *values)[0].node
    assert node is not None
    return rows * record.flops(node)


def _matmul(shape: Shape, new: Arrays) -> Call:
    rows, inputs, units = shape
    flops = _counted("matmul", rows, (inputs,), (inputs, units))
    x, w = new.normal(rows, inputs), new.normal(inputs, units)
    return _call(flops, x, w, out=new.empty(rows, units))


def _batch_matmul(shape: Shape, new: Arrays) -> Call:
    count, rows, inner = shape
    a, b, out = new.normal(*shape), new.normal(*shape), new.empty(count, rows, rows)
    return _call(2 * out.size * inner, a, b, out=out, transpose_b=True)


def _dense(shape: Shape, new: Arrays) -> Call:
    rows, inputs, units = shape
    x, w, b = new.normal(rows, inputs), new.normal(inputs, units), new.normal(units)
    flops = _counted("dense", rows, (inputs,), (inputs, units)) + 2 * rows * units
    return _call(flops, x, w, b, out=new.empty(rows, units), activation="relu")


def _input_gradient(shape: Shape, new: Arrays) -> Call:
    rows, inputs, units = shape
    dy, w = new.normal(rows, units), new.normal(inputs, units)
    flops = _counted("input_gradient", rows, (units,), (inputs, units))
    return _call(flops, dy, w, out=new.empty(rows, inputs))


def _weight_gradient(shape: Shape, new: Arrays) -> Call:
    rows, inputs, units = shape
    x, dy = new.normal(rows, inputs), new.normal(rows, units)
    flops = _counted("weight_gradient", rows, (inputs,), (units,))
    return _call(flops, x, dy, out=new.empty(inputs, units))


def _products() -> Iterator[Kernel]:
    squares = ((512, 512, 512), (2048, 2048, 2048))
    shapes = tuple(sorted((*_LAYERS, *squares), key=math.prod))
    yield Kernel("matmul", "products", shapes, _matmul)
    yield Kernel("batch_matmul", "products", _HEADS, _batch_matmul)
    for prepare in (_dense, _input_gradient, _weight_gradient):
        yield Kernel(prepare.__name__[1:], "products", _LAYERS, prepare)


# -------------------------------------------------------------------------- elementwise
# (rows, columns): an output layer, a hidden one, a wide one, and more than the caches hold.

_OUTPUTS = ((32, 10), (32, 128), (256, 1024), (2048, 1024))


def _add_bias(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    return _call(rows * cols, new.normal(rows, cols), new.normal(cols), out=new.empty(*shape))


def _bias_gradient(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    return _call(rows * cols, new.normal(rows, cols), out=new.empty(cols))


def _merge(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    return _call(rows * cols, new.normal(*shape), new.normal(*shape), out=new.empty(*shape))


def _choice_gradient(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    dy, a, b = (new.normal(*shape) for _ in range(3))
    return _call(rows * cols, dy, a, b, out=new.empty(*shape))


def _scale(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    x = new.normal(*shape)
    return _call(2 * rows * cols, x, out=new.empty(*shape), factor=0.5, offset=1.0)


def _concatenate(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    out = new.empty(rows, 2 * cols)
    return _call(out.size, new.normal(*shape), new.normal(*shape), out=out)


def _columns(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    return _call(rows * cols, new.normal(rows, cols), out=new.empty(rows, cols), first=0)


def _dropout(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    return _call(rows * cols, new.normal(*shape), out=new.empty(*shape), rate=0.2, key=1)


def _gaussian(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    x = new.normal(*shape)
    # About ten for a normal number: a logarithm, a root, a cosine, and what leads to them.
    return _call(12 * rows * cols, x, out=new.empty(*shape), stddev=0.2, key=1)


def _prelu(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    return _call(rows * cols, new.normal(*shape), new.normal(cols), out=new.empty(*shape))


def _prelu_gradient(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    dy, x, alpha = new.normal(*shape), new.normal(*shape), new.normal(cols)
    return _call(rows * cols, dy, x, alpha, out=new.empty(*shape))


def _prelu_alpha_gradient(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    return _call(2 * rows * cols, new.normal(*shape), new.normal(*shape), out=new.empty(cols))


def _activation(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    return _call(rows * cols, new.normal(*shape), out=new.empty(*shape))


def _activation_gradient(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    dy, saved = new.normal(*shape), new.probabilities(*shape)
    return _call(2 * rows * cols, dy, saved, out=new.empty(*shape))


def _elementwise() -> Iterator[Kernel]:
    yield Kernel("add_bias", "elementwise", _OUTPUTS, _add_bias)
    yield Kernel("bias_gradient", "elementwise", _OUTPUTS, _bias_gradient)
    for merge in MERGES:
        yield Kernel(merge.__name__, "elementwise", _OUTPUTS, _merge)
    for name in ("maximum_gradient", "minimum_gradient"):
        yield Kernel(name, "elementwise", _OUTPUTS, _choice_gradient)
    yield Kernel("scale", "elementwise", _OUTPUTS, _scale)
    yield Kernel("concatenate", "elementwise", _OUTPUTS, _concatenate)
    yield Kernel("columns", "elementwise", _OUTPUTS, _columns)
    for name in ("dropout", "alpha_dropout", "alpha_dropout_gradient"):
        yield Kernel(name, "elementwise", _OUTPUTS, _dropout)
    for name in ("gaussian_noise", "gaussian_dropout"):
        yield Kernel(name, "elementwise", _OUTPUTS, _gaussian)
    yield Kernel("prelu", "elementwise", _OUTPUTS, _prelu)
    yield Kernel("prelu_gradient", "elementwise", _OUTPUTS, _prelu_gradient)
    yield Kernel("prelu_alpha_gradient", "elementwise", _OUTPUTS, _prelu_alpha_gradient)
    for name in ACTIVATIONS:
        yield Kernel(name, "activations", _OUTPUTS, _activation)
        yield Kernel(name + "_gradient", "gradients", _OUTPUTS, _activation_gradient)


# ------------------------------------------------------------------------ normalisation


def _column_moments(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    outputs: dict[str, Any] = {"mean": new.empty(cols), "variance": new.empty(cols)}
    return _call(4 * rows * cols, new.normal(*shape), **outputs)


def _normalize(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    mean, gamma, beta = (new.normal(cols) for _ in range(3))
    given = (new.normal(*shape), mean, new.probabilities(cols), gamma, beta)
    return _call(3 * rows * cols, *given, out=new.empty(*shape), epsilon=1e-3)


def _normalize_scale_gradient(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    given = (new.normal(*shape), new.normal(*shape), new.normal(cols), new.probabilities(cols))
    return _call(3 * rows * cols, *given, out=new.empty(cols), epsilon=1e-3)


def _normalize_gradient(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    given = (new.normal(*shape), new.normal(*shape), new.normal(cols), new.probabilities(cols))
    weights = (new.normal(cols) for _ in range(3))
    return _call(5 * rows * cols, *given, *weights, out=new.empty(*shape), epsilon=1e-3)


def _moving_average_update(shape: Shape, new: Arrays) -> Call:
    _, cols = shape
    average = new.normal(cols)
    return _call(3 * cols, average, new.normal(cols), changed=(average,), momentum=0.99)


def _layer_norm(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    given = (new.normal(*shape), new.normal(cols), new.normal(cols))
    outputs: dict[str, Any] = {"mean": new.empty(rows), "inverse": new.empty(rows)}
    outputs["out"] = new.empty(*shape)
    return _call(8 * rows * cols, *given, **outputs, epsilon=1e-3)


def _layer_norm_scale_gradient(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    given = (new.normal(*shape), new.normal(*shape), new.normal(rows), new.probabilities(rows))
    return _call(4 * rows * cols, *given, out=new.empty(cols))


def _layer_norm_gradient(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    dy, x, mean = new.normal(*shape), new.normal(*shape), new.normal(rows)
    given = (dy, x, mean, new.probabilities(rows), new.normal(cols))
    return _call(11 * rows * cols, *given, out=new.empty(*shape))


def _normalizations() -> Iterator[Kernel]:
    for prepare in (
        _column_moments,
        _normalize,
        _normalize_scale_gradient,
        _normalize_gradient,
        _moving_average_update,
        _layer_norm,
        _layer_norm_scale_gradient,
        _layer_norm_gradient,
    ):
        yield Kernel(prepare.__name__[1:], "normalizations", _OUTPUTS, prepare)


# -------------------------------------------------------------- rows by their numbers
# (examples, numbers of each, columns): categories, and words of short and of long texts.

_WORDS = ((32, 1, 8), (32, 100, 16), (128, 250, 64))
_VOCABULARY = 10_000


def _indices(shape: Shape, new: Arrays) -> Call:
    x = new.labels(math.prod(shape), _VOCABULARY).astype(new.dtype).reshape(shape)
    return _call(x.size, x, out=np.zeros(shape, np.int32))


def _lookup(shape: Shape, new: Arrays) -> Call:
    rows, count, cols = shape
    index = new.labels(rows * count, _VOCABULARY).reshape(rows, count)
    out = new.empty(*shape)
    return _call(out.size, index, new.normal(_VOCABULARY, cols), out=out)


def _lookup_gradient(shape: Shape, new: Arrays) -> Call:
    rows, count, cols = shape
    index = new.labels(rows * count, _VOCABULARY).reshape(rows, count)
    dy = new.normal(*shape)
    return _call(dy.size, dy, index, out=new.empty(_VOCABULARY, cols))


def _encode(shape: Shape, new: Arrays) -> Call:
    rows, count, depth = shape
    index = new.labels(rows * count, depth).reshape(rows, count)
    return _call(rows * (count + depth), index, out=new.empty(rows, depth), counts=True)


def _lookups() -> Iterator[Kernel]:
    yield Kernel("indices", "lookups", _WORDS, _indices)
    yield Kernel("lookup", "lookups", _WORDS, _lookup)
    yield Kernel("lookup_gradient", "lookups", _WORDS, _lookup_gradient)
    yield Kernel("encode", "lookups", _WORDS, _encode)


# --------------------------------------------------------- examples of several rows
# (examples, steps, columns).


def _permute(shape: Shape, new: Arrays) -> Call:
    rows, steps, cols = shape
    x = new.normal(*shape)
    return _call(x.size, x, axes=(1, 0), out=new.empty(rows, cols, steps))


def _over_steps(shape: Shape, new: Arrays) -> Call:
    rows, _, cols = shape
    x = new.normal(*shape)
    return _call(x.size, x, out=new.empty(rows, cols))


def _repeat_steps(shape: Shape, new: Arrays) -> Call:
    rows, _, cols = shape
    out = new.empty(*shape)
    return _call(out.size, new.normal(rows, cols), out=out)


def _max_steps_gradient(shape: Shape, new: Arrays) -> Call:
    rows, _, cols = shape
    x = new.normal(*shape)
    return _call(3 * x.size, new.normal(rows, cols), x, x.max(axis=1), out=new.empty(*shape))


def _unit_rows(shape: Shape, new: Arrays) -> Call:
    x = new.normal(*shape)
    return _call(3 * x.size, x, out=new.empty(*shape))


def _unit_rows_gradient(shape: Shape, new: Arrays) -> Call:
    x = new.normal(*shape)
    return _call(7 * x.size, new.normal(*shape), x, out=new.empty(*shape))


def _standardize(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    mean, variance, out = new.normal(cols), new.probabilities(cols), new.empty(rows, cols, 1)
    return _call(2 * out.size, new.normal(rows, cols, 1), mean, variance, invert=False, out=out)


def _standardize_gradient(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    dy, out = new.normal(rows, cols, 1), new.empty(rows, cols, 1)
    return _call(out.size, dy, new.probabilities(cols), invert=False, out=out)


def _steps() -> Iterator[Kernel]:
    yield Kernel("permute", "steps", _WORDS, _permute)
    yield Kernel("sum_steps", "steps", _WORDS, _over_steps)
    yield Kernel("mean_steps", "steps", _WORDS, _over_steps)
    yield Kernel("repeat_steps", "steps", _WORDS, _repeat_steps)
    yield Kernel("max_steps", "steps", _WORDS, _over_steps)
    yield Kernel("max_steps_gradient", "steps", _WORDS, _max_steps_gradient)
    yield Kernel("unit_rows", "lengths", _OUTPUTS, _unit_rows)
    yield Kernel("unit_rows_gradient", "lengths", _OUTPUTS, _unit_rows_gradient)
    yield Kernel("standardize", "lengths", _OUTPUTS, _standardize)
    yield Kernel("standardize_gradient", "lengths", _OUTPUTS, _standardize_gradient)


# ------------------------------------------------------------------------- rows of scores
# (rows, classes): a batch of ten classes, a test set, and many classes.

_SCORES = ((32, 10), (10_000, 10), (256, 1000))


def _softmax(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    return _call(5 * rows * cols, new.normal(*shape), out=new.empty(*shape))


def _softmax_gradient(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    dy, y = new.normal(*shape), new.probabilities(*shape)
    return _call(4 * rows * cols, dy, y, out=new.empty(*shape))


def _log_softmax_gradient(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    dy, y = new.normal(*shape), np.log(new.probabilities(*shape))
    return _call(4 * rows * cols, dy, y, out=new.empty(*shape))


def _glu(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    return _call(5 * rows * cols, new.normal(rows, 2 * cols), out=new.empty(*shape))


def _glu_gradient(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    dy, x = new.normal(*shape), new.normal(rows, 2 * cols)
    return _call(9 * rows * cols, dy, x, out=new.empty(rows, 2 * cols))


def _softmaxes() -> Iterator[Kernel]:
    yield Kernel("softmax", "softmaxes", _SCORES, _softmax)
    yield Kernel("softmax_gradient", "softmaxes", _SCORES, _softmax_gradient)
    yield Kernel("sparsemax", "softmaxes", _SCORES, _softmax)
    yield Kernel("sparsemax_gradient", "softmaxes", _SCORES, _softmax_gradient)
    yield Kernel("glu", "softmaxes", _SCORES, _glu)
    yield Kernel("glu_gradient", "softmaxes", _SCORES, _glu_gradient)
    yield Kernel("log_softmax", "softmaxes", _SCORES, _softmax)
    yield Kernel("log_softmax_gradient", "softmaxes", _SCORES, _log_softmax_gradient)


def _of_scores(
    flops: int, *, sparse: bool = False, one_hot: bool = False, gradient: bool = False
) -> Callable[[Shape, Arrays], Call]:
    """A loss, with its gradient, or a metric: of targets and scores, so many operations each."""

    def prepare(shape: Shape, new: Arrays) -> Call:
        rows, cols = shape
        if sparse:
            target = new.labels(rows, cols)
        else:
            target = new.one_hot(rows, cols) if one_hot else new.probabilities(rows, cols)
        outputs: dict[str, Any] = {"values": new.empty(rows)}
        if gradient:
            outputs["gradient"] = new.empty(rows, cols)
        return _call(flops * rows * cols, target, new.probabilities(rows, cols), None, **outputs)

    return prepare


def _ctc(shape: Shape, new: Arrays) -> Call:
    """Sequences of 32 rows with up to 8 labels; operations of the sums over alignments alone."""
    rows, cols = shape
    steps, length = 32, 8
    examples = rows // steps
    label = new.labels(examples * length, cols)
    x, gradient = new.normal(examples * steps, cols), new.empty(examples * steps, cols)
    work = 2 * 12 * (2 * length + 1) * examples * steps
    return _call(work, label, x, None, values=new.empty(examples), gradient=gradient)


def _circle(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    x = new.normal(rows, cols)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    label, values, gradient = new.labels(rows, 10), new.empty(rows), new.empty(rows, cols)
    work = 6 * rows * rows * cols
    return _call(work, label, x, None, values=values, gradient=gradient, scale=1 / rows)


def _losses() -> Iterator[Kernel]:
    for name in LOSSES:
        yield Kernel(name, "losses", _SCORES, _of_scores(4, gradient=True))
    for name in ("categorical_crossentropy", "softmax_crossentropy"):
        dense = _of_scores(8, one_hot=True, gradient=True)
        yield Kernel(name, "losses", _SCORES, dense)
        sparse = _of_scores(8, sparse=True, gradient=True)
        yield Kernel("sparse_" + name, "losses", _SCORES, sparse)
    for name in FOCAL_LOSSES:
        yield Kernel(name, "losses", _SCORES, _of_scores(20, gradient=True))
    for name in ("categorical_focal_crossentropy", "categorical_focal_crossentropy_logits"):
        dense = _of_scores(16, one_hot=True, gradient=True)
        yield Kernel(name, "losses", _SCORES, dense)
    generalized = _of_scores(1, sparse=True, gradient=True)
    yield Kernel("generalized_crossentropy", "losses", _SCORES, generalized)
    for name in ("categorical_hinge", "cosine_similarity", "tversky", "batch_tversky"):
        yield Kernel(name, "losses", _SCORES, _of_scores(6, one_hot=True, gradient=True))
    yield Kernel("ctc", "losses", _SCORES, _ctc)
    yield Kernel("circle", "losses", ((32, 64), (256, 64)), _circle)


def _metrics() -> Iterator[Kernel]:
    yield Kernel("binary_accuracy", "metrics", _SCORES, _of_scores(2))
    for name in ("categorical_accuracy", "top_k_accuracy"):
        yield Kernel(name, "metrics", _SCORES, _of_scores(2, one_hot=True))
        yield Kernel("sparse_" + name, "metrics", _SCORES, _of_scores(1, sparse=True))
    for name in ("pearson_correlation", "concordance_correlation"):
        yield Kernel(name, "metrics", _SCORES, _of_scores(9))


# --------------------------------------------------------------------- weights and data
# (inputs, units) of a layer's weights.

_WEIGHTS = ((128, 10), (784, 128), (1024, 1024))


def _update(slots: int, hyper: tuple[str, ...]) -> Callable[[Shape, Arrays], Call]:
    def prepare(shape: Shape, new: Arrays) -> Call:
        w, g = new.normal(*shape), new.normal(*shape)
        state = tuple(new.empty(*shape) for _ in range(slots))
        settings = {name: _HYPER[name] for name in hyper}
        # About five an array of state, and two for the step itself.
        flops = (2 + 5 * slots) * w.size
        keywords = {"iteration": 1000, **settings}
        flat = _call(flops, w, g, *state, changed=(w, *state), **keywords)
        return replace(flat, arguments=(w, g, state))

    return prepare


def _whole_update(rule: WholeUpdate, flops: int) -> Callable[[Shape, Arrays], Call]:
    def prepare(shape: Shape, new: Arrays) -> Call:
        w, g = new.normal(*shape), new.normal(*shape)
        state = tuple(new.empty(*slot) for slot in rule.slot_shapes(shape))
        keywords = {"iteration": 1000, **{name: _HYPER[name] for name in rule.hyper}}
        flat = _call(flops * w.size, w, g, *state, changed=(w, *state), **keywords)
        return replace(flat, arguments=(w, g, state))

    return prepare


def _muon(shape: Shape, new: Arrays) -> Call:
    call = _whole_update(WHOLE_UPDATES["muon"], 0)(shape, new)
    return replace(call, flops=call.keywords["ns_steps"] * newton_schulz_flops(*shape))


def _penalty(shape: Shape, new: Arrays) -> Call:
    w = new.normal(*shape)
    return _call(5 * w.size, w, l1=0.01, l2=0.01)


def _penalty_gradient(shape: Shape, new: Arrays) -> Call:
    w, g = new.normal(*shape), new.normal(*shape)
    return _call(5 * w.size, w, g, changed=(g,), l1=0.01, l2=0.01)


def _updates() -> Iterator[Kernel]:
    for name, rule in OPTIMIZERS.items():
        yield Kernel(name, "optimizers", _WEIGHTS, _update(rule.slots, rule.hyper))
    # What is kept, squares of the weights, the step twice, its squares, the new weights.
    for name, flops in (("adafactor", 13), ("lamb", 21)):
        update = _whole_update(WHOLE_UPDATES[name], flops)
        yield Kernel(name, "optimizers", _WEIGHTS, update)
    yield Kernel("muon", "optimizers", _WEIGHTS, _muon)
    yield Kernel("penalty", "penalties", _WEIGHTS, _penalty)
    yield Kernel("penalty_gradient", "penalties", _WEIGHTS, _penalty_gradient)


def _gather(shape: Shape, new: Arrays) -> Call:
    rows, cols = shape
    source, out = new.empty(10_000, cols), new.empty(rows, cols)
    order = new.random.permutation(len(source))[:rows]
    # An element that is moved counts as an operation: a chart has no room for none.
    nbytes = order.nbytes + 2 * out.nbytes
    return Call((source, order), {"out": out}, out.size, nbytes, source.nbytes)


def _permutations(shape: Shape, new: Arrays) -> Call:
    orders, rows = shape
    keys = new.random.integers(0, 2**64, orders, dtype=np.uint64)
    # A number that is placed counts as an operation, as in gather.
    return _call(orders * rows, keys, out=np.zeros(shape, np.int64))


def _data() -> Iterator[Kernel]:
    yield Kernel("permutations", "data", ((100, 100), (100, 404), (1, 60_000)), _permutations)
    yield Kernel("gather", "data", ((32, 13), (32, 784), (256, 784)), _gather)


def _kernels() -> Iterator[Kernel]:
    families = (
        *(_products, _elementwise, _lookups, _steps, _normalizations),
        *(_softmaxes, _losses, _metrics, _updates, _data),
    )
    for family in families:
        yield from family()


# ------------------------------------------------------------------------ all other ops


def _of_record(op: Op, shape: Shape, new: Arrays) -> Call:
    """A call on arrays of this shape: as many as the reference takes, with the numbers of the
    record's dtypes, each option as the reference has it by default or `_OPTIONS` says.

    Operations are those that the record counts, or one for each element.
    """
    parameters = inspect.signature(REFERENCE[op.name]).parameters.values()
    n_inputs = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
    options = {
        p.name: _OPTIONS.get(p.name, p.default)
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.name not in op.outputs
    }
    kinds = [op.takes[min(i, len(op.takes) - 1)] for i in range(n_inputs)]
    given = [new.of(kind, kinds[0], *shape) for kind in kinds]
    values = [Value(array.shape[1:], str(array.dtype)) for array in given]
    made = emit(op, *values, **options)
    rows = shape[0]
    written: dict[str, Any] = {
        name: np.zeros((rows, *value.dims) if value.batched else value.dims, value.dtype)
        for name, value in zip(op.outputs, made, strict=True)
    }
    node = made[0].node
    assert node is not None
    most = max(array.size for array in (*given, *written.values()))
    return _call(rows * op.flops(node) or most, *given, **written, **options)


# Options that no reference has a default for.
_OPTIONS = {"axis": -2}


def _others(known: Iterable[str]) -> Iterator[Kernel]:
    """Those whose records do not say why they have no case."""
    for op in OPS.values():
        if op.name in REFERENCE and op.name not in known and "profile" not in op.why_not:
            yield Kernel(op.name, "others", _WORDS, partial(_of_record, op))


def _all() -> dict[str, Kernel]:
    known = {kernel.name: kernel for kernel in _kernels()}
    return known | {kernel.name: kernel for kernel in _others(known)}


KERNELS: Mapping[str, Kernel] = _all()
