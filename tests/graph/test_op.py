"""Every op's record, one walk over all of them: whatever an op has, it is asked here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import pytest

from hotloop import backends, layers, models, optimizers, utils
from hotloop.backends import numpy as reference
from hotloop.backends import own
from hotloop.backends.formulas import ACTIVATIONS
from hotloop.backends.functions import FUNCTIONS
from hotloop.backends.interpreter import Interpreter
from hotloop.backends.plan_traits import IN_PYTHON
from hotloop.backends.scalar_functions import ScalarFunction
from hotloop.constraints import NonNeg
from hotloop.data.feed import Feed
from hotloop.graph import ops, programs
from hotloop.graph.gradients import backward
from hotloop.graph.memory import Placement
from hotloop.graph.network import Layer
from hotloop.graph.op import OPS, Op, like_first
from hotloop.graph.ops import ASSIGN, cast, reshape
from hotloop.graph.ops.curvatures import CURVATURES
from hotloop.graph.plan import Plan, Slot, variables_of
from hotloop.graph.trace import Node, Value, emit, parameter, topological
from hotloop.profiling.cases import KERNELS, Arrays, Call
from hotloop.variables import Variable

BATCH = 3


@dataclass
class Given:
    """An input of a case: of each example or a variable; normal numbers, or what `kind` says."""

    dims: tuple[int, ...]
    batched: bool = True
    kind: str = "normal"
    most: int = 0
    row_axes: int | None = None

    @property
    def dtype(self) -> str:
        return {"int": "int32", "byte": "uint8", "bool": "bool"}.get(self.kind, "float64")

    def numbers(self, rng: np.random.Generator) -> Any:
        shape = (BATCH, *self.dims) if self.batched else self.dims
        if self.kind in ("int", "byte"):
            return rng.integers(0, self.most, shape).astype(self.dtype)
        if self.kind == "bool":
            return rng.random(shape) < 0.5
        if self.kind == "positive":
            return rng.uniform(0.3, 1.5, shape)
        if self.kind == "above one":
            return rng.uniform(1.3, 2.5, shape)
        if self.kind == "inside":
            return rng.permutation(prod(shape)).reshape(shape) * (1.8 / prod(shape)) - 0.9
        if self.kind == "definite":  # and symmetric, with eigenvalues that are apart
            root = rng.normal(size=shape)
            return root @ root.swapaxes(-1, -2) + np.diag(np.arange(1.0, shape[-1] + 1))
        if self.kind == "probability":
            found = rng.uniform(0.3, 1.5, shape)
            return found / found.sum(axis=-1, keepdims=True)
        # No two of them so near, and none so near a kink, that a difference goes over it.
        numbers = rng.permutation(prod(shape)) * (4.0 / prod(shape)) - 1.93
        return numbers.reshape(shape)


def x(*dims: int, kind: str = "normal", most: int = 0) -> Given:
    """What each example has."""
    return Given(dims, kind=kind, most=most)


def w(*dims: int, kind: str = "normal", row_axes: int | None = None) -> Given:
    """A variable."""
    return Given(dims, batched=False, kind=kind, row_axes=row_axes)


@dataclass
class Case:
    """What a record is asked about.

    Attributes
    ----------
    inputs : list of Given
    moved : int
        Bytes that it reads and writes in a batch of 3 examples, counted by hand.
    flops : int
        Multiplications and additions of its products for an example, counted by hand.
    attributes : dict
    wanted : tuple of int, optional
        The inputs that have a gradient, if not all.
    """

    inputs: list[Given]
    moved: int
    flops: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)
    wanted: tuple[int, ...] | None = None


def square(a: Any) -> Any:
    return a * a


# Three examples of two rows of four numbers are 24; a number has 8 bytes, a label 4.
X = 24
NORMS = {"epsilon": 0.1, "scale": True, "center": True}

CASES = {
    "matmul": Case([x(2, 4), w(4, 5)], 8 * (X + 20 + 30), 80),
    "dense": Case(
        [x(2, 4), w(4, 5), w(5)], 8 * (X + 25 + 30), 80, {"activation": "tanh", "alpha": 0.0}
    ),
    "input_gradient": Case(
        [x(2, 5), w(4, 5), x(2, 4)],
        8 * (30 + 20 + 2 * X),
        80,
        {"activation": "elu", "alpha": 0.5},
        (0, 1),
    ),
    "weight_gradient": Case([x(2, 4), x(2, 5)], 8 * (X + 30 + 20), 80),
    "add_bias": Case([x(2, 4), w(4)], 8 * (X + 4 + X)),
    "bias_gradient": Case([x(2, 4)], 8 * (X + 4)),
    "batch_matmul": Case(
        [x(2, 4), x(5, 4)], 8 * (X + 60 + 30), 80, {"transpose_a": False, "transpose_b": True}
    ),
    "prelu": Case([x(2, 4), w(4)], 8 * (2 * X + 4)),
    "prelu_gradient": Case([x(2, 4), x(2, 4), w(4)], 8 * (3 * X + 4), 0, {}, (0, 2)),
    "prelu_alpha_gradient": Case([x(2, 4), x(2, 4)], 8 * (2 * X + 4)),
    "own_activation": Case(
        [x(2, 4)], 16 * X, 0, {"function": ScalarFunction(square, None, 1, "square")}
    ),
    "own_activation_gradient": Case(
        [x(2, 4), x(2, 4)], 24 * X, 0, {"function": ScalarFunction(square, None, 1, "square")}
    ),
    "scale": Case([x(2, 4)], 16 * X, 0, {"factor": 3.0, "offset": 2.0}),
    "glu": Case([x(2, 4)], 8 * (X + 12)),
    "glu_gradient": Case([x(2, 2), x(2, 4)], 8 * (12 + 2 * X)),
    "unit_rows": Case([x(2, 4)], 16 * X),
    "unit_rows_gradient": Case([x(2, 4), x(2, 4)], 24 * X),
    "sum_steps": Case([x(2, 4)], 8 * (X + 12)),
    "mean_steps": Case([x(2, 4)], 8 * (X + 12)),
    "cumulative_sum": Case([x(2, 4)], 16 * X, 0, {"axis": -2, "reverse": False}),
    "repeat_steps": Case([x(4)], 8 * (12 + X), 0, {"steps": 2}),
    "max_steps": Case([x(2, 4)], 8 * (X + 12)),
    "max_steps_gradient": Case([x(4), x(2, 4), x(4)], 8 * (24 + 2 * X), 0, {}, (0,)),
    "reshape": Case([x(2, 4)], 0, 0, {"dims": (8,)}),
    "concatenate": Case([x(2, 4), x(2, 3)], 8 * (X + 18 + 42)),
    "columns": Case([x(2, 4)], 8 * (X + 12), 0, {"first": 1, "count": 2}),
    "as_examples": Case([w(BATCH, 2, 4, row_axes=0)], 0, 0, {"rows": BATCH}),
    "as_whole": Case([x(2, 4)], 0, 0, {"rows": BATCH}),
    "permute": Case([x(2, 4)], 16 * X, 0, {"axes": (1, 0)}),
    "batch_normalization": Case(
        [x(2, 4), w(4), w(4, kind="positive"), w(4), w(4)], 8 * (2 * X + 16), 0, NORMS
    ),
    "column_moments": Case([x(2, 4)], 8 * (X + 8)),
    "normalize": Case(
        [x(2, 4), w(4), w(4, kind="positive"), w(4), w(4)],
        8 * (2 * X + 16),
        0,
        NORMS | {"own": False},
        (0, 3, 4),
    ),
    "normalize_scale_gradient": Case(
        [x(2, 4), x(2, 4), w(4), w(4, kind="positive")], 8 * (2 * X + 12), 0, {"epsilon": 0.1}
    ),
    "normalize_gradient": Case(
        [x(2, 4), x(2, 4), w(4), w(4, kind="positive"), w(4), w(4), w(4)],
        8 * (3 * X + 20),
        0,
        {"epsilon": 0.1, "scale": True, "own": True},
    ),
    "layer_norm": Case([x(2, 4), w(4), w(4)], 8 * (2 * X + 8 + 12), 0, NORMS | {"centered": True}),
    "layer_norm_scale_gradient": Case(
        [x(2, 4), x(2, 4), x(2), x(2, kind="positive")], 8 * (2 * X + 12 + 4)
    ),
    "layer_norm_gradient": Case(
        [x(2, 4), x(2, 4), x(2), x(2, kind="positive"), w(4)],
        8 * (3 * X + 12 + 4),
        0,
        {"centered": True, "scale": True},
    ),
    "standardize": Case(
        [x(2, 4), w(2), w(2, kind="positive")], 8 * (2 * X + 4), 0, {"invert": False}, (0,)
    ),
    "standardize_gradient": Case(
        [x(2, 4), w(2, kind="positive")], 8 * (2 * X + 2), 0, {"invert": True}, (0,)
    ),
    "prepare": Case([x(2, 4)], 16 * X, 0, {"function": square, "dims": (2, 4)}),
    "indices": Case(
        [x(2, 4, kind="positive")], 8 * X + 4 * X, 0, {"least": 0, "most": 6, "who": "a layer"}
    ),
    "lookup": Case([x(2, kind="int", most=7), w(7, 4)], 4 * 6 + 8 * 2 * X, 0, {}, (1,)),
    "lookup_gradient": Case(
        [x(2, 4), x(2, kind="int", most=7)], 8 * X + 4 * 6 + 8 * 28, 0, {"rows": 7}, (0,)
    ),
    "encode": Case(
        [x(2, 3, kind="int", most=4)],
        4 * 18 + 8 * X,
        0,
        {"depth": 4, "counts": True, "dtype": "float64"},
    ),
    "lambda": Case(
        [x(2, 4)],
        16 * X,
        0,
        {
            "dims": lambda inputs: (2, 4),
            "function": square,
            "gradient": lambda a, dy: [2.0 * a * dy],
        },
    ),
    "lambda_gradient": Case([x(2, 4), x(2, 4)], 24 * X, 0, {"gradient": lambda a, dy: [a * dy]}),
    "loss": Case(
        [x(2, 4), x(2, 4), x(kind="positive")],
        8 * (3 * X + 3 + 6),
        0,
        {
            "kind": "mean_squared_error",
            "reduction": "sum",
            "loss_weight": 1.0,
            "rows": (2,),
            "options": {},
        },
        (0, 1),
    ),
    "metric": Case(
        [x(2, 4), x(2, 4)], 8 * (2 * X + 6), 0, {"kind": "categorical_accuracy", "options": {}}
    ),
    "by_training": Case([x(2, 5), x(2, 5)], 8 * 90),
    "accumulate": Case([x(2)], 8 * 6, 0, {"slot": 0, "reduction": "mean", "check": True}),
    "penalty": Case([w(4, 5)], 8 * 20, 0, {"slot": 0, "l1": 0.1, "l2": 0.2}),
    "penalty_gradient": Case([w(4, 5), w(4, 5)], 8 * 60, 0, {"l1": 0.1, "l2": 0.2}),
    # What is changed is read and written.
    "accumulate_gradient": Case([w(4, 5), w(4, 5)], 8 * (2 * 40 + 20), 0, {"batches": 1}),
    "square_sum": Case([w(4, 5)], 8 * 21),
    "clip_by_norm": Case([w(4, 5), w(1, kind="positive")], 8 * 41, 0, {"limit": 0.5}),
    "clip_by_value": Case([w(4, 5)], 8 * 40, 0, {"limit": 0.5}),
    "update": Case([w(4, 5), w(4, 5), w(4, 5)], 8 * 2 * 60),
    "whole_update": Case([w(4, 5), w(4, 5), w(4, 5)], 8 * 2 * 60),
    "weight_gradient_update": Case([x(2, 4), x(2, 5), w(4, 5), w(4, 5)], 8 * (X + 30 + 2 * 40), 80),
    "bias_gradient_update": Case([x(2, 4), w(4), w(4)], 8 * (X + 2 * 8)),
    "network_update": Case(
        [x(4), x(1), w(4, 3), w(3, 1)],
        8 * (12 + 3 + 2 * 15 + 3 + 3),
        2 * (3 * 15 - 12),
        {
            "rows": (),
            "layers": [Layer(Variable(np.zeros(s), "a/kernel")) for s in ((4, 3), (3, 1))],
        },
    ),
    "decay": Case([w(4, 5)], 8 * 40, 0, {"weight_decay": 0.1}),
    "moving_average_update": Case([w(4), w(4)], 8 * 16, 0, {"momentum": 0.9}),
    "average": Case([w(4), w(4)], 8 * 16, 0, {"momentum": 0.9}),
    "overwrite": Case([w(4), w(4)], 8 * 16, 0, {"frequency": 1}),
    "constrain": Case([w(4)], 8 * 8, 0, {"constraint": NonNeg()}),
    "assign": Case([w(4, 5), w(4, 5)], 8 * 40),
    "cast": Case([x(2, 4)], 12 * X, 0, {"dtype": "float32"}),
    "over_examples": Case([w(4)], 8 * 8),
    "program": Case([x(2, 4), w(4)], 8 * (2 * X + 4) + X),
}
for _name, _formula in ACTIVATIONS.items():
    if _name != "linear":
        _alpha = {"alpha": 0.3 if _formula.alpha is None else _formula.alpha}
        CASES[_name] = Case([x(2, 4)], 16 * X, 0, _alpha)
        _saved = x(2, 4, kind="normal" if _formula.reads == "x" else "positive")
        _bent = (0, 1) if _name in CURVATURES else (0,)
        CASES[_name + "_gradient"] = Case([x(2, 4), _saved], 24 * X, 0, _alpha, _bent)
# What functions take that are not defined for all numbers, or whose gradient is not.
DOMAINS = {
    **dict.fromkeys(("log", "log2", "log10", "log1p", "sqrt", "rsqrt", "cbrt"), "positive"),
    **dict.fromkeys(("power", "reciprocal"), "positive"),
    **dict.fromkeys(("arcsin", "arccos", "arctanh", "erfinv", "tan"), "inside"),
}
# Of two, where the second is to differ from the first.
SECONDS = {"mod": "positive", "fmod": "positive", "fmax": "inside", "fmin": "inside"}
for _name, _function in FUNCTIONS.items():
    _size = 4 if _function.takes == "whole" else 8
    _given = x(2, 4, kind=DOMAINS.get(_name, "normal"))
    if _function.takes == "whole":
        _given = x(2, 4, kind="int", most=20)
    _result = 1 if _function.tells else _size
    _second = x(2, 4, kind=SECONDS[_name]) if _name in SECONDS else _given
    _inputs = [_given, _second][: _function.arity]
    CASES[_name] = Case(_inputs, (_function.arity * _size + _result) * X)
CASES["arccosh"] = Case([x(2, 4, kind="above one")], 16 * X)
CASES["where"] = Case([x(2, 4, kind="bool"), x(2, 4), x(2, 4)], 25 * X, 0, {}, (1, 2))
CASES["constant"] = Case([], 8, 0, {"number": 2.5, "dtype": "float64"})
for _name in ("softmax", "log_softmax", "sparsemax"):
    CASES[_name] = Case([x(2, 4)], 16 * X)
    CASES[_name + "_gradient"] = Case([x(2, 4), x(2, 4, kind="probability")], 24 * X)
CASES["sparsemax_gradient"].wanted = (0,)  # where y is 0 stays
for _merge in reference.MERGES:
    CASES[_merge.__name__] = Case([x(2, 4), x(2, 4)], 24 * X)
for _name in ("maximum_gradient", "minimum_gradient"):
    CASES[_name] = Case([x(2, 4), x(2, 4), x(2, 4)], 32 * X, 0, {}, (0,))
for _name in ("dropout", "alpha_dropout", "alpha_dropout_gradient"):
    CASES[_name] = Case([x(2, 4)], 16 * X, 0, {"rate": 0.4, "seed": 7})
for _name in ("gaussian_noise", "gaussian_dropout"):
    CASES[_name] = Case([x(2, 4)], 16 * X, 0, {"stddev": 0.4, "seed": 7})


_FLIP = {"how": "flip", "options": {"axes": (1,)}}
_INT = {"kind": "int", "most": 4}
CASES |= {
    "move": Case([x(2, 4)], 16 * X, 0, _FLIP | {"fill": 0.0}),
    "move_back": Case([x(2, 4)], 16 * X, 0, _FLIP | {"dims": (2, 4)}),
    "each_example": Case([w(4), x(2)], 8 * (4 + 12), 0, {}, (0,)),
    "unpack": Case([w(4, 5)], 8 * 40),
    "pack": Case([w(4, 5, row_axes=0)], 8 * 40, 0, {"row_axes": 1}),
    "argsort": Case([x(2, 4)], 12 * X),
    "argmax": Case([x(2, 4)], 8 * X + 4 * 6),
    "take_along": Case([x(2, 4), x(2, 3, **_INT)], 8 * X + 12 * 18, 0, {}, (0,)),
    "put_along": Case([x(2, 3), x(2, 3, **_INT)], 12 * 18 + 8 * X, 0, {"n": 4}, (0,)),
    "matrix_product": Case(
        [w(2, 4, row_axes=0), w(4, 5, row_axes=0)],
        8 * (8 + 20 + 10),
        80,
        {"transpose_a": False, "transpose_b": False},
    ),
    "inv": Case([x(3, 3, kind="definite")], 16 * 27),
    "det": Case([x(3, 3, kind="definite")], 8 * (27 + 3)),
    "log_abs_det": Case([x(3, 3, kind="definite")], 8 * (27 + 3)),
    "cholesky": Case([x(3, 3, kind="definite")], 16 * 27),
    "solve": Case([x(3, 3, kind="definite"), x(3, 2)], 8 * (27 + 2 * 18)),
    "inverse_gaps": Case([x(4)], 8 * (12 + 48)),
    "eigh": Case([x(3, 3, kind="definite")], 8 * (2 * 27 + 9)),
    "qr": Case([x(4, 3)], 8 * (2 * 36 + 27)),
    "svd": Case([x(4, 3)], 8 * (2 * 36 + 9 + 27)),
    "stop_gradient": Case([x(2, 4)], 0),
    "drawn": Case(
        [x(2)],
        8 * (6 + X),
        0,
        {"draw": lambda shape: np.ones(shape), "dims": (2, 4), "dtype": "float64"},
    ),
    "own_gradient": Case(
        [x(2, 4), x(2, 4)], 0, 0, {"gradient": lambda dy: ops.scale(dy, 0.0)}, (1,)
    ),
}


class Wide(Plan):
    """A plan that several threads run, however little there is to do."""

    @property
    def flops(self) -> int:
        return 10_000_000


def run_of_three(op: Op, a: Value, b: Value) -> tuple[Value, ...]:
    """A program: only their pass makes one. What is inside has no place."""
    y = ops.elementwise("multiply", ops.elementwise("exp", a), b)
    outputs = (y, ops.elementwise("greater", y, a))
    (node,) = programs.fuse(topological(outputs), outputs)
    for value in node.outputs:
        value.node = node
    return node.outputs


class Example:
    """A node of an op on random numbers."""

    def __init__(self, op: Op, case: Case | None = None) -> None:
        rng = np.random.default_rng(0)
        self.case = case or CASES[op.name]
        self.feeds: dict[Value, Any] = {}
        values = []
        for given in self.case.inputs:
            numbers = given.numbers(rng)
            if given.batched:
                value = Value(given.dims, given.dtype, role="input")
                self.feeds[value] = numbers
            else:
                value = parameter(Variable(numbers, "layer/weight", row_axes=given.row_axes))
            values.append(value)
        make = run_of_three if op.name == "program" else emit
        outputs = make(op, *values, **self.case.attributes)
        self.node = (
            outputs[0].node if outputs else Node(op, tuple(values), (), self.case.attributes)
        )
        assert self.node is not None

    def plan(self, steps: Sequence[Node], kept: Sequence[Value]) -> Plan:
        return Plan(
            steps=list(steps),
            feeds=list(self.feeds),
            outputs=[value for value in kept if value.batched],
            slots=[Slot("loss", 0)],
            placement=Placement(steps, [*kept, *self.feeds], BATCH, backends.traits()),
            batch_size=BATCH,
            dtype="float64",
            optimizer=(
                optimizers.Muon(0.1)
                if self.node.op.name == "whole_update"
                else optimizers.SGD(0.1, momentum=0.9)
            ),
            variables=variables_of(steps),
        )

    def variables(self) -> list[Any]:
        """The numbers of the variables that the node reads."""
        return [v.variable.numpy() for v in self.node.inputs if v.variable is not None]

    def run(self, kept: Sequence[Value], table: Any = reference.OPS) -> list[Any]:
        """What the interpreter makes of these values, with the functions of a table."""
        steps = topological(kept, self.feeds) if kept else [self.node]
        plan = self.plan(steps, kept)
        plan.placement = Placement(steps, [*kept, *self.feeds], BATCH, IN_PYTHON)
        run = Interpreter(plan, table)
        sums = np.zeros(1)
        run.run(Feed([*self.feeds.values()], BATCH), 0, 1, sums)
        return [run.array(value).copy() for value in kept] or [sums]


def has(op: Op, what: str) -> bool:
    """Whether an op has something; if not, its record says why."""
    if what in op.why_not:
        assert op.why_not[what]
        return False
    return True


def need(backend: str) -> None:
    """Two of the backends are optional parts."""
    if not backends.available(backend):
        pytest.skip(f"{backend} is an optional part")


def runs(op: Op) -> bool:
    return has(op, "reference") and not op.view


every_op = pytest.mark.parametrize("op", OPS.values(), ids=str)


def test_every_op_has_a_case_and_every_case_an_op() -> None:
    assert CASES.keys() == OPS.keys()


def test_two_ops_cannot_have_one_name() -> None:
    with pytest.raises(ValueError, match="there is an op 'matmul' already: x @ w"):
        Op("matmul", "Something else.", shape=like_first)


@every_op
def test_a_record_says_what_it_is(op: Op) -> None:
    assert OPS[op.name] is op
    assert op.summary.endswith(".")
    assert len(op.summary) <= 100
    assert not (op.changes and op.gradient)
    assert not (op.in_place and op.view)
    assert set(op.why_not) <= {"reference", "gradient", "profile", "backends", *backends.NAMES}


@every_op
def test_a_record_says_what_is_the_user_s(op: Op) -> None:
    """A step of the user's may raise an error in the middle of a batch."""
    node = Example(op).node
    users = {"own_activation": "scalar", "lambda": "python"}
    assert op.users(node) == users.get(op.name.removesuffix("_gradient"), "")
    assert own.may_raise(node) == (own.server(node) == "python")
    assert (own.server(node) is None) == (not op.users(node) and not op.in_python)


