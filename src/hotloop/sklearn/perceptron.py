"""What the multi-layer perceptrons for classes and for quantities have in common."""

from __future__ import annotations

import copy
import itertools
import numbers
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from .. import activations, layers, optimizers, random
from ..callbacks import Callback
from ..console import say
from ..models import Model, Sequential
from ..optimizers import Optimizer
from ..optimizers.schedules import LearningRateSchedule
from ..regularizers import L2
from . import weights
from .common import (
    Examples,
    check_known,
    checked,
    checked_pair,
    float_type,
    fresh_optimizer,
    invalid,
    outputs_of,
    train,
    validation_parts,
)
from .convergence import RECORDS, Convergence
from .lbfgs import minimize
from .tasks import CallbackSupportMixin, FitTask

Array = NDArray[Any]

# scikit-learn's names of what Keras calls otherwise.
ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid", "exp": "exponential"}
RATES = ("constant", "invscaling", "adaptive")
AUTO_BATCH = 200  # scikit-learn's


class MultilayerPerceptron(CallbackSupportMixin, BaseEstimator):
    """Dense layers trained by gradient descent: parameters and attributes of scikit-learn's."""

    model_: Sequential
    n_iter_: int
    t_: int
    n_outputs_: int
    out_activation_: str
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    _best_weights: list[Array] | None
    _trained: Model
    _penalty: float

    def __init__(
        self,
        hidden_layer_sizes: Any,
        activation: Any,
        solver: Any,
        alpha: float,
        batch_size: int | str,
        learning_rate: Any,
        learning_rate_init: float,
        power_t: float,
        max_iter: int,
        shuffle: bool,
        random_state: Any,
        tol: float,
        verbose: bool,
        warm_start: bool,
        momentum: float,
        nesterovs_momentum: bool,
        early_stopping: bool,
        validation_fraction: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        n_iter_no_change: float,
        max_fun: int,
        dropout: float,
        dtype: str,
        callbacks: Any,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.dtype = dtype
        self.callbacks = callbacks

    # -- what the two kinds define ----------------------------------------------

    _numeric_y = False  # whether targets must be numbers

    def _encode(self, y: Any, *, reset: bool) -> Array:
        """Targets as the network is trained on; with `reset`, learns what there is to predict."""
        raise NotImplementedError

    def _objective(self) -> tuple[Any, float]:
        """The loss and its factor."""
        raise NotImplementedError

    def _class_weights(self, y: Array) -> Array | None:
        """A weight for each example by its class."""
        return None

    def _constant(self, examples: Examples) -> float:
        """What hotloop's loss leaves out, as it depends on the targets alone."""
        return 0.0

    def _validation_score(self, examples: Examples, outputs: Array) -> float:
        raise NotImplementedError

    def _strata(self, y: Array) -> Array | None:
        """By what a validation set is drawn evenly."""
        return None

    # -- training ---------------------------------------------------------------

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation_data: Any = None,
        *,
        incremental: bool = False,
    ) -> None:
        self._check_parameters()
        task = None if incremental else FitTask(self, self._most_epochs())
        if incremental and self.early_stopping:
            raise ValueError(
                f"{type(self).__name__}: partial_fit does not stop early; set early_stopping=False"
            )
        if validation_data is not None and self.solver == "lbfgs":
            raise ValueError(
                f"{type(self).__name__}: solver='lbfgs' has no epochs to validate after; leave "
                "validation_data out or take another solver"
            )
        first = not hasattr(self, "model_") or not (self.warm_start or incremental)
        examples = self._examples(X, y, sample_weight, reset=first)
        if first:
            self._float_type_of_fit = float_type(examples.x, double=self.solver == "lbfgs")
        hooks = [] if task is None else task.begin(examples.x, y, examples.weight)
        units = [examples.x.shape[1], *self._hidden_sizes(), self.n_outputs_]
        source = check_random_state(self.random_state)
        first_weights = self._first_weights(source, units) if first else self.model_.get_weights()
        validation = None
        if validation_data is not None:
            validation = self._examples(*validation_parts(validation_data), reset=False)
        elif self.early_stopping and self.solver != "lbfgs":
            examples, validation = self._split(examples, source)
        if validation is not None and validation.weight is not None and not validation.weight.any():
            raise ValueError(
                f"{type(self).__name__}: all sample weights of the validation set are zero; there "
                "is nothing to score"
            )
        self._begin(first, scored=validation is not None)
        by_class = self._class_weights(examples.y)
        examples.weight, mean = weights.normalised(examples.weight, by_class)
        self._loss_offset = self._constant(examples)
        rows = examples.rows
        batch = rows if self.solver == "lbfgs" else self._batch_size(rows)
        if first or not incremental:
            self._renew(source, units, first_weights)
        self._compile(penalty=self.alpha / (2 * batch * mean))
        if self.solver == "lbfgs":
            self._solve(examples, hooks)
        elif incremental:
            self._descend(examples, validation, batch, hooks, epochs=1)
        else:
            self._descend(examples, validation, batch, hooks, epochs=self.max_iter)
            if self.n_iter_ == self.max_iter and not self._trained.stop_training:
                self._warn_of_end("training", f"max_iter={self.max_iter} iterations")
        if task is not None:
            task.end()

    def _examples(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Examples:
        X, y = checked_pair(self, X, y, reset=reset, y_numeric=self._numeric_y)
        return Examples(X, self._encode(y, reset=reset), weights.checked(sample_weight, X))

    def _split(self, examples: Examples, source: Any) -> tuple[Examples, Examples]:
        """A share of the examples is set aside, the same as scikit-learn's for this seed."""
        parts = [examples.x, examples.y]
        if examples.weight is not None:
            parts.append(examples.weight)
        split = train_test_split(
            *parts,
            random_state=source,
            test_size=self.validation_fraction,
            stratify=self._strata(examples.y),
        )
        train, held_out = split[::2], split[1::2]
        if held_out[0].shape[0] < 2:
            raise ValueError(
                f"{type(self).__name__}: validation_fraction={self.validation_fraction} of "
                f"{examples.rows} examples is less than 2; pass more data, a larger share or "
                "fit(..., validation_data=...)"
            )
        if examples.weight is None:
            train.append(None)
            held_out.append(None)
        return Examples(*train), Examples(*held_out)

    def _begin(self, first: bool, *, scored: bool) -> None:
        """Makes the records that there are not yet."""
        if first:
            self.n_iter_ = self.t_ = 0
            for name in RECORDS:
                self.__dict__.pop(name, None)
        if self.solver == "lbfgs":  # keeps no records
            return
        if not hasattr(self, "loss_curve_"):
            self._no_improvement_count = 0
            self.loss_curve_ = []
            self.best_loss_ = self.validation_scores_ = self.best_validation_score_ = None
        if not self.early_stopping and self.best_loss_ is None:
            self.best_loss_ = np.inf
        if scored and self.validation_scores_ is None:
            self.validation_scores_, self.best_validation_score_ = [], -np.inf

    def _first_weights(self, source: Any, units: Sequence[int]) -> list[Array]:
        """scikit-learn's for this seed: uniform by Glorot and Bengio, biases too."""
        spread = 2.0 if self.activation == "logistic" else 6.0
        found = []
        for inputs, outputs in itertools.pairwise(units):
            bound = np.sqrt(spread / (inputs + outputs))
            found.append(source.uniform(-bound, bound, (inputs, outputs)))
            found.append(source.uniform(-bound, bound, outputs))
        return found

    def _renew(self, source: Any, units: Sequence[int], first_weights: Sequence[Array]) -> None:
        """A new model and optimizer, even to go on from old weights: parameters may be new."""
        self._generator = np.random.default_rng(source.randint(np.iinfo(np.int32).max))
        with random.drawing_from(self._generator):
            self.model_ = self._build(units)
        self.model_.set_weights(first_weights)
        self.model_.optimizer = self._optimizer()
        self.n_layers_ = len(units)
        self.__dict__.pop("_trained", None)

    def _build(self, units: Sequence[int]) -> Sequential:
        dtype = self._float_type()
        model = Sequential([layers.Input((units[0],), dtype=dtype)])
        hidden = _keras_name(self.activation)
        for size in units[1:-1]:
            model.add(layers.Dense(size, hidden, dtype=dtype))
            if self.dropout:
                model.add(layers.Dropout(self.dropout, dtype=dtype))
        model.add(layers.Dense(units[-1], dtype=dtype))
        if self.out_activation_ != "identity":
            model.add(layers.Activation(_keras_name(self.out_activation_), dtype=dtype))
        return model

    def _compile(self, penalty: float) -> None:
        """Compiles the model, and what trains it, with one optimizer; if that is not done yet."""
        if hasattr(self, "_trained") and penalty == self._penalty:
            return
        for layer in self.model_.layers:
            if isinstance(layer, layers.Dense):
                # A recorded layer refuses it, as plans would not heed it; compile() makes new ones.
                vars(layer)["kernel_regularizer"] = L2(penalty) if penalty else None
                layer.kernel.regularizer = layer.kernel_regularizer
        self._penalty = penalty
        loss, factor = self._objective()
        self.model_.compile(self.model_.optimizer, loss, loss_weights=[factor])
        self._trained = self._to_train()

    def _to_train(self) -> Model:
        """What fit is called on: a compiled model with the weights of ``model_``."""
        return self.model_

    def _descend(
        self,
        examples: Examples,
        validation: Examples | None,
        batch: int,
        hooks: Sequence[Callback],
        *,
        epochs: int,
    ) -> None:
        """Trains by gradient descent until nothing improves."""
        self._best_weights = None
        self.n_iter_ = 0
        record = Convergence(self, examples.rows, self._scorer(validation))
        try:
            with random.drawing_from(self._generator):
                train(
                    self._trained,
                    examples,
                    None,
                    batch_size=batch,
                    epochs=epochs,
                    verbose=0,
                    callbacks=[record, self.callbacks or [], *hooks],
                    shuffle=self.shuffle,
                )
        except KeyboardInterrupt:
            warnings.warn("training was interrupted and ends here", stacklevel=4)
        if self._best_weights is not None:
            self.model_.set_weights(self._best_weights)

    def _scorer(self, validation: Examples | None) -> Callable[[], float] | None:
        if validation is None:
            return None
        return lambda: self._validation_score(validation, outputs_of(self.model_, validation.x))

    def _solve(self, examples: Examples, hooks: Sequence[Callback]) -> None:
        """Trains by L-BFGS on all examples at once."""
        found = minimize(
            self._trained,
            examples,
            max_iter=self.max_iter,
            max_fun=self.max_fun,
            tol=self.tol,
            callbacks=[self.callbacks or [], *hooks],
        )
        self.n_iter_, self.loss_ = found.iterations, found.loss + self._loss_offset
        if self.verbose:
            say(f"L-BFGS ended after {self.n_iter_} iterations with loss {self.loss_:.8f}")
        if not found.converged:
            self._warn_of_end("L-BFGS", f"{self.n_iter_} iterations ({found.message})")

    def _warn_of_end(self, what: str, after: str) -> None:
        warnings.warn(
            f"{type(self).__name__}: {what} ended after {after}, before it converged; pass a "
            "larger max_iter, or scale the data",
            ConvergenceWarning,
            stacklevel=4,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without the model that trains, which is made anew of ``model_``."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_trained"}

    # -- predicting -------------------------------------------------------------

    def _checked_outputs(self, X: Any) -> tuple[Array, np.dtype[Any]]:
        """The network's outputs for examples of a user's, and the type that scikit-learn's have.

        It is what these examples and those of fit make together.
        """
        check_is_fitted(self, "model_")
        X = checked(self, X)
        return outputs_of(self.model_, X), np.result_type(self._float_type_of_fit, X.dtype)

    @property
    def coefs_(self) -> list[Array]:
        """Copies of the layers' weight matrices; ``model_.set_weights`` changes them."""
        return self.model_.get_weights()[::2]

    @property
    def intercepts_(self) -> list[Array]:
        """Copies of the layers' biases."""
        return self.model_.get_weights()[1::2]

    # -- parameters -------------------------------------------------------------

    def _float_type(self) -> str:
        """L-BFGS looks at differences that float32 has not."""
        if self.dtype == "auto":
            return "float64" if self.solver == "lbfgs" else "float32"
        return self.dtype

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _most_epochs(self) -> int:
        return int(self.max_iter) + 1 if self.solver == "lbfgs" else int(self.max_iter)

    def _hidden_sizes(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        return list(sizes) if np.ndim(sizes) else [np.asarray(sizes).item()]

    def _batch_size(self, rows: int) -> int:
        if self.batch_size == "auto":
            return min(AUTO_BATCH, rows)
        size = int(self.batch_size)
        if size > rows:
            warnings.warn(
                f"{type(self).__name__}: batch_size={size} is more than the {rows} examples; "
                "all of them make one batch",
                stacklevel=5,
            )
        return min(size, rows)

    def _optimizer(self) -> Optimizer:
        """A new one."""
        rate = self.learning_rate
        rate = self.learning_rate_init if isinstance(rate, str) else copy.deepcopy(rate)
        if self.solver == "lbfgs":
            return optimizers.SGD()  # never asked
        if self.solver == "adam":
            return optimizers.Adam(rate, self.beta_1, self.beta_2, self.epsilon)
        if self.solver == "sgd":
            return optimizers.SGD(rate, self.momentum, self.nesterovs_momentum)
        if isinstance(self.solver, str):
            return optimizers.get({"class_name": self.solver, "config": {"learning_rate": rate}})
        return fresh_optimizer(self.solver)

    _parameter_constraints = {  # noqa: RUF012 - scikit-learn's own place for them
        "hidden_layer_sizes": ["array-like", Interval(numbers.Integral, 1, None, closed="left")],
        "activation": [str, callable],
        "solver": [str, Optimizer],
        "alpha": [Interval(numbers.Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(numbers.Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions(set(RATES)), LearningRateSchedule],
        "learning_rate_init": [Interval(numbers.Real, 0, None, closed="neither")],
        "power_t": [Interval(numbers.Real, 0, None, closed="left")],
        "max_iter": [Interval(numbers.Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(numbers.Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(numbers.Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(numbers.Real, 0, 1, closed="left")],
        "beta_1": [Interval(numbers.Real, 0, 1, closed="left")],
        "beta_2": [Interval(numbers.Real, 0, 1, closed="left")],
        "epsilon": [Interval(numbers.Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(numbers.Integral, 1, None, closed="left"),
            Options(numbers.Real, {np.inf}),
        ],
        "max_fun": [Interval(numbers.Integral, 1, None, closed="left")],
        "dropout": [Interval(numbers.Real, 0, 1, closed="left")],
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "callbacks": [Callback, list, tuple, None],
    }

    def _check_parameters(self) -> None:
        """InvalidParameterError, a ValueError, for a parameter that has no meaning."""
        if isinstance(self.learning_rate, numbers.Real):
            raise invalid(
                self,
                "learning_rate",
                f"one of {', '.join(RATES)} or a schedule of hotloop.optimizers.schedules",
                "It says how the rate changes; the rate itself is learning_rate_init",
            )
        self._validate_params()
        sizes = self._hidden_sizes()
        if not all(_is_whole(size) and size > 0 for size in sizes):
            raise invalid(self, "hidden_layer_sizes", "whole numbers of at least 1")
        check_known(
            self,
            "activation",
            lambda given: activations.get(_keras_name(given)),
            "a function or the name of an activation",
        )
        if self.solver != "lbfgs":
            check_known(self, "solver", optimizers.get, "'lbfgs', an Optimizer or the name of one")
        if self.dropout and self.solver == "lbfgs":
            raise ValueError(
                f"{type(self).__name__}: solver='lbfgs' needs the same loss at every look, so that "
                "it cannot train with dropout; set dropout=0 or take another solver"
            )


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool | np.bool_)


def goes_step_by_step(estimator: Any) -> bool:
    """Whether the solver can do single epochs; AttributeError otherwise."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit needs a solver that goes step by step, not 'lbfgs'")
    return True


def _keras_name(activation: Any) -> Any:
    return ACTIVATIONS.get(activation, activation) if isinstance(activation, str) else activation
