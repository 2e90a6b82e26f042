"""The base of all layers: a name, weights, and a forward pass stated as ops."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import (
    config,
    constraints,
    initializers,
    naming,
    nests,
    overriding,
    random,
    registry,
    regularizers,
)
from ..console import warn_user
from ..data.adapters import as_array
from ..files.models import model_files
from ..graph import ops, recording, ways
from ..graph.trace import (
    Use,
    Value,
    check_features,
    in_layer,
    parameter,
    recorder_of,
    values_in,
)
from ..variables import Variable, deferring, first_values, kept_dtype

Shape = tuple[int | None, ...]

# What Keras asks a layer for beside `call`, and nothing here does.
_NOT_ASKED = ("stateless_call", "quantized_call")
_CALL_ADVICE = "Remove it, and say what the layer computes in call()"
# What may be set at any time: it is read anew, or says nothing of what is computed.
_NEVER_TAKEN = frozenset(["self", "name", "trainable", "inputs", "outputs", "layers"])


Arguments = tuple[tuple[Any, ...], dict[str, Any]]

_call_on_arrays: Callable[[Layer, Arguments, Any], Any]


def enter_call_on_arrays(call: Callable[[Layer, Arguments, Any], Any]) -> None:
    """Says what calls a layer on arrays: with a plan, so it stands above layers, with models."""
    global _call_on_arrays
    _call_on_arrays = call


# Not a cached property of layers: those share a lock before Python 3.12, which a fork would copy.
@functools.lru_cache(256)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _names(function: Callable[..., Any]) -> list[str]:
    """What a method takes by name, besides itself."""
    function = getattr(function, "__func__", function)
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = _signature(function).parameters.values()
    return [p.name for p in parameters if p.kind not in kinds and p.name != "self"]


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
        True in a class whose `call` is given a list of arrays also where each could be one row of
        an array, as in ``layer([[1.0], [2.0]])``.
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
    input_spec: Any = None
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
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.name = name or naming.unique_name(naming.snake_case(type(self).__name__))
        self._trainable = trainable
        self.dtype = config.floatx() if dtype is None else config.check_floatx(np.dtype(dtype).name)
        self._weights: list[Variable] = []
        self._found: list[Layer] | None = None  # its sublayers, once it is built
        self.built = False
        self._last_use: tuple[Any, Any] = (None, None)
        self._added_losses: list[Any] = []
        self.counter = random.Counter()  # of the calls that draw
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
            cls.build = _once(cls.build)  # type: ignore[method-assign]

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

    def build(self, *shapes: Any, **named: Any) -> None:
        """Makes the weights for inputs of this shape (None stands for the batch)."""

    def _finish_build(self, input_shape: Any) -> None:
        """What is left to do after the class's own `build`."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The forward pass, of symbolic values in the nests in which the layer was given them.

        It may take any arguments. One that is called ``training`` is True in training and False
        otherwise: Python may branch on it, as what is recorded for the two is kept apart.
        """
        raise NotImplementedError(f"the layer {type(self).__name__} has no call()")

    def check_ready(self) -> None:
        """Raises ValueError where it cannot compute yet, though it is built."""

    # -- what users call --------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Extends a model by this layer if an argument is symbolic; computes at once otherwise.

        Parameters
        ----------
        *args, **kwargs
            What `call` takes: values or arrays, nests of them, and constants. Besides these,
            ``training``: whether it is to do what it does in training. If not given, the call
            around says so, and else `fit` trains and all else predicts.
        """
        if len(args) == 1 and (recorder := getattr(args[0], "recorder", None)) is not None:
            found = None
            if not kwargs or (len(kwargs) == 1 and "training" in kwargs):
                found = recorder.call_again(self, args[0], kwargs.get("training"))
            if found is not None:
                return found
        if (recorder := recorder_of((args, kwargs))) is not None:
            arguments, training = self._arguments(args, kwargs)
            return recorder.call_layer(self, arguments, training)
        if len(args) == 1 and not kwargs and isinstance(args[0], Value):
            y = self._extended(args, {}, None)
            self._last_use = (args[0], y)
            return y
        (args, kwargs), training = self._arguments(args, kwargs)
        if recording.current() is not None:  # weights are among what it computes with
            args, kwargs = nests.mapped(_symbolic, (args, kwargs))
        if values_in((args, kwargs)):
            y = self._extended(args, kwargs, training)
            self._last_use = (next(iter(args or kwargs.values())), y)
            return y
        return _call_on_arrays(self, (args, kwargs), training)

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Arguments, Any]:
        """What `call` is given besides ``training``, and that."""
        names = _names(self.call)
        if len(args) > 1 and "training" in names[: len(args)]:
            at = names.index("training")
            args, kwargs = args[:at], kwargs | dict(zip(names[at:], args[at:], strict=False))
        kwargs = dict(kwargs)
        training = kwargs.pop("training", None)
        if not (training is None or isinstance(training, bool | int | np.bool_)):
            raise TypeError(
                f"{self.describe()}: training must be True, False or None, not {training!r}"
            )
        if kwargs.get("mask", 0) is None and "mask" not in names:
            del kwargs["mask"]
        if not args and not kwargs:
            raise TypeError(f"{self.describe()} was called on nothing; it needs an input")
        try:
            _signature(getattr(self.call, "__func__", self.call)).bind(self, *args, **kwargs)
        except TypeError as error:
            raise TypeError(
                f"{self.describe()}: call({', '.join(names)}) cannot be given this: {error}"
            ) from None
        return (args, kwargs), training

    def extend(self, *args: Any, **kwargs: Any) -> Any:
        """Its forward pass on top of symbolic values; makes the weights the first time."""
        return self._extended(args, kwargs, None)

    def _extended(self, args: tuple[Any, ...], kwargs: dict[str, Any], training: Any) -> Any:
        if self.input_spec is not None:
            self._check_spec(values_in(args))
        if args and nests.is_nest(args[0]) and not self.takes_list:
            self._refuse_several(args[0])
        if not self.built:
            with recording.within(None):  # weights are made once, now
                if len(args) == 1:
                    self._built_for = _shapes(args[0])
                self._make_weights(args, kwargs)
            self.built = True
        use = Use(self, args, kwargs, training)
        with recording.within(recording.call(training)) as made, in_layer(self):
            begun = len(made.effects)
            y = self._record(*args, **kwargs)
            # What it passes on as it is becomes a value of its own all the same.
            given = set(map(id, use.inputs))
            y = nests.mapped(lambda value: ops.identity(value) if id(value) in given else value, y)
            if self.activity_regularizer is not None:
                for value in values_in(y):
                    penalty = self.activity_regularizer(value)
                    made.add_loss(self, ops.over_examples(penalty) if value.batched else penalty)
            use.effects = made.effects[begun:]
        use.makes(values_in(y))
        return y

    def _refuse_several(self, nest: Any) -> None:
        """ValueError for a nest of inputs if hotloop's own `call` takes one."""
        if overriding.is_built_in(self.call):
            several = f"a {type(nest).__name__} of {len(nest)}"
            raise ValueError(
                f"{self.describe()} takes one input, got {several}; merge them first, as with "
                "Concatenate"
            )

    def _check_spec(self, values: Sequence[Value]) -> None:
        """That inputs are what `input_spec`, an `InputSpec` or a list of them, expects."""
        specs = self.input_spec if isinstance(self.input_spec, list | tuple) else [self.input_spec]
        if len(specs) != len(values):
            raise ValueError(f"{self.describe()} expects {len(specs)} inputs, got {len(values)}")
        for spec, value in zip(specs, values, strict=True):
            fault = None if spec is None else spec.fault(value.shape, value.dtype)
            if fault:
                raise ValueError(
                    f"{self.describe()} expects an input of {fault}, got one of shape "
                    f"{value.shape} and dtype {value.dtype}"
                )

    def _make_weights(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Makes the weights for such inputs: `build` is given their shapes as Keras gives them."""
        if len(args) == 1 and not kwargs:
            self.build(_shapes(args[0]))
            return
        parameters = _names(self.build)
        names = _names(self.call)
        given = dict(zip(names, args, strict=False)) | kwargs
        shapes = {
            f"{name}_shape": _shapes(part)
            for name, part in given.items()
            if name != "mask" and values_in(part)
        }
        if len(parameters) <= 1:
            self.build(next(iter(shapes.values()), None))
            return
        for name in parameters:
            if name.removesuffix("_shape") not in names or not name.endswith("_shape"):
                raise ValueError(
                    f"{self.describe()}: build() takes {name!r}, but each of its arguments must be "
                    f"an argument of call() with '_shape' behind it: "
                    f"{', '.join(f'{known}_shape' for known in names)}"
                )
        self.build(**{name: shapes.get(name) for name in parameters})

    def _record(self, *args: Any, **kwargs: Any) -> Any:
        """What `call` makes of symbolic values: a nest of values."""
        overriding.refuse(self, self.describe(), _NOT_ASKED, _CALL_ADVICE)
        self._is_recorded = False  # a call may set what it likes
        if "training" in _names(self.call):
            try:
                y = ways.both(lambda training: self.call(*args, training=training, **kwargs))
            except ways.TwoWaysError as error:
                raise ValueError(f"{self.describe()}: {error}") from None
        else:
            y = self.call(*args, **kwargs)
        y = nests.mapped(_symbolic, y)
        optional = Value | None if nests.is_nest(y) else Value
        for value in nests.flat(y):
            if not isinstance(value, optional):
                raise TypeError(
                    f"{self.describe()}: call() returned {type(value).__name__}; expected what "
                    "layers made of its input"
                )
        if type(self) is not Layer and not overriding.is_built_in(type(self)):
            self._check_claims(args, y)
        self._is_recorded = True
        return y

    def _check_claims(self, args: tuple[Any, ...], y: Any) -> None:
        """That an output shape that a user's class computes for Keras is what is recorded.

        Raises
        ------
        ValueError
            If it says another output shape.
        """
        kind = type(self)
        masks = kind.compute_mask is not Layer.compute_mask and kind not in _warned_of_masks
        if masks and args and _answer(self.compute_mask, args[0], None) is not None:
            _warned_of_masks.add(kind)
            warn_user(
                f"{self.describe()}: compute_mask() is kept, but not asked: there are no masks. "
                "Multiply what is masked by 0 in call(), or give examples that do not count a "
                "sample_weight of 0"
            )
        if kind.compute_output_shape is not Layer.compute_output_shape and args:
            said = _answer(self.compute_output_shape, *map(_shapes, args))
            made = [value.shape for value in values_in(y)]
            if _is_shape(said) and len(made) == 1 and not _fit(said, made[0]):
                raise ValueError(
                    f"{self.describe()}: compute_output_shape() says {tuple(said)}, but call() "
                    f"makes {made[0]}: mend the one that is wrong, or remove compute_output_shape()"
                )

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of its output, as Keras asks for it; nothing here does yet."""
        return previous_mask

    def compute_output_shape(self, *shapes: Any, **named: Any) -> Any:
        """The shape of its output for inputs of these, in the nest that `call` returns.

        Shapes begin with None for the batch. A layer that is not built is not built by this.

        Examples
        --------
        >>> from hotloop.layers import Dense
        >>> Dense(3).compute_output_shape((None, 2))
        (None, 3)
        """
        named = {name.removesuffix("_shape"): shape for name, shape in named.items()}
        args, kwargs = _mapped_shapes(
            lambda shape: Value(tuple(shape[1:]), self.dtype, role="input"), (shapes, named)
        )
        return _shapes(self.compute_output_spec(*args, **kwargs))

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """What it makes of symbolic values, without a use of it and without weights of its own."""
        layer = self
        if not self.built:
            with deferring():
                layer = type(self).from_config(self.get_config())
        (args, kwargs), training = layer._arguments(args, kwargs)
        recorded = self._is_recorded
        with recording.within(recording.Recording()), deferring():
            y = layer._extended(args, kwargs, training)
        layer._is_recorded = recorded
        return y

    def add_loss(self, loss: Any) -> None:
        """Adds to what training makes small; within `call`.

        Parameters
        ----------
        loss : Value, or nest of Values
            Of one that is no single number, the sum over all examples counts.

        Raises
        ------
        ValueError
            Outside of `call`, and for what is not symbolic.
        """
        around = recording.current()
        for value in nests.flat(loss):
            value = _symbolic(value) if around is not None else value
            if around is None or not isinstance(value, Value):
                raise ValueError(
                    f"{self.describe()}: add_loss() can only be called from inside build() or "
                    f"call(), on a symbolic value, not on {value!r}"
                )
            around.add_loss(self, value)

    @property
    def losses(self) -> list[float]:
        """What its call on arrays has added to the loss, then the penalties of its weights."""
        added = [loss for part in self._family() for loss in part._added_losses]
        penalties = [
            float(w.regularizer(w.numpy())) for w in self.trainable_weights if w.regularizer
        ]
        return added + penalties

    def heard(self, losses: Sequence[Any]) -> None:
        """Keeps the losses that a call on arrays, or on tensors, has added."""
        self._added_losses = list(losses)

    @property
    def input(self) -> Any:
        return self._last_use[0]

    @property
    def output(self) -> Any:
        return self._last_use[1]

    def add_weight(
        self,
        shape: Sequence[int | None] = (),
        initializer: Any = None,
        name: str = "weight",
        regularizer: Any = None,
        trainable: bool = True,
        constraint: Any = None,
        row_axes: int | None = None,
        *,
        dtype: Any = None,
        autocast: bool = True,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
    ) -> Variable:
        """Makes a weight, initialised and tracked.

        Parameters
        ----------
        shape : tuple of int
            A single number if not given.
        initializer : Initializer, str or callable, optional
            ``"glorot_uniform"`` for floats and ``"zeros"`` for whole numbers if not given.
        name : str
        regularizer : Regularizer, str or callable, optional
            The penalty that the loss gains for it.
        trainable : bool
            Whether the optimizer updates it. One of whole numbers never is.
        constraint : Constraint, str or callable, optional
            What it is made to be after each step.
        row_axes : int, optional
            As in `hotloop.Variable`.
        dtype : str, optional
            The layer's if not given. Of 64-bit whole numbers int32.
        autocast, aggregation, overwrite_with_gradient
            Accepted as in Keras and ignored.

        Raises
        ------
        ValueError
            For a shape that data decide, or that holds no numbers.
        """
        if isinstance(shape, int | np.integer):
            shape = (int(shape),)
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
        kept = self.dtype if dtype is None else kept_dtype(dtype)
        floats = np.dtype(kept).kind == "f"
        if initializer is None:
            initializer = "glorot_uniform" if floats else "zeros"
        make = functools.partial(initializers.get(initializer), shape, kept)
        variable = Variable(
            first_values(make, shape, kept),
            trainable=trainable and floats,
            name=name,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
            row_axes=row_axes,
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
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = naming.serialize(self.activity_regularizer)
        return config

    def get_build_config(self) -> dict[str, Any] | None:
        """What `build_from_config` makes the weights of: the input's shape; None before that."""
        if not self.built or self._built_for is None:
            return None
        return {"input_shape": self._built_for}

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Makes the weights as they were made where `get_build_config` was asked."""
        shape = as_shapes(config.get("input_shape"))
        if shape is not None and not self.built:
            names = _names(self.build)
            if isinstance(shape, Mapping) and len(names) > 1 and set(shape) <= set(names):
                self.build(**shape)
            else:
                self.build(shape)
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
_warned_of_masks: set[type[Layer]] = set()


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


def _answer(method: Callable[..., Any], *arguments: Any) -> Any:
    """What a method written for Keras returns; None if it cannot be called like this."""
    try:
        return method(*arguments)
    except Exception:  # a fault in it changes nothing of what is computed here
        return None


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


def _symbolic(thing: Any) -> Any:
    """What stands for a variable in a call that is recorded; anything else is itself."""
    return parameter(thing) if isinstance(thing, Variable) else thing


def _shapes(nest: Any) -> Any:
    """The shapes of values, in their nest."""
    return nests.mapped(lambda leaf: leaf.shape if isinstance(leaf, Value) else None, nest)


def _mapped_shapes(function: Callable[[Any], Any], nest: Any) -> Any:
    """A nest of what a function makes of each shape in it."""
    if _is_shape(nest) and nest:
        return function(nest)
    if isinstance(nest, Mapping):
        return {name: _mapped_shapes(function, part) for name, part in nest.items()}
    if isinstance(nest, list | tuple):
        return type(nest)([_mapped_shapes(function, part) for part in nest])
    return nest


def as_shapes(given: Any) -> Any:
    """Shapes as tuples, where a file has lists."""
    return _mapped_shapes(tuple, given)


def _layers_in(things: Iterable[Any]) -> Iterator[Layer]:
    """The layers among these, also in lists and dicts."""
    for thing in things:
        if isinstance(thing, Layer):
            yield thing
        elif isinstance(thing, list | tuple | Mapping):
            yield from _layers_in(nests.flat(thing))


def _once(build: Callable[..., None]) -> Callable[..., None]:
    """A layer's build that does nothing when the layer is built."""

    @functools.wraps(build)
    def build_once(self: Layer, *shapes: Any, **named: Any) -> None:
        if self.built:
            return
        check_has_features(self, (shapes, named))
        self._built_for = named or (shapes[0] if shapes else None)
        build(self, *shapes, **named)
        if type(self).build is build_once:  # not where a subclass's build calls its base's
            self._finish_build(next(iter(shapes or named.values()), None))
            self.built = True

    return build_once


def check_has_features(layer: Layer, shapes: Any) -> None:
    """That arrays of these shapes, batch and all, hold numbers."""
    with in_layer(layer):
        _mapped_shapes(lambda shape: check_features(shape[1:]), shapes)


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