@every_op
def test_a_record_says_whether_the_core_has_a_step(op: Op) -> None:
    need("cython")
    from hotloop.backends.compiled.steps import LOWERINGS

    users = op.users(Example(op).node) == "python"
    if runs(op):
        assert (op.name in LOWERINGS) == (not op.in_python and not users)


def test_what_the_core_has_no_step_for_python_does_in_training_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Same numbers on every backend, and the profile says whose it is."""
    monkeypatch.setattr("hotloop.graph.op.OPS", dict(OPS))

    def reference(run: Any, node: Node) -> None:
        a, b, out = (run.array(value) for value in (*node.inputs, node.output))
        np.multiply(a, b, out=out)

    product = Op(
        "slow_product",
        "x w in Python.",
        shape=like_first,
        weights=(1,),
        gradient=lambda node, wanted, dy: (
            emit(product, dy, node.inputs[1])[0],
            ops.sum_to(ops.multiply(dy, node.inputs[0]), node.inputs[1]),
        ),
        reference=reference,
        why_not={"cython": "it is slow", "numba": "it is slow", "profile": "it is slow"},
    )

    class Product(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight((input_shape[-1],), "ones")

        def call(self, value: Any) -> Any:
            return emit(product, value, parameter(self.w))[0]

    rng = np.random.default_rng(4)
    features, labels = rng.normal(size=(11, 3)).astype("float32"), rng.normal(size=(11, 2))
    found = []
    before = backends.current()
    for name in ("numpy", "cython"):
        need(name)
        backends.select(name)
        try:
            utils.set_random_seed(3)
            model = models.Sequential([layers.Input((3,)), Product(), layers.Dense(2)])
            model.compile("adam", "mse")
            model.fit(features, labels, batch_size=4, epochs=3, verbose=0)
            found.append([*model.get_weights(), model.predict(features, verbose=0)])
            if name == "cython":
                rows = model.profile(features, labels, batch_size=4, steps=2).rows
                assert {row.backend for row in rows if row.op == "slow_product"} == {"python"}
        finally:
            backends.select(before)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, 1e-5, 1e-6)


@pytest.mark.parametrize("op", [ops.LOSS, ops.METRIC], ids=str)
def test_a_loss_may_be_the_user_s(op: Op) -> None:
    node = Example(op).node
    for kind, users in (("own_loss", "scalar"), ("array_loss", "python"), ("poisson", "")):
        assert op.users(Node(op, node.inputs, (), {"kind": kind, "options": {}})) == users


@pytest.mark.parametrize("function", [ops.matmul, ops.add_bias, ops.prelu])
def test_weights_of_another_dtype_are_refused(function: Any) -> None:
    weight = Variable(np.zeros((4, 4), np.float32), "layer/weight")
    with pytest.raises(ValueError, match="'layer/weight' is float32 but its input is float64"):
        function(Value((4,), "float64", role="input"), weight)


@every_op
def test_every_op_has_a_reference_or_says_why_not(op: Op) -> None:
    if not runs(op):
        return
    example = Example(op)
    before = [v.variable.array.copy() for v in example.node.inputs if v.variable is not None]
    found = example.run(example.node.outputs)
    after = [v.variable.array for v in example.node.inputs if v.variable is not None]
    changed = any((a != b).any() for a, b in zip(before, after, strict=True))
    assert changed == op.changes
    assert all(np.isfinite(array).all() for array in found)
    for value, array in zip(example.node.outputs, found, strict=False):
        assert array.shape == ((BATCH,) if value.batched else ()) + value.dims
        assert array.dtype == value.dtype


@every_op
def test_shapes_are_rules_of_the_inputs_alone(op: Op) -> None:
    node = Example(op).node
    copy = Node(op, node.inputs, (), node.attributes)
    assert list(op.shape(copy)) == [value.dims for value in node.outputs]
    assert not (op.sums_examples and any(value.batched for value in node.outputs))


@every_op
def test_gradients_are_finite_differences(op: Op) -> None:
    if not has(op, "gradient"):
        assert op.gradient is None
        return
    assert op.gradient is not None
    for i in range(1 if op is ops.LOSS else len(Example(op).node.outputs)):
        compare_with_differences(Example(op), i)


# Numbers of float32 have fewer digits than differences need.
STEP = {"float32": 1e-2, "float64": 1e-5}


def compare_with_differences(example: Example, which: int = 0) -> None:
    """The gradients of one of the node's outputs, times random numbers."""
    node, y = example.node, example.node.outputs[which]
    wanted = [node.inputs[i] for i in example.case.wanted or range(len(node.inputs))]
    if which:  # others than the first may not depend on all
        wanted = wanted[:1]
    factors = np.random.default_rng(1).normal(size=(BATCH, *y.dims) if y.batched else y.dims)
    factors = factors.astype(y.dtype)
    if y.batched:
        dy = Value(y.dims, y.dtype, role="input")
        example.feeds[dy] = factors
    else:
        dy = parameter(Variable(factors, row_axes=y.row_axes))
    gradients = backward([node], [(y, dy)], wanted)
    assert list(gradients) == wanted

    def loss() -> float:
        return float((example.run([y])[0] * factors).sum())

    _, *found = example.run([y, *gradients.values()])
    for value, gradient in zip(wanted, found, strict=True):
        numbers = example.feeds[value] if value.variable is None else value.variable.array
        assert gradient.shape == numbers.shape
        for place in np.ndindex(numbers.shape):
            kept, step = numbers[place], STEP[y.dtype]
            numbers[place] = kept + step
            above = loss()
            numbers[place] = kept - step
            slope = (above - loss()) / (2.0 * step)
            numbers[place] = kept
            assert gradient[place] == pytest.approx(slope, rel=step, abs=step / 100), (value, place)


