"""Keras's `backend`: what computes, the float type, and the state that it keeps of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import naming
from .config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from .doors import door
from .graph.trace import Value

__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "get_uid",
    "image_data_format",
    "is_float_dtype",
    "is_int_dtype",
    "is_keras_tensor",
    "result_type",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "standardize_dtype",
]

_FLOATS = ("bfloat16", "float16", "float32", "float64")
_WHOLE = tuple(f"{sign}int{bits}" for sign in ("u", "") for bits in (8, 16, 32, 64))
_NAMES = {"half": "float16", "float": "float32", "double": "float64", "int": "int32"}


def clear_session(free_memory: bool = True) -> None:
    """Lets default names of layers and models begin anew.

    There is no other state between models: each is freed once nothing refers to it.

    Parameters
    ----------
    free_memory : bool
        Whether Python looks for what nothing refers to any more, at once.

    Examples
    --------
    >>> import hotloop
    >>> clear_session()
    >>> hotloop.layers.Dense(1).name, hotloop.layers.Dense(1).name
    ('dense', 'dense_1')
    """
    naming.clear_names()
    if free_memory:
        import gc

        gc.collect()


def get_uid(prefix: str = "") -> int:
    """How often this prefix was asked for, from 1.

    Examples
    --------
    >>> clear_session()
    >>> get_uid("dense"), get_uid("dense")
    (1, 2)
    """
    return naming.next_number(prefix)


def is_keras_tensor(x: Any) -> bool:
    """Whether it is symbolic: an `Input`, or what layers made of one.

    Examples
    --------
    >>> import hotloop
    >>> is_keras_tensor(hotloop.Input((3,))), is_keras_tensor([1.0])
    (True, False)
    """
    return isinstance(x, Value)


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype, as ``"float32"``; that of new layers for None.

    Raises
    ------
    ValueError
        If it is none of numbers, booleans or text.

    Examples
    --------
    >>> import numpy as np
    >>> standardize_dtype(np.float64), standardize_dtype(int), standardize_dtype(None)
    ('float64', 'int32', 'float32')
    """
    if dtype is None:
        return floatx()
    known = (*_FLOATS, *_WHOLE, "bool", "string", "complex64", "complex128")
    if isinstance(dtype, type) and dtype in (bool, int, float, str, complex):
        python = {bool: "bool", int: "int32", float: "float32", str: "string"}
        dtype = python.get(dtype, "complex64")
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
    name = str(name).removeprefix("torch.")
    if name not in known:
        raise ValueError(f"{dtype!r} is no dtype that is known; expected one of {', '.join(known)}")
    return name


def is_float_dtype(dtype: Any) -> bool:
    """Whether numbers of it have fractions.

    Examples
    --------
    >>> is_float_dtype("float16"), is_float_dtype("int32")
    (True, False)
    """
    return standardize_dtype(dtype) in _FLOATS


def is_int_dtype(dtype: Any) -> bool:
    """Whether it holds whole numbers.

    Examples
    --------
    >>> is_int_dtype("uint8"), is_int_dtype("bool")
    (True, False)
    """
    return standardize_dtype(dtype) in _WHOLE


def result_type(*dtypes: Any) -> str:
    """The dtype of what is computed from arrays of these dtypes, as in Keras.

    Examples
    --------
    >>> result_type("int32", "float32"), result_type("uint8", "int8")
    ('float32', 'int16')
    """
    from .ops.dtypes import result_type as promoted

    return promoted(*dtypes)


if not TYPE_CHECKING:  # which knows all names
    __getattr__ = door(__name__)
