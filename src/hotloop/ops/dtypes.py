"""Which dtype a result has: Keras's rules, which are JAX's."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from .. import config

# Each dtype and the next wider ones. "int" and "float" are Python's numbers, which take the
# dtype of what they stand beside.
_WIDER: Mapping[str, tuple[str, ...]] = {
    "bool": ("int",),
    "int": ("uint8", "int8"),
    "uint8": ("int16", "uint16"),
    "uint16": ("int32", "uint32"),
    "uint32": ("int64", "uint64"),
    "uint64": ("float",),
    "int8": ("int16",),
    "int16": ("int32",),
    "int32": ("int64",),
    "int64": ("float",),
    "float": ("bfloat16", "float16"),
    "bfloat16": ("float32",),
    "float16": ("float32",),
    "float32": ("float64", "complex64"),
    "float64": ("complex128",),
    "complex64": ("complex128",),
    "complex128": (),
}


@functools.cache
def _at_least(dtype: str) -> frozenset[str]:
    """The dtype and all wider ones."""
    return frozenset([dtype]).union(*map(_at_least, _WIDER[dtype]))


def narrowed(dtype: str) -> str:
    """A dtype of 64 bits as that of 32; floats stay where `hotloop.config.floatx` has 64 too."""
    if dtype in ("float64", "complex128") and config.floatx() == "float64":
        return dtype
    narrow = {
        "int64": "int32",
        "uint64": "uint32",
        "float64": "float32",
        "complex128": "complex64",
    }
    return narrow.get(dtype, dtype)


def name_of(dtype: object) -> str:
    """What a dtype, or one of Python's number types, is called.

    Examples
    --------
    >>> import numpy as np
    >>> name_of(np.float32), name_of("int32"), name_of(int)
    ('float32', 'int32', 'int')
    """
    import numpy as np

    if dtype is int or dtype is float:
        return "int" if dtype is int else "float"
    if isinstance(dtype, str) and dtype in _WIDER:
        return dtype
    return str(np.dtype(dtype).name)  # type: ignore[call-overload]


def result_type(*dtypes: object) -> str:
    """The dtype of what is computed from these, as `keras.backend.result_type` has it.

    Parameters
    ----------
    *dtypes
        Names of dtypes, NumPy's dtypes, or ``int`` and ``float`` for Python's own numbers, which
        take the dtype of what they stand beside. None is `hotloop.config.floatx`.

    Returns
    -------
    str
        Of 32 bits, where there are not fewer.

    Raises
    ------
    ValueError
        Where dtypes have no common wider one.

    Examples
    --------
    >>> result_type("int32", float), result_type("uint8", "int8"), result_type("int64", "bool")
    ('float32', 'int16', 'int32')
    """
    names = frozenset(config.floatx() if dtype is None else name_of(dtype) for dtype in dtypes)
    if not names:
        return config.floatx()
    common = frozenset.intersection(*map(_known, names))
    (least,) = [dtype for dtype in common if common <= _at_least(dtype)] or [""]
    if not least:
        raise ValueError(f"no dtype holds what {' and '.join(sorted(names))} hold; cast them first")
    if least in ("int", "float"):
        return "int32" if least == "int" else config.floatx()
    return narrowed(least)


def _known(dtype: str) -> frozenset[str]:
    if dtype not in _WIDER:
        raise ValueError(f"{dtype!r} is no dtype that is computed with: {', '.join(_WIDER)} are")
    return _at_least(dtype)
