"""Muon."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Unpack

from ..variables import Variable
from .optimizer import Optimizer, OtherOptions


class Muon(Optimizer):
    """Momentum made orthogonal for matrices, Adam for all else (Jordan et al., 2024).

    A matrix W with gradient g moves by a matrix whose singular values are all near 1, so that no
    direction is left behind (https://kellerjordan.github.io/posts/muon)::

        m <- momentum m + g
        x <- (g + momentum m) / (norm + 1e-7)                   m alone without nesterov
        x <- muon_a x + muon_b S x + muon_c S S x, S = x x^T    ns_steps times
        W <- W - a rms_rate sqrt(max(rows, columns)) x

    Where a matrix has more rows than columns, its transpose is meant. The last factor of a gives
    steps the size of Adam's (Liu et al., 2025, arxiv.org/abs/2502.16982).

    Adam updates weights of other than two axes, tables of embeddings, and what `exclude_layers`
    names; outputs of a model should be among them.

    Parameters
    ----------
    learning_rate : float
        a.
    adam_beta_1, adam_beta_2, epsilon : float
        As in `Adam`, for the weights that it updates.
    adam_weight_decay : float, optional
        The weight decay of those.
    weight_decay : float, optional
        That of all others.
    exclude_layers : list of str, optional
        Regular expressions: weights whose path, such as ``"dense/kernel"``, has a match are Adam's.
    exclude_embeddings : bool
        Whether those are whose path has "embedding" in it.
    muon_a, muon_b, muon_c : float
        The coefficients of the iteration of Newton and Schulz.
    adam_lr_ratio : float
        Adam's learning rate as a part of a.
    momentum : float
        From 0 up to, but not including, 1.
    ns_steps : int
        How often the iteration is done.
    nesterov : bool
        Whether to look ahead.
    rms_rate : float, optional
        Above 0; with None the step is ``a x``.
    **options
        As in `Optimizer`.

    Raises
    ------
    ValueError
        For numbers out of range, and patterns that are none.
    TypeError
        If `exclude_layers` is a single string.

    Examples
    --------
    >>> from hotloop.variables import Variable
    >>> w, b = Variable([[3.0, 0.0], [0.0, 3.0]], "kernel"), Variable([3.0], "bias")
    >>> optimizer = Muon(0.1, weight_decay=None, adam_weight_decay=None)
    >>> optimizer.apply([[[5.0, 0.0], [0.0, -5.0]], [5.0]], [w, b])
    >>> w.numpy().round(2), b.numpy().round(2)
    (array([[2.97, 0.  ],
           [0.  , 3.03]]), array([2.9]))
    """

    elementwise = False

    def __init__(
        self,
        learning_rate: float = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        *,
        name: str = "muon",
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1.0,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **options: Unpack[OtherOptions],
    ) -> None:
        super().__init__(learning_rate, weight_decay, name=name, **options)
        self.adam_beta_1 = self._number("adam_beta_1", adam_beta_1, 0.0, 1.0)
        self.adam_beta_2 = self._number("adam_beta_2", adam_beta_2, 0.0, 1.0)
        self.adam_weight_decay = self._optional("adam_weight_decay", adam_weight_decay)
        self.epsilon = self._number("epsilon", epsilon, 0.0)
        self.exclude_layers = self._patterns(exclude_layers)
        self.exclude_embeddings = bool(exclude_embeddings)
        self.muon_a = self._number("muon_a", muon_a, -math.inf)
        self.muon_b = self._number("muon_b", muon_b, -math.inf)
        self.muon_c = self._number("muon_c", muon_c, -math.inf)
        self.adam_lr_ratio = self._number("adam_lr_ratio", adam_lr_ratio, 0.0)
        self.momentum = self._number("momentum", momentum, 0.0, 1.0)
        self.ns_steps = self._count("ns_steps", ns_steps, 0) or 0
        self.nesterov = bool(nesterov)
        self.rms_rate = self._optional("rms_rate", rms_rate)
        if self.rms_rate == 0:
            raise ValueError("Muon: rms_rate must be above 0 or None, not 0: no matrix would move")

    def _patterns(self, given: Sequence[str] | None) -> list[str]:
        if isinstance(given, str):
            raise TypeError(
                f"Muon: exclude_layers must be a list of regular expressions, not {given!r}"
            )
        for pattern in given or ():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(
                    f"Muon: {pattern!r} of exclude_layers is no regular expression: {error}"
                ) from None
        return list(given or ())

    @property
    def op(self) -> str:
        return "muon"

    def by_element(self, weight: Variable) -> bool:
        """Whether the weight is Adam's."""
        return (
            len(weight.shape) != 2
            or (self.exclude_embeddings and "embedding" in weight.path.lower())
            or any(re.search(pattern, weight.path) for pattern in self.exclude_layers)
        )

    def rule(self, weight: Variable) -> str:
        return "adam" if self.by_element(weight) else "muon"

    def hyper(self) -> dict[str, float]:
        """Those of matrices, then what Adam needs besides."""
        return {
            "learning_rate": self.learning_rate,
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            "muon_a": self.muon_a,
            "muon_b": self.muon_b,
            "muon_c": self.muon_c,
            "ns_steps": self.ns_steps,
            "rms_rate": self.rms_rate or 0.0,
            "adam_beta_1": self.adam_beta_1,
            "adam_beta_2": self.adam_beta_2,
            "epsilon": self.epsilon,
            "adam_lr_ratio": self.adam_lr_ratio,
        }

    def settings(self, rule: str) -> dict[str, float]:
        if rule == "muon":
            from ..backends.numpy import WHOLE_UPDATES

            return {name: self.hyper()[name] for name in WHOLE_UPDATES["muon"].hyper}
        return {
            "learning_rate": self.learning_rate * self.adam_lr_ratio,
            "beta_1": self.adam_beta_1,
            "beta_2": self.adam_beta_2,
            "epsilon": self.epsilon,
            "weight_decay": 0.0,
        }

    def product_flops(self, weight: Variable) -> int:
        if self.by_element(weight):
            return 0
        from ..backends.numpy import newton_schulz_flops

        rows, cols = weight.shape
        return self.ns_steps * newton_schulz_flops(rows, cols)

    def decay_of(self, weight: Variable) -> float | None:
        return self.adam_weight_decay if self.by_element(weight) else self.weight_decay

    def slot_values(self) -> dict[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    def slot_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        return {"momentum": shape} if len(shape) == 2 else {"momentum": shape, "velocity": shape}

    def shapes_of_slots(self, weight: Variable) -> dict[str, tuple[int, ...]]:
        shapes = self.slot_shapes(weight.shape)
        return shapes | {"velocity": weight.shape} if self.by_element(weight) else shapes

    def _config(self) -> dict[str, Any]:
        return {
            "adam_beta_1": self.adam_beta_1,
            "adam_beta_2": self.adam_beta_2,
            "adam_weight_decay": self.adam_weight_decay,
            "epsilon": self.epsilon,
            "exclude_layers": self.exclude_layers,
            "exclude_embeddings": self.exclude_embeddings,
            "muon_a": self.muon_a,
            "muon_b": self.muon_b,
            "muon_c": self.muon_c,
            "adam_lr_ratio": self.adam_lr_ratio,
            "momentum": self.momentum,
            "ns_steps": self.ns_steps,
            "nesterov": self.nesterov,
            "rms_rate": self.rms_rate,
        }
