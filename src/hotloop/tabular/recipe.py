"""How tables become a network's inputs, and its outputs predictions: what a saved model adds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import Floats
from .columns import Column
from .problem import GUESSES, Choices, Problem
from .table import Table
from .target import Target

_CHUNK = 1 << 20  # numbers scaled at once: bounds the memory that it takes


@dataclass(frozen=True)
class Recipe:
    """Columns, their scale, and the target.

    Features enter as ``(x - mean) / scale``, with the mean and standard deviation of the training
    rows, or 0 and `Problem.full_scale`; what is unknown enters as the mean. Quantities that are
    predicted are scaled likewise.

    Attributes
    ----------
    columns, target, choices, order, decimal
        As in `Problem`.
    mean, scale : tuple of float
        One for each input of the network.
    target_mean, target_scale : float
        Of a quantity.
    """

    columns: tuple[Column, ...]
    target: Target
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    target_mean: float = 0.0
    target_scale: float = 1.0
    choices: Choices = GUESSES
    order: tuple[str, ...] = ()
    decimal: str = "."

    @classmethod
    def of(cls, problem: Problem) -> Recipe:
        """Recipe whose scaling comes from the training rows."""
        inputs = problem.x_train.shape[1]
        if problem.full_scale is None:
            measured = [scaled for column in problem.columns for scaled in column.is_scaled]
            mean, scale = _moments(problem.x_train)
            scale = np.where(measured, scale, 1.0)
        else:
            mean, scale = np.zeros(inputs), np.full(inputs, problem.full_scale)
        found = cls(
            problem.columns,
            problem.target,
            tuple(mean.tolist()),
            tuple(scale.tolist()),
            choices=problem.choices,
            order=problem.order,
            decimal=problem.decimal,
        )
        if problem.target.classes is not None:
            return found
        [target_mean], [target_scale] = _moments(problem.y_train[:, None])
        return replace(found, target_mean=float(target_mean), target_scale=float(target_scale))

    def to_json(self) -> str:
        """The recipe as a text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """What `to_json` wrote.

        Raises
        ------
        ValueError
            If it did not.
        """
        try:
            fields = {name: _tuples(value) for name, value in json.loads(text).items()}
            parts = {
                "columns": tuple(Column(**_tuples(column)) for column in fields["columns"]),
                "target": Target(**_tuples(fields["target"])),
                "choices": Choices(**_tuples(fields["choices"])),
            }
            return cls(**(fields | parts))
        except (TypeError, KeyError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"what it says of its table cannot be read: {error}") from None

    @property
    def width(self) -> int:
        """How many inputs the network has."""
        return len(self.mean)

    @property
    def outputs(self) -> int:
        """How many outputs it has."""
        return 1 if self.target.classes is None else len(self.target.classes)

    def named(self, table: Table) -> Table:
        """The table, with the names that its columns had in training if it has none itself.

        Raises
        ------
        ValueError
            If there are more or fewer columns than in training.
        """
        if table.named or not self.order:
            return table
        features = tuple(name for name in self.order if name != self.target.name)
        for names in (self.order, features):
            if len(table.columns) == len(names):
                return replace(table, columns=names)
        raise ValueError(
            f"{table.source} has {len(table.columns)} columns without names; expected the "
            f"{len(features)} of training, in their order, with or without {self.target.name!r}"
        )

    def scaled(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Features as inputs."""
        # uint8 pixels need no float64 copy; float64 columns such as years need all their digits.
        dtype = np.result_type(x, np.float32)
        mean, scale = np.array(self.mean, dtype), np.array(self.scale, dtype)
        out = np.empty(x.shape, np.float32)
        rows = max(1, _CHUNK // max(1, x.shape[1]))
        for start in range(0, len(x), rows):
            part = (x[start : start + rows] - mean) / scale
            part[np.isnan(part)] = 0.0
            out[start : start + rows] = part
        return out

    def scaled_target(self, y: NDArray[Any]) -> NDArray[Any]:
        """Class numbers as they are, quantities scaled."""
        if self.target.classes is not None:
            return y
        return ((y - self.target_mean) / self.target_scale).astype(np.float32)

    def predicted(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Class numbers, or quantities in their own unit, from the network's outputs."""
        if self.target.classes is not None:
            numbers: NDArray[np.int64] = np.argmax(outputs, axis=1)
            return numbers
        quantities: Floats = outputs[:, 0] * self.target_scale + self.target_mean
        return quantities


def _moments(x: NDArray[Any]) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each column's numbers; 0 and 1 where there are none.

    A constant column has the deviation 1, which it then is scaled to 0 by.
    """
    mean, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
    for i in range(x.shape[1]):
        values = x[:, i]
        values = values[~np.isnan(values)]
        if len(values):
            mean[i] = values.mean(dtype=np.float64)
            scale[i] = values.std(dtype=np.float64) or 1.0
    return mean, scale


def _tuples(value: Any) -> Any:
    """The same with tuples for lists, at the first level or, of a dict, in its values."""
    if isinstance(value, dict):
        return {name: _tuples(part) for name, part in value.items()}
    return tuple(value) if isinstance(value, list) else value