# What has a gradient that is not the same everywhere, of functions and activations.
BENT = [name for name in (*FUNCTIONS, *ACTIVATIONS) if name in OPS and OPS[name].gradient]


@pytest.mark.parametrize("name", BENT)
def test_second_derivatives_are_finite_differences_of_the_first(name: str) -> None:
    example = Example(OPS[name])
    node, y = example.node, example.node.output
    dy, again = (Value(y.dims, y.dtype, role="input") for _ in range(2))
    for seed, value in enumerate((dy, again), 1):
        example.feeds[value] = np.random.default_rng(seed).normal(size=(BATCH, *y.dims))
    first = backward([node], [(y, dy)], node.inputs[:1])[node.inputs[0]]
    steps = topological([first], example.feeds)
    second = backward(steps, [(first, again)], node.inputs[:1])
    found = np.zeros_like(example.feeds[again])  # flat between its kinks
    if second:
        (found,) = example.run([*second.values()])
    numbers, factors = example.feeds[node.inputs[0]], example.feeds[again]
    for place in np.ndindex(numbers.shape):
        kept = numbers[place]
        numbers[place] = kept + 1e-5
        above = (example.run([first])[0] * factors).sum()
        numbers[place] = kept - 1e-5
        slope = (above - (example.run([first])[0] * factors).sum()) / 2e-5
        numbers[place] = kept
        assert found[place] == pytest.approx(slope, rel=1e-5, abs=1e-6), place


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_batch_matmul_of_several_heads_has_its_gradients(
    transpose_a: bool, transpose_b: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = x(2, 4, 3) if transpose_a else x(2, 3, 4), x(2, 5, 4) if transpose_b else x(2, 4, 5)
    how = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    case = Case([a, b], 8 * 3 * (24 + 40 + 30), 2 * 2 * 3 * 4 * 5, how)
    monkeypatch.setitem(CASES, "batch_matmul", case)
    op = OPS["batch_matmul"]
    assert Example(op).node.output.dims == (2, 3, 5)
    test_gradients_are_finite_differences(op)
    test_flops_and_bytes_by_hand(op)


@pytest.mark.parametrize(
    ("a", "b", "transpose_b", "message"),
    [
        ((3, 4), (5, 4), False, r"of \(3, 4\) @ \(5, 4\): the sum is over 4 and over 5 numbers"),
        ((3, 4), (4, 5), True, r"@ \(4, 5\) transposed: the sum is over 4 and over 5 numbers"),
        ((4,), (4, 5), False, "needs two values of matrices, with the same axes in front"),
        ((2, 3, 4), (4, 5), False, r"the same axes in front: \(2, 3, 4\) @ \(4, 5\)"),
        ((2, 3, 4), (1, 4, 5), False, "the same axes in front"),
    ],
)
def test_matrices_that_do_not_fit_are_refused(
    a: tuple[int, ...], b: tuple[int, ...], transpose_b: bool, message: str
) -> None:
    one, other = (Value(dims, "float32", role="input") for dims in (a, b))
    with pytest.raises(ValueError, match=message):
        ops.batch_matmul(one, other, transpose_b=transpose_b)


def test_batch_matmul_is_of_two_values_of_each_example_and_of_one_dtype() -> None:
    one = Value((3, 4), "float32", role="input")
    with pytest.raises(
        ValueError, match="batch_matmul: its input 1 must have a batch, not be <Value w"
    ):
        ops.batch_matmul(one, parameter(Variable(np.ones((4, 5), np.float32), "w")))
    with pytest.raises(ValueError, match="batch_matmul: its input 1 must be float32, not float64"):
        ops.batch_matmul(one, Value((4, 5), "float64", role="input"))


@every_op
def test_flops_and_bytes_by_hand(op: Op) -> None:
    example = Example(op)

    def size(value: Value) -> int:
        return value.size * np.dtype(value.dtype).itemsize * (BATCH if value.batched else 1)

    assert op.flops(example.node) == example.case.flops
    assert op.bytes(example.node, size) == example.case.moved


def outputs_of(call: Call) -> dict[str, Any]:
    given = {name: v for name, v in call.keywords.items() if isinstance(v, np.ndarray)}
    changed = {str(i): v for i, v in enumerate(call.arguments) if isinstance(v, np.ndarray)}
    return given | changed


# Sums of so many numbers are taken in another order.
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", backends.NAMES)
@every_op
def test_every_backend_agrees_or_the_record_says_why_not(op: Op, name: str, dtype: str) -> None:
    """On the arrays that profiles time; the user's and the executors' own have no functions."""
    known = not {"backends", "reference", name} & op.why_not.keys()
    if not has(op, "profile"):
        return
    need(name)
    table = backends.operations(name)
    assert (op.name in table) == (known or name == "numpy")
    if not known or name == "numpy":  # which is the reference
        return
    shape = KERNELS[op.name].shapes[0]
    got, expected = (KERNELS[op.name].prepare(shape, Arrays(dtype)) for _ in range(2))
    of_got = table[op.name](*got.arguments, **got.keywords)
    of_expected = reference.OPS[op.name](*expected.arguments, **expected.keywords)
    if of_expected is not None:
        assert of_got == pytest.approx(of_expected, rel=TOLERANCE[dtype])
    for output, array in outputs_of(expected).items():
        tolerance = TOLERANCE[dtype]
        np.testing.assert_allclose(outputs_of(got)[output], array, tolerance, tolerance)


@pytest.mark.parametrize("name", ["cython", "numba"])
@every_op
def test_every_executor_agrees_with_the_reference(op: Op, name: str) -> None:
    """On arrays of the values' own shapes, several rows in each example, and on what it changes."""
    if not runs(op):
        return
    need(name)
    example, other = Example(op), Example(op)
    expected = [*example.run(example.node.outputs), *example.variables()]
    if name == "numba":
        table = {**reference.OPS, **backends.operations(name)}
        found = [*other.run(other.node.outputs, table), *other.variables()]
    else:
        found = [*compiled(other, other.node.outputs), *other.variables()]
    for got, array in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, array, 1e-9, 1e-9)


