"""A model: the computation between given inputs and outputs, which is itself a layer."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import naming, nests, overriding, registry
from ..console import say
from ..files.models import model_files
from ..graph import recording
from ..graph.recording import Effect, Recording
from ..graph.trace import (
    Value,
    active_recorder,
    calls,
    check_features,
    in_layer,
    recorder_of,
    replay,
    topological,
    values_in,
)
from ..layers.base import Layer, check_shape
from . import structure
from .order import in_order
from .summary import as_html, summarize
from .trainer import NOT_CALLED, OVERRIDING_ADVICE, Trainer


class Model(Trainer, Layer):
    """Everything between symbolic inputs and outputs.

    Or a class of one's own, derived from this, that makes its layers in ``__init__`` and says in
    ``call(self, x)`` what becomes of the input. That is recorded once, when the model is built or
    first sees data; from then on it is a model like any other. A call may take and return lists
    and dicts of values, branch on shapes, and take ``training=None``, to pass it on to layers. It
    cannot branch on numbers: there are none yet.

    Parameters
    ----------
    inputs, outputs : Value, or list or dict of Value
        From `hotloop.Input`, and what layers made of it. With dicts, data are given and outputs
        are returned as dicts of the same names.
    name : str, optional
    trainable : bool
    dtype : {"float32", "float64"}, optional
        What a model with a `call` of its own computes in.

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

    >>> class Residual(hotloop.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = hotloop.layers.Dense(2, "relu")
    ...         self.out = hotloop.layers.Dense(1)
    ...
    ...     def call(self, x):
    ...         return self.out(x + self.hidden(x))
    >>> model = Residual()
    >>> model.compile("sgd", "mse")
    >>> history = model.fit([[1.0, 2.0]], [3.0], verbose=0)
    >>> model.count_params()
    9
    """

    _never_called = NOT_CALLED | {"call"}
    takes_list = True  # one value for each input

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        if name is None and type(self) is Model:
            name = naming.unique_name("functional")
        Layer.__init__(self, name=name, trainable=trainable, dtype=dtype)
        Trainer.__init__(self)
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.input_form: Any = None  # the nests in which inputs and outputs were given
        self.output_form: Any = None
        self._effects: list[Effect] = []  # of a `call` of its own
        self._layer_order: list[Layer] | None = None
        if inputs is not None or outputs is not None:
            self._refuse_call()
            self._connect(*structure.from_inputs(inputs, outputs))
            self.dtype = self.inputs[0].dtype
            self._layer_order = in_order(self.inputs, self.outputs)
            self._check_connected()
            self._check_names()
            self.built = True

    def _connect(self, inputs: Any, outputs: Any) -> None:
        self.inputs, self.outputs = _values("inputs", inputs), _values("outputs", outputs)
        self.input_form, self.output_form = inputs, outputs

    @property
    def effects(self) -> list[Effect]:
        """What it does besides outputs: variables that layers assign, losses that they add."""
        if self.records_call:
            return self._effects
        found: list[Effect] = []
        now: dict[Value, Value] = {}  # what calls have assigned, which those behind them read
        for use in calls(self.outputs, known=self.inputs):
            for effect in use.effects:
                (value,) = replay([effect.value], now, keep_layers=True)
                found.append(Effect(effect.layer, value, effect.variable, effect.training))
                if effect.variable is not None and effect.variable.symbol is not None:
                    now[effect.variable.symbol] = value
        return found

    def _refuse_set(self, name: str, value: Any) -> None:
        """As of any layer; NotImplementedError for methods that nothing would call."""
        if name in self._never_called and callable(value) and (name != "call" or self.inputs):
            raise overriding.error(
                type(self), name, "what is set on the model would be ignored", OVERRIDING_ADVICE
            )
        super()._refuse_set(name, value)

    def _refuse_call(self) -> None:
        """That a model that knows what it computes has no `call` of the user's own."""
        overriding.refuse(
            self,
            f"{self.describe()}, whose layers are given,",
            ("call",),
            "Remove it, or derive the class from hotloop.Model, make the layers in __init__, give "
            "super().__init__() no inputs and outputs, and use the layers in call()",
        )

    @property
    def is_told_by_structure(self) -> bool:
        """Whether its configuration is that of its layers."""
        return type(self).is_made_of_layers()

    @classmethod
    def is_made_of_layers(cls) -> bool:
        """Whether one is made anew of layers and their calls, and not of arguments of its own."""
        if cls.call is not Model.call:
            return False
        owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
        if overriding.is_built_in(owner):
            return True
        parameters = inspect.signature(cls).parameters
        named = {name for name, one in parameters.items() if one.kind not in _OF_ANY_NUMBER}
        return {"inputs", "outputs"} <= named or "layers" in named or not named

    @property
    def records_call(self) -> bool:
        """Whether its `call` is of its own class."""
        return type(self).call is not Model.call

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
        """The layers, each once: in the order of computation, or of attributes in a class that
        has its own `call`."""
        return list(self._sublayers())

    def _sublayers(self) -> list[Layer]:
        return super()._sublayers() if self._layer_order is None else self._layer_order

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

    def get_weights(self) -> list[NDArray[Any]]:
        self._require_built("get_weights")
        return super().get_weights()

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        self._require_built("set_weights")
        super().set_weights(weights)

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Writes the weights to a file, atomically.

        Parameters
        ----------
        filepath : path-like
            ``NAME.weights.h5`` is a file that Keras 3 reads, with the optimizer's state; it needs
            h5py (``pip install h5py``). By any other name that promises no other
            format it is a safetensors file, by custom ``NAME.safetensors``, with a checksum.
        overwrite : bool
            Whether a file that exists is replaced.

        Raises
        ------
        FileExistsError
            If the file exists and `overwrite` is false.
        ValueError
            For a name that promises another format, as ``m.keras`` or ``m.onnx``.
        OSError
            If the file cannot be written; what was there still is.
        """
        self._require_built("save_weights")
        model_files().save_weights(self, filepath, overwrite)

    def load_weights(
        self, filepath: str | PathLike[str], skip_mismatch: bool = False, *, by_name: bool = False
    ) -> None:
        """Reads weights; all or nothing. The optimizer's state stays as it is.

        Parameters
        ----------
        filepath : path-like
            What `save_weights` or `save` wrote, here or in Keras 3: safetensors, ``.weights.h5``,
            ``.hotloop`` and ``.keras`` files; and HDF5 files of Keras 2, of weights or of a whole
            model. The content says which it is, not the name.
        skip_mismatch : bool
            Whether layers of which the file holds another number of weights, or others of
            another shape, are skipped with a warning.
        by_name : bool
            For HDF5 files of Keras 2: layers are found by their names, and others left as they
            are, instead of going by their order.

        Raises
        ------
        ValueError
            If the file is damaged, of another model or of another kind; it says of which.
        ImportError
            For files of Keras without h5py.

        Examples
        --------
        >>> import hotloop, os, tempfile
        >>> model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=2)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_weights(os.path.join(folder, "w.safetensors"))
        ...     model.load_weights(os.path.join(folder, "w.safetensors"))
        """
        self._require_built("load_weights")
        model_files().load_weights(self, filepath, skip_mismatch=skip_mismatch, by_name=by_name)

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
        model_files().save_model(self, filepath, overwrite)

    # -- structure --------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The structure, as plain data, without weights: see `from_config`.

        Raises
        ------
        ValueError
            If a value was made outside of any layer.
        """
        if not self.is_told_by_structure:
            return Layer.get_config(self)
        return structure.model_config(self)

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes of its inputs, in their form; None before it is built."""
        if not self.built or not self.inputs:
            return None
        return {"input_shape": self.input_shape}

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was given, as plain data; None before it was called.

        Files have it. A class whose `compile` takes arguments of its own overrides this, and
        `compile_from_config`.
        """
        return model_files().compile_config(self)

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compiles it with what `get_compile_config` said."""
        model_files().compile_from_config(self, config)

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
        if not cls.is_made_of_layers():
            return cls(**registry.arguments(cls, config))
        return structure.model_from_config(config, custom_objects, cls=cls)

    def to_json(self, **options: Any) -> str:
        """The structure as a text: see `hotloop.models.model_from_json`.

        Parameters
        ----------
        **options
            For `json.dumps`, as ``indent=2``.
        """
        return naming.to_json(structure.layer_config(self), **options)

    # -- inputs and outputs -----------------------------------------------------

    @property
    def input(self) -> Any:
        """The symbolic input; a list or dict if there are several."""
        return _in_form(self.input_form, self.inputs)

    @property
    def output(self) -> Any:
        """The symbolic output; a list or dict if there are several."""
        return _in_form(self.output_form, self.outputs)

    @property
    def input_shape(self) -> Any:
        return _in_form(self.input_form, [v.shape for v in self.inputs])

    @property
    def output_shape(self) -> Any:
        return _in_form(self.output_form, [v.shape for v in self.outputs])

    @property
    def input_names(self) -> list[str]:
        """The keys of a dict of inputs; otherwise what `Input` was given."""
        form = self.input_form
        return list(form) if _is_flat_dict(form) else [v.name for v in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """The keys of a dict of outputs; otherwise the names of the layers that make them."""
        if _is_flat_dict(self.output_form):
            return list(self.output_form)
        layers = [v.use[0].layer if v.use else v.layer for v in self.outputs]
        return [layer.name if layer else f"output_{i}" for i, layer in enumerate(layers)]

    def in_output_form(self, outputs: list[Any]) -> Any:
        """One thing for each output, as the model gives them: one, a list or a dict."""
        form = self.output_form  # `_in_form`, without a call: each call of a model asks
        if isinstance(form, dict):
            return nests.packed(form, outputs)
        if len(outputs) == 1:
            return outputs[0]
        return _in_form(form, outputs)

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Prints the layers, their output shapes, numbers of parameters, FLOPs and memory.

        Parameters
        ----------
        line_length : int, optional
            Characters of a line, 80 if not given.
        positions : list of float, optional
            Where columns end, as shares of a line.
        print_fn : callable, optional
            Is given the whole text; `print` if not given.
        expand_nested : bool
            Whether models that are layers are followed by their own layers.
        show_trainable : bool
            Whether there is a column that says if a layer's weights are trained.
        layer_range : tuple of str, optional
            First and last layer to show: names, or regular expressions for them.

        Raises
        ------
        ValueError
            If columns have no room, and for a range that matches no layers.
        """
        text = summarize(self, line_length, positions, expand_nested, show_trainable, layer_range)
        (print_fn or say)(text)

    def _repr_html_(self) -> str:
        """The layers as a table, in notebooks."""
        return as_html(self)

    # -- copies -----------------------------------------------------------------

    def __reduce__(self) -> Any:
        """For pickle and copy: structure, weights, training and the optimizer's state."""
        return model_files().reduced(self)

    def _require_built(self, method: str) -> None:
        if not self.built:
            raise ValueError(
                f"{self.describe()} does not know its input shape yet, so {method}() cannot work; "
                "give the first layer input_shape=..., start with Input(...), or call the model "
                "on data first"
            )

    # -- building ---------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Makes the weights of a model with a `call` of its own, which is recorded.

        Parameters
        ----------
        input_shape : tuple, or list or dict of tuples
            As ``(None, 784)``: the first entry stands for the batch. Of several inputs, in the
            form that `call` takes them in.

        Raises
        ------
        TypeError
            If it has no `call`.
        """
        if not self.records_call:
            raise TypeError(
                f"{self.describe()} has no inputs and outputs: make it as Model(inputs, outputs), "
                "or define call()"
            )

    def _finish_build(self, input_shape: Any) -> None:
        """Records the class's own `call`."""
        if not self.records_call:
            return
        self.built = False  # a build of the class's own may have said that it is
        try:
            inputs = self._inputs_of(input_shape)
            with recording.within(Recording()) as made:
                self._connect(inputs, self._record(inputs))
            self._effects = made.effects
            self._check_connected()
            self._check_weights()
        except Exception:
            self.inputs, self.outputs = [], []
            raise

    def _inputs_of(self, shape: Any, name: str = "input") -> Any:
        """Symbolic inputs, in the nest of the shapes."""
        if isinstance(shape, Mapping):
            return {key: self._inputs_of(part, str(key)) for key, part in shape.items()}
        if all(d is None or isinstance(d, int | np.integer) for d in shape):
            return self._input_of(shape, name)
        return [self._inputs_of(part, f"{name}_{i}") for i, part in enumerate(shape)]

    def _input_of(self, shape: Sequence[Any], name: str) -> Value:
        with in_layer(self):
            check_features(shape[1:])
        dims = check_shape(self, "input_shape", shape[1:])
        return Value(dims, self.dtype, role="input", name=name)

    def _check_weights(self) -> None:
        """That every weight that is computed with is the model's."""
        known = set(self.weights)
        for node in topological(self.outputs):
            for value in node.inputs:
                if (weight := value.variable) and weight.trainable and weight not in known:
                    raise ValueError(
                        f"{self.describe()}: call() uses the weight '{weight.path}' of a layer "
                        "that is no attribute of the model; make layers in __init__, as in "
                        "self.hidden = Dense(8), and use them in call()"
                    )

    def check_ready(self) -> None:
        for layer in self.layers:
            layer.check_ready()

    # -- as a layer -------------------------------------------------------------

    def call(self, x: Any) -> Any:
        if isinstance(x, Mapping):
            names = self.input_form if isinstance(self.input_form, Mapping) else self.input_names
            missing = [str(name) for name in names if name not in x]
            if missing:
                raise ValueError(f"{self.describe()} needs the inputs {', '.join(missing)} too")
        given = _values("x", self.in_order(x))
        if len(given) != len(self.inputs):
            raise ValueError(
                f"{self.describe()} has {len(self.inputs)} inputs but was called on {len(given)}"
            )
        for value, expected in zip(given, self.inputs, strict=True):
            fits = value.dtype == expected.dtype and len(value.dims) == len(expected.dims)
            if not fits or any(
                length not in (None, given)
                for length, given in zip(expected.shape[1:], value.dims, strict=True)
            ):
                raise ValueError(
                    f"{self.describe()} expects an input of shape {expected.shape} and dtype "
                    f"{expected.dtype}, got {value.shape} and {value.dtype}"
                )
        around = recording.current()
        assert around is not None
        mode, effects = around.mode, self.effects
        if mode.training is not None:
            effects = [effect for effect in effects if effect.is_in(mode.training)]
        known = dict(zip(self.inputs, given, strict=True))
        known |= {v.symbol: now for v, now in around.now.items() if v.symbol is not None}
        made = replay([*self.outputs, *(effect.value for effect in effects)], known)
        ends = len(self.outputs)
        for effect, value in zip(effects, made[ends:], strict=True):
            way = effect.training if mode.training is None else mode.way
            around.effects.append(Effect(effect.layer, value, effect.variable, way))
            if effect.variable is not None:
                around.now[effect.variable] = value
        return _in_form(self.output_form, made[:ends])

    def in_order(self, x: Any) -> Any:
        """Inputs, or arrays for them, in a flat list if they are a nest as the model's are."""
        form = self.input_form
        if isinstance(form, Value) or not nests.is_nest(x):
            return x
        if isinstance(x, Mapping) and not isinstance(form, Mapping):
            form = dict.fromkeys(self.input_names)
        found = nests.ordered(form, x)
        return x if found is None else found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Predicts one batch; on symbolic values, adds this model to a larger one.

        With ``training=True``, it computes what it does in training, as noise.
        """
        alone = len(args) == 1 and not kwargs
        # First what programs that serve do for each request.
        if alone and args[0].__class__ is np.ndarray and active_recorder() is None:
            return self._outputs_for(args[0])
        if args and getattr(args[0], "recorder", None) is not None:
            return super().__call__(*args, **kwargs)
        arguments, training = self._arguments(args, kwargs)
        if (recorder := recorder_of(arguments)) is not None:
            return recorder.call_layer(self, arguments, training)
        args, kwargs = arguments
        if values_in(arguments):
            if len(args) == 1 and not self.records_call and _is_list_of_one(args[0]):
                args = tuple(args[0])
            return self._extended(args, kwargs, training)
        if len(args) != 1 or kwargs:
            return super().__call__(*args, **kwargs, training=training)
        return self._outputs_for(args[0], bool(training))


structure.kinds["Model"] = Model
_OF_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _values(argument: str, given: Any) -> list[Value]:
    values = list(nests.flat(given))
    for value in values:
        if not isinstance(value, Value):
            raise TypeError(
                f"Model: {argument} must be symbolic (from hotloop.Input and layers), "
                f"not {type(value).__name__}"
            )
    if not values:
        raise ValueError(f"Model: {argument} is empty")
    return values


def _is_flat_dict(form: Any) -> bool:
    return isinstance(form, Mapping) and not any(map(nests.is_nest, form.values()))


def _is_list_of_one(x: Any) -> bool:
    return isinstance(x, list | tuple) and len(x) == 1


def _in_form(form: Any, items: list[Any]) -> Any:
    """A nest as `form` is; otherwise one thing, or a list of several."""
    if isinstance(form, Mapping) or any(map(nests.is_nest, form if nests.is_nest(form) else ())):
        return nests.packed(form, items)
    return items[0] if len(items) == 1 else items
