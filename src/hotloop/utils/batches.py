"""Batches that a class of the user's makes, and parts of data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .. import tree
from ..random import as_seed


class PyDataset:
    """Base of a user's class that gives batches by their numbers, for `fit` and the like.

    A subclass defines ``__getitem__``, which returns ``inputs``, ``(inputs, targets)`` or
    ``(inputs, targets, sample_weights)``, and ``__len__``, or the property `num_batches`. Batches
    are made while others are trained on.

    Parameters
    ----------
    workers : int
        How many batches are made at a time, each in a thread. ``__getitem__`` must bear that, if
        there are several.
    use_multiprocessing : bool
        For Keras's sake: threads are used all the same, since NumPy and files release Python's
        lock.
    max_queue_size : int
        How many batches are made ahead by several workers.

    Examples
    --------
    >>> import hotloop
    >>> class Squares(PyDataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         x = np.full((4, 1), index, "float32")
    ...         return x, x**2
    >>> model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=1)])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(Squares(workers=2), epochs=2, verbose=0)
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")

    def __len__(self) -> int:
        raise NotImplementedError(
            f"{type(self).__name__} must define __len__(), or the property num_batches"
        )

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, range(len(self)))

    @property
    def num_batches(self) -> int | None:
        """How many batches there are; None if they never end."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called behind each epoch."""


Sequence = PyDataset


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """Two parts of some examples.

    Parameters
    ----------
    dataset : array, or list, tuple or dict of arrays
        Examples are along the first axis. What is iterable and has no arrays, as a list of
        batches or a torch Dataset, is split into two lists.
    left_size, right_size : float or int, optional
        A share from 0 to 1, or a number of examples; the rest if not given. One must be.
    shuffle : bool
        Whether examples are drawn at random.
    seed : int, optional
    preferred_backend : str, optional
        For Keras's sake: what comes back is of the form that was given.

    Returns
    -------
    left, right
        Of the same form.

    Raises
    ------
    ValueError
        If sizes do not fit, or arrays have other lengths.

    Examples
    --------
    >>> left, right = split_dataset((np.arange(5), np.arange(5) * 2), left_size=0.6)
    >>> left[1].tolist(), right[1].tolist()
    ([0, 2, 4], [6, 8])
    """
    leaves = tree.flatten(dataset)
    arrays = bool(leaves) and all(hasattr(leaf, "shape") and len(leaf.shape) for leaf in leaves)
    given = dataset if arrays else list(dataset)
    lengths = {len(leaf) for leaf in leaves} if arrays else {len(given)}
    if len(lengths) > 1:
        raise ValueError(f"split_dataset: the arrays have {sorted(lengths)} examples")
    (count,) = lengths
    left, right = _sizes(count, left_size, right_size)
    order: Any = np.arange(count)
    if shuffle:
        np.random.default_rng(None if seed is None else as_seed(seed)).shuffle(order)
    first, second = order[:left], order[left : left + right]
    if not arrays:
        return [given[i] for i in first], [given[i] for i in second]
    if not shuffle:
        first, second = slice(0, left), slice(left, left + right)
    return (
        tree.map_structure(lambda leaf: leaf[first], given),
        tree.map_structure(lambda leaf: leaf[second], given),
    )


def _sizes(count: int, left: float | None, right: float | None) -> tuple[int, int]:
    """Numbers of examples."""
    if left is None and right is None:
        raise ValueError("split_dataset: give left_size, right_size, or both")
    found: list[int | None] = []
    for name, size in (("left_size", left), ("right_size", right)):
        if size is None:
            found.append(None)
            continue
        if isinstance(size, bool) or not isinstance(size, int | float | np.number):
            raise TypeError(f"split_dataset: {name} must be a number, not {size!r}")
        most = 1 if isinstance(size, float) else count
        if not 0 <= size <= most:
            raise ValueError(f"split_dataset: {name} must be from 0 to {most}, not {size!r}")
        found.append(round(size * count) if isinstance(size, float) else int(size))
    first, second = found
    if first is not None and second is not None and first + second > count:
        raise ValueError(
            f"split_dataset: left_size={left!r} and right_size={right!r} are more than the "
            f"{count} examples"
        )
    first = count - (second or 0) if first is None else first
    second = count - first if second is None else second
    if not first or not second:
        raise ValueError(
            f"split_dataset: of {count} examples, one part would have {first} and the other "
            f"{second}; choose other sizes"
        )
    return first, second


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """What a batch is: inputs alone, or a tuple with targets and weights.

    Examples
    --------
    >>> pack_x_y_sample_weight("x"), pack_x_y_sample_weight("x", "y")
    ('x', ('x', 'y'))
    """
    if y is None:
        return (x,) if isinstance(x, list | tuple | Mapping) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Inputs, targets and weights of a batch; None for what it does not have.

    Raises
    ------
    ValueError
        For a tuple of more than three.

    Examples
    --------
    >>> unpack_x_y_sample_weight(("x", "y"))
    ('x', 'y', None)
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            "a batch is x, (x, y) or (x, y, sample_weight), and not a tuple of "
            f"{len(data)}; several inputs are a list or tuple within it"
        )
    x, y, weight = (*data, None, None)[:3]
    return x, y, weight
