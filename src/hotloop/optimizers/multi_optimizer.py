"""Several optimizers for one model, each for weights of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from ..files.models import deserialized, model_files, serialized
from ..registry import Configured
from ..variables import Variable
from .optimizer import Optimizer


class OptimizerMap(Configured, MutableMapping[str, Optimizer]):
    """Which optimizer a weight has, by its path.

    A key is a path, or a regular expression that the whole path must match.

    Parameters
    ----------
    default_optimizer : Optimizer
        Of weights that no key is of.
    optimizer_map : dict of str to Optimizer, optional

    Raises
    ------
    TypeError
        For what is no optimizer.
    ValueError
        If two keys match one path.

    Examples
    --------
    >>> from hotloop.optimizers import SGD, Adam
    >>> chosen = OptimizerMap(SGD(), {"encoder/.*": Adam()})
    >>> chosen["encoder/kernel"], chosen["decoder/kernel"]
    (<Adam learning_rate=0.001>, <SGD learning_rate=0.01>)
    """

    def __init__(
        self, default_optimizer: Optimizer, optimizer_map: Mapping[str, Optimizer] | None = None
    ) -> None:
        self.default_optimizer = _checked(default_optimizer)
        self._map = {key: _checked(one) for key, one in (optimizer_map or {}).items()}

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._map:
            return self._map[key]
        found = [pattern for pattern in self._map if re.fullmatch(pattern, key)]
        if len(found) > 1:
            raise ValueError(f"several keys match the path {key!r}: {', '.join(found)}")
        return self._map[found[0]] if found else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if key in self._map:
            raise ValueError(f"the key {key!r} has an optimizer already")
        self._map[key] = _checked(optimizer)

    def __delitem__(self, key: str) -> None:
        del self._map[key]

    def __len__(self) -> int:
        return len(self._map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._map)

    def __call__(self, variable: Variable) -> Optimizer:
        """That of a weight."""
        return self[variable.path]

    def get_config(self) -> dict[str, Any]:
        """The arguments, as plain data."""
        return {
            "default_optimizer": serialized(self.default_optimizer),
            "optimizer_map": {key: serialized(one) for key, one in self._map.items()},
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> OptimizerMap:
        """A map of what `get_config` returned."""
        from . import get

        of = config["optimizer_map"] or {}
        return cls(
            deserialized(config["default_optimizer"], custom_objects, get),
            {key: deserialized(one, custom_objects, get) for key, one in of.items()},
        )


def _checked(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer) or isinstance(optimizer, MultiOptimizer):
        raise TypeError(f"an optimizer of a map must be one of a single rule, not {optimizer!r}")
    return optimizer


_NO_RATE = "a MultiOptimizer has no learning_rate: each of its optimizers has one of its own"


class MultiOptimizer(Optimizer):
    """Gives each weight to one of several optimizers.

    `fit` asks Python for each batch then, as with a `train_step` of one's own.

    Parameters
    ----------
    optimizer_map : OptimizerMap, or callable
        A function of a weight, a `Variable`, returns its optimizer.
    name : str, optional

    Attributes
    ----------
    optimizers : list of Optimizer
        Those that are known so far. Each has its own `learning_rate`.

    Examples
    --------
    >>> import hotloop, numpy as np
    >>> from hotloop.optimizers import SGD, Adam
    >>> model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=1, name="out")])
    >>> chosen = OptimizerMap(SGD(0.1), {"out/bias": Adam(0.01)})
    >>> model.compile(MultiOptimizer(chosen), "mse")
    >>> history = model.fit(np.ones((4, 1)), np.ones((4, 1)), verbose=0)
    """

    schedule = None
    use_ema = False
    weight_decay = clipnorm = clipvalue = global_clipnorm = None
    ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps = 0.99, None, None
    applies_in_parts = True

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Variable], Optimizer],
        *,
        name: str | None = None,
    ) -> None:
        self._chosen = optimizer_map
        self._slots: dict[int, Any] = {}
        self._of: dict[int, Optimizer] = {}
        self._optimizers: list[Optimizer] = []
        self.name = name or "multi_optimizer"
        if isinstance(optimizer_map, OptimizerMap):
            for one in (*optimizer_map._map.values(), optimizer_map.default_optimizer):  # noqa: SLF001
                self._know(one)

    def _know(self, optimizer: Optimizer) -> Optimizer:
        if not any(optimizer is one for one in self._optimizers):
            self._optimizers.append(_checked(optimizer))
        return optimizer

    @property
    def optimizers(self) -> list[Optimizer]:
        return list(self._optimizers)

    def optimizer_of(self, weight: Variable) -> Optimizer:
        """That of a weight; the same each time."""
        if id(weight) not in self._of:
            self._of[id(weight)] = self._know(self._chosen(weight))
        return self._of[id(weight)]

    @property
    def learning_rate(self) -> Any:
        raise AttributeError(_NO_RATE)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        raise AttributeError(_NO_RATE)

    @property
    def iterations(self) -> int:
        """Batches done so far."""
        return max((one.iterations for one in self._optimizers), default=0)

    @iterations.setter
    def iterations(self, value: int) -> None:
        for one in self._optimizers:
            one.iterations = value

    @property
    def structure(self) -> tuple[Any, ...]:
        return tuple(one.structure for one in self._optimizers)

    @property
    def variables(self) -> list[Variable]:
        return [slot for one in self._optimizers for slot in one.variables]

    def apply(self, gradients: Iterable[Any], weights: Iterable[Variable]) -> None:
        """One step of each optimizer, with the gradients of its weights."""
        parts: dict[int, tuple[Optimizer, list[Any], list[Variable]]] = {}
        for gradient, weight in zip(gradients, weights, strict=True):
            one = self.optimizer_of(weight)
            _, of_gradients, of_weights = parts.setdefault(id(one), (one, [], []))
            of_gradients.append(gradient)
            of_weights.append(weight)
        for one, of_gradients, of_weights in parts.values():
            one.apply(of_gradients, of_weights)

    def finalize_variable_values(self, weights: Iterable[Variable]) -> None:
        for weight in weights:
            self.optimizer_of(weight).finalize_variable_values([weight])

    def slots_so_far(self, weight: Variable) -> tuple[Variable, ...]:
        return self.optimizer_of(weight).slots_so_far(weight)

    def all_slots(self, weight: Variable) -> tuple[Variable, ...]:
        return self.optimizer_of(weight).all_slots(weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments, as plain data."""
        return {"optimizer_map": serialized(self._chosen), "name": self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> MultiOptimizer:
        """One of what `get_config` returned."""
        chosen = model_files().deserialize_keras_object(config["optimizer_map"])
        return cls(chosen, name=config.get("name"))

    def __repr__(self) -> str:
        return f"<MultiOptimizer of {', '.join(one.name for one in self._optimizers)}>"
