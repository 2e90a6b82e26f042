"""Layers: the parts that models are made of. One file per family."""

from typing import TYPE_CHECKING

from ..doors import door
from . import operators as operators  # which makes values have them
from .activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from .base import Layer, deserialize, serialize
from .core import Activation, Dense, Identity
from .embedding import Embedding
from .input import Input, InputLayer
from .lambdas import Lambda
from .lookup import IntegerLookup, StringLookup
from .merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from .normalization import (
    BatchNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from .pooling import GlobalAveragePooling1D, GlobalMaxPooling1D
from .pooling import GlobalAveragePooling1D as GlobalAvgPool1D
from .pooling import GlobalMaxPooling1D as GlobalMaxPool1D
from .preprocessing import CategoryEncoding, Discretization, Normalization, Rescaling
from .regularization import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
)
from .reshaping import Flatten, Permute, RepeatVector, Reshape

if TYPE_CHECKING:
    from .einsum_dense import EinsumDense
    from .input_spec import InputSpec
    from .wrapper import Wrapper

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "CategoryEncoding",
    "Concatenate",
    "Dense",
    "Discretization",
    "Dot",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAvgPool1D",
    "GlobalMaxPool1D",
    "GlobalMaxPooling1D",
    "Identity",
    "Input",
    "InputLayer",
    "InputSpec",
    "IntegerLookup",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Softmax",
    "StringLookup",
    "Subtract",
    "UnitNormalization",
    "Wrapper",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]


if not TYPE_CHECKING:  # which knows all names
    __getattr__ = door(
        __name__,
        {"EinsumDense": ".einsum_dense", "InputSpec": ".input_spec", "Wrapper": ".wrapper"},
    )
