"""A model of a table: reads CSV and Parquet, trains on its columns, predicts for new rows."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .saving import strict_json, tensors
from .saving.files import written_whole
from .saving.filling import Part, fill
from .saving.refusals import refusals
from .variables import deferring

if TYPE_CHECKING:
    from .models import Sequential

Floats = NDArray[np.float64]

TEST_SHARE = 0.2
MOST_CLASSES = 20  # a whole-number target with more distinct values than this is a quantity

_FORMAT = "hotloop.tabular.1"


@dataclass(frozen=True)
class Table:
    """The cells of a file, as text.

    Attributes
    ----------
    source : str
        Name of the file, for messages.
    columns : tuple of str
        Their names.
    rows : list of (int, list of str)
        Line or row number in the file and cells, for each row.
    unit : str
        What rows are counted in.
    """

    source: str
    columns: tuple[str, ...]
    rows: list[tuple[int, list[str]]]
    unit: str = "line"

    def column(self, name: str) -> list[str]:
        """Cells of one column.

        Raises
        ------
        ValueError
            If there is no such column, or a cell of it is empty.
        """
        index = self._index(name)
        for line, cells in self.rows:
            if not cells[index]:
                raise ValueError(f"{self._place(line, name)}: the cell is empty")
        return [cells[index] for _, cells in self.rows]

    def features(self, names: Sequence[str]) -> Floats:
        """Numbers of several columns, shape (rows, columns).

        Raises
        ------
        ValueError
            If a column is missing, or a cell is empty or not a finite number.
        """
        wanted = [(name, self._index(name)) for name in names]
        values = np.empty((len(self.rows), len(wanted)))
        for i, (line, cells) in enumerate(self.rows):
            for j, (name, index) in enumerate(wanted):
                values[i, j] = _number(cells[index])
                if not math.isfinite(values[i, j]):
                    raise ValueError(
                        f"{self._place(line, name)}: expected a number, got {cells[index]!r}; "
                        "fill it in, or drop the row or the column"
                    )
        return values

    def _place(self, line: int, column: str) -> str:
        """Where a cell is."""
        return f"{self.source}, {self.unit} {line}, column {column!r}"

    def _index(self, name: str) -> int:
        """Position of a column."""
        if name not in self.columns:
            raise ValueError(
                f"{self.source} has no column {name!r}; its columns are {', '.join(self.columns)}"
            )
        return self.columns.index(name)


def is_parquet(path: str | Path) -> bool:
    """Whether a file is Parquet by its name.

    Examples
    --------
    >>> is_parquet("prices.parquet"), is_parquet("prices.csv")
    (True, False)
    """
    return Path(path).suffix.lower() == ".parquet"


def read_table(path: str | Path) -> Table:
    """Table in a file: Parquet if its name ends so, and else CSV.

    Raises
    ------
    ValueError, OSError
        As `read_csv`; also if the file is no Parquet.
    ImportError
        If nothing is installed that reads Parquet.
    """
    return read_parquet(path) if is_parquet(path) else read_csv(path)


def read_parquet(path: str | Path) -> Table:
    """Table in a Parquet file, read by PyArrow or else by polars.

    Raises
    ------
    ValueError
        If the file is no Parquet, has no rows, or names a column twice.
    ImportError
        If neither library is installed.
    OSError
        If it cannot be read.
    """
    Path(path).open("rb").close()  # a missing file gets Python's own error
    if find_spec("pyarrow"):
        names, columns = _read_with_pyarrow(path)
    elif find_spec("polars"):
        names, columns = _read_with_polars(path)
    else:
        raise ImportError(
            "reading Parquet needs PyArrow (or polars): pip install 'hotloop[parquet]'"
        )
    cells = [list(map(_text, column)) for column in columns]
    rows = [(i, list(row)) for i, row in enumerate(zip(*cells, strict=True), start=1)]
    _check_whole(path, names, rows)
    return Table(str(path), tuple(names), rows, unit="row")


def _read_with_pyarrow(path: str | Path) -> tuple[list[str], list[list[Any]]]:
    from pyarrow import ArrowInvalid, parquet

    try:
        with parquet.ParquetFile(path) as file:
            table = file.read()
    except ArrowInvalid as error:
        raise ValueError(f"{path} is not a Parquet file: {error}") from error
    return table.column_names, [column.to_pylist() for column in table.columns]


def _read_with_polars(path: str | Path) -> tuple[list[str], list[list[Any]]]:
    from polars import exceptions, read_parquet

    try:
        table = read_parquet(path, glob=False, hive_partitioning=False)
    except exceptions.PolarsError as error:
        raise ValueError(f"{path} is not a Parquet file: {error}") from error
    return table.columns, [column.to_list() for column in table]


def _text(value: object) -> str:
    """A value as a CSV file has it: truth values as 0 and 1, nothing for missing ones."""
    if value is None or value != value:
        return ""
    return str(int(value) if isinstance(value, bool) else value)


def _check_whole(
    path: str | Path, columns: Sequence[str], rows: Sequence[tuple[int, list[str]]]
) -> None:
    """That there are rows, and that each column has a name of its own."""
    if not columns or not rows:
        raise ValueError(f"{path} needs columns with names and at least one row")
    if repeated := {name for name in columns if columns.count(name) > 1}:
        raise ValueError(f"{path} names a column more than once: {', '.join(sorted(repeated))}")


def read_csv(path: str | Path) -> Table:
    """Table in a CSV file whose first line names the columns.

    Raises
    ------
    ValueError
        If the file is empty, is not text in UTF-8, names a column twice, or has a row with
        too few or too many cells.
    OSError
        If it cannot be read.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            columns = tuple(name.strip() for name in next(reader, ()))
            rows = [(reader.line_num, [c.strip() for c in cells]) for cells in reader if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}") from error
    _check_whole(path, columns, rows)
    for line, cells in rows:
        if len(cells) != len(columns):
            raise ValueError(
                f"{path}, line {line}: expected {len(columns)} cells, got {len(cells)}"
            )
    return Table(str(path), columns, rows)