def compiled(example: Example, kept: Sequence[Value], threads: int = 1) -> list[Any]:
    """What the compiled executor makes of these values, or the running sum if there are none.

    What has no batch is assigned to variables.
    """
    from hotloop.backends.compiled.kernels import Executor

    steps = topological(kept, example.feeds) if kept else [example.node]
    states = {
        value: Variable(np.zeros(value.dims, value.dtype), row_axes=value.row_axes)
        for value in kept
        if not value.batched
    }
    changes = [Node(ASSIGN, (parameter(state), v), (), {}) for v, state in states.items()]
    plan = example.plan([*steps, *changes], kept)
    found = {value: np.zeros((BATCH, *value.dims), value.dtype) for value in plan.outputs}
    flat = [array.reshape(BATCH, -1) for array in found.values()]
    feed, sums = Feed([*example.feeds.values()], BATCH), np.zeros(1)
    before = backends.num_threads()
    backends.set_num_threads(threads)
    executor = Executor(Wide(**vars(plan)))
    assert executor.threads() == threads
    executor.run(feed, 0, 1, sums, outputs=flat)
    backends.set_num_threads(before)
    return [states[v].numpy() if v in states else found[v] for v in kept] or [sums]


@every_op
def test_every_op_has_a_profile_case_or_says_why_not(op: Op) -> None:
    assert (op.name in KERNELS) == has(op, "profile")


