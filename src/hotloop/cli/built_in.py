"""The data sets that ``hotloop train --data`` knows by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..datasets.files import Split
from ..tabular.columns import Column
from ..tabular.problem import Problem
from ..tabular.target import Target


@dataclass(frozen=True)
class BuiltIn:
    """A data set that ``--data`` knows by name."""

    load: Callable[[], Problem]
    epochs: int


def _digits() -> Problem:
    """The shipped 8x8 digits."""
    from ..datasets import digits

    return _pixels(digits.load_data(), tuple("0123456789"), full_scale=16.0)


def _mnist() -> Problem:
    """MNIST."""
    from ..datasets import mnist

    return _pixels(mnist.load_data(), tuple("0123456789"), full_scale=255.0)


def _fashion_mnist() -> Problem:
    """Fashion-MNIST."""
    from ..datasets import fashion_mnist

    return _pixels(fashion_mnist.load_data(), fashion_mnist.CLASSES, full_scale=255.0)


def _boston() -> Problem:
    """Boston housing."""
    from ..datasets import boston_housing

    (x_train, y_train), (x_test, y_test) = boston_housing.load_data()
    columns = tuple(map(Column, boston_housing.FEATURES))
    return Problem(x_train, y_train, x_test, y_test, columns, Target("MEDV"))


def _pixels(split: Split, classes: tuple[str, ...], full_scale: float) -> Problem:
    """Problem of telling images apart, a column for each pixel."""
    (x_train, y_train), (x_test, y_test) = split
    x_train, x_test = x_train.reshape(len(x_train), -1), x_test.reshape(len(x_test), -1)
    columns = tuple(Column(f"pixel_{i}") for i in range(x_train.shape[1]))
    target = Target("label", classes)
    return Problem(x_train, y_train, x_test, y_test, columns, target, full_scale)


BUILT_IN = {
    "digits": BuiltIn(_digits, epochs=20),
    "mnist": BuiltIn(_mnist, epochs=5),
    "fashion-mnist": BuiltIn(_fashion_mnist, epochs=5),
    "boston": BuiltIn(_boston, epochs=100),
}
