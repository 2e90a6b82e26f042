"""Lengths that data decide: those of the axes that `Input((None, 8))` leaves open.

A graph is recorded with them as it is with whole numbers: what layers compute from one, as the
``8 T`` numbers of a flattened example, is one too. `graph.trace.replay` puts numbers
in their place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

Dims: TypeAlias = "tuple[int, ...]"  # of which some may be Lengths, which count as whole numbers

Product: TypeAlias = "frozenset[tuple[object, int]]"  # of open axes and quotients, with exponents


class Length:
    """A whole number that is not known yet: a polynomial in the lengths of open axes.

    It is added, subtracted, multiplied and divided, rounding down, as a whole number is, and equal
    to what is computed alike. Shapes show it as None.

    Parameters
    ----------
    terms : mapping of Product to int, optional
        The factor of each product of open axes; one new open axis if not given.

    Examples
    --------
    >>> steps = Length()
    >>> (steps * 8 + 8).at({steps: 3}), (steps // 2).at({steps: 7})
    (32, 3)
    >>> steps * 8 // 4 == 2 * steps, steps == Length()
    (True, False)
    """

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[Product, int] | None = None) -> None:
        self.terms = {frozenset([(object(), 1)]): 1} if terms is None else dict(terms)

    def at(self, lengths: Mapping[Length, Any]) -> Any:
        """Its value where open axes have these lengths, which may be Lengths themselves.

        Those that are not given stay open.
        """
        total: Any = 0
        for factors, term in self.terms.items():
            value: Any = term
            for factor, exponent in factors:
                one = Length({frozenset([(factor, 1)]): 1})
                if isinstance(factor, _Quotient):
                    one = factor.dividend.at(lengths) // resolved(factor.divisor, lengths)
                for _ in range(exponent):
                    value = value * lengths.get(one, one)
            total = total + value
        return total

    def __add__(self, other: int | Length) -> Any:
        terms = Counter(self.terms)
        terms.update(_terms(other))
        return _simplest(terms)

    def __mul__(self, other: int | Length) -> Any:
        terms: Counter[Product] = Counter()
        for (a, factor), (b, other_factor) in product(self.terms.items(), _terms(other).items()):
            exponents = Counter(dict(a))
            exponents.update(dict(b))
            terms[frozenset(exponents.items())] += factor * other_factor
        return _simplest(terms)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Any:
        return self * -1

    def __sub__(self, other: int | Length) -> Any:
        return self + -other

    def __rsub__(self, other: int | Length) -> Any:
        return -self + other

    def __floordiv__(self, other: int | Length) -> Any:
        exact = _exactly(self, other)
        if exact is None:
            return Length({frozenset([(_Quotient(self, other), 1)]): 1})
        return exact

    def __rfloordiv__(self, other: int) -> Any:
        return Length(_terms(other)) // self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Length) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(frozenset(self.terms.items()))

    def __repr__(self) -> str:
        return "None"


@dataclass(frozen=True)
class _Quotient:
    """What is left is dropped."""

    dividend: Length
    divisor: int | Length


def _terms(number: int | Length) -> Mapping[Product, int]:
    return number.terms if isinstance(number, Length) else {frozenset(): int(number)}


def _simplest(terms: Mapping[Product, int]) -> Any:
    """A whole number where nothing open is left."""
    left = {factors: factor for factors, factor in terms.items() if factor}
    return left.get(frozenset(), 0) if set(left) <= {frozenset()} else Length(left)


def _exactly(dividend: Length, divisor: int | Length) -> Any:
    """The quotient where every term of the dividend has the divisor as a factor; else None."""
    terms: dict[Product, int] = {}
    if len(_terms(divisor)) != 1:
        return None
    ((by, number),) = _terms(divisor).items()
    for factors, factor in dividend.terms.items():
        left = Counter(dict(factors))
        left.subtract(dict(by))
        if factor % number or min(left.values(), default=0) < 0:
            return None
        terms[frozenset((+left).items())] = factor // number
    return _simplest(terms)


def is_open(dims: Iterable[Any]) -> bool:
    """Whether data decide one of these lengths."""
    return any(isinstance(length, Length) for length in dims)


def opened(dims: Iterable[int | None]) -> Dims:
    """The dims with a new Length in the place of each None."""
    return tuple(Length() if length is None else length for length in dims)  # type: ignore[misc]


def shown(dims: Iterable[Any]) -> tuple[int | None, ...]:
    """The dims with None in the place of each Length."""
    return tuple(None if isinstance(length, Length) else length for length in dims)


def common(*several: Dims) -> Dims | None:
    """The dims that all of these may turn out to be; None if they cannot be the same.

    Lengths of several inputs may be equal: that is seen when there are data.

    Examples
    --------
    >>> common((2, Length()), (2, 3)), common((2,), (3,)), common((2,), (2, 1))
    ((2, 3), None, None)
    """
    if len(set(map(len, several))) > 1:
        return None
    found: list[int] = []
    for lengths in zip(*several, strict=True):
        known = {length for length in lengths if not isinstance(length, Length)}
        if len(known) > 1:
            return None
        found.append(known.pop() if known else lengths[0])
    return tuple(found)


def broadcast(*several: Dims) -> Dims | None:
    """The dims of what arrays with these are together, as NumPy has it; None if they do not fit.

    An open length is not taken for 1; of two that may differ, one may turn out to be, so theirs is
    another open length.

    Examples
    --------
    >>> broadcast((3, 1), (4,)), broadcast((2,), (3,))
    ((3, 4), None)
    """
    axes = max(map(len, several))
    found: list[int] = []
    for lengths in zip(*((1,) * (axes - len(dims)) + dims for dims in several), strict=True):
        there = {length for length in lengths if length != 1}
        known = {length for length in there if not isinstance(length, Length)}
        if len(known) > 1:
            return None
        if known or len(there) == 1:
            found.append((known or there).pop())
        else:
            found += opened([None]) if there else (1,)
    return tuple(found)


def solved(given: Iterable[tuple[Iterable[Any], Iterable[Any]]]) -> dict[Length, Any]:
    """The lengths of open axes where values with dims of the first kind get those of the second.

    Examples
    --------
    >>> steps = Length()
    >>> solved([((steps, 8), (3, 8))]) == {steps: 3}
    True
    """
    return {
        length: found
        for dims, others in given
        for length, found in zip(dims, others, strict=True)
        if isinstance(length, Length)
    }


def resolved(thing: Any, lengths: Mapping[Length, Any]) -> Any:
    """The same where open axes have these lengths; also of tuples, lists and dicts."""
    if isinstance(thing, Length):
        return thing.at(lengths)
    if isinstance(thing, tuple | list):
        return type(thing)(resolved(part, lengths) for part in thing)
    if isinstance(thing, dict):
        return {key: resolved(part, lengths) for key, part in thing.items()}
    return thing
