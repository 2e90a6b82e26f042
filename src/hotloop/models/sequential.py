"""Sequential: layers one after the other."""

from __future__ import annotations

from collections.abc import Iterable

from ..graph.trace import Value, in_layer
from ..layers.base import Layer, Shape, check_shape
from ..layers.input import InputLayer
from . import structure
from .model import Model


class Sequential(Model):
    """A chain of layers.

    The input shape is given by an `Input`, by the first layer's input_shape or input_dim,
    or found from the first data that the model sees.

    Parameters
    ----------
    layers : iterable of Layer, optional
        More can be added with `add`.
    name : str, optional

    Examples
    --------
    >>> import hotloop
    >>> from hotloop.layers import Dense
    >>> model = hotloop.Sequential([Dense(3, "relu", input_dim=2), Dense(1)])
    >>> model.count_params()
    13
    """

    def __init__(
        self,
        layers: Iterable[Layer | Value] | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._refuse_call()
        self._chain: list[Layer] = []
        self._names: set[str] = set()  # that its layers had when they were added
        self._values: list[Value] = []  # the input, then what each layer makes of it
        if isinstance(layers, Layer | Value):
            layers = [layers]
        for layer in layers or ():
            self.add(layer)

    def add(self, layer: Layer | Value) -> None:
        """Adds a layer at the end.

        Raises
        ------
        TypeError
            If it is not a layer.
        ValueError
            If a layer of this name is there already, or its input does not fit.
        RuntimeError
            While the model is fitted, evaluated or predicts, as from a callback.
        """
        self._require_idle("add")
        if isinstance(layer, Value) and isinstance(layer.layer, InputLayer):
            layer = layer.layer
        if not isinstance(layer, Layer):
            raise TypeError(
                f"{self.describe()}: add() takes a layer, not {type(layer).__name__}"
                + (f"; did you mean {layer.__name__}()?" if isinstance(layer, type) else "")
            )
        if layer.name in self._names and any(layer.name == known.name for known in self._chain):
            raise ValueError(
                f"{self.describe()} already has a layer named '{layer.name}'; names must be unique"
            )
        if isinstance(layer, InputLayer):
            if self._chain:
                raise ValueError(f"{self.describe()}: Input must come first")
            if self.inputs:
                raise ValueError(f"{self.describe()} has an Input already")
            self.start(layer.output)
            return
        if not self._chain and not self.inputs:
            if layer.input_shape_argument is not None:
                self.start(_input(layer.input_shape_argument, layer))
            elif isinstance(layer, Model) and layer.built:
                self.start(_input(layer.inputs[0].shape[1:], layer))
        if self.inputs:
            self._values.append(layer(self._values[-1]))
            self.outputs = self._values[-1:]
            self.built = True
        self._chain.append(layer)
        self._names.add(layer.name)
        self._plans.forget()

    def pop(self) -> Layer:
        """Removes the last layer and returns it."""
        self._require_idle("pop")
        if not self._chain:
            raise ValueError(f"{self.describe()} has no layers")
        layer = self._chain.pop()
        if self.inputs:
            self._values.pop()
            self.outputs = self._values[-1:]
            self.built = bool(self._chain)
        self._plans.forget()
        return layer

    def build(self, input_shape: Shape) -> None:
        """Makes the weights for inputs of this shape; its first entry stands for the batch."""
        if not self._chain:
            raise ValueError(f"{self.describe()} has no layers; add() some first")
        values = [_input(check_shape(self, "input_shape", input_shape[1:]), self._chain[0])]
        for layer in self._chain:
            values.append(layer(values[-1]))
        self.start(values[0])
        self._values, self.outputs = values, values[-1:]

    def start(self, value: Value) -> None:
        """Begins with this value."""
        self._connect(value, value)
        self._values = [value]
        self.dtype = value.dtype

    def _sublayers(self) -> list[Layer]:
        return self._chain


structure.kinds["Sequential"] = Sequential


def _input(dims: tuple[int | None, ...], first: Layer) -> Value:
    """What stands for the input of a model whose first layer this is."""
    with in_layer(first):
        return Value(dims, first.dtype, role="input", name="input")
