"""Who trains: hotloop and its peers, each in its fastest ordinary form, behind one interface."""

from __future__ import annotations

import importlib
import importlib.util
import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from cases import Case, Data, Floats

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7


class Peer(ABC):
    """One library training one case.

    Attributes
    ----------
    name : str
        What it is called on the command line and in tables.
    package : str
        What must be importable.
    """

    name: ClassVar[str]
    package: ClassVar[str]

    @classmethod
    def installed(cls) -> bool:
        """Whether its package is there; finding out does not import it."""
        return importlib.util.find_spec(cls.package) is not None

    @abstractmethod
    def prepare(self, case: Case, weights: list[Floats], data: Data, threads: int) -> None:
        """Build the model with these weights and take over the data."""

    @abstractmethod
    def train(self, epochs: int) -> None:
        """Train on all rows, newly shuffled for each epoch; return when all is done."""

    @abstractmethod
    def weights(self) -> list[Floats] | None:
        """Kernel and bias of each layer; None if the library cannot train this loss."""


class KerasApi(Peer):
    """What hotloop and Keras share: the program that a user writes."""

    def prepare(self, case: Case, weights: list[Floats], data: Data, threads: int) -> None:
        keras: Any = importlib.import_module(self.package)
        layers = [
            keras.layers.Dense(units, activation=activation)
            for units, activation in zip(case.units, case.activations, strict=True)
        ]
        self.model = keras.Sequential([keras.Input((case.widths[0],)), *layers])
        self.model.set_weights(weights)
        if case.optimizer == "adam":
            optimizer = keras.optimizers.Adam(learning_rate=case.learning_rate)
        else:
            optimizer = keras.optimizers.SGD(learning_rate=case.learning_rate)
        self.model.compile(optimizer=optimizer, loss=case.loss, metrics=self._metrics(case))
        self._data, self._batch_size = data, case.batch_size

    def train(self, epochs: int) -> None:
        x, y = self._data.x, self._data.y
        self.model.fit(x, y, batch_size=self._batch_size, epochs=epochs, verbose=0)

    def weights(self) -> list[Floats] | None:
        return [np.asarray(weight) for weight in self.model.get_weights()]

    def _metrics(self, case: Case) -> list[str]:
        """Metrics to compile with."""
        return []


class Hotloop(KerasApi):
    """``model.fit``, with accuracy as a metric, which the peers are spared."""

    name = "hotloop"
    package = "hotloop"

    def _metrics(self, case: Case) -> list[str]:
        return ["accuracy"] if case.classifies else []


class Keras(KerasApi):
    """``model.fit`` without metrics, on the backend that KERAS_BACKEND names."""

    name = "keras"
    package = "keras"


class Torch(Peer):
    """Eager PyTorch on tensors in memory: batches by ``index_select`` on a permutation."""

    name = "torch"
    package = "torch"
    fused: ClassVar[bool] = False

    def prepare(self, case: Case, weights: list[Floats], data: Data, threads: int) -> None:
        torch: Any = importlib.import_module("torch")
        torch.set_num_threads(threads)
        activations = {"relu": torch.nn.ReLU, "sigmoid": torch.nn.Sigmoid}
        modules: list[Any] = []
        for i, activation in enumerate(case.activations):
            linear = torch.nn.Linear(*weights[2 * i].shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(weights[2 * i].T))
                linear.bias.copy_(torch.from_numpy(weights[2 * i + 1]))
            modules.append(linear)
            if activation in activations:
                modules.append(activations[activation]())
        self.model = torch.nn.Sequential(*modules)
        parameters, rate = self.model.parameters(), case.learning_rate
        fused = {"fused": True} if self.fused else {}
        if case.optimizer == "adam":
            self.optimizer = torch.optim.Adam(parameters, lr=rate, eps=EPSILON, **fused)
        else:
            self.optimizer = torch.optim.SGD(parameters, lr=rate, **fused)
        squared = case.loss == "mean_squared_error"
        self.loss = torch.nn.MSELoss() if squared else torch.nn.CrossEntropyLoss()
        self.x, self.y = torch.from_numpy(data.x), torch.from_numpy(data.y)
        if data.y.ndim == 1:
            self.y = self.y.long()
        self._batch_size, self._torch = case.batch_size, torch

    def train(self, epochs: int) -> None:
        model, optimizer, loss = self.model, self.optimizer, self.loss
        x, y = self.x, self.y
        for _ in range(epochs):
            for rows in self._torch.randperm(len(x)).split(self._batch_size):
                optimizer.zero_grad()
                loss(model(x.index_select(0, rows)), y.index_select(0, rows)).backward()
                optimizer.step()

    def weights(self) -> list[Floats] | None:
        return [p.detach().numpy().T for p in self.model.parameters()]


class FusedTorch(Torch):
    """The same with the optimizer's fused kernels."""

    name = "torch-fused"
    fused = True


class CompiledTorch(Torch):
    """``torch.compile`` of a whole step as one graph: gather, loss, gradient, update in place.

    The gradient is ``torch.func.grad``, which the compiler looks into, unlike ``backward()``:
    one compiled call a step, and updates fused with each other. Compiling the loss alone and
    leaving the rest to autograd and the fused optimizer takes 1.5 to 6 times as long.
    """

    name = "torch-compile"

    def prepare(self, case: Case, weights: list[Floats], data: Data, threads: int) -> None:
        super().prepare(case, weights, data, threads)
        step = _torch_step(self._torch, self.model, self.loss, case)
        # Static shapes: the short last batch gets a compilation of its own.
        self._step = self._torch.compile(step, fullgraph=True, dynamic=False)

    def train(self, epochs: int) -> None:
        with self._torch.no_grad():
            for _ in range(epochs):
                for rows in self._torch.randperm(len(self.x)).split(self._batch_size):
                    self._step(self.x, self.y, rows)


def _torch_step(torch: Any, model: Any, loss: Any, case: Case) -> Any:
    """The function ``(x, y, rows)`` that trains on these rows."""
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    m = {name: torch.zeros_like(p) for name, p in parameters.items()}
    v = {name: torch.zeros_like(p) for name, p in parameters.items()}
    t = torch.zeros(())

    def batch_loss(parameters: Any, x: Any, y: Any) -> Any:
        return loss(torch.func.functional_call(model, parameters, (x,)), y)

    def step(x: Any, y: Any, rows: Any) -> None:
        batch = x.index_select(0, rows), y.index_select(0, rows)
        gradients = torch.func.grad(batch_loss)(parameters, *batch)
        if case.optimizer == "sgd":
            for name, g in gradients.items():
                parameters[name].sub_(case.learning_rate * g)
            return
        t.add_(1)
        rate = case.learning_rate * torch.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        for name, g in gradients.items():
            m[name].lerp_(g, 1 - BETA_1)
            v[name].mul_(BETA_2).addcmul_(g, g, value=1 - BETA_2)
            parameters[name].sub_(rate * m[name] / (v[name].sqrt() + EPSILON))

    return step


class ScikitLearn(Peer):
    """``MLPClassifier`` or ``MLPRegressor``, an epoch a call of ``partial_fit``."""

    name = "sklearn"
    package = "sklearn"

    def prepare(self, case: Case, weights: list[Floats], data: Data, threads: int) -> None:
        networks: Any = importlib.import_module("sklearn.neural_network")
        squared = case.loss == "mean_squared_error"
        kind = networks.MLPRegressor if squared else networks.MLPClassifier
        self.model = kind(
            hidden_layer_sizes=case.units[:-1],
            activation="relu",
            solver=case.optimizer,
            alpha=0.0,
            batch_size=case.batch_size,
            learning_rate_init=case.learning_rate,
            momentum=0.0,
            beta_1=BETA_1,
            beta_2=BETA_2,
            epsilon=EPSILON,
        )
        self.x = data.x
        if squared:
            self.y = data.y[:, 0]
        else:
            self.y = data.y if data.y.ndim == 1 else data.y.argmax(axis=1)
        # Only its own first call makes the arrays, so that call is one small batch.
        first = slice(0, case.batch_size)
        classes = {} if squared else {"classes": np.arange(case.units[-1])}
        self.model.partial_fit(self.x[first], self.y[first], **classes)
        for own, given in zip(self._arrays(), weights, strict=True):
            own[...] = given
        self._same_loss = case.activations[-1] in ("linear", "softmax")

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            self.model.partial_fit(self.x, self.y)

    def weights(self) -> list[Floats] | None:
        return list(self._arrays()) if self._same_loss else None

    def _arrays(self) -> list[Floats]:
        """Kernel and bias of each layer, as views."""
        pairs = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        return [array for pair in pairs for array in pair]


