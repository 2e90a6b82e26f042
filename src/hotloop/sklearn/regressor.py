"""A multi-layer perceptron that predicts quantities."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from .. import losses
from .common import Examples, check_known, invalid
from .perceptron import MultilayerPerceptron, goes_step_by_step
from .tasks import with_callbacks

Array = NDArray[Any]


class MLPRegressor(RegressorMixin, MultilayerPerceptron):
    """A multi-layer perceptron for one or several quantities.

    Parameters and their meaning are those of `sklearn.neural_network.MLPRegressor`; `dropout`,
    `dtype` and most losses are new.

    Parameters
    ----------
    loss : str or Loss
        "squared_error": half the squared errors. "poisson": half the Poisson deviance, of
        targets of at least 0; the output is then an exponential. Or any other name or object of
        `hotloop.losses`, as it is. The first two add up over several quantities.
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

    Attributes
    ----------
    model_ : Sequential
        The network, a hotloop model like any other.
    coefs_, intercepts_ : list of ndarray
        Copies of its weight matrices and biases.
    loss_, best_loss_ : float
        Loss of the last epoch, penalty included, and the least so far (None if stopping early).
    loss_curve_ : list of float
        Loss of each epoch.
    validation_scores_, best_validation_score_ : list of float, float
        R^2 on the validation set after each epoch, and the best; None without one.
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
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(100, 5, random_state=0)
    >>> regressor = MLPRegressor(solver="lbfgs", random_state=0).fit(X, y)
    >>> regressor.predict(X[:3]).shape, bool(regressor.score(X, y) > 0.99)
    ((3,), True)
    """

    def __init__(
        self,
        loss: Any = "squared_error",
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
        self.loss = loss

    def _check_parameters(self) -> None:
        expected = "the name of a loss, a Loss or a function"
        if isinstance(self.loss, numbers.Real | list | tuple | np.ndarray):
            raise invalid(
                self,
                "loss",
                expected,
                "The first argument is the loss, as in scikit-learn: write "
                f"hidden_layer_sizes={self.loss!r}",
            )
        super()._check_parameters()
        if self.loss != "squared_error":
            check_known(self, "loss", losses.get, expected)

    @with_callbacks
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None
    ) -> MLPRegressor:
        """Trains on examples.

        Parameters
        ----------
        X : array-like of shape (examples, features)
        y : array-like of shape (examples,) or (examples, quantities)
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
        self._fit(X, y, sample_weight, validation_data)
        return self

    @available_if(goes_step_by_step)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Trains for one epoch, with the optimizer where it was.

        Parameters
        ----------
        X : array-like of shape (examples, features)
        y : array-like of shape (examples,) or (examples, quantities)
        sample_weight : array-like of shape (examples,), optional

        Returns
        -------
        self
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> Array:
        """The quantities: (examples,), or (examples, quantities) if there are several.

        In float32 if X is and was in fit, else in float64, as scikit-learn.
        """
        outputs, dtype = self._checked_outputs(X)
        outputs = outputs.astype(dtype, copy=False)
        return outputs.ravel() if self.n_outputs_ == 1 else outputs

    # -- for the base -----------------------------------------------------------

    _numeric_y = True

    def _encode(self, y: Any, *, reset: bool) -> Array:
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        y = y.reshape(len(y), -1)
        if reset:
            self.n_outputs_ = y.shape[1]
            self.out_activation_ = "exp" if self.loss == "poisson" else "identity"
        elif y.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {y.shape[1]} quantities, but the regressor was trained for "
                f"{self.n_outputs_}"
            )
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError("MLPRegressor: loss='poisson' needs targets of at least 0")
        found: Array = y
        return found

    def _objective(self) -> tuple[Any, float]:
        if self.loss == "squared_error":
            return "mean_squared_error", self.n_outputs_ / 2
        if self.loss == "poisson":
            return "poisson", float(self.n_outputs_)
        return self.loss, 1.0

    def _constant(self, examples: Examples) -> float:
        if self.loss != "poisson":
            return 0.0
        y = examples.y
        rows = (y * np.log(np.where(y > 0, y, 1)) - y).sum(axis=1)
        return float(np.average(rows, weights=examples.weight))

    def _validation_score(self, examples: Examples, outputs: Array) -> float:
        """R^2, the mean over several quantities."""
        y, weight = examples.y, examples.weight
        mean = np.average(y, axis=0, weights=weight)
        error = np.average((y - outputs) ** 2, axis=0, weights=weight)
        spread = np.average((y - mean) ** 2, axis=0, weights=weight)
        constant = spread == 0
        scores = 1 - error / np.where(constant, 1, spread)
        return float(np.where(constant, error == 0, scores).mean())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags
