"""What users pass as x, y and sample_weight, checked and turned into arrays.

Nothing is copied that is an array already: executors read the user's rows in place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import config, masks
from ..lengths import common, is_open, shown
from . import tables

Array = NDArray[Any]

_OF_TEXT = (
    f"Make numbers of what are some, for instance with .astype('float32'); of strings, "
    f"{tables.ENCODE}."
)
_OF_OTHERS = "Convert it, for instance with .astype('float32')."

TextInputs = Mapping[int, bool]  # numbers of inputs of strings; whether some may be missing
NO_TEXT: TextInputs = {}

_USUAL = frozenset("fdBilq")  # dtypes of most arrays, which need no other look


def is_plain(value: Any) -> bool:
    """Whether this is an array of a kind that `as_array` passes on as it is: a quick look."""
    return type(value) is np.ndarray and value.dtype.char in _USUAL


def examples(value: Any, dims: tuple[int, ...]) -> int:
    """How many examples of exactly this shape an array holds, as most do: a quick look.

    0 for anything that needs a closer look.
    """
    # As `is_plain` asks, without a call: every call of a model comes here.
    if type(value) is not np.ndarray or value.dtype.char not in _USUAL:
        return 0
    shape = value.shape
    return shape[0] if shape and shape[1:] == dims else 0


def as_array(value: Any, argument: str, *, text: bool = False, missing: bool = False) -> Array:
    """`value` as an array of numbers, or with `text` of strings, without a copy where it is one.

    With `missing`, a table's missing strings are None; they are an error otherwise.

    Raises
    ------
    TypeError
        For None, sparse matrices, strings, objects, complex numbers and dates.
    ValueError
        For lists of different lengths, and missing values in a table.
    """
    if value is None:
        raise TypeError(f"{argument} is None; expected an array of numbers")
    if hasattr(value, "tocsr"):
        raise TypeError(
            f"{argument} is a SciPy sparse matrix; convert it with .toarray() or train on a dense "
            "part of it"
        )
    masks.refuse_masks(value, argument)
    if isinstance(value, np.ndarray):
        pass
    elif tables.is_table(value):
        value = tables.as_array(value, argument, text=text, missing=missing)
    elif hasattr(value, "to_numpy"):
        value = value.to_numpy()
    elif hasattr(value, "numpy") and not hasattr(value, "__array__"):
        value = value.numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{argument} cannot be made an array: {error}") from None
    if text and array.dtype.kind in "OUST":
        return array
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        what = {
            "O": "Python objects",
            "U": "strings",
            "T": "strings",
            "S": "bytes",
            "c": "complex numbers",
        }
        raise TypeError(
            f"{argument} holds {what.get(array.dtype.kind, array.dtype.name)} (dtype "
            f"{array.dtype}); expected numbers of a float or integer dtype. "
            + (_OF_TEXT if array.dtype.kind in "OUST" else _OF_OTHERS)
        )
    return array


def as_float(value: Any, argument: str) -> Array:
    """`value` as a contiguous array of float32 or float64: its own type, or else `floatx`.

    Raises
    ------
    TypeError
        As `as_array`.
    """
    array = as_array(value, argument)
    dtype = array.dtype if array.dtype in (np.float32, np.float64) else config.floatx()
    return np.ascontiguousarray(array, dtype).reshape(array.shape)


def as_arrays(
    value: Any,
    names: Sequence[str],
    argument: str,
    *,
    text: TextInputs = NO_TEXT,
    keys: Sequence[Any] | None = None,
) -> list[Array]:
    """One array for each of a model's inputs or outputs, given as one, a list or a dict.

    Those of the numbers in `text` may hold strings, and some of these may be missing if it says so.
    Messages call those of a list by `keys`, if they come from a dict that had them.

    Raises
    ------
    ValueError
        If their number or names do not fit.
    """
    if isinstance(value, Mapping):
        missing = [name for name in names if name not in value]
        if missing:
            raise ValueError(
                f"{argument} has no entry for {', '.join(missing)}; it has {', '.join(value)}"
            )
        return [
            as_array(value[name], f"{argument}['{name}']", **_allowed(text, i))
            for i, name in enumerate(names)
        ]
    if len(names) == 1 and not keys:
        single = isinstance(value, list | tuple) and len(value) == 1
        if single and len(getattr(value[0], "shape", ())) > 1:
            value = value[0]
        return [as_array(value, argument, **_allowed(text, 0))]
    if not isinstance(value, list | tuple) or len(value) != len(names):
        raise ValueError(
            f"the model has {len(names)} {'inputs' if argument == 'x' else 'outputs'} "
            f"({', '.join(names)}): {argument} must be a list of as many arrays"
        )
    return [
        as_array(part, f"{argument}[{key!r}]", **_allowed(text, i))
        for i, (key, part) in enumerate(zip(keys or range(len(names)), value, strict=True))
    ]


def _allowed(text: TextInputs, number: int) -> dict[str, bool]:
    """What `as_array` is to let through for an input."""
    return {"text": number in text, "missing": text.get(number, False)}


def shapes(x: Any) -> Any:
    """The shape of an array, or those of a list or dict of several, in its form.

    A list of anything but arrays is one array.
    """
    if isinstance(x, Mapping):
        return {name: _shape(part, f"x['{name}']") for name, part in x.items()}
    if isinstance(x, list | tuple) and x and all(map(is_array, x)):
        return [_shape(part, f"x[{i}]") for i, part in enumerate(x)]
    return _shape(x, "x")


def _shape(part: Any, argument: str) -> tuple[int, ...]:
    return as_array(part, argument, text=True, missing=True).shape


def is_array(value: Any) -> bool:
    """Whether this is an array, or a table or column, rather than a list of numbers or arrays."""
    return hasattr(value, "shape") or tables.is_table(value)


def check_lengths(**arrays: Sequence[Array]) -> int:
    """The common number of examples.

    Raises
    ------
    ValueError
        If there are none, or the numbers differ.
    """
    rows: int | None = None
    for group in arrays.values():
        for array in group:
            if not array.shape:
                raise ValueError(_wrong_lengths(arrays))
            if rows is None:
                rows = array.shape[0]
            if not rows or array.shape[0] != rows:
                raise ValueError(_wrong_lengths(arrays))
    assert rows is not None
    return rows


def _wrong_lengths(arrays: Mapping[str, Sequence[Array]]) -> str:
    """What is wrong with numbers of examples that are not all the same and above 0."""
    lengths: dict[str, int] = {}
    for argument, group in arrays.items():
        for i, array in enumerate(group):
            name = argument if len(group) == 1 else f"{argument}[{i}]"
            if array.ndim == 0:
                return f"{name} is a single number; expected one row for each example"
            lengths[name] = len(array)
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        return f"x, y and sample_weight must have as many examples each, but {counts}"
    return f"{next(iter(lengths))} is empty: there are no examples to work on"


def as_expected(got: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape that examples of shape `got` are read in, where `dims` are expected.

    An axis of length 1 may be missing, or be there besides. None if they do not fit.

    Examples
    --------
    >>> as_expected((3, 2), (3, 2)), as_expected((3,), (3, 1)), as_expected((3,), (2,))
    ((3, 2), (3, 1), None)
    """
    if got == dims:
        return got
    if not is_open(dims):
        squeezed = tuple(d for d in got if d != 1) == tuple(d for d in dims if d != 1)
        return dims if squeezed and abs(len(got) - len(dims)) <= 1 else None
    if len(got) + 1 == len(dims) and dims[-1] == 1:
        got = (*got, 1)
    elif len(got) == len(dims) + 1 and got[-1] == 1:
        got = got[:-1]
    return None if common(got, dims) is None or 0 in got else got


def check_inputs(
    arrays: Sequence[Array], dims: Sequence[tuple[int, ...]], model: str, first: str
) -> None:
    """That each example has the model's input shape.

    Raises
    ------
    ValueError
        Naming the model's first layer, what it expects and what came.
    """
    for array, expected in zip(arrays, dims, strict=True):
        got = array.shape[1:]
        if as_expected(got, expected) is not None:
            continue
        if is_open(expected):
            raise ValueError(
                f"{first} of {model} expects an array of shape {(None, *shown(expected))}, of any "
                f"lengths above 0 where it says None, but got x of shape {array.shape}"
            )
        hint = ""
        if expected and len(got) > 1 and np.prod(got) == expected[-1] and len(expected) == 1:
            hint = "; add Flatten() before it, or reshape x to " + f"({len(array)}, {expected[0]})"
        elif array.ndim == 1 and expected and len(array) == expected[0]:
            hint = "; for a single example pass x[None, :]"
        wanted = "(batch" + "".join(f", {d}" for d in expected) + ")"
        raise ValueError(
            f"{first} of {model} expects {np.prod(expected, dtype=int)} input features, in an "
            f"array of shape {wanted}, but got x of shape {array.shape}{hint}"
        )


def check_labels(y: Array, dims: tuple[int, ...], loss: str) -> None:
    """That y holds a class number for each row of the outputs, from 0 to their last axis - 1.

    Raises
    ------
    ValueError
        For one-hot rows, and for labels out of range or fractional, naming the first.
    """
    *rows, classes = dims
    group = math.prod(rows)
    per_example = math.prod(y.shape[1:])
    if per_example != group:
        if per_example == group * classes:
            raise ValueError(
                f"{loss} expects class numbers of shape ({len(y)},), but y of shape {y.shape} "
                "looks one-hot: use 'categorical_crossentropy', or pass y.argmax(axis=-1)"
            )
        raise ValueError(
            f"{loss} expects class numbers of shape ({', '.join(map(str, (len(y), *rows)))}"
            f"{'' if rows else ','}), one for each row of the model's outputs (batch, "
            f"{', '.join(map(str, dims))}), but y has shape {y.shape}" + _flatten_hint(y, dims)
        )
    for start in range(0, len(y), _CHUNK):
        part = y[start : start + _CHUNK]
        if part.dtype.kind in "iu" and part.size and part.min() >= 0 and part.max() < classes:
            continue
        bad = _no_labels(part, classes)
        if bad.any():
            row = np.argwhere(bad)[0]
            value = part[tuple(row)]
            hint = ""
            if value == classes:
                hint = (
                    "; are the classes numbered from 1? subtract 1, or give the last layer "
                    f"{classes + 1} units"
                )
            raise ValueError(
                f"{loss}: labels must be whole numbers from 0 to {classes - 1} (the last layer "
                f"has {classes} units), but y[{start + int(row[0])}] is {value}{hint}"
            )


