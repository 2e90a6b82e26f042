"""Layers: the parts that models are made of. One file per family."""

from .base import Layer
from .core import Activation, Dense
from .input import Input, InputLayer
from .regularization import Dropout
from .reshaping import Flatten, Reshape

__all__ = ["Activation", "Dense", "Dropout", "Flatten", "Input", "InputLayer", "Layer", "Reshape"]
