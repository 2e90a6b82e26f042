"""The base of all optimizers: hyper-parameters, state, step count."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from .. import backends, naming, overriding, registry
from ..console import warn_user
from ..variables import Variable, recordings
from . import schedules
from .numbers import Rate
from .schedules import LearningRateSchedule


class OtherOptions(TypedDict, total=False):
    """What every optimizer takes besides its own arguments and weight decay: see `Optimizer`."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    gradient_accumulation_steps: int | None


class Options(OtherOptions, total=False):
    """With weight decay."""

    weight_decay: float | None


_OPTIONS = ("weight_decay", *OtherOptions.__annotations__)
# What is read at each step, so that no plan needs to know of it.
_ALWAYS_READ = frozenset(["built", "iterations", "learning_rate", "schedule", "name"])
# What Keras calls for an update, and nothing here does.
_NOT_CALLED = ("apply_gradients", "stateless_apply")
UPDATE_ADVICE = (
    "Remove it and use an optimizer of hotloop.optimizers as it is, or change gradients or weights "
    "in a loop of your own: model.loss_and_gradients(), then optimizer.apply() and "
    "weight.assign()"
)


class Optimizer(registry.Configured):
    """An update rule of the core, its hyper-parameters, and its state for each weight.

    Settings may be changed later, as ``optimizer.clipnorm = 1.0``: a `fit` heeds them from its next
    epoch on, and numbers of the rule, as a momentum, at once. What decides which arrays are kept of
    a weight, as ``use_ema``, cannot be changed after the first step.

    One of your own is a subclass with ``update_step(self, gradient, variable, learning_rate)``,
    which assigns new values, and ``build(self, variables)``, which makes the state that it keeps by
    `add_variable_from_reference`. What it computes with operators and `hotloop.ops` is recorded
    and compiled; `iterations` and the learning rate are what they are in each batch.

    Those of hotloop name a rule (`op`), what it is called with (`hyper`), and the first value
    of each state array (`slot_values`). All of what follows is done by the training step itself,
    in this order: gradients are accumulated, then clipped, weights decay, the rule updates them,
    then their average, and constraints are applied.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Step size; may be changed at any time between batches. Of a schedule, the attribute is
        the rate of the next step, and can only be replaced by another schedule.
    name : str, optional
        The class's in lower case if not given.
    weight_decay : float, optional
        Before each update a weight W loses ``weight_decay * learning_rate * W``; see
        `exclude_from_weight_decay`.
    clipnorm, global_clipnorm : float, optional
        The most that the norm of each weight's gradient may be, or that of all gradients
        together: larger ones are scaled down to it (Pascanu et al. 2013).
    clipvalue : float, optional
        The most that each element of a gradient may be, either way.
    use_ema : bool
        Whether an exponential moving average of each weight is kept,
        ``average <- m average + (1 - m) W``, which weights become at the end of `fit`
        (Polyak and Juditsky 1992).
    ema_momentum : float
        m, from 0 to 1.
    ema_overwrite_frequency : int, optional
        Weights become their average after each so many updates too.
    gradient_accumulation_steps : int, optional
        Update only after so many batches, at least 2, by the mean of their gradients.

    Attributes
    ----------
    iterations : int
        Batches done so far; with gradient accumulation, several are one update.
    schedule : LearningRateSchedule or None
        What the learning rate follows.

    Raises
    ------
    ValueError
        For numbers out of range, or more than one way of clipping.
    """

    # Whether it gives weights to several others.
    applies_in_parts = False
    # Whether weights change, so that constraints matter.
    changes_weights = True
    built = False  # whether `build` was called
    # Whether each element of a weight is updated by its own gradient alone.
    elementwise = True
    # Whether the rule takes weight decay among its hyper-parameters.
    _rule_decays = False

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        gradient_accumulation_steps: int | None = None,
        *,
        name: str | None = None,
    ) -> None:
        self._structure: tuple[Any, ...] | None = None
        self.name = name or type(self).__name__.lower()
        self.schedule: LearningRateSchedule | None = None
        self.learning_rate = learning_rate
        self.weight_decay = self._optional("weight_decay", weight_decay)
        self.clipnorm = self._optional("clipnorm", clipnorm)
        self.clipvalue = self._optional("clipvalue", clipvalue)
        self.global_clipnorm = self._optional("global_clipnorm", global_clipnorm)
        if sum(limit is not None for limit in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError(
                f"{type(self).__name__}: give one of clipnorm, clipvalue and global_clipnorm, not "
                f"{clipnorm!r}, {clipvalue!r} and {global_clipnorm!r}"
            )
        self.use_ema = bool(use_ema)
        self.ema_momentum = self._number("ema_momentum", ema_momentum, 0.0, math.nextafter(1, 2))
        self.ema_overwrite_frequency = self._count(
            "ema_overwrite_frequency", ema_overwrite_frequency, 1
        )
        self.gradient_accumulation_steps = self._count(
            "gradient_accumulation_steps", gradient_accumulation_steps, 2
        )
        self.iterations = 0
        self._own_state: list[Variable] = []
        self._trained: list[Variable] = []
        # What a rule of one's own reads.
        self._rate = Variable(np.float32(0), name="learning_rate", trainable=False)
        self._steps = Variable(np.int32(0), name="iterations", trainable=False)
        self._slots: dict[int, tuple[Variable, tuple[Variable, ...]]] = {}
        self._excluded: tuple[frozenset[int], tuple[str, ...]] = (frozenset(), ())
        self._applied: tuple[Any, Any] = (None, None)

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets a setting for the plans that come next; those that say what is kept come too late.

        Raises
        ------
        ValueError
            If the optimizer has state, and would keep another with this.
        """
        if name in _ALWAYS_READ or name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        before = vars(self).get(name)
        kept = {i: self._all_slot_shapes(weight) for i, (weight, _) in self._state().items()}
        turns = vars(self).get("gradient_accumulation_steps")
        object.__setattr__(self, name, value)
        self._structure = None
        after = {i: self._all_slot_shapes(weight) for i, (weight, _) in self._state().items()}
        if after != kept or (kept and turns != self.gradient_accumulation_steps):
            object.__setattr__(self, name, before)
            raise ValueError(
                f"{type(self).__name__}: {name} cannot be changed from {before!r} to {value!r} "
                "after the first step: it decides what is kept of each weight. Make a new "
                f"{type(self).__name__}({name}={value!r}, ...) and compile the model with it"
            )

    def _state(self) -> dict[int, tuple[Variable, tuple[Variable, ...]]]:
        """What is kept so far, by weight; nothing while the optimizer is being made."""
        found: dict[int, tuple[Variable, tuple[Variable, ...]]] = vars(self).get("_slots", {})
        return found

    @property
    def structure(self) -> tuple[Any, ...]:
        """What a plan has taken from the settings: another one needs another plan.

        Numbers that the rule is called with are not among them: they are read as a plan runs.

        Raises
        ------
        TypeError, ValueError
            If a setting was set to what the class does not take.
        NotImplementedError
            If a method is overridden that no step would call.
        """
        if self._structure is None:
            not_called = _NOT_CALLED if self.is_own else (*_NOT_CALLED, "build", "update_step")
            overriding.refuse(self, "a training step", not_called, UPDATE_ADVICE)
            options, own = {name: getattr(self, name) for name in _OPTIONS}, self._config()
            if overriding.is_built_in(type(self)):
                type(self)(**(options | own))  # as it checks what it is given
            taken = {
                name: value
                for name, value in own.items()
                if type(value) is not float or name.endswith("weight_decay")
            }
            self._structure = (self.op, *options.values(), repr(taken))
        return self._structure

    @property
    def learning_rate(self) -> float:
        rates = self.learning_rates(1)
        rate = self._learning_rate if rates is None else float(rates[0])
        return Rate(rate, functools.partial(setattr, self, "learning_rate"))

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule | Mapping[str, Any]) -> None:
        given: Any = value
        if isinstance(value, Mapping):
            given = naming.instantiate("schedule", value, schedules.BY_NAME)
        if callable(given) and not isinstance(given, LearningRateSchedule):
            given = schedules.Asked(given)
        if isinstance(given, LearningRateSchedule):
            self.schedule = given
        elif self.schedule is not None:
            raise TypeError(
                f"{type(self).__name__}: the learning rate follows the schedule "
                f"{type(self.schedule).__name__} and cannot be set to {given!r}; make the "
                "optimizer with a number as learning_rate, or set learning_rate to another schedule"
            )
        else:
            self._learning_rate = self._number("learning_rate", given, 0.0)

    def learning_rates(self, count: int) -> NDArray[np.float64] | None:
        """Those of the next steps; None where all are the same.

        Raises
        ------
        ValueError
            If the schedule gives something else than a number of at least 0 for each.
        """
        if self.schedule is None:
            return None
        steps = np.arange(self.iterations, self.iterations + count)
        rates = schedules.rates_of(self.schedule, steps)
        if rates.shape != steps.shape or not (rates >= 0).all():
            raise ValueError(
                f"{type(self).__name__}: the schedule {type(self.schedule).__name__} must give a "
                "learning rate of at least 0 for each step of an array of steps"
            )
        return rates

    def _number(self, argument: str, value: float, low: float, high: float = math.inf) -> float:
        """`value` as a float from `low` up to, but not including, `high`."""
        if callable(value) or isinstance(value, str | bytes):
            hint = " or a LearningRateSchedule" if argument == "learning_rate" else ""
            raise TypeError(
                f"{type(self).__name__}: {argument} must be a number{hint}, not {value!r}"
            )
        number = float(value)
        if not low <= number < high:
            limit = "" if math.isinf(high) else f" and below {high:g}"
            raise ValueError(
                f"{type(self).__name__}: {argument} must be at least {low:g}{limit}, not {value!r}"
            )
        return number

    def _optional(self, argument: str, value: float | None) -> float | None:
        return None if value is None else self._number(argument, value, 0.0)

    def _count(self, argument: str, value: int | None, least: int) -> int | None:
        """`value` as a whole number from `least` up, or None."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(
                f"{type(self).__name__}: {argument} must be a whole number of at least {least} or "
                f"None, not {value!r}"
            )
        return int(value)

    @property
    def op(self) -> str:
        """The update rule, as named in `hotloop.kernels`."""
        if self.is_own:
            return "sgd"  # as which the core takes it, which has no other rule to call
        raise NotImplementedError(f"the optimizer {type(self).__name__} has no update_step()")

    def hyper(self) -> dict[str, float]:
        """The rule's keyword arguments, in the rule's order."""
        return {"learning_rate": self.learning_rate}

    # -- rules of the user's own --------------------------------------------------------------

    @property
    def is_own(self) -> bool:
        """Whether the rule is an `update_step` of the user's own."""
        return type(self).update_step is not Optimizer.update_step

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """The rule: assigns the weight, and the state that is kept of it, their new values."""
        raise NotImplementedError(f"the optimizer {type(self).__name__} has no update_step()")

    def build(self, variables: Iterable[Variable]) -> None:
        """Makes the state of a rule of one's own, of the weights that it trains."""
        self._trained = list(variables)
        self.built = True

    def add_variable(
        self,
        shape: Iterable[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """State of a rule of one's own."""
        made = Variable(
            initializer, tuple(shape), dtype, trainable=False, name=name or "state", row_axes=0
        )
        self._own_state.append(made)
        return made

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """State of the shape and dtype of a weight."""
        return self.add_variable(
            reference_variable.shape,
            initializer,
            reference_variable.dtype,
            name=f"{reference_variable.path}/{name or 'state'}",
        )

    def assign(self, variable: Variable, value: Any) -> None:
        """``variable.assign(value)``"""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """``variable.assign_add(value)``"""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """``variable.assign_sub(value)``"""
        variable.assign_sub(value)

    def _get_variable_index(self, variable: Variable) -> int:
        """Which of the weights that `build` was given it is."""
        return next(i for i, known in enumerate(self._trained) if known is variable)

    @property
    def rate(self) -> Variable:
        """The learning rate of a batch, as a rule of one's own reads it."""
        return self._rate

    def prepare(self, variables: Iterable[Variable] = ()) -> None:
        """Before a batch of a rule of one's own: its numbers are what they are now."""
        if not self.built and variables:
            self.build(list(variables))
        self._rate.assign(self.learning_rate)
        self._steps.assign(self.iterations)

    @property
    def iterations(self) -> Any:
        around = recordings.get()
        return self._iterations if around is None else around.read(self._steps)

    @iterations.setter
    def iterations(self, count: int) -> None:
        self._iterations = count

    def rule(self, weight: Variable) -> str:
        """The update rule of this weight, as named in `hotloop.kernels`: `op` for most."""
        return self.op

    def settings(self, rule: str) -> dict[str, float]:
        """The keyword arguments of one of its rules."""
        return self.hyper()

    def by_element(self, weight: Variable) -> bool:
        """Whether each element of this weight is updated by its own gradient alone."""
        return self.elementwise

    def product_flops(self, weight: Variable) -> int:
        """Operations of the matrix products that a step of this weight needs."""
        return 0

    def slot_values(self) -> Mapping[str, float | None]:
        """Name and first value of each state array that a weight has; None: the weight's own."""
        return {}

    def slot_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Name and shape of each state array of a weight of this shape: its own for most rules."""
        return dict.fromkeys(self.slot_values(), shape)

    def shapes_of_slots(self, weight: Variable) -> dict[str, tuple[int, ...]]:
        """Name and shape of each state array that the rule keeps of this weight."""
        return self.slot_shapes(weight.shape)

    def _all_slot_shapes(self, weight: Variable) -> dict[str, tuple[int, ...]]:
        """Those of the rule, then what accumulation and averaging keep."""
        shapes = self.shapes_of_slots(weight)
        if self.gradient_accumulation_steps:
            shapes["gradient_accumulator"] = weight.shape
        return shapes | {"average": weight.shape} if self.use_ema else shapes

    def all_slots(self, weight: Variable) -> tuple[Variable, ...]:
        """Everything that is kept of a weight, made when first asked for: the rule's first."""
        if id(weight) not in self._slots:
            values = self.slot_values()
            state = tuple(
                Variable(
                    weight.numpy()
                    if values.get(slot, 0.0) is None
                    else np.full(shape, values.get(slot, 0.0), weight.dtype),
                    name=f"{weight.path}/{slot}",
                    trainable=False,
                    row_axes=weight.row_axes if shape == weight.shape else 0,
                )
                for slot, shape in self._all_slot_shapes(weight).items()
            )
            self._slots[id(weight)] = (weight, state)
        return self._slots[id(weight)][1]

    def slots(self, weight: Variable) -> tuple[Variable, ...]:
        """What the rule keeps of a weight."""
        return self.all_slots(weight)[: len(self.shapes_of_slots(weight))]

    def accumulator(self, weight: Variable) -> Variable:
        """The sum of its gradients since the last update."""
        return self.all_slots(weight)[len(self.shapes_of_slots(weight))]

    def average(self, weight: Variable) -> Variable:
        """Its moving average."""
        return self.all_slots(weight)[-1]

    @property
    def uses_gradients_as_they_are(self) -> bool:
        """Whether they are neither accumulated nor clipped."""
        return not (
            self.gradient_accumulation_steps
            or self.clipnorm
            or self.clipvalue
            or self.global_clipnorm
        )

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[Variable] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """Spares weights the decay; before the first step.

        Parameters
        ----------
        var_list : iterable of Variable, optional
            These.
        var_names : iterable of str, optional
            Those whose path has one of these in it, such as ``"bias"``.

        Raises
        ------
        ValueError
            After the first step.

        Examples
        --------
        >>> from hotloop.optimizers import SGD
        >>> from hotloop.variables import Variable
        >>> optimizer = SGD(0.5, weight_decay=0.5)
        >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
        >>> w, b = Variable([1.0], "kernel"), Variable([1.0], "bias")
        >>> optimizer.apply([[0.0], [0.0]], [w, b])
        >>> w.numpy(), b.numpy()
        (array([0.75]), array([1.]))
        """
        if self._slots:
            raise ValueError(
                f"{type(self).__name__}: exclude_from_weight_decay() must come before the first "
                "step"
            )
        self._excluded = (frozenset(map(id, var_list or ())), tuple(var_names or ()))

    def decays(self, weight: Variable) -> bool:
        """Whether a weight decays by a step of its own, rather than by the rule or not at all."""
        ids, names = self._excluded
        if not self.decay_of(weight) or (self._rule_decays and not self._excludes):
            return False
        return id(weight) not in ids and not any(name in weight.path for name in names)

    def decay_of(self, weight: Variable) -> float | None:
        """The weight decay of this weight, unless it is excluded: `weight_decay` for most."""
        return self.weight_decay

    @property
    def _excludes(self) -> bool:
        return any(self._excluded)

    def finalize_variable_values(self, weights: Iterable[Variable]) -> None:
        """Gives weights the value of their moving average, if there is one: `fit` ends so."""
        if self.use_ema and self.iterations:
            for weight in weights:
                weight.assign(self.average(weight).numpy())

    def forget_except(self, known: Collection[int]) -> None:
        """Lets what is kept of weights begin anew, but for the arrays with these addresses."""
        values = self.slot_values()
        for weight, state in self._slots.values():
            for slot, name in zip(state, self._all_slot_shapes(weight), strict=True):
                if id(slot) not in known:
                    first = values.get(name, 0.0)
                    slot.assign(
                        weight.numpy() if first is None else np.full(slot.shape, first, slot.dtype)
                    )

    def slots_so_far(self, weight: Variable) -> tuple[Variable, ...]:
        """The state arrays of a weight; none if they have not been made."""
        return self._slots[id(weight)][1] if id(weight) in self._slots else ()

    @property
    def variables(self) -> list[Variable]:
        """All state arrays, weight by weight."""
        if self.is_own:
            return [*self._own_state]
        return [slot for _, slots in self._slots.values() for slot in slots]

    def apply(self, gradients: Iterable[Any], weights: Iterable[Variable]) -> None:
        """One step with gradients that the caller computed.

        Parameters
        ----------
        gradients : iterable of array-like
            One for each weight, of its shape.
        weights : iterable of Variable

        Examples
        --------
        >>> from hotloop.optimizers import SGD
        >>> from hotloop.variables import Variable
        >>> w = Variable([1.0, 2.0])
        >>> SGD(learning_rate=0.5).apply([[1.0, 1.0]], [w])
        >>> w.numpy()
        array([0.5, 1.5])
        """
        from .application import Application  # which needs plans

        pairs = list(zip(weights, gradients, strict=True))
        if self.is_own:
            self.prepare([weight for weight, _ in pairs])
        if any(gradient is None for _, gradient in pairs):
            pairs = self._with_gradients(pairs)
        recorder = next((r for _, g in pairs if (r := getattr(g, "recorder", None))), None)
        if recorder is not None:
            recorder.apply(self, [g for _, g in pairs], [w for w, _ in pairs])
            return
        for weight, gradient in pairs:
            if np.shape(gradient) != weight.shape:
                raise ValueError(
                    f"the gradient of '{weight.path}' has shape {np.shape(gradient)}; expected "
                    f"{weight.shape}"
                )
        key = [backends.current(), self.structure, *(id(weight) for weight, _ in pairs)]
        if self._applied[0] != key:
            self._applied = (key, Application([weight for weight, _ in pairs], self))
        self._applied[1].run([gradient for _, gradient in pairs])

    def _with_gradients(self, pairs: list[tuple[Variable, Any]]) -> list[tuple[Variable, Any]]:
        """Those of the pairs that have a gradient, if any has; says which have none."""
        without = [weight.path for weight, gradient in pairs if gradient is None]
        if len(without) == len(pairs):
            raise ValueError(
                f"{type(self).__name__}: no weight has a gradient: does the loss depend on "
                f"{', '.join(without)}, and was it computed within the tape?"
            )
        warn_user(f"{type(self).__name__}: no gradient for {', '.join(without)}; they stay")
        return [pair for pair in pairs if pair[1] is not None]

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> None:
        """The same, of pairs of a gradient and its weight.

        Parameters
        ----------
        grads_and_vars : iterable of (array-like, Variable)

        Examples
        --------
        >>> from hotloop.optimizers import SGD
        >>> from hotloop.variables import Variable
        >>> w = Variable([1.0, 2.0])
        >>> SGD(learning_rate=0.5).apply_gradients([([1.0, 1.0], w)])
        >>> w.numpy()
        array([0.5, 1.5])
        """
        gradients, weights = [], []
        for gradient, weight in grads_and_vars:
            gradients.append(gradient)
            weights.append(weight)
        self.apply(gradients, weights)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: without its arrays, which belong to the weights of one model."""
        return self.__dict__ | {"_slots": {}, "_applied": (None, None)}

    def get_config(self) -> dict[str, Any]:
        rate = self._learning_rate if self.schedule is None else naming.serialize(self.schedule)
        options = {name: getattr(self, name) for name in _OPTIONS}
        return {"name": self.name, "learning_rate": rate} | options | self._config()

    def _config(self) -> dict[str, Any]:
        return {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} learning_rate={self.learning_rate}>"
