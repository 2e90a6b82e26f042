"""A model: the computation between given inputs and outputs, which is itself a layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import naming
from ..graph.trace import Value, replay, topological
from ..layers.base import Layer, Shape
from ..saving import model as model_files
from ..saving import weights as weight_files
from ..variables import Variable
from .summary import summarize
from .trainer import Trainer


class Model(Trainer, Layer):
    """Everything between symbolic inputs and outputs.

    Parameters
    ----------
    inputs, outputs : Value or list of Value
        From `hotloop.Input`, and what layers made of it.
    name : str, optional

    Raises
    ------
    TypeError
        If inputs or outputs are not symbolic.
    ValueError
        If the outputs depend on an input that is not given.

    Examples
    --------
    >>> import hotloop
    >>> x = hotloop.Input((2,))
    >>> model = hotloop.Model(x, hotloop.layers.Dense(1, kernel_initializer="ones")(x))
    >>> model.predict([[1.0, 2.0]], verbose=0)
    array([[3.]], dtype=float32)
    """

    takes_list = True  # one value for each input

    def __init__(
        self,
        inputs: Value | Sequence[Value] | None = None,
        outputs: Value | Sequence[Value] | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        if name is None and type(self) is Model:
            name = naming.unique_name("functional")
        Layer.__init__(self, name=name, trainable=trainable)
        Trainer.__init__(self)
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        if inputs is not None or outputs is not None:
            self.inputs = _values("inputs", inputs)
            self.outputs = _values("outputs", outputs)
            self.dtype = self.inputs[0].dtype
            self._check_connected()
            self._check_names()
            self.built = True

    def _check_connected(self) -> None:
        known = set(self.inputs)
        for node in topological(self.outputs):
            for value in node.inputs:
                if value.role == "input" and value not in known:
                    raise ValueError(
                        f"{self.describe()}: the outputs depend on the input '{value.name}', "
                        "which is not among inputs"
                    )

    def _check_names(self) -> None:
        for name, count in Counter(layer.name for layer in self.layers).items():
            if count > 1:
                raise ValueError(
                    f"{self.describe()} has {count} layers named '{name}'; names must be unique"
                )

    # -- layers and weights -----------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers, each once, in the order of computation."""
        found = [value.layer for value in self.inputs if value.layer is not None]
        found += [node.layer for node in topological(self.outputs) if node.layer is not None]
        return list(dict.fromkeys(found))

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this name or index.

        Raises
        ------
        ValueError
            If there is none, or if not exactly one argument is given.
        """
        if (name is None) == (index is None):
            raise ValueError("get_layer takes a name or an index, and not both")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"there is no layer {index}: the model has {len(layers)}")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        known = ", ".join(layer.name for layer in layers)
        raise ValueError(f"there is no layer named {name!r}; the layers are: {known}")

    @property
    def weights(self) -> list[Variable]:
        """All weights, layer by layer."""
        found = {id(w): w for layer in self.layers for w in layer.weights}
        return list(found.values())

    @property
    def trainable_weights(self) -> list[Variable]:
        if not self.trainable:
            return []
        found = {id(w): w for layer in self.layers for w in layer.trainable_weights}
        return list(found.values())

    @property
    def changed_weights(self) -> list[Variable]:
        if not self.trainable:
            return []
        found = {id(w): w for layer in self.layers for w in layer.changed_weights}
        return list(found.values())

    def get_weights(self) -> list[NDArray[Any]]:
        self._require_built("get_weights")
        return super().get_weights()

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        self._require_built("set_weights")
        super().set_weights(weights)

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Writes the weights to a safetensors file, by name, atomically.

        Raises
        ------
        FileExistsError
            If the file exists and `overwrite` is false.
        """
        self._require_built("save_weights")
        weight_files.save(self, filepath, overwrite)

    def load_weights(self, filepath: str | PathLike[str]) -> None:
        """Reads weights that `save_weights` wrote; all or nothing.

        Raises
        ------
        ValueError
            If the file is truncated, corrupt or of another model.
        """
        self._require_built("load_weights")
        weight_files.load(self, filepath)

    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Writes the whole model to a file: see `hotloop.models.save_model`.

        Raises
        ------
        FileExistsError
            If the file exists and `overwrite` is false.
        ValueError
            If a part of the model cannot be written down.
        """
        self._require_built("save")
        model_files.save_model(self, filepath, overwrite)

    # -- structure --------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The structure, as plain data, without weights: see `from_config`.

        Raises
        ------
        ValueError
            If a value was made outside of any layer.
        """
        from .structure import model_config

        return model_config(self)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, type[Layer]] | None = None
    ) -> Model:
        """A model of the structure that `get_config` gave, with new weights.

        Parameters
        ----------
        config : mapping
        custom_objects : mapping of str to class, optional
            Layers that are not hotloop's, by the names of their classes.

        Examples
        --------
        >>> import hotloop
        >>> x = hotloop.Input((2,))
        >>> model = hotloop.Model(x, hotloop.layers.Dense(3)(x))
        >>> hotloop.Model.from_config(model.get_config()).count_params()
        9
        """
        from .structure import model_from_config

        return model_from_config(config, custom_objects, cls=cls)

    def to_json(self, **options: Any) -> str:
        """The structure as a text: see `hotloop.models.model_from_json`.

        Parameters
        ----------
        **options
            For `json.dumps`, as ``indent=2``.
        """
        from .structure import layer_config

        return naming.to_json(layer_config(self), **options)

    # -- inputs and outputs -----------------------------------------------------

    @property
    def input(self) -> Any:
        """The symbolic input; a list if there are several."""
        return _one_or_list(self.inputs)

    @property
    def output(self) -> Any:
        """The symbolic output; a list if there are several."""
        return _one_or_list(self.outputs)

    @property
    def input_shape(self) -> Any:
        return _one_or_list([v.shape for v in self.inputs])

    @property
    def output_shape(self) -> Any:
        return _one_or_list([v.shape for v in self.outputs])

    def summary(self, line_length: int | None = None) -> None:
        """Prints the layers, their output shapes, numbers of parameters, FLOPs and memory."""
        self._require_built("summary")
        print(summarize(self, line_length))

    def _require_built(self, method: str) -> None:
        if not self.built:
            raise ValueError(
                f"{self.describe()} does not know its input shape yet, so {method}() cannot work; "
                "give the first layer input_shape=..., start with Input(...), or call the model "
                "on data first"
            )

    def build(self, input_shape: Shape) -> None:
        """Sequential's; a Model is built when it is made."""
        raise TypeError(
            f"{self.describe()} has no inputs and outputs: make it as Model(inputs, outputs), or "
            "derive a Layer with this call() and put it into a Sequential"
        )

    def check_ready(self) -> None:
        for layer in self.layers:
            layer.check_ready()

    # -- as a layer -------------------------------------------------------------

    def call(self, x: Value | Sequence[Value]) -> Any:
        given = _values("x", x)
        if len(given) != len(self.inputs):
            raise ValueError(
                f"{self.describe()} has {len(self.inputs)} inputs but was called on {len(given)}"
            )
        for value, expected in zip(given, self.inputs, strict=True):
            if (value.dims, value.dtype) != (expected.dims, expected.dtype):
                raise ValueError(
                    f"{self.describe()} expects an input of shape {expected.shape} and dtype "
                    f"{expected.dtype}, got {value.shape} and {value.dtype}"
                )
        return _one_or_list(replay(self.outputs, dict(zip(self.inputs, given, strict=True))))

    def __call__(self, x: Any, training: bool | None = None) -> Any:
        """Predicts one batch; on symbolic values, adds this model to a larger one."""
        if not isinstance(x, np.ndarray):
            parts = x if isinstance(x, list | tuple) else [x]
            if len(parts) and all(isinstance(part, Value) for part in parts):
                return self.extend(parts[0] if len(parts) == 1 else parts)
        if training:
            raise ValueError(
                "calling a model on data predicts: training=True is not supported; use fit() or "
                "train_on_batch() to train"
            )
        return self.predict_on_batch(x)


def _values(argument: str, given: Any) -> list[Value]:
    values = list(given) if isinstance(given, list | tuple) else [given]
    for value in values:
        if not isinstance(value, Value):
            raise TypeError(
                f"Model: {argument} must be symbolic (from hotloop.Input and layers), "
                f"not {type(value).__name__}"
            )
    if not values:
        raise ValueError(f"Model: {argument} is empty")
    return values


def _one_or_list(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items
