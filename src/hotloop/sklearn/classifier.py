"""A multi-layer perceptron that tells classes apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from .. import losses
from ..models import Model
from .common import Examples, check_classes
from .labels import Labels
from .perceptron import MultilayerPerceptron, goes_step_by_step
from .tasks import with_callbacks

Array = NDArray[Any]


class MLPClassifier(ClassifierMixin, MultilayerPerceptron):
    """A multi-layer perceptron for classes, or for several labels at once.

    It minimises the cross-entropy: of a softmax, or of a sigmoid for two classes and for each
    of several labels (whose losses add up). Parameters and their meaning are those of
    `sklearn.neural_network.MLPClassifier`; `dropout`, `class_weight` and `dtype` are new.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Units of each hidden layer; none if empty.
    activation : str or function
        Of the hidden layers: "identity", "logistic", "tanh", "relu" or any other of
        `hotloop.activations`.
    solver : str or Optimizer
        "adam", "sgd", "lbfgs", or any other name or object of `hotloop.optimizers`. An object has
        its own learning rate; it is copied for every fit.
    alpha : float
        Half of it times the sum of the squared weights (not biases), over the examples of a
        batch, is added to the loss.
    batch_size : int or "auto"
        "auto" is 200, or all examples if there are fewer. "lbfgs" takes all at once.
    learning_rate : {"constant", "invscaling", "adaptive"} or LearningRateSchedule
        The first three for "sgd" alone, as in scikit-learn. "invscaling": after each iteration
        ``learning_rate_init / (t_ + 1) ** power_t``. "adaptive": divided by 5 where training
        would stop, until it is below 1e-6. A schedule goes by steps, with any solver given by
        name.
    learning_rate_init, power_t : float
    max_iter : int
        Epochs; iterations of "lbfgs".
    shuffle : bool
        Whether each epoch takes the examples in a new random order.
    random_state : int, RandomState or None
        Decides first weights, the validation set, shuffling and dropout. The first two are
        scikit-learn's for the same number.
    tol : float
        Training stops when loss or validation score do not improve by this for
        `n_iter_no_change` epochs; for "lbfgs", the largest component of the gradient.
    verbose : bool
        Whether each epoch prints a line.
    warm_start : bool
        Whether fit goes on from the weights of the last fit, with a new optimizer.
    momentum, nesterovs_momentum : float, bool
        For "sgd".
    early_stopping : bool
        Whether a validation set decides when to stop; the weights are then those of the best
        epoch.
    validation_fraction : float
        Share of the examples that is set aside for it.
    beta_1, beta_2, epsilon : float
        For "adam".
    n_iter_no_change : int or inf
    max_fun : int
        Evaluations of the loss that "lbfgs" may make.
    dropout : float
        Share of each hidden layer's outputs that training sets to zero.
    dtype : {"auto", "float32", "float64"}
        What the network computes in; "auto" is float32, and float64 for "lbfgs".
    callbacks : Callback or list of Callback, optional
        hotloop's, told of each epoch (iteration of "lbfgs") with its "loss", and "val_score"
        where there is a validation set. Their model is the network that is trained.
    class_weight : dict, "balanced" or None
        Factors of the examples of each class; "balanced" gives all classes the same weight in
        all.

    Attributes
    ----------
    model_ : Sequential
        The network, a hotloop model like any other.
    classes_ : ndarray of shape (classes,)
        What columns of probabilities stand for.
    coefs_, intercepts_ : list of ndarray
        Copies of its weight matrices and biases.
    loss_, best_loss_ : float
        Loss of the last epoch, penalty included, and the least so far (None if stopping early).
    loss_curve_ : list of float
        Loss of each epoch.
    validation_scores_, best_validation_score_ : list of float, float
        Accuracy on the validation set after each epoch, and the best; None without one.
    n_iter_, t_ : int
        Epochs of the last fit, and examples seen in all.
    n_features_in_, n_layers_, n_outputs_ : int
    out_activation_ : str

    Raises
    ------
    ValueError, TypeError
        By fit, for parameters and data that have no meaning.
    NonFiniteError
        By fit, when the loss is no longer finite.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = MLPClassifier(20, max_iter=1000, random_state=0).fit(X, y)
    >>> classifier.predict(X[:2]), bool(classifier.score(X, y) > 0.95)
    (array([0, 0]), True)
    """

    classes_: Array

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float = 0.0,
        dtype: str = "auto",
        callbacks: Any = None,
        class_weight: Any = None,
    ) -> None:
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            dropout=dropout,
            dtype=dtype,
            callbacks=callbacks,
        )
        self.class_weight = class_weight

    _parameter_constraints = MultilayerPerceptron._parameter_constraints | {
        "class_weight": [dict, StrOptions({"balanced"}), None]
    }

    @with_callbacks
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None
    ) -> MLPClassifier:
        """Trains on examples.

        Parameters
        ----------
        X : array-like of shape (examples, features)
        y : array-like of shape (examples,) or (examples, labels)
            Classes of any kind, or zeros and ones of several labels.
        sample_weight : array-like of shape (examples,), optional
            At least 0. The loss is divided by their sum, so that a weight of 2 is the same as
            having an example twice.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Scored after each epoch; with ``early_stopping=True`` in place of a share of the
            examples.

        Returns
        -------
        self
        """
        self._told_classes = None
        self._fit(X, y, sample_weight, validation_data)
        return self

    @available_if(goes_step_by_step)
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> MLPClassifier:
        """Trains for one epoch, with the optimizer where it was.

        Parameters
        ----------
        X : array-like of shape (examples, features)
        y : array-like of shape (examples,) or (examples, labels)
        classes : array-like, optional
            All classes there are, whichever y has. The first call needs them, unless y holds
            several labels; later calls do not.
        sample_weight : array-like of shape (examples,), optional

        Returns
        -------
        self
        """
        check_classes(self, y, classes)
        self._told_classes = classes
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> Array:
        """The most probable class of each example; zeros and ones of several labels."""
        outputs, _ = self._checked_outputs(X)
        return self._labels.decode(outputs)

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, in the order of ``classes_``, or of each label.

        In float32 if X is and was in fit, else in float64, as scikit-learn.
        """
        outputs, dtype = self._checked_outputs(X)
        return self._labels.probabilities(outputs, dtype)

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`; minus infinity where that is 0."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    # -- for the base -----------------------------------------------------------

    def _encode(self, y: Any, *, reset: bool) -> Array:
        if reset:
            self._labels = Labels(y, self._told_classes)
            self.classes_ = self._labels.classes
            self.n_outputs_ = self._labels.outputs
            self.out_activation_ = "softmax" if self._labels.kind == "multiclass" else "logistic"
        return self._labels.encode(y)

    def _objective(self) -> tuple[Any, float]:
        if self._labels.kind == "multiclass":
            return "sparse_categorical_crossentropy", 1.0
        return "binary_crossentropy", float(self.n_outputs_)

    def _to_train(self) -> Model:
        """The network up to its logits, of which cross-entropy is exact however wrong it is."""
        loss = (
            losses.SparseCategoricalCrossentropy(from_logits=True)
            if self._labels.kind == "multiclass"
            else losses.BinaryCrossentropy(from_logits=True)
        )
        model = Model(self.model_.inputs, self.model_.layers[-2].output)
        model.compile(self.model_.optimizer, loss, loss_weights=[self._objective()[1]])
        return model

    def _class_weights(self, y: Array) -> Array | None:
        if self.class_weight is None:
            return None
        labels = y if self._labels.kind == "multilabel" else self.classes_[y]
        found: Array = compute_sample_weight(self.class_weight, labels)
        return found

    def _validation_score(self, examples: Examples, outputs: Array) -> float:
        return self._labels.accuracy(examples.y, outputs, examples.weight)

    def _strata(self, y: Array) -> Array | None:
        return y if self._labels.kind == "binary" else None  # as scikit-learn

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