# What compares several rows with each other knows its examples by itself.
KINDS = [
    kernel.name
    for kernel in KERNELS.values()
    if kernel.group in ("losses", "metrics") and kernel.name not in ("ctc", "circle")
]


@pytest.mark.parametrize("name", ["numba", "numpy"])
@pytest.mark.parametrize("kind", KINDS)
def test_losses_of_several_rows_are_those_of_each_row(kind: str, name: str) -> None:
    """An example's weight counts for all of its rows."""
    need(name)
    function = backends.operations(name).get(kind)
    if function is None:
        pytest.skip(f"{name} has no loop for it")
    calls = [KERNELS[kind].prepare((6, 4), Arrays("float64")) for _ in range(2)]
    weight = np.array([0.5, 0.0, 2.0])
    (target, scores, _), of_rows = calls[0].arguments, calls[0].keywords
    function(target, scores, np.repeat(weight, 2), **of_rows)
    several = [array.reshape(3, 2, *array.shape[1:]) for array in (target, scores)]
    of_examples = {
        output: array.reshape(3, 2, *array.shape[1:]) for output, array in calls[1].keywords.items()
    }
    function(*several, weight, **of_examples)
    for output, array in of_rows.items():
        np.testing.assert_allclose(of_examples[output].reshape(array.shape), array, 1e-12, 1e-12)