def _number(cell: str) -> float:
    """Value of a cell; NaN if it is not a number."""
    try:
        return float(cell)
    except ValueError:
        return math.nan


@dataclass(frozen=True)
class Problem:
    """What is to be learned: rows split into a training and a test part, and their meaning.

    Attributes
    ----------
    x_train, x_test : ndarray of shape (rows, features)
        Features as they come, not yet scaled.
    y_train, y_test : ndarray of shape (rows,)
        Class numbers, or quantities as float64.
    features : tuple of str
        Names of the columns of ``x``.
    target : str
        Name of what is predicted.
    classes : tuple of str or None
        Name of each class number; None for regression.
    full_scale : float or None
        Greatest value of features that share one unit, as pixels do: they are divided by
        it. None standardises each column by itself.
    """

    x_train: NDArray[Any]
    y_train: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]
    features: tuple[str, ...]
    target: str
    classes: tuple[str, ...] | None
    full_scale: float | None = None


def problem_from_table(table: Table, target: str, seed: int = 0) -> Problem:
    """Problem of predicting one column from all others.

    The target is a quantity if every cell is a number and some have fractions or more than
    ``MOST_CLASSES`` values differ; otherwise its distinct cells are classes. A shuffled
    fifth of the rows is the test set.

    Raises
    ------
    ValueError
        If there are fewer than 5 rows, no feature columns, fewer than two classes, or a cell
        that is missing or not a number.

    Examples
    --------
    >>> rows = [(i + 2, [str(i), "ab"[i % 2]]) for i in range(10)]
    >>> problem = problem_from_table(Table("t.csv", ("size", "kind"), rows), "kind")
    >>> problem.classes, problem.x_train.shape, problem.x_test.shape
    (('a', 'b'), (8, 1), (2, 1))
    """
    cells = table.column(target)
    names = tuple(name for name in table.columns if name != target)
    if not names:
        raise ValueError(f"{table.source} has no feature columns beside the target {target!r}")
    if len(cells) < 5:
        raise ValueError(f"{table.source} has {len(cells)} rows; at least 5 are needed")
    x = table.features(names)
    y, classes = _encode(cells)
    if classes is not None and len(classes) < 2:
        raise ValueError(f"column {target!r} holds one value only, {classes[0]!r}")
    order = np.random.RandomState(seed).permutation(len(x))
    test, train = np.split(order, [max(1, round(len(x) * TEST_SHARE))])
    return Problem(x[train], y[train], x[test], y[test], names, target, classes)


