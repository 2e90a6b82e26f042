"""hotloop: train a neural network on a CPU, inside another Python program.

The names are Keras's, so that ``import hotloop as keras`` runs programs written for it.
"""

from . import (
    activations,
    callbacks,
    config,
    datasets,
    initializers,
    kernels,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
    utils,
)
from .config import set_num_threads, show_config
from .layers import Input
from .models import Model, Sequential
from .models.diagnosis import NonFiniteError

__version__ = "0.1.0"

__all__ = [
    "Input",
    "Model",
    "NonFiniteError",
    "Sequential",
    "activations",
    "callbacks",
    "config",
    "datasets",
    "initializers",
    "kernels",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "set_num_threads",
    "show_config",
    "utils",
]
