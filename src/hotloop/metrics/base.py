"""The state of metrics: `Metric`, and sums and means of whatever is passed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import registry
from ..graph.trace import active_recorder
from ..naming import snake_case, unique_name
from ..variables import Variable
from .arrays import (
    as_given,
    row_weights,
)


def _updating(update: Callable[..., Any]) -> Callable[..., Any]:
    """An update by tensors is done once they have numbers."""

    @functools.wraps(update)
    def update_state(self: Metric, *args: Any, **kwargs: Any) -> Any:
        recorder = active_recorder()
        if recorder is not None and recorder.waits_for(args, kwargs):
            if self.has_op and not kwargs and update in _of_ops and recorder.mean_later(self, args):
                return None
            return recorder.later(self, functools.partial(update, self, *args, **kwargs))
        return update(self, *args, **kwargs)

    return update_state


def _resulting(result: Callable[..., Any]) -> Callable[..., Any]:
    """A result after such an update is one that will have a number."""

    @functools.wraps(result)
    def result_after_updates(self: Metric, *args: Any, **kwargs: Any) -> Any:
        recorder = active_recorder()
        if recorder is not None and recorder.is_to_update(self):
            return recorder.result(self, functools.partial(result, self, *args, **kwargs))
        return result(self, *args, **kwargs)

    return result_after_updates


def _resetting(reset: Callable[..., Any]) -> Callable[..., Any]:
    """Such updates come before."""

    @functools.wraps(reset)
    def reset_state(self: Metric, *args: Any, **kwargs: Any) -> Any:
        recorder = active_recorder()
        if recorder is not None and recorder.is_to_update(self):
            recorder.finish()
        return reset(self, *args, **kwargs)

    return reset_state


_of_ops: set[Any] = set()  # updates that do what an op does
_WAITING = {"update_state": _updating, "result": _resulting, "reset_state": _resetting}


class Metric(registry.Configured):
    """Base of all metrics: a state, a way to add rows to it, and the value so far.

    A subclass makes its state with `add_variable`, and overrides `update_state`, which assigns it,
    and `result`. `reset_state` makes all of it zero. State may be plain attributes too: then
    `reset_state` is its own, and called at the end of the constructor.

    Parameters
    ----------
    dtype : str, optional
        Kept for Keras's sake, "float32" by default: states are float64 in every case.
    name : str, optional
        Key in logs and history; the class name in snake case by default, with a number
        where it is taken.

    Examples
    --------
    >>> class Positives(Metric):
    ...     def __init__(self, **options):
    ...         super().__init__(**options)
    ...         self.found = self.add_variable(shape=(), initializer="zeros", name="found")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.found.assign_add(np.sum(np.greater(y_pred, 0)))
    ...     def result(self):
    ...         return self.found
    >>> float(Positives()([1.0, 2.0], [1.5, -2.0]))
    1.0

    >>> class LargestError(Metric):
    ...     def __init__(self, name=None):
    ...         super().__init__(name=name)
    ...         self.reset_state()
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.largest = max(self.largest, float(np.abs(np.subtract(y_true, y_pred)).max()))
    ...     def result(self):
    ...         return self.largest
    ...     def reset_state(self):
    ...         self.largest = 0.0
    >>> LargestError()([1.0, 2.0], [1.5, 2.0])
    0.5
    """

    # Whether an op computes its rows, by the `update_state` that is in `_of_ops`.
    has_op = False

    # Whether, in a training step of one's own, it takes numbers when the step is over.
    waits = True

    # What EarlyStopping's mode="auto" looks for: "up" where more is better, "down", or None.
    _direction: str | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Lets a subclass's methods wait for numbers that are not computed yet."""
        super().__init_subclass__(**options)
        if cls.waits:
            for name, waiting in _WAITING.items():
                if name in vars(cls):
                    setattr(cls, name, waiting(vars(cls)[name]))

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or unique_name(snake_case(type(self).__name__))
        self.dtype = np.dtype(dtype or np.float32).name
        self._variables: list[Variable] = []

    def add_variable(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """State that `update_state` assigns and `reset_state` makes zero.

        Parameters
        ----------
        shape : tuple of int
        initializer : Initializer, str or callable
        dtype : str, optional
            The metric's if not given.
        aggregation
            Accepted as in Keras and ignored.
        name : str, optional
        """
        made = Variable(
            initializer, tuple(shape), dtype or self.dtype, False, name=name or "state", row_axes=0
        )
        self._variables.append(made)
        return made

    add_weight = add_variable

    @property
    def variables(self) -> list[Variable]:
        """Its state, and that of metrics that it keeps in attributes."""
        parts = [part for part in vars(self).values() if isinstance(part, Metric)]
        return [*self._variables, *(v for part in parts for v in part.variables)]

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Add rows: (y_true, y_pred, sample_weight=None) for a metric that compiles."""
        raise NotImplementedError(f"{type(self).__name__} must override update_state")

    def result(self) -> Any:
        """Value of everything added since the last reset."""
        raise NotImplementedError(f"{type(self).__name__} must override result")

    def reset_state(self) -> None:
        """Forget everything added."""
        if not self.variables:
            raise NotImplementedError(f"{type(self).__name__} must override reset_state")
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add rows, then the value."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict."""
        return {"name": self.name, "dtype": self.dtype}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class Sum(Metric):
    """Weighted sum: ``sum(weight * value)``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> Sum()([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    4.0
    """

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.reset_state()

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add values of any shape; weights have their shape or that of their first axes."""
        array = as_given(self, "values", values).astype(np.float64)
        self.total += float((array * row_weights(self, sample_weight, array.shape)).sum())

    def result(self) -> float:
        """The sum; 0 before any value."""
        return self.total

    def reset_state(self) -> None:
        """Forget everything added."""
        self.total = 0.0


class Ratio(Metric):
    """A weighted total over the sum of its weights."""

    def absorb(self, total: float, count: float) -> None:
        """Add a sum of ``weight * value`` over rows and the sum of their weights."""
        self.total += float(total)
        self.count += float(count)

    def result(self) -> float:
        """The mean; 0 where the weights sum to 0."""
        return float(self.of(self.total, self.count))

    def of(self, total: Any, count: Any) -> Any:
        """The result for a total and a sum of weights, or for arrays of them."""
        if isinstance(count, float) and count:  # as of a fit without weights
            return total / count
        return np.divide(total, count, out=np.zeros(np.shape(total)), where=np.not_equal(count, 0))

    def reset_state(self) -> None:
        """Forget everything added."""
        self.total = 0.0
        self.count = 0.0


class Mean(Ratio):
    """Weighted mean: ``sum(weight * value) / sum(weight)``.

    Parameters
    ----------
    name, dtype
        As in `Metric`.

    Examples
    --------
    >>> Mean()([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    2.0
    """

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.reset_state()

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add samples along the first axis; a sample of several values counts as their mean."""
        if getattr(values, "shape", None) == () and isinstance(sample_weight, int | None):
            count = 1.0 if sample_weight is None else float(sample_weight)
            self.absorb(float(values) * count, count)  # type: ignore[arg-type]
            return
        array = as_given(self, "values", values).astype(np.float64)
        if array.size == 0:
            return
        weight = row_weights(self, sample_weight, array.shape)
        values_per_sample = array.size / len(array) if array.ndim else 1
        self.absorb(
            float((array * weight).sum()) / values_per_sample,
            float(weight.sum()) / values_per_sample,
        )


class MeanMetricWrapper(Ratio):
    """Weighted mean of what a function ``fn(y_true, y_pred, **kwargs)`` returns for each row.

    Parameters
    ----------
    fn : callable
        Returns one value, or several to be averaged, for each row.
    name : str, optional
        The function's own by default.
    dtype
        As in `Metric`.
    **kwargs
        Passed on to fn.

    Examples
    --------
    >>> MeanMetricWrapper(lambda t, p: abs(t - p))(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    1.0
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(dtype, name or _own_name(fn))
        self.fn = fn
        self.fn_kwargs = kwargs
        self.reset_state()

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add rows."""
        mean = Mean()
        mean.update_state(
            self.fn(
                as_given(self, "y_true", y_true), as_given(self, "y_pred", y_pred), **self.fn_kwargs
            ),
            sample_weight,
        )
        self.absorb(mean.total, mean.count)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as a dict; the function itself is in it."""
        return {**super().get_config(), "fn": self.fn, **self.fn_kwargs}


def _own_name(fn: Any) -> str:
    """Name of a function, or of an object that has one."""
    name = getattr(fn, "name", None) or getattr(fn, "__name__", type(fn).__name__)
    return snake_case(str(name))