class Jax(Peer):
    """One jitted scan over epochs and batches, with donated state.

    The orders are drawn by NumPy: a permutation inside the scan is a sort by random keys, which
    takes longer than boston's and toy's training.
    """

    name = "jax"
    package = "jax"

    def prepare(self, case: Case, weights: list[Floats], data: Data, threads: int) -> None:
        jax: Any = importlib.import_module("jax")
        self._jax = jax
        self._train = jax.jit(_jax_training(jax, case), donate_argnums=0)
        parameters = [jax.numpy.array(weight) for weight in weights]
        zeros = [[jax.numpy.zeros_like(p) for p in parameters] for _ in range(2)]
        self._state = (parameters, *zeros, jax.numpy.zeros((), jax.numpy.float32))
        labels = data.y.astype(np.int32) if data.y.ndim == 1 else data.y
        self._data = (jax.device_put(data.x), jax.device_put(labels))
        self._rng = np.random.default_rng(0)

    def train(self, epochs: int) -> None:
        rows = np.arange(len(self._data[0]), dtype=np.int32)
        orders = self._rng.permuted(np.tile(rows, (epochs, 1)), axis=1)
        self._state = self._jax.block_until_ready(self._train(self._state, orders, *self._data))

    def weights(self) -> list[Floats] | None:
        return [np.asarray(parameter) for parameter in self._state[0]]


def _jax_training(jax: Any, case: Case) -> Any:
    """The function ``(state, orders, x, y) -> state`` that trains an epoch for each order."""
    numpy = jax.numpy

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        for i, activation in enumerate(case.activations):
            x = x @ parameters[2 * i] + parameters[2 * i + 1]
            if activation in ("relu", "sigmoid"):
                x = getattr(jax.nn, activation)(x)
        if case.loss == "mean_squared_error":
            return numpy.mean((x - y) ** 2)
        scores = jax.nn.log_softmax(x)
        if y.ndim == 1:
            return -numpy.mean(numpy.take_along_axis(scores, y[:, None], axis=1))
        return -numpy.mean(numpy.sum(y * scores, axis=1))

    def adam(state: Any, gradients: Any) -> Any:
        parameters, m, v, t = state
        t = t + 1
        rate = case.learning_rate * numpy.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        m = [BETA_1 * a + (1 - BETA_1) * g for a, g in zip(m, gradients, strict=True)]
        v = [BETA_2 * a + (1 - BETA_2) * g * g for a, g in zip(v, gradients, strict=True)]
        moved = zip(parameters, m, v, strict=True)
        return [p - rate * a / (numpy.sqrt(b) + EPSILON) for p, a, b in moved], m, v, t

    def sgd(state: Any, gradients: Any) -> Any:
        parameters, *rest = state
        moved = zip(parameters, gradients, strict=True)
        return [p - case.learning_rate * g for p, g in moved], *rest

    update = adam if case.optimizer == "adam" else sgd

    def train(state: Any, orders: Any, x: Any, y: Any) -> Any:
        whole = len(x) // case.batch_size * case.batch_size

        def gathered(array: Any, rows: Any) -> Any:
            return array.at[rows].get(mode="promise_in_bounds", unique_indices=True)

        def step(state: Any, rows: Any) -> Any:
            batch = gathered(x, rows), gathered(y, rows)
            return update(state, jax.grad(loss)(state[0], *batch)), None

        def epoch(state: Any, order: Any) -> Any:
            batches = order[:whole].reshape(-1, case.batch_size)
            state, _ = jax.lax.scan(step, state, batches)
            if whole < len(x):
                state, _ = step(state, order[whole:])
            return state, None

        return jax.lax.scan(epoch, state, orders)[0]

    return train


PEERS: dict[str, type[Peer]] = {
    peer.name: peer for peer in (Hotloop, FusedTorch, Torch, CompiledTorch, Jax, Keras, ScikitLearn)
}


def limit_threads(threads: int) -> dict[str, str]:
    """Environment in which every library uses this many threads."""
    xla = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    pools = ("OMP", "OPENBLAS", "MKL", "NUMBA", "HOTLOOP")
    limits = {f"{pool}_NUM_THREADS": str(threads) for pool in pools}
    return {
        "KERAS_BACKEND": "jax",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "JAX_PLATFORMS": "cpu",
        **os.environ,
        **limits,
        "XLA_FLAGS": xla,
    }
