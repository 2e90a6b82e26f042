"""hotloop: train a neural network on a CPU, inside another Python program.

The names are Keras's, so that ``import hotloop as keras`` runs programs written for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import (
    activations,
    callbacks,
    config,
    constraints,
    files,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    registry,
    regularizers,
    saving,
)
from .config import set_num_threads, show_config
from .doors import door
from .errors import NonFiniteError
from .initializers import Initializer
from .layers import Input, Layer
from .losses import Loss
from .metrics import Metric
from .models import Model, Sequential
from .optimizers import Optimizer
from .regularizers import Regularizer
from .variables import Variable
from .version import __version__ as __version__

if TYPE_CHECKING:
    from . import backend, datasets, kernels, ops, profiling, random, tree, utils
    from .layers.input_spec import InputSpec

__all__ = [
    "GradientTape",
    "Initializer",
    "Input",
    "InputSpec",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "NonFiniteError",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "Variable",
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "initializers",
    "kernels",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "profiling",
    "random",
    "regularizers",
    "saving",
    "set_num_threads",
    "show_config",
    "tree",
    "utils",
]

files.models.enter(saving)
_unknown = door(__name__)
registry.enter_reviving(lambda config: saving.deserialize_keras_object(config))


def __getattr__(name: str) -> Any:
    """Imports what few programs use, and what needs much to import, when it is first used."""
    if name in ("GradientTape", "grad", "value_and_grad"):
        # Asked for in each step of one's own: found at once from now on.
        return globals().setdefault(name, getattr(import_module(".tape", __name__), name))
    if name in ("backend", "datasets", "kernels", "ops", "profiling", "sklearn", "tree", "utils"):
        return import_module(f".{name}", __name__)
    if name == "InputSpec":
        return layers.InputSpec
    return _unknown(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
