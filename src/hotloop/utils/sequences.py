"""Sequences of different lengths in one array, and windows of a long one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..random import as_seed
from .batches import PyDataset


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: DTypeLike = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> NDArray[Any]:
    """Sequences as the rows of one array, filled up or cut to one length.

    Parameters
    ----------
    sequences : list of sequences
        Each a list, or an array whose first axis is time.
    maxlen : int, optional
        The length; that of the longest if not given.
    dtype : dtype
        Of the result.
    padding, truncating : {"pre", "post"}
        Whether values are put, or taken away, before the first or behind the last.
    value : number or str
        What is put there.

    Returns
    -------
    ndarray
        Shape ``(len(sequences), maxlen, ...)``.

    Raises
    ------
    ValueError
        If something is no sequence, or its steps have another shape than those of the others.

    Examples
    --------
    >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
    array([[0, 1],
           [2, 3],
           [5, 6]], dtype=int32)
    """
    for name, given in (("padding", padding), ("truncating", truncating)):
        if given not in ("pre", "post"):
            raise ValueError(f"pad_sequences: {name} must be 'pre' or 'post', not {given!r}")
    try:
        lengths = [len(one) for one in sequences]
    except TypeError:
        raise ValueError(
            "pad_sequences: sequences must be a list of lists or arrays, got "
            f"{type(sequences).__name__} with something that has no length"
        ) from None
    kind = np.dtype(dtype).kind
    if isinstance(value, str) and kind not in "OUS":
        raise ValueError(f"pad_sequences: value={value!r} is text; pass dtype=object")
    if maxlen is None:
        maxlen = max(lengths, default=0)
    filled = (one for one, length in zip(sequences, lengths, strict=True) if length)
    step = np.asarray(next(filled, [0])).shape[1:]
    padded = np.full((len(lengths), maxlen, *step), value, dtype)
    for row, one in enumerate(sequences):
        if not lengths[row] or not maxlen:
            continue
        kept = np.asarray(one[-maxlen:] if truncating == "pre" else one[:maxlen], dtype)
        if kept.shape[1:] != step:
            raise ValueError(
                f"pad_sequences: the steps of sequence {row} have shape {kept.shape[1:]}, those "
                f"before {step}"
            )
        where = slice(None, len(kept)) if padding == "post" else slice(-len(kept), None)
        padded[row, where] = kept
    return padded


def timeseries_dataset_from_array(
    data: ArrayLike,
    targets: ArrayLike | None,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "numpy",
) -> PyDataset:
    """Windows of a series as batches, for `fit`; none is copied before it is asked for.

    Window i holds ``data[s]``, ``data[s + sampling_rate]`` ... with
    ``s = start_index + i * sequence_stride``; its target is ``targets[s]``.

    Parameters
    ----------
    data : array_like
        Time is the first axis.
    targets : array_like or None
        One for each step of the data; None gives windows alone.
    sequence_length : int
        Steps of a window.
    sequence_stride : int
        Steps between the begins of windows.
    sampling_rate : int
        Steps between the steps of a window.
    batch_size : int or None
        Windows in a batch; None gives single windows.
    shuffle : bool
        Whether windows come in a random order, the same each epoch.
    seed : int, optional
        Of that order.
    start_index, end_index : int, optional
        Steps before and from there on are left out.
    format : str
        For Keras's sake: batches are NumPy arrays.

    Returns
    -------
    PyDataset

    Raises
    ------
    ValueError
        If a number is below 1, or no window fits.

    Examples
    --------
    >>> batches = timeseries_dataset_from_array(np.arange(6), None, sequence_length=3)
    >>> batches[0].tolist()
    [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]
    """
    array = np.asarray(data)
    start = start_index or 0
    end = len(array) if end_index is None else end_index
    for name, given in {
        "sequence_length": sequence_length,
        "sequence_stride": sequence_stride,
        "sampling_rate": sampling_rate,
        "batch_size": batch_size or 1,
    }.items():
        if given < 1:
            raise ValueError(
                f"timeseries_dataset_from_array: {name} must be at least 1, not {given}"
            )
    begins_below = min(
        end - start - (sequence_length - 1) * sampling_rate,
        len(array) if targets is None else len(np.asarray(targets)),
    )
    begins = start + np.arange(0, begins_below, sequence_stride)
    if not len(begins):
        raise ValueError(
            f"timeseries_dataset_from_array: no window of {sequence_length} steps at a rate of "
            f"{sampling_rate} fits into {end - start} steps"
        )
    if shuffle:
        order = np.random.default_rng(None if seed is None else as_seed(seed))
        order.shuffle(begins)
    return _Windows(
        array,
        None if targets is None else np.asarray(targets),
        begins,
        sampling_rate * np.arange(sequence_length),
        batch_size,
        start,
    )


class _Windows(PyDataset):
    """Batches of windows."""

    def __init__(
        self,
        data: NDArray[Any],
        targets: NDArray[Any] | None,
        begins: NDArray[Any],
        steps: NDArray[Any],
        batch_size: int | None,
        start: int,
    ) -> None:
        super().__init__()
        self._data, self._targets = data, targets
        self._begins, self._steps = begins, steps
        self._batch_size, self._start = batch_size, start

    def __len__(self) -> int:
        return -(-len(self._begins) // (self._batch_size or 1))

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} batches, and none of the number {index}")
        size = self._batch_size
        chosen = self._begins[index * (size or 1) : (index + 1) * (size or 1)]
        begins = chosen if size else chosen[0]
        windows = self._data[np.expand_dims(begins, -1) + self._steps]
        if self._targets is None:
            return windows
        return windows, self._targets[begins]