def check_whole_numbers(y: Array, loss: str) -> None:
    """That y has one whole number of at least 0 for each example, whatever their range.

    Raises
    ------
    ValueError
        Naming the loss, and the first that is none.
    """
    if math.prod(y.shape[1:]) != 1:
        raise ValueError(
            f"{loss} expects class numbers of shape ({len(y)},), but y has shape {y.shape}"
        )
    for start in range(0, len(y), _CHUNK):
        part = y[start : start + _CHUNK].reshape(-1)
        if len(bad := np.flatnonzero(_no_labels(part, _MOST_LABELS))):
            raise ValueError(
                f"{loss}: labels must be whole numbers from 0 to {_MOST_LABELS - 1}, but "
                f"y[{start + bad[0]}] is {part[bad[0]]}"
            )


def check_alignable(y: Array, dims: tuple[int, ...], loss: str) -> None:
    """That each row of y holds class numbers and then zeros, and fits into the steps of an output.

    Raises
    ------
    ValueError
        Naming the loss, and the first row that does not.
    """
    steps, classes = dims
    if y.ndim != 2:
        raise ValueError(
            f"{loss} expects labels of shape (batch, length), but y has shape {y.shape}"
        )
    for start in range(0, len(y), _CHUNK):
        part = y[start : start + _CHUNK]
        bad = _no_labels(part, classes)
        if bad.any():
            row, place = np.argwhere(bad)[0]
            raise ValueError(
                f"{loss}: labels must be whole numbers from 0 (no label) to {classes - 1} (the "
                f"last layer has {classes} units), but y[{start + row}, {place}] is "
                f"{part[row, place]}"
            )
        behind = (part[:, :-1] == 0) & (part[:, 1:] != 0)
        if behind.any():
            row = np.argwhere(behind)[0][0]
            raise ValueError(
                f"{loss}: class 0 is the blank, so zeros must stand behind all labels, but "
                f"y[{start + row}] is {part[row]}"
            )
        repeated = (part[:, :-1] == part[:, 1:]) & (part[:, 1:] != 0)
        needed = np.count_nonzero(part, axis=1) + np.count_nonzero(repeated, axis=1)
        if len(long := np.flatnonzero(needed > steps)):
            raise ValueError(
                f"{loss}: the labels of y[{start + long[0]}] need {needed[long[0]]} steps, one "
                f"each and one more between equal ones, but the outputs have {steps}"
            )