def _encode(cells: Sequence[str]) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Target values, and the class names if they are classes."""
    values = np.array([_number(cell) for cell in cells])
    numeric = np.isfinite(values)
    if not numeric.all():
        names, numbers = np.unique(np.array(cells), return_inverse=True)
        if numeric.any() and len(names) > MOST_CLASSES:
            text = cells[int(numeric.argmin())]
            raise ValueError(f"the target column mixes numbers with text such as {text!r}")
        return numbers, tuple(str(name) for name in names)
    distinct, numbers = np.unique(values, return_inverse=True)
    if len(distinct) > MOST_CLASSES or (distinct % 1).any():
        return values, None
    return numbers, tuple(f"{value:.0f}" for value in distinct)


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
    samples_per_second : float
        Training rows times epochs, over the time that ``fit`` took.
    """

    metric: str
    value: float
    samples_per_second: float


@dataclass(frozen=True)
class _Description:
    """All that a saved model needs beside its weights."""

    layers: tuple[int, ...]
    activation: str
    features: tuple[str, ...]
    target: str
    classes: tuple[str, ...] | None
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    target_mean: float
    target_scale: float


def _description(fields: Any) -> _Description:
    """The description that a file holds, checked: nobody vouches for the file."""
    try:
        given: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()
        }
        found = _Description(**given)
        columns = len(found.features)
        texts = (found.target, found.activation, *found.features, *(found.classes or ()))
        numbers = (*found.mean, *found.scale, found.target_mean, found.target_scale)
        sound = (
            len(found.mean) == len(found.scale) == columns
            and all(isinstance(text, str) for text in texts)
            and all(type(number) in (int, float) for number in numbers)
            and all(type(units) is int for units in found.layers)
        )
    except (AttributeError, TypeError) as error:
        raise ValueError(f"its description of the model is damaged: {error}") from None
    if not sound:
        raise ValueError("its description of the model is damaged")
    return found


