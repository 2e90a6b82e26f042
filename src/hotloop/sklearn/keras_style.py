"""Any hotloop model as a scikit-learn estimator, in the manner of SciKeras."""

from __future__ import annotations

import copy
import inspect
import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state, column_or_1d, compute_sample_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .. import config, losses, naming, optimizers, random, utils
from ..callbacks import Callback
from ..models import Model, clone_model
from ..models.objective import CROSSENTROPY
from . import weights
from .common import (
    Examples,
    check_classes,
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
from .labels import Labels
from .tasks import CallbackSupportMixin, FitTask, with_callbacks

Array = NDArray[Any]

PREFIX = "model__"  # what the model function's parameters are set by


BATCH_SIZE = 32  # Keras's


class KerasStyleEstimator(CallbackSupportMixin, BaseEstimator):
    """What the classifier and the regressor have in common."""

    model_: Model
    history_: dict[str, list[float]]

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        loss: Any,
        metrics: Any,
        batch_size: int | None,
        epochs: int,
        verbose: int | str,
        callbacks: Any,
        validation_split: float,
        shuffle: bool,
        random_state: Any,
        warm_start: bool,
        dtype: str | None,
        model_parameters: Mapping[str, Any],
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = metrics
        self.batch_size = batch_size
        self.epochs = epochs
        self.verbose = verbose
        self.callbacks = callbacks
        self.validation_split = validation_split
        self.shuffle = shuffle
        self.random_state = random_state
        self.warm_start = warm_start
        self.dtype = dtype
        for name, value in model_parameters.items():
            if not name.startswith(PREFIX):
                raise TypeError(
                    f"{type(self).__name__} takes no argument {name!r}; parameters of the model "
                    f"function are written {PREFIX}{name}"
                )
            setattr(self, name, value)

    # -- parameters -------------------------------------------------------------

    def _model_parameters(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name.startswith(PREFIX)}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters, those of the model function that are set included."""
        params: dict[str, Any] = super().get_params(deep)
        return params | self._model_parameters()

    def set_params(self, **params: Any) -> Any:
        """Sets parameters; ``model__NAME`` is the model function's NAME.

        Raises
        ------
        ValueError
            For names that there are not; the nearest one is suggested.
        """
        own = {name: value for name, value in params.items() if not name.startswith(PREFIX)}
        super().set_params(**own)
        given = {name: value for name, value in params.items() if name.startswith(PREFIX)}
        if callable(self.model):  # fit says what else is wrong
            self._check_names(given)
        for name, value in given.items():
            setattr(self, name, value)
        return self

    def _check_names(self, given: Mapping[str, Any]) -> None:
        """That the model function has these parameters."""
        if not given:
            return
        if isinstance(self.model, Model):
            raise ValueError(
                f"{type(self).__name__}: {next(iter(given))} needs a model function, but model "
                f"is {self.model!r}"
            )
        parameters = inspect.signature(self.model).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return
        known = [f"{PREFIX}{name}" for name in parameters if name != "meta"]
        for name in given:
            if name not in known:
                near = naming.nearest(name, known)
                hint = f"did you mean {near}?" if near else f"it has {', '.join(known) or 'none'}"
                raise ValueError(
                    f"{type(self).__name__}: the model function has no parameter for {name}; {hint}"
                )

    # -- what the two kinds define ----------------------------------------------

    _numeric_y = False  # whether targets must be numbers

    def _learn_targets(self, y: Any, classes: Any) -> dict[str, Any]:
        """Learns what there is to predict; returns facts for the model function."""
        raise NotImplementedError

    def _encode(self, y: Any) -> Array:
        """The targets that the model's loss expects."""
        raise NotImplementedError

    def _default_loss(self) -> Any:
        raise NotImplementedError

    def _class_weights(self, y: Any) -> Array | None:
        """A weight for each example by its class."""
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
        classes: Any = None,
    ) -> None:
        self._check_parameters()
        task = None if incremental else FitTask(self, self.epochs)
        first = not hasattr(self, "model_") or not (self.warm_start or incremental)
        X, y = self._checked(X, y, reset=first)
        weight = weights.checked(sample_weight, X)
        if first:
            self._float_type_of_fit = float_type(X)
            meta = {"n_features_in_": self.n_features_in_, "X_shape_": X.shape}
            meta |= self._learn_targets(y, classes)
            source = check_random_state(self.random_state)
            self._generator = np.random.default_rng(source.randint(np.iinfo(np.int32).max))
            with random.drawing_from(self._generator):
                self.model_ = self._make(meta, X.shape)
            self.history_ = {}
        hooks = [] if task is None else task.begin(X, y, weight)
        weight, _ = weights.normalised(weight, self._class_weights(y))
        examples, validation = Examples(X, self._encode(y), weight), None
        if validation_data is not None:
            x_val, y_val, w_val = validation_parts(validation_data)
            x_val, y_val = self._checked(x_val, y_val, reset=False)
            validation = Examples(x_val, self._encode(y_val), weights.checked(w_val, x_val))
        elif self.validation_split:
            examples, validation = self._split(examples)
        with random.drawing_from(self._generator):
            history = train(
                self.model_,
                examples,
                validation,
                batch_size=self.batch_size or BATCH_SIZE,
                epochs=1 if incremental else self.epochs,
                verbose=self.verbose,
                callbacks=[self.callbacks or [], *hooks],
                shuffle=self.shuffle,
            )
        if task is not None:
            task.end()
        epochs = len(history.epoch)  # a History among the callbacks remembers earlier fits too
        for name, values in history.history.items():
            self.history_.setdefault(name, []).extend(values[len(values) - epochs :])

    def _checked(self, X: Any, y: Any, *, reset: bool) -> tuple[Array, Array]:
        return checked_pair(self, X, y, reset=reset, y_numeric=self._numeric_y, allow_nd=True)

    def _split(self, examples: Examples) -> tuple[Examples, Examples]:
        """The last share of the examples is only validated on, as in `Model.fit`."""
        at = math.floor(examples.rows * (1.0 - self.validation_split))
        if at in (0, examples.rows):
            raise ValueError(
                f"{type(self).__name__}: validation_split={self.validation_split} of "
                f"{examples.rows} examples leaves nothing to train or validate on; pass more data "
                "or another share"
            )
        return examples.part(slice(0, at)), examples.part(slice(at, examples.rows))

    def _make(self, meta: dict[str, Any], shape: tuple[int, ...]) -> Model:
        """A new model, built and compiled."""
        model = self._new_model(meta)
        if not model.built:
            with config.computing_in(self.dtype or config.floatx()):
                model.build((None, *shape[1:]))
        if len(model.outputs) != 1 or len(model.outputs[0].dims) != 1:
            raise ValueError(
                f"{type(self).__name__} needs a model with one output of shape (batch, units), "
                f"not {model.output_shape}"
            )
        given = copy.deepcopy(model.compile_arguments() or {})
        changes = {"loss": self.loss, "metrics": self.metrics}
        given |= {name: value for name, value in changes.items() if value is not None}
        self._units = model.outputs[0].dims[0]
        self._loss = _one(given.get("loss"))
        if self._loss is None:
            self._loss = self._default_loss()
        given["loss"] = self._loss
        model.compile(fresh_optimizer(self.optimizer or model.optimizer or "adam"), **given)
        return model

    def _new_model(self, meta: dict[str, Any]) -> Model:
        given = self._model_parameters()
        self._check_names(given)
        if isinstance(self.model, Model):
            return self._copy_of_model()
        arguments = {name.removeprefix(PREFIX): value for name, value in given.items()}
        if "meta" in inspect.signature(self.model).parameters:
            arguments["meta"] = meta
        with config.computing_in(self.dtype or config.floatx()):
            model = self.model(**arguments)
        if not isinstance(model, Model):
            raise TypeError(
                f"{type(self).__name__}: the model function must return a hotloop model, but it "
                f"returned {model!r}"
            )
        return model

    def _copy_of_model(self) -> Model:
        """A model of the same structure as the one given, compiled alike, with new weights."""
        given = {layer.dtype for layer in self.model.layers if layer.weights}
        if self.dtype is not None and given - {self.dtype}:
            raise ValueError(
                f"{type(self).__name__}: dtype={self.dtype!r} holds for what a model function "
                f"makes, but the layers of this model compute in {', '.join(sorted(given))}; give "
                "them that dtype themselves, or pass a function that makes the model"
            )
        found = clone_model(self.model)
        arguments = self.model.compile_arguments()
        if arguments is not None:
            found.compile(self.model.optimizer, **arguments)
        return found

    def _checked_outputs(self, X: Any) -> tuple[Array, np.dtype[Any]]:
        """The model's outputs for examples of a user's, and the type to show them in."""
        check_is_fitted(self, "model_")
        X = checked(self, X, allow_nd=True)
        return outputs_of(self.model_, X), np.result_type(self._float_type_of_fit, X.dtype)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # -- checks -----------------------------------------------------------------

    _parameter_constraints = {  # noqa: RUF012 - scikit-learn's own place for them
        "batch_size": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "epochs": [Interval(numbers.Integral, 1, None, closed="left")],
        "verbose": ["verbose", StrOptions({"auto"})],
        "callbacks": [Callback, list, tuple, None],
        "validation_split": [Interval(numbers.Real, 0, 1, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "dtype": [StrOptions({"float32", "float64"}), None],
    }

    def _check_parameters(self) -> None:
        """InvalidParameterError, a ValueError, for a parameter that has no meaning."""
        if not callable(self.model):
            expected = "a function that returns a hotloop model, or a model"
            raise invalid(self, "model", expected)
        self._validate_params()
        if self.optimizer is not None:
            check_known(self, "optimizer", optimizers.get, "an Optimizer or the name of one")


class KerasStyleClassifier(ClassifierMixin, KerasStyleEstimator):
    """A hotloop model that tells classes apart, as a scikit-learn estimator.

    The last layer has one unit with a sigmoid for two classes, or a unit for each class with a
    softmax; for several labels at once a sigmoid for each; without these activations, a loss
    with ``from_logits=True``. Classes may be of any kind; the loss gets them as it expects them.

    Parameters
    ----------
    model : function or Model
        Returns a new model, compiled or not. Its arguments are parameters of the estimator, as
        ``model__units=20``; one called ``meta`` is given a dict of what the data are like:
        ``n_features_in_``, ``X_shape_``, ``n_outputs_``, ``n_classes_``, ``classes_``,
        ``target_type_``. A model is copied for every fit, with new weights.
    optimizer, loss, metrics : optional
        For `Model.compile`; what is not given is as the model was compiled, or else ``"adam"``
        and the cross-entropy for the classes.
    batch_size, epochs, verbose, callbacks, validation_split, shuffle : optional
        For `Model.fit`.
    random_state : int, RandomState or None
        Decides first weights, shuffling and dropout.
    warm_start : bool
        Whether fit goes on with the model of the last fit.
    dtype : {"float32", "float64"} or None
        What layers that the model function makes compute in, but those that say it themselves;
        None is `hotloop.config.floatx`.
    class_weight : dict, "balanced" or None
        Factors of the examples of each class.
    **model__parameters
        ``model__NAME`` for each NAME of the model function.

    Attributes
    ----------
    model_ : Model
    history_ : dict of list
        Losses and metrics of each epoch so far.
    classes_ : ndarray of shape (classes,)
    n_features_in_ : int

    Raises
    ------
    TypeError
        For arguments that there are not.
    ValueError
        By fit, for a model that does not fit the data.

    Examples
    --------
    >>> import hotloop
    >>> from sklearn.datasets import load_iris
    >>> def build(meta, units=10):
    ...     return hotloop.Sequential([
    ...         hotloop.layers.Dense(units, "relu"),
    ...         hotloop.layers.Dense(meta["n_classes_"], "softmax"),
    ...     ])
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = KerasStyleClassifier(build, model__units=20, epochs=100, random_state=0)
    >>> bool(classifier.fit(X, y).score(X, y) > 0.9)
    True
    """

    classes_: Array

    _parameter_constraints = KerasStyleEstimator._parameter_constraints | {
        "class_weight": [dict, StrOptions({"balanced"}), None]
    }

    def __init__(
        self,
        model: Any = None,
        *,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = 0,
        callbacks: Any = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        random_state: Any = None,
        warm_start: bool = False,
        dtype: str | None = None,
        class_weight: Any = None,
        **model__parameters: Any,
    ) -> None:
        super().__init__(
            model, optimizer, loss, metrics, batch_size, epochs, verbose, callbacks,
            validation_split, shuffle, random_state, warm_start, dtype, model__parameters,
        )  # fmt: skip
        self.class_weight = class_weight

    @with_callbacks
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None
    ) -> KerasStyleClassifier:
        """Makes a model and trains it.

        Parameters
        ----------
        X : array-like of shape (examples, ...)
        y : array-like of shape (examples,) or (examples, labels)
        sample_weight : array-like of shape (examples,), optional
            At least 0; scaled to a mean of 1.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Evaluated after each epoch, for ``history_`` and callbacks.

        Returns
        -------
        self
        """
        self._fit(X, y, sample_weight, validation_data)
        return self

    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> KerasStyleClassifier:
        """Trains for one epoch; the first call needs all `classes`, unless y has several labels."""
        check_classes(self, y, classes)
        self._fit(X, y, sample_weight, incremental=True, classes=classes)
        return self

    def predict(self, X: Any) -> Array:
        """The most probable class of each example; zeros and ones of several labels."""
        outputs, _ = self._probable(X)
        return self._labels.decode(outputs)

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, in the order of ``classes_``, or of each label."""
        outputs, dtype = self._probable(X)
        return self._labels.probabilities(outputs, dtype)

    def _probable(self, X: Any) -> tuple[Array, np.dtype[Any]]:
        """Outputs as probabilities, where the model gives logits, and the type to show them in."""
        outputs, dtype = self._checked_outputs(X)
        if not getattr(self._loss_object(), "from_logits", False):
            return outputs, dtype
        if self._units == 1 or self._labels.kind == "multilabel":
            found: Array = 0.5 + 0.5 * np.tanh(outputs / 2)  # the sigmoid, which cannot overflow
        else:
            shares = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            found = shares / shares.sum(axis=1, keepdims=True)
        return found, dtype

    # -- for the base -----------------------------------------------------------

    def _learn_targets(self, y: Any, classes: Any) -> dict[str, Any]:
        self._labels = Labels(y, classes)
        self.classes_ = self._labels.classes
        return {
            "target_type_": self._labels.kind,
            "classes_": self.classes_,
            "n_classes_": len(self.classes_),
            "n_outputs_": self._labels.outputs,
        }

    def _default_loss(self) -> Any:
        one_each = self._units == 1 or self._labels.kind == "multilabel"
        return "binary_crossentropy" if one_each else "sparse_categorical_crossentropy"

    def _encode(self, y: Any) -> Array:
        numbers = self._labels.encode(y)
        known = len(self.classes_)
        fits = self._units == known or (self._units == 1 and self._labels.kind == "binary")
        if not fits:
            raise ValueError(
                f"KerasStyleClassifier: the model's last layer has {self._units} units, but there "
                f"are {known} classes; give it {known}"
                + (", or 1 with a sigmoid" if self._labels.kind == "binary" else "")
            )
        if self._units == 1 or self._labels.kind == "multilabel" or self._wants_numbers():
            return numbers
        return utils.to_categorical(numbers, known)

    def _wants_numbers(self) -> bool:
        """Whether the loss takes class numbers, and not one-hot rows."""
        return getattr(self._loss_object(), "sparse", True)

    def _loss_object(self) -> Any:
        """The loss; None where its name says that shapes decide."""
        return None if self._loss in CROSSENTROPY else losses.get(self._loss)

    def _class_weights(self, y: Any) -> Array | None:
        if self.class_weight is None:
            return None
        found: Array = compute_sample_weight(self.class_weight, y)
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class KerasStyleRegressor(RegressorMixin, KerasStyleEstimator):
    """A hotloop model that predicts quantities, as a scikit-learn estimator.

    Parameters and attributes are those of `KerasStyleClassifier`, but for classes; ``meta`` has
    ``n_features_in_``, ``X_shape_`` and ``n_outputs_``, and the loss is the mean squared error
    where neither the model nor `loss` says something else.

    Parameters
    ----------
    model : function or Model
    optimizer, loss, metrics : optional
    batch_size, epochs, verbose, callbacks, validation_split, shuffle : optional
    random_state : int, RandomState or None
    warm_start : bool
    dtype : {"float32", "float64"} or None
    **model__parameters
        ``model__NAME`` for each NAME of the model function.

    Examples
    --------
    >>> import hotloop
    >>> model = hotloop.Sequential([hotloop.layers.Dense(1)])
    >>> regressor = KerasStyleRegressor(model, optimizer="sgd", epochs=300, random_state=0)
    >>> X = [[0.0], [1.0], [2.0]]
    >>> regressor.fit(X, [1.0, 3.0, 5.0]).predict([[3.0]]).round().tolist()
    [7.0]
    """

    def __init__(
        self,
        model: Any = None,
        *,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = 0,
        callbacks: Any = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        random_state: Any = None,
        warm_start: bool = False,
        dtype: str | None = None,
        **model__parameters: Any,
    ) -> None:
        super().__init__(
            model, optimizer, loss, metrics, batch_size, epochs, verbose, callbacks,
            validation_split, shuffle, random_state, warm_start, dtype, model__parameters,
        )  # fmt: skip

    @with_callbacks
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None
    ) -> KerasStyleRegressor:
        """Makes a model and trains it; arguments as in `KerasStyleClassifier.fit`."""
        self._fit(X, y, sample_weight, validation_data)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> KerasStyleRegressor:
        """Trains for one epoch, with model and optimizer where they were."""
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> Array:
        """The quantities: (examples,), or (examples, quantities) if there are several."""
        outputs, dtype = self._checked_outputs(X)
        outputs = outputs.astype(dtype, copy=False)
        return outputs.ravel() if self._units == 1 else outputs

    # -- for the base -----------------------------------------------------------

    _numeric_y = True

    def _learn_targets(self, y: Any, classes: Any) -> dict[str, Any]:
        return {"n_outputs_": 1 if np.ndim(y) == 1 else np.shape(y)[1]}

    def _default_loss(self) -> Any:
        return "mean_squared_error"

    def _encode(self, y: Any) -> Array:
        single = np.ndim(y) == 2 and np.shape(y)[1] == 1
        found: Array = column_or_1d(y, warn=True) if single else np.asarray(y)
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _one(given: Any) -> Any:
    """The loss of a model with one output, given alone, in a list or in a dict."""
    if isinstance(given, Mapping) and "class_name" not in given and len(given) == 1:
        return next(iter(given.values()))
    return given[0] if isinstance(given, list | tuple) and len(given) == 1 else given
