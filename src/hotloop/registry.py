"""Objects in configurations: classes and functions of the user's own by name, and what an object
was made of.

A configuration names classes and functions, and holds none. Those that are not hotloop's are found
among what `register_keras_serializable` and `custom_object_scope` know.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import FunctionType
from typing import Any, Self, TypeVar

from .overriding import is_built_in

T = TypeVar("T")

_objects: dict[str, Any] = {}
_names: dict[Any, str] = {}
_nothing: Mapping[str, Any] = {}
_scoped: ContextVar[Mapping[str, Any]] = ContextVar("hotloop_custom_objects", default=_nothing)

HOW_TO_NAME = (
    "decorate it with @hotloop.saving.register_keras_serializable(), or pass "
    "custom_objects={name: class or function}"
)


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[T], T]:
    """Decorates a class or function that files and configurations may name.

    Parameters
    ----------
    package : str
        The first half of the name, as ``"Custom>Residual"``.
    name : str, optional
        The second half; that of the class or function if not given.

    Raises
    ------
    ValueError
        For a class without `get_config`.

    Examples
    --------
    >>> from hotloop.losses import Loss
    >>> @register_keras_serializable("mine")
    ... class Nothing(Loss):
    ...     pass
    >>> get_registered_name(Nothing), get_registered_object("mine>Nothing") is Nothing
    ('mine>Nothing', True)
    """

    def register(thing: T) -> T:
        if inspect.isclass(thing) and not hasattr(thing, "get_config"):
            raise ValueError(
                f"{thing.__name__} has no get_config(), so no file could say how it was made: "
                "derive it from a class of hotloop, or define get_config()"
            )
        full = f"{package}>{name or getattr(thing, '__name__', type(thing).__name__)}"
        _objects[full], _names[thing] = thing, full
        return thing

    return register


def get_custom_objects() -> dict[str, Any]:
    """What is registered, by name; the very dict, which may be changed.

    Examples
    --------
    >>> get_custom_objects()["halve"] = lambda w: w / 2
    >>> get_custom_objects().pop("halve")(4)
    2.0
    """
    return _objects


class CustomObjectScope:
    """Inside, configurations may name these classes and functions, in this thread.

    Parameters
    ----------
    custom_objects : mapping of str to object, or None

    Examples
    --------
    >>> from hotloop import regularizers
    >>> def largest(w):
    ...     return abs(w).max()
    >>> with CustomObjectScope({"largest": largest}):
    ...     regularizers.get("largest") is largest
    True
    """

    def __init__(self, custom_objects: Mapping[str, Any] | None) -> None:
        self.custom_objects = dict(custom_objects or {})
        self._tokens: list[Token[Mapping[str, Any]]] = []

    def __enter__(self) -> Self:
        self._tokens.append(_scoped.set({**_scoped.get(), **self.custom_objects}))
        return self

    def __exit__(self, *exception: object) -> None:
        _scoped.reset(self._tokens.pop())


custom_object_scope = CustomObjectScope


def get_registered_name(obj: Any) -> str:
    """The name that a class or function was registered under; its own if it was not.

    Examples
    --------
    >>> get_registered_name(len)
    'len'
    """
    try:
        if obj in _names:
            return _names[obj]
    except TypeError:  # it has no hash
        pass
    return str(getattr(obj, "__name__", type(obj).__name__))


def get_registered_object(
    name: str,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Mapping[str, Any] | None = None,
) -> Any:
    """What is registered under a name, or in a scope; else what these have; else None.

    Examples
    --------
    >>> get_registered_object("nothing") is None
    True
    """
    for known in (_scoped.get(), _objects, custom_objects or {}, module_objects or {}):
        if name in known:
            return known[name]
    return None


def named_in(entry: Mapping[str, Any]) -> Any:
    """The user's own class or function that a configuration ``{"class_name": ...}`` names, or None.

    That of a function has its name in ``config``.
    """
    names = [entry.get("registered_name"), entry.get("class_name")]
    if entry.get("class_name") == "function":
        names = [entry.get("config"), entry.get("registered_name")]
    for name in names:
        if isinstance(name, str) and (found := get_registered_object(name)) is not None:
            return found
    return None


# ------------------------------------------------------------- what an object was made of


class _Given:
    """The arguments that an object was made with."""

    def __init__(self, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.args, self.options = args, options


class Configured:
    """What can be made anew of its configuration.

    A class of the user's own that has no `get_config` is told by the arguments of its ``__init__``:
    they are kept when it is made.
    """

    def __new__(cls, *args: Any, **options: Any) -> Self:
        made = super().__new__(cls)
        if not is_built_in(cls):
            object.__setattr__(made, "_given", _Given(args, options))
        return made

    def __init_subclass__(cls, **options: Any) -> None:
        """Gives a user's class a `get_config`, if there is none but hotloop's."""
        super().__init_subclass__(**options)
        owner = next((base for base in cls.__mro__ if "get_config" in vars(base)), cls)
        if not is_built_in(cls) and is_built_in(owner):
            cls.get_config = _automatic  # type: ignore[attr-defined]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A new one of what `get_config` returned."""
        return cls(**arguments(cls, config))