class TabularModel:
    """Fully connected network on standardised columns: a classifier or a regression.

    Features enter as ``(x - mean) / scale``, with the mean and standard deviation of the
    training rows, or 0 and ``Problem.full_scale``; quantities that are predicted likewise.

    Parameters
    ----------
    layers : sequence of int
        Units of each hidden layer; empty for a linear model.
    activation : str
        Activation of the hidden layers.

    Examples
    --------
    >>> model = TabularModel([64], "relu")
    >>> table = read_csv("prices.csv")  # doctest: +SKIP
    >>> score = model.fit(problem_from_table(table, "price"), Training())  # doctest: +SKIP
    >>> model.predict(table)  # doctest: +SKIP
    """

    def __init__(self, layers: Iterable[int] = (128, 64), activation: str = "relu") -> None:
        self.layers = tuple(layers)
        self.activation = activation
        if any(units < 1 for units in self.layers):
            raise ValueError(f"layers must be sizes of at least 1, got {list(self.layers)}")

    def fit(self, problem: Problem, training: Training) -> Score:
        """Train on the training rows and score on the test rows.

        Raises
        ------
        ValueError
            If a setting is out of its range, or the data holds NaN or infinity.
        """
        from . import optimizers, utils

        utils.set_random_seed(training.seed)
        self._description = self._describe(problem)
        self._model = self._build()
        optimizer = optimizers.get(training.optimizer)
        if training.learning_rate is not None:
            optimizer.learning_rate = training.learning_rate
        classifies = problem.classes is not None
        self._model.compile(
            optimizer=optimizer,
            loss="sparse_categorical_crossentropy" if classifies else "mean_squared_error",
            metrics=["accuracy"] if classifies else [],
        )
        x, y = self._scaled(problem.x_train), self._scaled_target(problem.y_train)
        started = time.perf_counter()
        self._model.fit(
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
        """Class name, or quantity, for each row of a table; extra columns are ignored.

        Raises
        ------
        ValueError
            If a feature column is missing or a cell of it is not a number.
        """
        values = self._predict(table.features(self._description.features))
        classes = self._description.classes
        return values.tolist() if classes is None else [classes[int(i)] for i in values]

    @property
    def target(self) -> str:
        """Name of the column that is predicted."""
        return self._description.target

    def save(self, path: str | Path) -> None:
        """Write weights and description to one ``.safetensors`` file, atomically."""
        weights = {str(i): weight for i, weight in enumerate(self._model.weights)}
        description = json.dumps(asdict(self._description))
        with written_whole(path) as file:
            tensors.write(file, weights, {"format": _FORMAT, "model": description})

    @classmethod
    def load(cls, path: str | Path) -> TabularModel:
        """Model that ``save`` wrote.

        Raises
        ------
        ValueError
            If the file is damaged, or is not one that ``save`` wrote.
        OSError
            If it cannot be read.
        """
        with open(path, "rb") as file, refusals(Path(path), "model of `hotloop train --save`"):
            found = tensors.opened(file)
            if found.metadata.get("format") != _FORMAT:
                raise ValueError(f"{path} was not written by `hotloop train --save`")
            fields = strict_json.loads(found.metadata.get("model", ""), "its description")
            description = _description(fields)
            model = cls(description.layers, description.activation)
            model._description = description
            with deferring():  # weights that the file does not hold must not fill the memory
                model._model = model._build()
            by_name = tensors.stored(found)
            stored = [by_name[str(i)] for i in range(len(by_name))]
            fill([Part("the network", str(path), model._model.weights, stored)])
            return model

    def _describe(self, problem: Problem) -> _Description:
        """Description whose scaling comes from the training rows."""
        x, shared = problem.x_train, problem.full_scale
        columns = len(problem.features)
        mean = x.mean(axis=0, dtype=np.float64) if shared is None else np.zeros(columns)
        scale = _deviation(x) if shared is None else np.full(columns, shared)
        classifies = problem.classes is not None
        return _Description(
            layers=self.layers,
            activation=self.activation,
            features=problem.features,
            target=problem.target,
            classes=problem.classes,
            mean=tuple(mean.tolist()),
            scale=tuple(scale.tolist()),
            target_mean=0.0 if classifies else float(problem.y_train.mean()),
            target_scale=1.0 if classifies else float(_deviation(problem.y_train)),
        )

    def _build(self) -> Sequential:
        """Untrained network of the described shape."""
        from . import Input, Sequential, layers

        description = self._description
        classes = description.classes
        hidden = [layers.Dense(units, self.activation) for units in self.layers]
        last = layers.Dense(len(classes), "softmax") if classes else layers.Dense(1)
        return Sequential([Input((len(description.features),)), *hidden, last])

    def _scaled(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Standardised features."""
        # uint8 pixels need no float64 copy; float64 columns such as years need all their digits.
        dtype = np.result_type(x, np.float32)
        mean = np.array(self._description.mean, dtype)
        scale = np.array(self._description.scale, dtype)
        scaled: NDArray[np.float32] = ((x - mean) / scale).astype(np.float32, copy=False)
        return scaled

    def _scaled_target(self, y: NDArray[Any]) -> NDArray[Any]:
        """Class numbers as they are, quantities standardised."""
        if self._description.classes is not None:
            return y
        scaled = (y - self._description.target_mean) / self._description.target_scale
        return scaled.astype(np.float32)

    def _predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """Class number or quantity for each row."""
        output: Floats = np.asarray(self._model.predict(self._scaled(x), verbose=0), np.float64)
        if self._description.classes is not None:
            numbers: NDArray[np.int64] = np.argmax(output, axis=1)
            return numbers
        quantities: Floats = output[:, 0] * self._description.target_scale
        return quantities + self._description.target_mean

    def _score(self, problem: Problem, samples_per_second: float) -> Score:
        """Score on the test rows."""
        predicted = self._predict(problem.x_test)
        if problem.classes is not None:
            accuracy = float((predicted == problem.y_test).mean())
            return Score("accuracy", accuracy, samples_per_second)
        error = float(((predicted - problem.y_test) ** 2).mean())
        return Score("mean squared error", error, samples_per_second)


def _deviation(values: NDArray[Any]) -> Floats:
    """Standard deviation of each column; 1 for a constant column, which then scales to 0."""
    deviation = np.asarray(values.std(axis=0, dtype=np.float64))
    return np.where(deviation > 0, deviation, 1.0)
