"""Tables and columns of pandas, polars and Arrow as arrays of numbers, or of strings.

Their libraries are never imported: what they made is known by the module of its class.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

NUMBERS, STRINGS, CATEGORIES, OBJECTS = "numbers", "strings", "categories", "Python objects"
_OF_STRINGS = (STRINGS, CATEGORIES, OBJECTS)  # what may hold strings: the layer looks at each

# What a column holds, by how the name of its dtype begins in any of the libraries. One of
# nothing but missing values passes for numbers, and is refused for those.
_HOLDS = (
    (r"(sparse\[)?(u?int(8|16|32|64)\b|float|double|bool)|halffloat|null", NUMBERS),
    (r"categor|enum|dictionary", CATEGORIES),
    (r"str|large_str|utf8", STRINGS),
    (r"date|time|duration|period", "dates or times"),
    (r"decimal", "decimal numbers"),
    (r"complex", "complex numbers"),
    (r"object", OBJECTS),
)

ENCODE = (
    "layers.StringLookup takes such columns (adapt it first) and turns them into whole numbers, as "
    "y needs them, or with output_mode='one_hot' into a column for each category, for x, as "
    "layers.CategoryEncoding does"
)
_ADVICE = {
    CATEGORIES: ENCODE,
    STRINGS: ENCODE,
    "dates or times": "make numbers of them, such as days since the first one, and scale these "
    "with layers.Normalization",
}

_COPIED_ROWS = 4096  # at once, so that the rows being filled stay in the cache


@dataclass(frozen=True)
class _Library:
    """How the tables of a library are read.

    Attributes
    ----------
    columns : function of a table
        Name and dtype of each column; None of anything but a table.
    column : function of a table and a number
    dtype : function of a column
        None of anything but a column.
    nulls : function of a column
        Which values are missing, NaN not counted; None for none.
    matrix, vector : function of a table, of a column
        Its numbers.
    values : function of a column
        A list of Python's own objects.
    remedy : str
        How to get rid of missing values.
    """

    columns: Callable[[Any], list[tuple[Any, Any]] | None]
    column: Callable[[Any, int], Any]
    dtype: Callable[[Any], Any]
    nulls: Callable[[Any], Array | None]
    matrix: Callable[[Any], Array]
    vector: Callable[[Any], Array]
    values: Callable[[Any], list[Any]]
    remedy: str


def is_table(value: Any) -> bool:
    """Whether this comes from one of the libraries."""
    return _library(value) is not None


def as_array(value: Any, argument: str, *, text: bool = False, missing: bool = False) -> Array:
    """The numbers of a table, shape (rows, columns), or of a column, shape (rows,).

    What the library can show without copying is not copied. With `text`, columns that hold no
    numbers are strings, in an array of objects, in which with `missing` some may be missing.

    Raises
    ------
    TypeError
        If a column does not hold numbers, naming it, and what makes numbers of it.
    ValueError
        If values are missing, naming the column and the first row.
    """
    library = _library(value)
    assert library is not None
    columns = library.columns(value)
    if columns is None:
        dtype = library.dtype(value)
        if dtype is None:
            kind = f"{type(value).__module__.partition('.')[0]} {type(value).__name__}"
            raise TypeError(
                f"{argument} is a {kind}; expected a table or a column that has its rows (of a "
                "query, what .collect() or the like gives)"
            )
        if text and _may_be_strings(dtype):
            return _strings(library, [argument], [value], missing)[:, 0]
        _check(library, argument, dtype, lambda: value)
        array = library.vector(value)
        _check_nan(library, [argument], array[:, None])
        return array
    if not columns:
        raise ValueError(f"{argument} is a table without columns")
    labels = [f"{argument}: the column {name!r}" for name, _ in columns]
    if text and any(_may_be_strings(dtype) for _, dtype in columns):
        for label, (_, dtype) in zip(labels, columns, strict=True):
            if not _may_be_strings(dtype):
                raise TypeError(
                    f"{label} holds {_holds(dtype)} (dtype {dtype}) beside columns of strings; "
                    "give numbers and strings to inputs of their own, as in "
                    "{'a': frame['a'], 'b': frame['b']}"
                )
        parts = [library.column(value, i) for i in range(len(columns))]
        return _strings(library, labels, parts, missing)
    for i, (_, dtype) in enumerate(columns):
        _check(library, labels[i], dtype, partial(library.column, value, i))
    array = library.matrix(value)
    _check_nan(library, labels, array)
    return array


def _may_be_strings(dtype: Any) -> bool:
    """Whether a column may hold strings, or is known to hold nothing."""
    return _holds(dtype) in _OF_STRINGS or str(dtype).lower() == "null"


def _strings(
    library: _Library, labels: Sequence[str], columns: Sequence[Any], missing: bool
) -> Array:
    """Columns of strings as an array of objects, shape (rows, columns)."""
    array = np.empty((len(columns[0]), len(columns)), object)
    for i, (label, column) in enumerate(zip(labels, columns, strict=True)):
        nulls = library.nulls(column)
        if nulls is not None and not missing:
            _refuse(library, label, nulls, " or give the layer a mask_token, which stands for them")
        array[:, i] = library.values(column)
        if nulls is not None:
            array[nulls, i] = None
    return array


def _library(value: Any) -> _Library | None:
    for kind in type(value).__mro__:
        library = _LIBRARIES.get(kind.__module__.partition(".")[0])
        if library is not None:
            return library
    return None


def _check(library: _Library, label: str, dtype: Any, column: Callable[[], Any]) -> None:
    """That a column holds numbers and none is missing, as far as that is known without a look."""
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return  # NumPy's own have no missing values but NaN
    holds = _holds(dtype)
    if holds == OBJECTS and any(isinstance(value, str) for value in column()):
        holds = STRINGS
    if holds != NUMBERS:
        advice = _ADVICE.get(holds, "convert them, for instance to float32")
        raise TypeError(f"{label} holds {holds} (dtype {dtype}); expected numbers: {advice}")
    nulls = library.nulls(column())
    if nulls is not None:
        _refuse(library, label, nulls)


def _holds(dtype: Any) -> str:
    """What a column of this dtype holds."""
    name = str(dtype).lower()
    return next(
        (holds for begin, holds in _HOLDS if re.match(begin, name)), "values of another kind"
    )


def _check_nan(library: _Library, labels: Sequence[str], array: Array) -> None:
    """That no number is NaN, which is how a table says that one is missing."""
    if array.dtype.kind != "f" or not array.size:
        return
    with np.errstate(invalid="ignore"):
        least = array.min()  # NaN if one is; needs no memory
    if np.isnan(least):
        for i, label in enumerate(labels):
            _refuse(library, label, np.isnan(array[:, i]))


def _refuse(library: _Library, label: str, missing: Array, advice: str = "") -> None:
    """Raises if a value is missing."""
    rows = np.flatnonzero(missing)
    if len(rows):
        values = "a missing value" if len(rows) == 1 else f"{len(rows)} missing values"
        first = "in" if len(rows) == 1 else "the first in"
        raise ValueError(
            f"{label} has {values} (NaN or null), {first} row {rows[0]}: fill them or drop their "
            f"rows first, with {library.remedy}{advice and ','}{advice}"
        )


# -- pandas -------------------------------------------------------------------------------


def _pandas_columns(table: Any) -> list[tuple[Any, Any]] | None:
    if not hasattr(table, "to_numpy") or not hasattr(table, "columns"):
        return None
    return list(zip(table.columns, table.dtypes, strict=True))


def _pandas_vector(column: Any) -> Array:
    array: Array = column.to_numpy(dtype=_numpy_dtype(column.dtype))
    return array


def _pandas_matrix(table: Any) -> Array:
    dtypes = [_numpy_dtype(dtype) for dtype in {*table.dtypes}]
    array: Array = table.to_numpy(dtype=np.result_type(*dtypes))
    return array


def _numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """NumPy's dtype for one of pandas."""
    found: np.dtype[Any] = getattr(dtype, "numpy_dtype", None) or getattr(dtype, "subtype", dtype)
    return found


