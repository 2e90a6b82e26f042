"""Variables: how they say that the core is to keep them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hotloop.graph.trace import parameter
from hotloop.variables import Variable


@pytest.mark.parametrize(
    ("value", "row_axes"),
    [
        (np.zeros(()), 0),
        (np.zeros(3), 0),
        (np.zeros((3, 4)), 1),
        (np.zeros((3, 4), np.int32), 0),
        (np.zeros((2, 3, 4)), 0),
    ],
    ids=str,
)
def test_a_matrix_of_floats_is_kept_as_one_and_nothing_else(value: Any, row_axes: int) -> None:
    assert Variable(value).row_axes == row_axes
    assert parameter(Variable(value)).row_axes == row_axes


@pytest.mark.parametrize("row_axes", range(5))
def test_any_number_of_axes_can_be_rows(row_axes: int) -> None:
    variable = Variable(np.zeros((2, 3, 4, 5)), row_axes=row_axes)
    assert variable.row_axes == row_axes
    assert parameter(variable).dims == (2, 3, 4, 5)


@pytest.mark.parametrize(
    ("value", "row_axes"), [(np.zeros(3), 2), (np.zeros(3), -1), (np.zeros((2, 3), np.uint8), 1)]
)
def test_rows_need_axes_and_floats(value: Any, row_axes: int) -> None:
    with pytest.raises(ValueError, match=f"'kernel' of shape .* cannot have row_axes={row_axes}"):
        Variable(value, "kernel", row_axes=row_axes)