# ------------------------------------------------------------------------ what values are

# Examples that are looked at one by one, whoever reads them, or that a function of the user's gets.
OF_EXAMPLES = {"each_example", "batch_matmul", "loss", "metric", "lambda", "lambda_gradient"}


def without_batch(given: Given) -> Given:
    """The same of no example; weights stay as they are."""
    if not given.batched:
        return given
    return Given(given.dims, False, given.kind, given.most, row_axes=0)


@every_op
def test_what_has_no_batch_is_done_as_one_example(op: Op) -> None:
    case = CASES[op.name]
    examples = [i for i, given in enumerate(case.inputs) if given.batched]
    if not runs(op) or op.changes or not examples:
        return
    alone = Case([without_batch(given) for given in case.inputs], 0, 0, case.attributes)
    assert op.of_examples == (op.name in OF_EXAMPLES)
    if op.of_examples:
        with pytest.raises(ValueError, match=f"{op.name}: .* must have a batch"):
            Example(op, alone)
        return
    one, several = Example(op, alone), Example(op)
    for value, alike in zip(several.node.inputs, one.node.inputs, strict=True):
        numbers = several.feeds[value] if value.variable is None else value.variable.array
        numbers[...] = alike.variable.array
    if op.name == "normalize_gradient":  # it is told sums over all examples
        for value in several.node.inputs[-2:]:
            value.variable.array[...] *= BATCH
    expected = several.run(several.node.outputs)
    for i, value in enumerate(several.node.outputs):
        if value.batched:
            expected[i] = expected[i][0]
        elif op.sums_examples and op.name not in ("column_moments",):
            expected[i] = expected[i] / BATCH
    assert not any(value.batched for value in one.node.outputs)
    found = [one.run(one.node.outputs)]
    if backends.available("cython"):
        found.append(compiled(one, one.node.outputs))
        found.append(compiled(one, one.node.outputs, threads=3))
    for of_backend in found:
        for got, array in zip(of_backend, expected, strict=True):
            assert got.shape == array.shape
            np.testing.assert_allclose(got, array, 1e-9, 1e-9)