# -- polars -------------------------------------------------------------------------------


def _polars_columns(table: Any) -> list[tuple[Any, Any]] | None:
    if not hasattr(table, "to_numpy") or not hasattr(table, "columns"):
        return None  # a query that has not run yet, or a column
    return list(zip(table.columns, table.dtypes, strict=True))


def _polars_nulls(column: Any) -> Array | None:
    return column.is_null().to_numpy() if column.null_count() else None


def _polars_matrix(table: Any) -> Array:
    try:
        array: Array = table.to_numpy(allow_copy=False)
    except RuntimeError:
        array = table.to_numpy(order="c")
    return array


# -- Arrow --------------------------------------------------------------------------------


def _arrow_columns(table: Any) -> list[tuple[Any, Any]] | None:
    if not hasattr(table, "columns") or not hasattr(table, "schema"):
        return None
    return [(field.name, field.type) for field in table.schema]


def _arrow_nulls(column: Any) -> Array | None:
    return _arrow_vector(column.is_null()) if column.null_count else None


def _arrow_vector(column: Any) -> Array:
    array: Array = column.to_numpy(zero_copy_only=False)
    return array


def _arrow_matrix(table: Any) -> Array:
    columns = [_arrow_vector(column) for column in table.columns]
    if len(columns) == 1:
        return columns[0][:, None]
    matrix = np.empty((table.num_rows, len(columns)), np.result_type(*columns))
    for start in range(0, len(matrix), _COPIED_ROWS):
        stop = start + _COPIED_ROWS
        for i, column in enumerate(columns):
            matrix[start:stop, i] = column[start:stop]
    return matrix


_LIBRARIES = {
    "pandas": _Library(
        _pandas_columns,
        lambda table, i: table.iloc[:, i],
        lambda column: column.dtype if hasattr(column, "to_numpy") else None,
        lambda column: np.asarray(column.isna()),
        _pandas_matrix,
        _pandas_vector,
        lambda column: column.tolist(),
        ".fillna(...) or .dropna()",
    ),
    "polars": _Library(
        _polars_columns,
        lambda table, i: table.to_series(i),
        lambda column: column.dtype if hasattr(column, "to_numpy") else None,
        _polars_nulls,
        _polars_matrix,
        lambda column: column.to_numpy(),
        lambda column: column.to_list(),
        ".fill_null(...) and .fill_nan(...), or .drop_nulls() and .drop_nans()",
    ),
    "pyarrow": _Library(
        _arrow_columns,
        lambda table, i: table.column(i),
        lambda column: column.type if hasattr(column, "null_count") else None,
        _arrow_nulls,
        _arrow_matrix,
        _arrow_vector,
        lambda column: column.to_pylist(),
        "pyarrow.compute.fill_null(...) or .drop_null()",
    ),
}
