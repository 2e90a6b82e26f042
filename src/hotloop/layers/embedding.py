"""Vectors for whole numbers: words, categories, users."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import constraints, initializers, naming, regularizers
from ..graph import ops
from ..graph.trace import Value
from .base import Layer, Shape, check_count


class Embedding(Layer):
    """A trained vector for each of the numbers 0 to input_dim - 1.

    Inputs are whole numbers of any dtype, of shape (batch, ...); outputs have shape
    (batch, ..., output_dim). Numbers that are given to the model are checked before anything is
    trained; one that other layers compute gives NaN where it is out of range.

    All vectors are updated in each step, as in Keras: those that a batch does not use have a
    gradient of 0, and the momentum of the optimizer moves them on.

    Parameters
    ----------
    input_dim : int
        How many vectors there are: the largest number plus 1.
    output_dim : int
        Their length.
    embeddings_initializer : str or Initializer
        First values of the table (input_dim, output_dim).
    embeddings_regularizer : str or Regularizer, optional
        A penalty that the loss gains for the table.
    mask_zero : bool
        Only False is supported.
    weights : array-like, optional
        First values of the table, in place of the initializer.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For input_dim or output_dim below 1, and `mask_zero`; and, naming the layer,
        the row and the value, for numbers out of range.

    Examples
    --------
    >>> from hotloop.layers import Embedding
    >>> Embedding(3, 2, weights=[[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])([[2, 1]])
    array([[[3., 4.],
            [1., 2.]]], dtype=float32)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.input_dim = check_count(self, "input_dim", input_dim)
        self.output_dim = check_count(self, "output_dim", output_dim)
        if input_dim > np.iinfo(np.int32).max:
            raise ValueError(f"{self.describe()}: input_dim must be below 2**31, not {input_dim}")
        if mask_zero:
            raise ValueError(
                f"{self.describe()}: mask_zero=True is not supported: 0 is a number like others "
                "here; pool over all steps, or pad with a number of its own"
            )
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        if weights is not None:
            self.build((None,))
            one_array = isinstance(weights, list | tuple) and np.ndim(weights[0]) == 2
            self.set_weights(weights if one_array else [weights])

    def build(self, input_shape: Shape) -> None:
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            "embeddings",
            self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )

    def call(self, x: Value) -> Any:
        return ops.lookup(self.embeddings, x, self.describe())

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": naming.serialize(self.embeddings_initializer),
            "embeddings_regularizer": naming.serialize(self.embeddings_regularizer),
            "embeddings_constraint": naming.serialize(self.embeddings_constraint),
            "mask_zero": False,
        }