BROADCASTS = [
    [x(2, 4), x(4)],
    [x(4), x(2, 4)],
    [x(2, 4), x(2, 1)],
    [x(2, 1), x(1, 4)],
    [x(3, 2, 4), x(3, 1, 4)],
    [x(3, 1, 4), x(2, 1)],
    [x(2, 3, 2, 3, 2), x(3, 1, 3, 1)],
    [x(1), x(4)],
    [x(), x(4)],
    [x(1, 1), x(1)],
    [x(2, 4), w(4)],
    [w(4), x(2, 4)],
    [x(2, 4), w(2, 4, row_axes=0)],
    [x(4), w(2, 1, row_axes=0)],
    [x(2, 4), w()],
    [w(), x()],
    [w(5), w(3, 1, row_axes=0)],
    [w(3, 5), w(3, 5)],
    [x(3, 130), w(3, 1, row_axes=0)],
    [x(300), x(1)],
]
merges = pytest.mark.parametrize("name", ["add", "subtract", "multiply", "maximum", "minimum"])
broadcasts = pytest.mark.parametrize(
    "inputs",
    BROADCASTS,
    ids=lambda inputs: " ".join(
        ("x" if given.batched else "w") + str(given.dims) for given in inputs
    ),
)


@merges
@broadcasts
def test_merges_broadcast_as_numpy_does(name: str, inputs: list[Given]) -> None:
    if max(prod(given.dims) for given in inputs) > 100:
        return
    example = Example(OPS[name], Case(inputs, 0))
    node = example.node
    rank = max(len(given.dims) for given in inputs)
    arrays = []
    for value in node.inputs:
        array = example.feeds[value] if value.variable is None else value.variable.array
        lead = array.shape[: array.ndim - len(value.dims)]
        arrays.append(array.reshape(lead + (1,) * (rank - len(value.dims)) + value.dims))
    (found,) = example.run([node.output])
    np.testing.assert_array_equal(found, getattr(np, name)(*arrays))
    compare_with_differences(example)


@merges
@broadcasts
def test_the_core_broadcasts_as_the_reference(name: str, inputs: list[Given]) -> None:
    need("cython")
    example = Example(OPS[name], Case(inputs, 0))
    y = example.node.output
    dy = Value(y.dims, y.dtype, role="input")
    if y.batched:
        example.feeds[dy] = np.random.default_rng(1).normal(size=(BATCH, *y.dims))
    else:
        shape = y.dims
        numbers = np.random.default_rng(1).normal(size=shape)
        dy = parameter(Variable(numbers, row_axes=y.row_axes))
    gradients = backward([example.node], [(y, dy)], example.node.inputs)
    kept = [y, *gradients.values()]
    expected = example.run(kept)
    found = compiled(example, kept)
    for got, array in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, array, 1e-12, 1e-12)
    for threads in (2, 3, 4):
        for got, array in zip(compiled(example, kept, threads), found, strict=True):
            np.testing.assert_array_equal(got, array)


def test_shapes_that_cannot_be_broadcast_are_named() -> None:
    with pytest.raises(ValueError, match=r"add needs values .* not of \(None, 2, 4\) and"):
        Example(OPS["add"], Case([x(2, 4), x(3, 4)], 0))


