"""A fully connected network of a table's columns: trains, scores itself, predicts new rows."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .cells import Floats
from .columns import Oddities
from .problem import Problem, decimal_marks, encoded, with_missing
from .recipe import Recipe
from .table import Table

if TYPE_CHECKING:
    from ..models import Model


@dataclass(frozen=True)
class Training:
    """How to train: the settings of ``compile`` and ``fit``."""

    epochs: int = 20
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float | None = None
    validation_split: float = 0.0
    seed: int = 0
    verbose: int | str = "auto"


@dataclass(frozen=True)
class Score:
    """What a training run achieved.

    Attributes
    ----------
    metric : str
        ``"accuracy"`` or ``"mean squared error"``.
    value : float
        The metric on the test rows, in the target's own unit.
    baseline : float
        The same of always predicting the most common class, or the mean, of the training rows.
    baseline_of : str
        What that predicts, in words.
    r2 : float or None
        Of quantities: the share of the test rows' variance that is predicted; NaN without any.
    samples_per_second : float
        Training rows times epochs, over the time that ``fit`` took.
    """

    metric: str
    value: float
    baseline: float
    baseline_of: str
    r2: float | None
    samples_per_second: float


class TabularModel:
    """Fully connected network on the columns of a table: a classifier or a regression.

    Parameters
    ----------
    layers : sequence of int
        Units of each hidden layer; empty for a linear model.
    activation : str
        Activation of the hidden layers.

    Examples
    --------
    >>> from hotloop.tabular.problem import problem_from_table
    >>> from hotloop.tabular.reading import read_table
    >>> model = TabularModel([64], "relu")
    >>> table = read_table("prices.csv")  # doctest: +SKIP
    >>> score = model.fit(problem_from_table(table, "price"), Training())  # doctest: +SKIP
    >>> model.predict(table)  # doctest: +SKIP
    """

    recipe: Recipe
    network: Model

    def __init__(self, layers: Iterable[int] = (128, 64), activation: str = "relu") -> None:
        self.layers = tuple(layers)
        self.activation = activation
        if any(units < 1 for units in self.layers):
            raise ValueError(f"layers must be sizes of at least 1, got {list(self.layers)}")

    @classmethod
    def restored(cls, recipe: Recipe, network: Model) -> TabularModel:
        """A trained model from its parts."""
        model = cls()
        model.recipe, model.network = recipe, network
        return model

    def fit(self, problem: Problem, training: Training) -> Score:
        """Train on the training rows and score on the test rows.

        Raises
        ------
        ValueError
            If a setting is out of its range, or the data holds infinity.
        """
        from .. import optimizers, utils

        utils.set_random_seed(training.seed)
        self.recipe = Recipe.of(problem)
        self.network = self._build()
        optimizer = optimizers.get(training.optimizer)
        if training.learning_rate is not None:
            optimizer.learning_rate = training.learning_rate
        classifies = problem.target.classes is not None
        self.network.compile(
            optimizer=optimizer,
            loss="sparse_categorical_crossentropy" if classifies else "mean_squared_error",
            metrics=["accuracy"] if classifies else [],
        )
        x = self.recipe.scaled(problem.x_train)
        y = self.recipe.scaled_target(problem.y_train)
        started = time.perf_counter()
        self.network.fit(
            x,
            y,
            batch_size=training.batch_size,
            epochs=training.epochs,
            verbose=training.verbose,
            validation_split=training.validation_split,
        )
        seconds = time.perf_counter() - started
        trained = int(len(x) * (1 - training.validation_split)) * training.epochs
        return self._score(problem, trained / seconds)

    def predict(self, table: Table) -> list[str] | list[float]:
        """Class name, or quantity, for each row of a table; columns not known are ignored.

        Raises
        ------
        ValueError
            If a column that the model needs is missing, or a cell of it is not what it was.
        """
        blocks = [self.predicted(outputs) for outputs in self.outputs(table, Oddities())]
        return [value for block in blocks for value in block]

    def outputs(self, table: Table, oddities: Oddities) -> Iterator[Floats]:
        """What the network makes of a table, a block of rows at a time.

        Parameters
        ----------
        table : Table
        oddities : Oddities
            Gets what training has not seen.
        """
        recipe = self.recipe
        table = with_missing(recipe.named(table), recipe.choices.missing)
        for column in recipe.columns:
            table.index(column.name)
        marks = decimal_marks(table, recipe.columns, recipe.choices, recipe.decimal)
        for _, x in encoded(table, recipe.columns, marks, oddities):
            yield self._outputs(x)

    def predicted(self, outputs: Floats) -> list[Any]:
        """Class names, or quantities, from `outputs`."""
        values = self.recipe.predicted(outputs).tolist()
        classes = self.recipe.target.classes
        return values if classes is None else [classes[i] for i in values]

    def _build(self) -> Model:
        """Untrained network of the described shape."""
        from .. import Input, Sequential, layers

        hidden = [layers.Dense(units, self.activation) for units in self.layers]
        classifies = self.recipe.target.classes is not None
        last = layers.Dense(self.recipe.outputs, "softmax" if classifies else None)
        return Sequential([Input((self.recipe.width,)), *hidden, last])

    def _outputs(self, x: NDArray[Any]) -> Floats:
        return np.asarray(self.network.predict(self.recipe.scaled(x), verbose=0), np.float64)

    def _score(self, problem: Problem, samples_per_second: float) -> Score:
        """Score on the test rows."""
        predicted = self.recipe.predicted(self._outputs(problem.x_test))
        truth, classes = problem.y_test, problem.target.classes
        if classes is not None:
            common = int(np.bincount(problem.y_train).argmax())
            return Score(
                "accuracy",
                float((predicted == truth).mean()),
                float((truth == common).mean()),
                f"accuracy of always saying {classes[common]}, the most common class",
                None,
                samples_per_second,
            )
        error = float(((predicted - truth) ** 2).mean())
        spread = float(((truth - truth.mean()) ** 2).mean())
        return Score(
            "mean squared error",
            error,
            float(((truth - problem.y_train.mean()) ** 2).mean()),
            "mean squared error of always saying the mean",
            1 - error / spread if spread else math.nan,
            samples_per_second,
        )
