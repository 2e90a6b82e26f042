"""Small public data sets, loaded as Keras loads them.

Each module has one function, ``load_data(path=None)``, which returns
``(x_train, y_train), (x_test, y_test)`` as NumPy arrays.

===================  ===================================  ==============
module               what it holds                        train / test
===================  ===================================  ==============
``mnist``            28x28 handwritten digits             60,000 / 10,000
``fashion_mnist``    28x28 pictures of clothing           60,000 / 10,000
``boston_housing``   13 figures and the price of a house  404 / 102
``digits``           8x8 handwritten digits, built in     1,437 / 360
===================  ===================================  ==============

A data set is looked for in ``path``, in ``$HOTLOOP_DATA``, in the user's cache, where a
system package puts it, and then downloaded once. ``digits`` needs none of that.
"""

from typing import TYPE_CHECKING

from ..doors import door
from . import boston_housing, digits, fashion_mnist, mnist

__all__ = ["boston_housing", "digits", "fashion_mnist", "mnist"]


if not TYPE_CHECKING:  # which knows all names
    __getattr__ = door(__name__)
