"""The base of all layers: a name, weights, and a forward pass stated as ops."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import config, constraints, initializers, naming, overriding, registry, regularizers
from ..data.adapters import as_array
from ..files.models import model_files
from ..graph import ops
from ..graph.trace import (
    TRAINING,
    Training,
    Use,
    Value,
    check_features,
    flat,
    in_layer,
    recorder_of,
)
from ..variables import Variable, first_values

Shape = tuple[int | None, ...]

# What Keras asks a layer for beside `call`, and nothing here does.
_NOT_ASKED = ("compute_output_spec", "stateless_call", "quantized_call")
_CALL_ADVICE = "Remove it, and say what the layer computes in call()"
# What may be set at any time: it is read anew, or says nothing of what is computed.
_NEVER_TAKEN = frozenset(["self", "name", "trainable", "inputs", "outputs", "layers"])


_call_on_arrays: Callable[[Layer, Any], NDArray[Any]]


def enter_call_on_arrays(call: Callable[[Layer, Any], NDArray[Any]]) -> None:
    """Says what calls a layer on arrays: with a plan, so it stands above layers, with models."""
    global _call_on_arrays
    _call_on_arrays = call


# Not a cached property of layers: those share a lock before Python 3.12, which a fork would copy.
@functools.lru_cache(256)
def _takes_training(call: Callable[..., Any]) -> bool:
    return "training" in inspect.signature(call).parameters


class Layer(registry.Configured):
    """A part of a model.

    A subclass makes its weights in `build`, with `add_weight`, and states its forward
    pass in `call`, with activations, other layers, ``x @ w`` and ``x + b`` of its weights, and
    the functions of `hotloop.graph.ops`. It writes no backward pass: every op brings its own.
    Layers that it keeps in attributes, also in lists and dicts, are parts of it: their weights
    are its own.

    Parameters
    ----------
    name : str, optional
        Unique in a model; made from the class's name if not given.
    trainable : bool
        Whether the optimizer updates its weights; setting it later sets it for its parts too.
        A model heeds it from its next step on, compiled or not; a `fit` that is running, from
        its next epoch on.
    dtype : {"float32", "float64"}, optional
        What it computes in; `hotloop.config.floatx` if not given.
    input_shape : tuple of int, optional
        Shape of one example, for the first layer of a Sequential model.
    input_dim : int, optional
        The same for examples that are vectors.

    Attributes
    ----------
    built : bool
        Whether the weights have been made.
    takes_list : bool
        True in a class whose `call` is given a list of values.
    takes_text : bool
        True in a class that, as a model's first layer, is given arrays of strings.
    takes_missing : bool
        Whether some of these may be None.
    random_key : int or None
        What its random numbers are drawn by, if it draws any.
    input, output : Value or None
        Of its last use in a model.

    Raises
    ------
    TypeError
        For an argument that it does not have; the nearest one is suggested.

    Examples
    --------
    >>> class Linear(Layer):
    ...     def build(self, input_shape):
    ...         self.w = self.add_weight((input_shape[-1], 2), "ones", "w")
    ...         self.b = self.add_weight((2,), "ones", "b")
    ...
    ...     def call(self, x):
    ...         return x @ self.w + self.b
    >>> Linear()([[1.0, 2.0]])
    array([[4., 4.]], dtype=float32)
    """

    # Arguments of its __init__ that it reads each time, or that `adapt` sets.
    set_later: frozenset[str] = frozenset()
    _is_recorded = False  # whether a model has what it computes
    _built_for: Any = None  # the shape that its weights were made for
    _never_called: frozenset[str] = frozenset()  # methods that cannot be set on an object
    takes_list: bool = False
    takes_text: bool = False
    takes_missing: bool = False
    random_key: int | None = None

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
        input_shape: Sequence[int | None] | None = None,
        input_dim: int | None = None,
        activity_regularizer: Any = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise _unknown_argument(type(self), next(iter(unknown)))
        if activity_regularizer is not None:
            raise ValueError(
                f"{type(self).__name__}: activity_regularizer is not supported; "
                "kernel_regularizer and bias_regularizer are"
            )
        self.name = name or naming.unique_name(naming.snake_case(type(self).__name__))
        self._trainable = trainable
        self.dtype = config.floatx() if dtype is None else config.check_floatx(np.dtype(dtype).name)
        self._weights: list[Variable] = []
        self._found: list[Layer] | None = None  # its sublayers, once it is built
        self.built = False
        self._last_use: tuple[Any, Any] = (None, None)
        if input_dim is not None:
            input_shape = (input_dim,)
        self.input_shape_argument = (
            None if input_shape is None else check_shape(self, "input_shape", input_shape)
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_recorded or name in self._never_called:
            self._refuse_set(name, value)
        object.__setattr__(self, name, value)

    def _refuse_set(self, name: str, value: Any) -> None:
        """Raises ValueError for what a recorded forward pass would not heed."""
        kind: Any = type(self)
        if not self._is_recorded or name not in _taken(kind):
            return
        before = vars(self).get(name)
        if not (value is before or (isinstance(value, _PLAIN) and value == before)):
            raise ValueError(
                f"{self.describe()}: {name} cannot be set to {value!r} any more: what the "
                "layer computes is recorded in a model, which would not heed it. Make a new "
                f"layer, as with {type(self).__name__}.from_config(layer.get_config() | "
                f"{{{name!r}: ...}}), and a new model of it; set_weights() gives it the weights"
            )

    def __init_subclass__(cls, **options: Any) -> None:
        """Lets a subclass's build make weights once, whoever calls it."""
        super().__init_subclass__(**options)
        if "build" in vars(cls):
            cls.build = _once(cls.build)  # type: ignore[assignment, method-assign]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Only asked for what is missing."""
            if "_weights" not in vars(self):
                raise AttributeError(
                    f"{type(self).__name__} has no attribute {name!r}: its __init__ must call "
                    "super().__init__() first"
                )
            raise AttributeError(f"{self.describe()} has no attribute {name!r}")

    # -- what subclasses define -------------------------------------------------

    def build(self, input_shape: Shape) -> None:
        """Makes the weights for inputs of this shape (None stands for the batch)."""

    def _finish_build(self, input_shape: Any) -> None:
        """What is left to do after the class's own `build`."""

    def call(self, x: Any) -> Any:
        """The forward pass, of a symbolic value; it may take ``training=None`` and pass it on."""
        raise NotImplementedError(f"the layer {type(self).__name__} has no call()")

    def check_ready(self) -> None:
        """Raises ValueError where it cannot compute yet, though it is built."""

    # -- what users call --------------------------------------------------------

    def __call__(self, x: Any, training: Any = None) -> Any:
        """Extends a model by this layer if x is symbolic; computes at once if it is an array.

        A layer that takes several values takes a list of them, symbolic or not.
        """
        if (recorder := recorder_of(x)) is not None:
            return recorder.call_layer(self, x, training)
        several = isinstance(x, list | tuple | Mapping) and len(x) > 0
        symbolic = all(isinstance(v, Value) for v in (flat(x) if several else [x]))
        self._check_training(training, symbolic)
        if not symbolic:
            return _call_on_arrays(self, x)
        y = self.extend(x)
        self._last_use = (x, y)
        return y

    def _check_training(self, training: Any, symbolic: bool) -> None:
        """Raises ValueError for what a call cannot be told: to train, or never to."""
        if not (training is None or isinstance(training, Training)) and (symbolic or training):
            raise ValueError(
                f"{self.describe()}: training={training!r} is not supported in a call: fit() and "
                "train_on_batch() train, and all else predicts"
            )

    def extend(self, x: Any) -> Any:
        """Its forward pass on top of a symbolic value; makes the weights the first time."""
        if not isinstance(x, Value) and not self.takes_list:
            raise ValueError(
                f"{self.describe()} takes one input, got a list of {len(x)}; merge them first, as "
                "with Concatenate (a layer of one's own that takes a list says takes_list = True)"
            )
        if not self.built:
            self._built_for = restructured(x, [value.shape for value in flat(x)])
            self.build(self._built_for)
            self.built = True
        use = Use(self, x)
        with in_layer(self):
            y = self._record(x)
            # What it passes on as it is becomes a value of its own all the same.
            made = [ops.identity(value) if value in use.inputs else value for value in flat(y)]
        use.makes(made)
        return restructured(y, made)

    def _record(self, x: Any) -> Any:
        """What `call` makes of symbolic values: a value, or a list or dict of them."""
        overriding.refuse(self, self.describe(), _NOT_ASKED, _CALL_ADVICE)
        self._is_recorded = False  # a call may set what it likes
        y = self.call(x, **self._call_options)
        for value in flat(y):
            if not isinstance(value, Value):
                raise TypeError(
                    f"{self.describe()}: call() returned {type(value).__name__}; expected what "
                    "layers made of its input"
                )
        if type(self) is not Layer and not overriding.is_built_in(type(self)):
            self._check_claims(x, y)
        self._is_recorded = True
        return y

    def _check_claims(self, x: Any, y: Any) -> None:
        """That masks and output shapes that a user's class computes for Keras are what is recorded.

        Raises
        ------
        NotImplementedError
            If it makes a mask.
        ValueError
            If it says another output shape.
        """
        asked: Any = getattr(self, "compute_mask", None)
        if callable(asked) and _answer(asked, x, None, otherwise=asked) is not None:
            overriding.refuse(self, self.describe(), ("compute_mask",), _MASK_ADVICE)
        asked = getattr(self, "compute_output_shape", None)
        if callable(asked):
            said = _answer(asked, restructured(x, [value.shape for value in flat(x)]))
            made = [value.shape for value in flat(y)]
            if _is_shape(said) and len(made) == 1 and not _fit(said, made[0]):
                raise ValueError(
                    f"{self.describe()}: compute_output_shape() says {tuple(said)}, but call() "
                    f"makes {made[0]}: mend the one that is wrong, or remove compute_output_shape()"
                )

    @property
    def _call_options(self) -> dict[str, Any]:
        asked = _takes_training(getattr(self.call, "__func__", self.call))
        return {"training": TRAINING} if asked else {}

    @property
    def input(self) -> Any:
        return self._last_use[0]

    @property
    def output(self) -> Any:
        return self._last_use[1]

    def add_weight(
        self,
        shape: Sequence[int | None],
        initializer: Any = "glorot_uniform",
        name: str = "weight",
        regularizer: Any = None,
        trainable: bool = True,
        constraint: Any = None,
        row_axes: int | None = None,
    ) -> Variable:
        """Makes a weight, initialised and tracked."""
        known = tuple([n for n in shape if n is not None])
        if len(known) < len(shape):
            raise ValueError(
                f"{self.describe()}: the weight '{name}' would have shape {tuple(shape)}, of which "
                "data decide a length; give Input the length of that axis, or share the weight "
                "along it"
            )
        shape = known
        if 0 in shape:
            raise ValueError(
                f"{self.describe()}: the weight '{name}' would have shape {shape} and hold "
                "no numbers; each axis must have a length of at least 1"
            )
        make = functools.partial(initializers.get(initializer), shape, self.dtype)
        variable = Variable(
            first_values(make, shape, self.dtype),
            name,
            trainable,
            regularizers.get(regularizer),
            constraints.get(constraint),
            row_axes,
        )
        variable.path = f"{self.name}/{name}"
        self._weights.append(variable)
        return variable

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._family():
            layer._trainable = value

    def _sublayers(self) -> list[Layer]:
        """The layers in its attributes, in their order."""
        if self._found is not None:
            return self._found
        found = list(dict.fromkeys(_layers_in(vars(self).values())))
        if self.built:
            self._found = found
        return found

    def _family(self) -> list[Layer]:
        """Itself, then its parts and theirs, each once."""
        found: dict[Layer, None] = {}
        waiting: list[Layer] = [self]
        while waiting:
            layer = waiting.pop()
            if layer not in found:
                found[layer] = None
                # Asked for at each single batch: most layers have no parts, and say so at once.
                parts = layer._sublayers() if layer._found is None else layer._found
                waiting += reversed(parts)
        return list(found)

    @property
    def family(self) -> list[Layer]:
        """Itself, then its parts and theirs, each once."""
        return self._family()

    def drawing_parts(self) -> list[Layer]:
        """The layers that it is made of that draw random numbers."""
        return [part for part in self._family() if part is not self and part.random_key is not None]

    @property
    def weights(self) -> list[Variable]:
        """All its weights, in the order in which they were made, then those of its parts."""
        if not self._sublayers():
            return self._weights
        return list(dict.fromkeys(w for layer in self._family() for w in layer._weights))

    @property
    def trainable_weights(self) -> list[Variable]:
        """Those that are trained: none if it is frozen itself, else what no part has frozen."""
        return [w for w in self.changed_weights if w.trainable]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        trained = {id(w) for w in self.trainable_weights}
        return [w for w in self.weights if id(w) not in trained]

    @property
    def changed_weights(self) -> list[Variable]:
        """What training may change: trainable weights, and others, as averages over batches."""
        if not self._trainable:
            return []
        found: dict[Variable, None] = {}
        for part in self._family():
            if part._trainable:
                for weight in part._weights:
                    found[weight] = None
        return list(found)

    @property
    def variables(self) -> list[Variable]:
        return self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        return self.trainable_weights

    def get_weights(self) -> list[NDArray[Any]]:
        """Copies of the weights, in order."""
        return [w.numpy() for w in self.weights]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Replaces the weights; all or nothing.

        Raises
        ------
        ValueError
            If their number or a shape differs.
        TypeError
            If they do not hold numbers.
        """
        values = [as_array(w, f"weights[{i}]") for i, w in enumerate(weights)]
        if len(values) != len(self.weights):
            raise ValueError(
                f"{self.describe()} has {len(self.weights)} weights, got {len(values)}"
                + ("" if self.built else "; it is not built yet: call the model once first")
            )
        for variable, value in zip(self.weights, values, strict=True):
            if value.shape != variable.shape:
                raise ValueError(
                    f"weight '{variable.path}' has shape {variable.shape}, got {value.shape}"
                )
        for variable, value in zip(self.weights, values, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """How many numbers its weights hold.

        Raises
        ------
        ValueError
            If the weights are not made yet.
        """
        if not self.built:
            raise ValueError(
                f"{self.describe()} has no weights yet: give the model an input shape, or call "
                "it on data first"
            )
        return sum(w.size for w in self.weights)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs to make the same layer anew, without weights."""
        return {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}

    def get_build_config(self) -> dict[str, Any] | None:
        """What `build_from_config` makes the weights of: the input's shape; None before that."""
        if not self.built or self._built_for is None:
            return None
        return {"input_shape": self._built_for}

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Makes the weights as they were made where `get_build_config` was asked."""
        shape = config.get("input_shape")
        if shape is not None and not self.built:
            self.build(as_shapes(shape))
            self.built = True

    @property
    def says_how_to_build(self) -> bool:
        """Whether its class has a `get_build_config` of its own."""
        return type(self).get_build_config is not Layer.get_build_config

    def save_own_variables(self, store: Any) -> None:
        """Puts its own weights, not those of its parts, into a file.

        Parameters
        ----------
        store : mutable mapping of str to array
            By default the weights are ``"0"``, ``"1"`` and so on.
        """
        for i, weight in enumerate(self.own_weights):
            store[str(i)] = weight.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Takes what `save_own_variables` put into a file."""
        weights = self.own_weights
        if len(store.keys()) != len(weights):
            raise ValueError(
                f"{self.describe()} has {len(weights)} weights of its own, and the file "
                f"{len(store.keys())}"
            )
        for i, weight in enumerate(weights):
            weight.assign(store[str(i)])

    @property
    def own_weights(self) -> list[Variable]:
        """Its weights without those of its parts, as Keras's files order them: trainable first."""
        return sorted(self._weights, key=lambda weight: not weight.trainable)

    @property
    def keeps_variables_itself(self) -> bool:
        """Whether its class says itself what files have of it."""
        kind = type(self)
        return (
            kind.save_own_variables is not Layer.save_own_variables
            or kind.load_own_variables is not Layer.load_own_variables
        )

    def describe(self) -> str:
        """How error messages call it."""
        return f"{type(self).__name__} '{self.name}'"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def serialize(layer: Layer) -> dict[str, Any]:
    """A layer or model as plain data in Keras's form, without weights.

    Examples
    --------
    >>> from hotloop.layers import Dense
    >>> deserialize(serialize(Dense(3, "relu"))).units
    3
    """
    return model_files().described(layer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Layer:
    """The layer or model that `serialize` described, here or in Keras, with new weights.

    Parameters
    ----------
    config : dict
    custom_objects : mapping of str to class or function, optional
        Those of your own that are not registered.
    """
    layer = model_files().deserialize_keras_object(config, custom_objects)
    if not isinstance(layer, Layer):
        raise TypeError(f"a configuration of a layer was expected, got {config!r}")
    return layer


_PLAIN = (bool, int, float, str, tuple)
_MASK_ADVICE = (
    "There are no masks: remove it, multiply what is masked by 0 in call(), or give "
    "examples that do not count a sample_weight of 0"
)


@functools.cache
def _taken(kind: type[Layer]) -> frozenset[str]:
    """What a recorded forward pass has taken from a layer: its arguments, and what computes.

    Of a user's class also whatever its `call` reads by name.
    """
    names = {"call"}
    code = getattr(inspect.unwrap(kind.call), "__code__", None)
    if code is not None and not overriding.is_built_in(kind):
        names.update(code.co_names)
    for base in kind.__mro__:
        if base is Layer:
            break
        if "__init__" in vars(base):
            names |= inspect.signature(base).parameters.keys()
    return frozenset(names - _NEVER_TAKEN - kind.set_later)


def _answer(method: Callable[..., Any], *arguments: Any, otherwise: Any = None) -> Any:
    """What a method written for Keras returns; `otherwise` if it cannot be called like this."""
    try:
        return method(*arguments)
    except Exception:  # a fault in it changes nothing of what is computed here
        return otherwise


def _is_shape(said: Any) -> bool:
    return isinstance(said, tuple | list) and all(
        d is None or isinstance(d, int | np.integer) for d in said
    )


def _fit(said: Sequence[Any], made: Sequence[Any]) -> bool:
    """Whether two shapes agree in all that both know."""
    return len(said) == len(made) and all(
        None in (a, b) or a == b for a, b in zip(said, made, strict=True)
    )


def check_count(layer: Layer, argument: str, value: Any) -> int:
    """How many there are of something, as an int of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(
            f"{layer.describe()}: {argument} must be a whole number of at least 1, not {value!r}"
        )
    return int(value)


def check_shape(layer: Layer, argument: str, shape: Sequence[int | None]) -> tuple[int | None, ...]:
    """A shape of one example as a tuple of whole numbers of at least 1, and of None."""
    if isinstance(shape, int | np.integer):
        shape = (int(shape),)
    if not all(d is None or (isinstance(d, int | np.integer) and d >= 1) for d in shape):
        raise ValueError(
            f"{layer.describe()}: {argument} must hold whole numbers of at least 1 (the shape of "
            f"one example, without the batch), or None where data decide, not {tuple(shape)}"
        )
    return tuple(None if d is None else int(d) for d in shape)


def as_shapes(given: Any) -> Any:
    """Shapes as tuples, where a file has lists."""
    if isinstance(given, Mapping):
        return {key: as_shapes(part) for key, part in given.items()}
    if all(d is None or isinstance(d, int) for d in given):
        return tuple(given)
    return [as_shapes(part) for part in given]


def restructured(like: Any, values: Sequence[Any]) -> Any:
    """Values in the form of `like`: one, a list or a dict of them."""
    if isinstance(like, Mapping):
        return dict(zip(like, values, strict=True))
    return list(values) if isinstance(like, list | tuple) else values[0]


def _layers_in(things: Iterable[Any]) -> Iterator[Layer]:
    """The layers among these, also in lists and dicts."""
    for thing in things:
        if isinstance(thing, Layer):
            yield thing
        elif isinstance(thing, list | tuple | Mapping):
            yield from _layers_in(flat(thing))


def _once(build: Callable[[Any, Shape], None]) -> Callable[[Any, Shape], None]:
    """A layer's build that does nothing when the layer is built."""

    @functools.wraps(build)
    def build_once(self: Layer, input_shape: Shape) -> None:
        if self.built:
            return
        check_has_features(self, input_shape)
        self._built_for = input_shape
        build(self, input_shape)
        if type(self).build is build_once:  # not where a subclass's build calls its base's
            self._finish_build(input_shape)
            self.built = True

    return build_once


def check_has_features(layer: Layer, shape: Any) -> None:
    """That arrays of this shape, batch and all, or of a list or dict of them, hold numbers."""
    axes = flat(shape)
    if any(isinstance(part, tuple | list) for part in axes):
        for part in axes:
            check_has_features(layer, part)
    else:
        with in_layer(layer):
            check_features(axes[1:])


def _unknown_argument(cls: type[Layer], name: str) -> TypeError:
    """The error for an argument that a layer's class does not have."""
    known = {
        parameter
        for base in cls.__mro__
        if "__init__" in vars(base) and issubclass(base, Layer)
        for parameter, how in inspect.signature(base).parameters.items()
        if how.kind is not how.VAR_KEYWORD
    }
    near = naming.nearest(name, known)
    hint = f"did you mean {near!r}?" if near else f"it takes {', '.join(sorted(known))}"
    return TypeError(f"{cls.__name__} takes no argument {name!r}; {hint}")
