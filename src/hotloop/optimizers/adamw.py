"""AdamW."""

from __future__ import annotations

from typing import Unpack

from .adam import Adam
from .optimizer import OtherOptions


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2017, arxiv.org/abs/1711.05101).

    Each step first does ``W <- W - a decay W``, then Adam's step.

    Parameters
    ----------
    learning_rate : float
        a.
    weight_decay : float
        decay; the rest as in `Adam`.
    **options
        As in `Optimizer`.

    Examples
    --------
    >>> AdamW().weight_decay
    0.004
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        *,
        name: str = "adamw",
        **options: Unpack[OtherOptions],
    ) -> None:
        if weight_decay is None:
            raise ValueError("AdamW: weight_decay must be a number; for none, use Adam")
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, name=name, **options
        )