def test_ops_say_which_dtypes_they_take() -> None:
    with pytest.raises(ValueError, match="lookup: its input 0 must be int32, not float64"):
        Example(OPS["lookup"], Case([x(2), w(7, 4)], 0))
    with pytest.raises(ValueError, match="tanh: its input 0 must be float32 or float64, not uint8"):
        Example(OPS["tanh"], Case([x(2, kind="byte", most=3)], 0, 0, {"alpha": 0.0}))
    a, b = Value((2,), "float32"), Value((2,), "float64")
    with pytest.raises(ValueError, match="add: its input 1 must be float32, not float64"):
        emit(OPS["add"], a, b)
    with pytest.raises(ValueError, match="concatenate: its input 1 must be float32, not float64"):
        emit(OPS["concatenate"], a, b)


def test_ops_say_which_inputs_need_a_batch() -> None:
    with pytest.raises(ValueError, match="concatenate: its input 1 must have a batch"):
        Example(OPS["concatenate"], Case([x(4), w(3)], 0))


def test_ops_say_how_their_inputs_must_be_kept() -> None:
    with pytest.raises(ValueError, match=r"tanh reads one number after another, .* row_axes=0"):
        Example(OPS["tanh"], Case([w(4, 5)], 0, 0, {"alpha": 0.0}))
    with pytest.raises(ValueError, match=r"add reads one number after another, .* row_axes=0"):
        Example(OPS["add"], Case([x(4, 5), w(4, 5)], 0))
    with pytest.raises(ValueError, match="matmul needs a weight that is kept as a matrix"):
        Example(OPS["matmul"], Case([x(4), w(4, 5, row_axes=0)], 0))
    kernel = parameter(Variable(np.zeros((3, 3, 2, 5)), row_axes=3))
    assert reshape(kernel, (18, 5)).row_axes == 1
    assert reshape(kernel, (9, 2, 5, 1)).row_axes == 2
    with pytest.raises(ValueError, match=r"kept as a matrix of 18 rows, .* the rows must stay"):
        reshape(kernel, (9, 10))


# Any of these holds them, or turns them into the nearest that it holds.
NUMBERS = [-3.7, -0.5, 0.0, 1.0, 2.5, 255.0, 256.0, 1e10, -1e10, np.nan, np.inf, -np.inf]
DTYPES = ["float32", "float64", "int32", "uint8", "bool"]


@pytest.mark.parametrize("to", DTYPES)
@pytest.mark.parametrize("of", DTYPES)
def test_casts(of: str, to: str) -> None:
    most = {"int32": 2**31 - 1, "uint8": 255}
    least = {"int32": -(2**31), "uint8": 0}

    def by_hand(number: float, dtype: str) -> Any:
        if dtype == "bool":
            return number != 0
        if dtype in most:
            if number != number:
                return 0
            return int(min(max(number, least[dtype]), most[dtype]))
        return np.dtype(dtype).type(number)

    given = np.array([by_hand(number, of) for number in NUMBERS], of)
    expected = np.array([by_hand(float(number), to) for number in given], to)
    for case in (x(4), w(4)):
        example = Example(OPS["cast"], Case([case], 0, 0, {"dtype": to}))
        value = Value((4,), of, case.batched, role="input")
        if not case.batched:
            value = parameter(Variable(given))
        elif of == "int32":  # the user's whole numbers below 0 are no classes
            continue
        else:
            example.feeds = {value: given.reshape(BATCH, 4)}
        (y,) = emit(OPS["cast"], value, dtype=to)
        example.node = y.node
        found = [example.run([y])]
        if backends.available("cython"):
            found.append(compiled(example, [y]))
        for (got,) in found:
            assert got.dtype == to
            np.testing.assert_array_equal(got.ravel(), expected)


@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("float64", "float32")])
def test_steps_of_both_kinds_of_floats_in_one_plan(dtypes: tuple[str, str]) -> None:
    """Forward and backward: the outputs have the first dtype, and half of the ops the second."""
    outer, inner = dtypes
    a = Value((2, 4), outer, role="input")
    table = parameter(Variable(np.random.default_rng(2).normal(size=(4, 3)).astype(inner)))
    hidden = emit(OPS["matmul"], cast(a, inner), table)[0]
    y = emit(OPS["exponential"], cast(emit(OPS["tanh"], hidden, alpha=0.0)[0], outer), alpha=0.0)[0]
    dy = Value(y.dims, outer, role="input")
    gradients = backward(topological([y]), [(y, dy)], [a, table])
    assert [gradient.dtype for gradient in gradients.values()] == [outer, inner]
    kept = [y, hidden, *gradients.values()]
    example = Example(OPS["add"])
    rng = np.random.default_rng(3)
    example.feeds = {v: rng.normal(size=(BATCH, *v.dims)).astype(outer) for v in (a, dy)}
    expected = example.run(kept)
    need("cython")
    for got, array in zip(compiled(example, kept), expected, strict=True):
        assert got.dtype == array.dtype
        np.testing.assert_allclose(got, array, 1e-4, 1e-5)


def test_bytes_stay_bytes_from_the_users_array_to_the_output() -> None:
    """Whatever the array is, whichever rows are taken."""
    value, other = (Value((3,), "uint8", role="input") for _ in range(2))
    (joined,) = emit(OPS["concatenate"], value, other)
    (part,) = emit(OPS["columns"], joined, first=2, count=2)
    kept = [joined, part, cast(part, "float64")]
    example = Example(OPS["add"])
    masks = np.array([[True, False, True], [False, False, True], [True, True, False]])
    example.feeds = {value: masks, other: np.arange(9.0).reshape(3, 3)}
    assert Placement([joined.node], [joined], BATCH, IN_PYTHON).bytes(joined) == BATCH * 6
    expected = np.concatenate([masks, np.arange(9).reshape(3, 3)], axis=1).astype(np.uint8)
    found = [example.run(kept)]
    if backends.available("cython"):
        found.append(compiled(example, kept))
    for whole, columns, floats in found:
        assert whole.dtype == columns.dtype == np.uint8
        np.testing.assert_array_equal(whole, expected)
        np.testing.assert_array_equal(columns, expected[:, 2:4])
        np.testing.assert_array_equal(floats, expected[:, 2:4])
