"""Lengths that data decide count as whole numbers do, and turn into them."""

from __future__ import annotations

import operator

import numpy as np
import pytest

from hotloop.lengths import Length, broadcast, common, is_open, opened, resolved, shown, solved


@pytest.mark.parametrize("seed", range(40))
def test_they_count_as_whole_numbers(seed):
    """Of random sums, products and quotients, once with lengths and once with numbers."""
    rng = np.random.default_rng(seed)
    axes = [Length() for _ in range(3)]
    numbers = dict(zip(axes, map(int, rng.integers(1, 9, 3)), strict=True))
    known = [(axis, numbers[axis]) for axis in axes] + [(n, n) for n in (1, 2, 3, 7)]
    for _ in range(12):
        (a, at_a), (b, at_b) = (known[i] for i in rng.integers(0, len(known), 2))
        calculate = [operator.add, operator.mul, operator.sub, operator.floordiv][rng.integers(4)]
        if calculate is operator.floordiv and at_b < 1:
            continue
        made = calculate(a, b), calculate(at_a, at_b)
        assert resolved(made[0], numbers) == made[1]
        if abs(made[1]) < 1e6:
            known.append(made)


def test_what_is_computed_alike_is_equal():
    n, m = Length(), Length()
    assert n * m * 2 == 2 * (m * n)
    assert (n + m) * (n - m) == n * n - m * m
    assert 8 * n // 4 == n + n
    assert n // 2 * 2 != n
    assert n // 2 == n // 2
    assert n != m
    assert n - n == 0
    assert isinstance(n * m // (m * n), int)
    assert len({n * m, m * n, n // 2, n // 2}) == 2


def test_lengths_can_be_lengths_themselves():
    n, m = Length(), Length()
    assert (8 * n + n // 3).at({n: 2 * m}) == 16 * m + 2 * m // 3
    assert (n * m).at({n: 3}) == 3 * m


def test_nobody_can_take_one_for_a_number():
    with pytest.raises(TypeError):
        range(Length())
    with pytest.raises(TypeError):
        Length() < 3  # noqa: B015


@pytest.mark.parametrize(
    ("several", "found"),
    [
        ([(2, 3), (2, 3)], (2, 3)),
        ([(2, None), (2, 3)], (2, 3)),
        ([(None, 3), (2, None)], (2, 3)),
        ([(None,), (None,)], (None,)),
        ([(2, 3), (2, 4)], "no"),
        ([(2,), (2, 1)], "no"),
        ([(None,), (3,), (4,)], "no"),
    ],
)
def test_common_dims(several, found):
    assert_shown(common(*map(opened, several)), found)


@pytest.mark.parametrize(
    ("several", "found"),
    [
        ([(3, 1), (4,)], (3, 4)),
        ([(1,), (1,)], (1,)),
        ([(None, 1), (5,)], (None, 5)),
        ([(None, 2), (1, 2)], (None, 2)),
        ([(None, 2), (7, 1)], (7, 2)),
        ([(2,), (3,)], "no"),
        ([(), (2,)], (2,)),
    ],
)
def test_broadcast_dims(several, found):
    assert_shown(broadcast(*map(opened, several)), found)
    if not any(None in dims for dims in several) and found != "no":
        assert np.broadcast_shapes(*several) == found


def assert_shown(dims, expected):
    assert ("no" if dims is None else shown(dims)) == expected


def test_solved_and_resolved():
    n, m = Length(), Length()
    at = solved([((n, 8), (5, 8)), ((3, m), (3, 4))])
    assert at == {n: 5, m: 4}
    assert resolved({"dims": (n * 8, [m, "x"]), "rate": 0.5}, at) == {
        "dims": (40, [4, "x"]),
        "rate": 0.5,
    }
    assert is_open((2, n))
    assert not is_open((2, 3))