def _automatic(self: Any) -> dict[str, Any]:
    """What the class that it is derived from says, and what it was made with itself.

    Raises
    ------
    NotImplementedError
        Where its arguments have no names.
    """
    cls: type = type(self)
    bases = (base for base in cls.__mro__ if is_built_in(base) and "get_config" in vars(base))
    base: Any = next(bases)
    config: dict[str, Any] = base.get_config(self)
    given = vars(self).get("_given")
    if given is None or not is_automatic(cls) or getattr(self, "is_told_by_structure", False):
        return config
    signature = _signature(cls)
    parameters = signature.parameters
    kinds = {one.kind for one in parameters.values()}
    if inspect.Parameter.POSITIONAL_ONLY in kinds or inspect.Parameter.VAR_POSITIONAL in kinds:
        raise NotImplementedError(
            f"{cls.__name__} takes arguments that have no names, so its configuration cannot be "
            "told by them: define get_config(), which returns a dict of arguments of __init__"
        )
    bound = signature.bind(*given.args, **given.options)
    bound.apply_defaults()
    found = dict(bound.arguments)
    rest = next((one.name for one in parameters.values() if one.kind is one.VAR_KEYWORD), None)
    if rest is None:
        config = {key: value for key, value in config.items() if key in parameters}
    else:
        found |= found.pop(rest)
    return found | config


def _signature(cls: Any) -> inspect.Signature:
    """What its `__init__` takes besides itself: of the class, some Pythons ask `__new__`."""
    signature = inspect.signature(cls.__init__)
    return signature.replace(parameters=[*signature.parameters.values()][1:])


def arguments(cls: type, config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a class is made with, of its configuration.

    Functions that a configuration names are looked up. Of a class that is told by its arguments,
    whatever they hold is made anew.
    """
    if not is_automatic(cls):
        return {
            key: _revive(value) if _is_function(value) else value for key, value in config.items()
        }
    parameters = _signature(cls).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return {key: _revive(config[key]) for key in config if takes_all or key in parameters}


@functools.cache
def is_automatic(cls: type) -> bool:
    """Whether it is a user's class that has no `get_config` of its own."""
    for base in cls.__mro__:
        if is_built_in(base):
            return base is not cls
        if vars(base).get("get_config", _automatic) is not _automatic:
            return False
    return False


def _is_function(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("class_name") == "function"


_revive: Callable[[Any], Any]


def enter_reviving(revive: Callable[[Any], Any]) -> None:
    """Says what makes objects of configurations: it knows every module, and stands above."""
    global _revive
    _revive = revive


# ------------------------------------------------------------------- Keras's way to write them


def described(thing: Any) -> dict[str, Any]:
    """An object, not a layer, or a function as Keras's configurations have them.

    Raises
    ------
    ValueError
        For a function without a name, or an object that says nothing of how it was made.
    """
    function = getattr(getattr(thing, "scalar", None), "function", thing)
    if isinstance(function, FunctionType | type) or hasattr(function, "py_func"):
        if function.__name__ == "<lambda>":
            raise ValueError(
                f"the function {function!r} has no name by which a file could call it: define it "
                "with def, and " + HOW_TO_NAME
            )
        name = get_registered_name(function)
        return {
            "module": public_module(function) if is_built_in(function) else function.__module__,
            "class_name": "function",
            "config": name,
            "registered_name": name,
        }
    if not hasattr(thing, "get_config"):
        raise ValueError(
            f"{thing!r} of type {type(thing).__name__} cannot be written down: it has no "
            "get_config() that says what it was made of"
        )
    cls = type(thing)
    own = not is_built_in(cls)
    return {
        "module": cls.__module__ if own else public_module(cls),
        "class_name": cls.__name__,
        "config": thing.get_config(),
        "registered_name": get_registered_name(cls) if own else None,
    }


def public_module(cls: Any) -> str:
    """Where Keras has a class or function of this name.

    Examples
    --------
    >>> from hotloop.optimizers import Adam
    >>> public_module(Adam)
    'keras.optimizers'
    """
    parts = cls.__module__.split(".")
    deep = ("optimizers", "schedules")
    return ".".join(["keras", *(deep if tuple(parts[1:3]) == deep else parts[1:2])])