def _no_labels(y: Array, classes: int) -> NDArray[np.bool_]:
    """Which numbers are no class number below `classes`."""
    with np.errstate(invalid="ignore"):
        fractions = y != np.floor(y) if y.dtype.kind == "f" else np.False_
        return np.asarray(fractions | (y < 0) | (y >= classes))


_MOST_LABELS = 1 << 31
_CHUNK = 1 << 20  # rows checked at once: bounds the memory that a check takes


def check_targets(y: Array, dims: tuple[int, ...], loss: str) -> None:
    """That y has one number for each output: in the same axes, but for those of 1, or in one row.

    Raises
    ------
    ValueError
        Naming the loss, what it expects and what came.
    """
    got = math.prod(y.shape[1:])
    axes, wanted_axes = ([n for n in shape if n != 1] for shape in (y.shape[1:], dims))
    if got == math.prod(dims) and (axes == wanted_axes or min(len(axes), len(wanted_axes)) < 2):
        return
    wanted = f"({len(y)}" + "".join(f", {d}" for d in dims) + ")"
    hint = _flatten_hint(y, dims)
    if got == 1 and len(dims) == 1:
        hint = _CLASS_NUMBERS.get(loss, "").format(units=dims[-1])
    raise ValueError(f"{loss} expects y of shape {wanted}, but got {y.shape}{hint}")


# Advice where y has one number for each example and the last layer more units.
_CLASS_NUMBERS = {
    "categorical_crossentropy": ": these look like class numbers; use "
    "'sparse_categorical_crossentropy', or pass hotloop.utils.to_categorical(y, {units})",
    "binary_crossentropy": "; give the last layer 1 unit, or use "
    "'sparse_categorical_crossentropy' with its {units}",
}


def _flatten_hint(y: Array, dims: tuple[int, ...]) -> str:
    """Advice where the outputs have axes that y has not."""
    missing = len(dims) > 1 and y.ndim <= len(dims)
    return "; is a Flatten() missing before the first Dense?" if missing else ""


def class_weights(y: Array, weights: Mapping[int, float]) -> Array:
    """The weight of each example's class; 1 for classes without one.

    Raises
    ------
    ValueError
        For a class that is not a whole number, or a weight that is negative or not finite.
    """
    if not isinstance(weights, Mapping):
        raise TypeError(
            "class_weight must be a dict of class numbers and weights, as in {0: 1.0, 1: 5.0}, "
            f"not {weights!r}"
        )
    for label, weight in weights.items():
        masks.refuse_masks(weight, f"class_weight[{label!r}]")
        numbers = all(isinstance(n, int | float | np.number) for n in (label, weight))
        if not numbers or label != math.floor(label) or not 0 <= weight < math.inf:
            raise ValueError(
                "class_weight must map class numbers to weights of at least 0, got "
                f"{label!r}: {weight!r}"
            )
    rows = y.reshape(len(y), -1) if y.size else y.reshape(len(y), 1)
    y = rows.argmax(axis=-1) if rows.shape[1] != 1 else rows[:, 0]
    with np.errstate(invalid="ignore"):  # NaN: the loss will tell
        classes = np.round(y).astype(np.int64)
    labels, index = np.unique(classes, return_inverse=True)
    table = np.array([float(weights.get(int(label), 1.0)) for label in labels])
    return table[index]


def check_weights(weight: Array) -> None:
    """That sample weights are one finite number for each example.

    Raises
    ------
    ValueError
        Saying what came.
    """
    if weight.shape[1:] not in ((), (1,)):
        raise ValueError(
            f"sample_weight must have shape ({len(weight)},), one number for each example, "
            f"not {weight.shape}"
        )
    bad = np.flatnonzero(~np.isfinite(weight))
    if len(bad):
        value = weight.reshape(-1)[bad[0]]
        raise ValueError(f"sample_weight[{bad[0]}] is {value}; expected a finite number")
