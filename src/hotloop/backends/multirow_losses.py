"""Losses of values that need several rows of the outputs: the reference in NumPy.

`ctc` compares the steps of a sequence with labels of another number, `circle` the rows of a batch
with each other. They are called as the losses of `numpy` are, and compute in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .labels import check_labels

Array = NDArray[Any]


def ctc(
    label: Array,
    x: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
) -> None:
    """-log of the probability that softmax(x) gives to all alignments with the labels.

    x (examples, steps, classes) are logits and label (examples, length) is int32, an example's
    labels standing before its first 0; class 0 is the blank. An alignment names a class at each
    step and reads as what is left of it when first repetitions and then blanks are taken out.
    values and weight have one number for each example. Graves et al. (2006).

    Where no alignment is long enough, the value is infinite and the gradient NaN.

    >>> values = np.empty(1)
    >>> ctc(np.array([1], np.int32), np.zeros((2, 2)), None, values=values)  # 11, 01 and 10 of 4
    >>> values.round(6)
    array([0.287682])

    Raises
    ------
    ValueError
        If a label is not in [0, classes).
    """
    examples, classes = len(values), x.shape[-1]
    check_labels(label, classes)
    if not examples:
        return
    labels = label.reshape(examples, -1)
    lengths = np.cumprod(labels != 0, axis=1).sum(axis=1)
    # Blanks stand between all labels and around them.
    states = np.zeros((examples, 2 * labels.shape[1] + 1), np.int64)
    states[:, 1::2] = labels
    logits = x.reshape(examples, -1, classes).astype(np.float64)
    logits -= logits.max(axis=2, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    emitted = np.take_along_axis(log_p, states[:, np.newaxis], axis=2)

    before = _paths(emitted, states, np.zeros_like(lengths))
    # Backwards, labels and steps are the same sequences read from their ends.
    last = 2 * (labels.shape[1] - lengths)
    after = _paths(emitted[:, ::-1, ::-1], states[:, ::-1], last)[:, ::-1, ::-1]
    rows = np.arange(examples)
    ends = before[rows, -1, 2 * lengths], before[rows, -1, np.maximum(2 * lengths - 1, 0)]
    log_likelihood = np.where(lengths > 0, np.logaddexp(*ends), ends[0])
    values[...] = -log_likelihood if weight is None else -log_likelihood * weight
    if gradient is not None:
        # Both count what is emitted at their step.
        share = np.exp(before + after - emitted - log_likelihood[:, np.newaxis, np.newaxis])
        slope = np.exp(log_p)
        for state in range(states.shape[1]):
            slope[rows, :, states[:, state]] -= share[:, :, state]
        factor = scale if weight is None else (scale * weight)[:, np.newaxis, np.newaxis]
        gradient[...] = (slope * factor).reshape(gradient.shape)


def _paths(emitted: Array, states: Array, first: Array) -> Array:
    """log of the probability to have come to a state by a step, (rows, steps, states).

    All alignments begin in the state `first` or the next one.
    """
    rows, steps, width = emitted.shape
    found = np.full((rows, steps, width + 2), -np.inf)  # two more in front, that nobody reaches
    # A blank may be left out between different labels.
    skips = np.zeros((rows, width), bool)
    skips[:, 2:] = (states[:, 2:] != 0) & (states[:, 2:] != states[:, :-2])
    number = np.arange(width) - first[:, np.newaxis]
    begins = (number == 0) | (number == 1)
    found[:, 0, 2:] = np.where(begins, emitted[:, 0], -np.inf)
    for step in range(1, steps):
        was = found[:, step - 1]
        stay_or_move = np.logaddexp(was[:, 2:], was[:, 1:-1])
        reached = np.logaddexp(stay_or_move, np.where(skips, was[:, :-2], -np.inf))
        found[:, step, 2:] = reached + emitted[:, step]
    return found[:, :, 2:]


def circle(
    label: Array,
    x: Array,
    weight: Array | None,
    *,
    values: Array,
    gradient: Array | None = None,
    scale: float = 1.0,
    gamma: float = 80.0,
    margin: float = 0.4,
    remove_diagonal: bool = True,
    over_positive: bool = False,
) -> None:
    """log(1 + sum_p exp(a_p) sum_n exp(b_n)) for each row, over the other rows of the batch.

    With d = max(1 - x_i . x_j, 0), a = gamma (d + margin) (d - margin) for the rows p of the same
    label, but not the row itself with remove_diagonal, and b = gamma max(1 + margin - d, 0)
    (1 - margin - d) for the others. A row without either is 0. Sun et al. (2020).

    With over_positive, values and gradient are multiplied by the number of rows over that of rows
    whose value is above 0, so that the mean is one over those.

    >>> values, same = np.empty(2), np.array([[1.0, 0.0], [1.0, 0.0]])
    >>> circle(np.array([1, 2], np.int32), same, None, values=values, remove_diagonal=False)
    >>> values  # 80 (1.4 * 0.6 - 0.4 * 0.4)
    array([54.4, 54.4])
    """
    u = x.astype(np.float64)
    distance = 1.0 - u @ u.T
    apart = distance > 0.0
    distance = np.maximum(distance, 0.0)
    alike = label[:, np.newaxis] == label
    other = ~alike
    if remove_diagonal:
        np.fill_diagonal(alike, False)
    pull = gamma * (distance + margin) * (distance - margin)
    far = 1.0 + margin - distance
    push = gamma * np.maximum(far, 0.0) * (1.0 - margin - distance)
    of_alike, of_other = _log_sum_exp(pull, alike), _log_sum_exp(push, other)
    found = np.logaddexp(0.0, of_alike + of_other)
    factor = np.ones(len(u)) if weight is None else weight.astype(np.float64)
    if over_positive:
        factor = factor * (len(u) / max(int(np.count_nonzero(found.astype(x.dtype) > 0)), 1))
    values[...] = found * factor
    if gradient is None:
        return
    # What each pair counts in its row, times the slope of its exponent by the distance.
    of_pull = np.exp(pull - of_alike[:, np.newaxis]) * (2.0 * gamma) * distance
    of_push = np.exp(push - of_other[:, np.newaxis]) * (2.0 * gamma) * (distance - 1.0)
    slope = np.where(alike, of_pull, 0.0) + np.where(other & (far > 0.0), of_push, 0.0)
    row = scale * factor / (1.0 + np.exp(-(of_alike + of_other)))
    slope = np.where(apart, -slope, 0.0) * row[:, np.newaxis]
    gradient[...] = (slope + slope.T) @ u


def _log_sum_exp(exponent: Array, counted: Array) -> Array:
    """log of the sum of exp over what is counted of each row; -infinity for none."""
    limited = np.where(counted, exponent, -np.inf)
    most = limited.max(axis=1, initial=-np.inf)
    shift = np.where(np.isfinite(most), most, 0.0)
    total: Array = np.log(np.exp(limited - shift[:, np.newaxis]).sum(axis=1)) + shift
    return total
