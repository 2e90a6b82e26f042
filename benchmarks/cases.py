"""What is trained: the seed jobs as data, their rows, their first weights and their loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

IMAGES, BOSTON, POINTS = "images", "boston", "points"
FEATURES = {IMAGES: 784, BOSTON: 13, POINTS: 2}
ROWS = {IMAGES: 60_000, BOSTON: 404, POINTS: 100}


@dataclass(frozen=True)
class Case:
    """One training job.

    Attributes
    ----------
    name, job : str
        Short name, and the seed job that it comes from.
    data : str
        Kind of rows: ``IMAGES``, ``BOSTON`` or ``POINTS``.
    units, activations : tuple
        Each dense layer, the output last.
    loss : str
        Keras's name of it.
    optimizer : str
        ``"adam"`` (0.9, 0.999, epsilon 1e-7) or ``"sgd"`` (no momentum).
    epochs : int
        Epochs of one timing, which is one call of ``fit``: more than one where an epoch is
        so short that users always ask for many.
    zeros : bool
        Whether all weights start at zero, rather than Glorot uniform kernels.
    targets : tuple of float
        How many times as fast as the fastest peer hotloop is meant to be: on one thread, on two.
    """

    name: str
    job: str
    data: str
    units: tuple[int, ...]
    activations: tuple[str, ...]
    loss: str
    batch_size: int
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    epochs: int = 1
    zeros: bool = False
    targets: tuple[float, ...] = ()

    @property
    def classifies(self) -> bool:
        """Whether accuracy is a metric of it."""
        return self.data != BOSTON

    @property
    def widths(self) -> tuple[int, ...]:
        """Features, then the units of each layer."""
        return (FEATURES[self.data], *self.units)

    def steps(self, rows: int) -> int:
        """Optimizer steps of one timing."""
        return self.epochs * -(-rows // self.batch_size)

    def target(self, threads: int) -> float | None:
        """The target for so many threads, if there is one."""
        return self.targets[threads - 1] if threads <= len(self.targets) else None


_SPARSE, _ONE_HOT = "sparse_categorical_crossentropy", "categorical_crossentropy"
_MSE = "mean_squared_error"

CASES = (
    Case(
        name="toy",
        job="S2",
        data=POINTS,
        units=(5, 1),
        activations=("relu", "sigmoid"),
        loss=_MSE,
        batch_size=32,
        epochs=100,
        targets=(10, 10),
    ),
    Case(
        name="boston",
        job="S0",
        data=BOSTON,
        units=(1,),
        activations=("linear",),
        loss=_MSE,
        batch_size=1,
        epochs=100,
        targets=(3, 3),
    ),
    Case(
        name="softreg",
        job="S4",
        data=IMAGES,
        units=(10,),
        activations=("softmax",),
        loss=_ONE_HOT,
        batch_size=100,
        optimizer="sgd",
        learning_rate=0.5,
        zeros=True,
        targets=(2, 4),
    ),
    Case(
        name="mlp128",
        job="S1",
        data=IMAGES,
        units=(128, 10),
        activations=("relu", "softmax"),
        loss=_SPARSE,
        batch_size=32,
        targets=(1.4, 2),
    ),
    Case(
        name="mlp256",
        job="S3",
        data=IMAGES,
        units=(256, 128, 10),
        activations=("relu", "relu", "softmax"),
        loss=_SPARSE,
        batch_size=32,
        targets=(1.4, 2),
    ),
    Case(
        name="mlp1024",
        job="wide",
        data=IMAGES,
        units=(1024, 1024, 10),
        activations=("relu", "relu", "softmax"),
        loss=_SPARSE,
        batch_size=256,
        targets=(1.05, 1.25),
    ),
)


def find(name: str) -> Case:
    """Case of a short name such as ``mlp128``, or of a seed job such as ``S1``."""
    for case in CASES:
        if name in (case.name, case.job):
            return case
    known = ", ".join(f"{case.name} ({case.job})" for case in CASES)
    raise ValueError(f"unknown case {name!r}; the cases are {known}")


def shortened(case: Case) -> Case:
    """The same case with little work in a timing, for a smoke run."""
    return replace(case, epochs=min(case.epochs, 2))


@dataclass(frozen=True)
class Data:
    """Rows of a case.

    Attributes
    ----------
    x : ndarray of float32, shape (rows, features)
    y : ndarray
        uint8 labels for the sparse loss, else float32 of shape (rows, outputs).
    source : str
        Where the rows come from.
    """

    x: Floats
    y: NDArray[Any]
    source: str


def load(case: Case, most_rows: int | None = None) -> Data:
    """Rows of a case: real where the data set is to be had, else synthetic of the same shape."""
    if case.data == POINTS:
        data = _points()
    elif case.data == BOSTON:
        data = _boston()
    else:
        data = _images(one_hot=case.loss == _ONE_HOT)
    return Data(data.x[:most_rows], data.y[:most_rows], data.source)


def _points() -> Data:
    """Random points in the unit square with random labels: the job itself asks for no more."""
    rng = np.random.default_rng(0)
    x = rng.random((ROWS[POINTS], 2), dtype=np.float32)
    return Data(x, rng.integers(0, 2, (len(x), 1)).astype(np.float32), "random points")


def _boston() -> Data:
    """Standardised Boston housing."""
    try:
        from hotloop.datasets import boston_housing

        (x, y), _ = boston_housing.load_data()
        source = "Boston housing"
    except (ImportError, OSError):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((ROWS[BOSTON], FEATURES[BOSTON]))
        y = 22 + 3 * x[:, 0] + rng.standard_normal(len(x))
        source = "synthetic, as large as Boston housing"
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return Data(x.astype(np.float32), y.astype(np.float32)[:, None], source)


def _images(*, one_hot: bool) -> Data:
    """Fashion-MNIST as flat rows in 0..1."""
    try:
        from hotloop.datasets import fashion_mnist

        (images, labels), _ = fashion_mnist.load_data()
        source = "Fashion-MNIST"
    except (ImportError, OSError):
        rng = np.random.default_rng(0)
        labels = rng.integers(0, 10, ROWS[IMAGES], dtype=np.uint8)
        noise = rng.integers(0, 156, (len(labels), 28, 28), dtype=np.uint8)
        images = noise + labels[:, None, None] * np.uint8(11)
        source = "synthetic, as large as MNIST"
    x = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
    y = np.eye(10, dtype=np.float32)[labels] if one_hot else labels
    return Data(x, y, source)


def first_weights(case: Case) -> list[Floats]:
    """Kernel and bias of each layer, the same for every peer."""
    rng = np.random.default_rng(1)
    weights: list[Floats] = []
    for inputs, units in zip(case.widths, case.units, strict=False):
        limit = 0.0 if case.zeros else np.sqrt(6 / (inputs + units))
        weights.append(rng.uniform(-limit, limit, (inputs, units)).astype(np.float32))
        weights.append(np.zeros(units, np.float32))
    return weights


def training_loss(case: Case, weights: list[Floats], data: Data) -> float:
    """Mean loss over all rows, computed in the same way for every peer."""
    output: NDArray[Any] = data.x
    last = len(case.units) - 1
    for i, activation in enumerate(case.activations):
        output = output @ weights[2 * i] + weights[2 * i + 1]
        if activation == "relu":
            output = np.maximum(output, 0)
        elif activation == "sigmoid":
            output = 1 / (1 + np.exp(-output))
        elif activation not in ("linear", "softmax") or (activation == "softmax" and i < last):
            raise ValueError(f"no reference for the activation {activation!r} of layer {i}")
    if case.loss == _MSE:
        return float(np.mean((output - data.y) ** 2))
    labels = data.y if data.y.ndim == 1 else data.y.argmax(axis=1)
    shifted = output - output.max(axis=1, keepdims=True)
    chosen = shifted[np.arange(len(labels)), labels]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - chosen))
