"""Optimizers: how weights follow their gradient. One algorithm per file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import naming
from ..doors import door
from ..files.models import deserialized, serialized
from . import schedules
from .adadelta import Adadelta
from .adafactor import Adafactor
from .adagrad import Adagrad
from .adam import Adam
from .adamax import Adamax
from .adamw import AdamW
from .ftrl import Ftrl
from .lamb import Lamb
from .lion import Lion
from .muon import Muon
from .nadam import Nadam
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .schedule_free_adamw import ScheduleFreeAdamW
from .sgd import SGD

if TYPE_CHECKING:
    from .multi_optimizer import MultiOptimizer, OptimizerMap

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

_BY_NAME: dict[str, type[Optimizer]] = {
    "adadelta": Adadelta,
    "adafactor": Adafactor,
    "adagrad": Adagrad,
    "adam": Adam,
    "adamax": Adamax,
    "adamw": AdamW,
    "ftrl": Ftrl,
    "lamb": Lamb,
    "lion": Lion,
    "muon": Muon,
    "nadam": Nadam,
    "rmsprop": RMSprop,
    "schedulefreeadamw": ScheduleFreeAdamW,
    "sgd": SGD,
}


def get(identifier: str | Optimizer | type[Optimizer] | Mapping[str, Any]) -> Optimizer:
    """The optimizer for a name, a class, a config or an optimizer.

    Raises
    ------
    ValueError
        For a name that is not known; the nearest one is suggested.
    TypeError
        For anything else.

    Examples
    --------
    >>> get("adam").learning_rate
    0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    known = _BY_NAME
    if isinstance(identifier, Mapping) and identifier.get("class_name") == "MultiOptimizer":
        from .multi_optimizer import MultiOptimizer  # few models have one

        known = {"MultiOptimizer": MultiOptimizer}
    found = naming.instantiate("optimizer", identifier, known)
    if not isinstance(found, Optimizer):
        raise TypeError(
            f"an optimizer must be a name or a hotloop.optimizers.Optimizer, not {identifier!r}"
        )
    return found


def serialize(optimizer: Any) -> Any:
    """Plain data in Keras's form, of which `deserialize` makes an equal object."""
    return serialized(optimizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """What `serialize` described, here or in Keras: as `get`.

    Parameters
    ----------
    config : dict or str
    custom_objects : mapping of str to class or function, optional
        Those of your own that are not registered.
    """
    return deserialized(config, custom_objects, get)


if not TYPE_CHECKING:  # which knows all names
    __getattr__ = door(
        __name__, dict.fromkeys(("MultiOptimizer", "OptimizerMap"), ".multi_optimizer")
    )
