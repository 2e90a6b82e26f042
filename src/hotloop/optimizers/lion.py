"""Lion."""

from __future__ import annotations

from typing import Any, Unpack

from .optimizer import Optimizer, Options


class Lion(Optimizer):
    """Steps of one size, in the direction of the sign (Chen et al., 2023).

    With gradient g::

        W <- W - a sign(b1 m + (1 - b1) g)
        m <- b2 m + (1 - b2) g

    Half the memory of Adam. Its learning rate should be 3 to 10 times smaller, and weight decay
    as many times larger.

    Parameters
    ----------
    learning_rate : float
        a.
    beta_1 : float
        b1, above 0 and up to 1.
    beta_2 : float
        b2, from 0 up to, but not including, 1.
    **options
        As in `Optimizer`.

    Raises
    ------
    ValueError
        For a `beta_1` of 0, with which only the sign of the last gradient would count.

    Examples
    --------
    >>> Lion(1e-4, weight_decay=0.1).slot_values()
    {'momentum': 0.0}
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        *,
        name: str = "lion",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, name=name, **options)
        if not 0 < beta_1 <= 1:
            raise ValueError(f"Lion: beta_1 must be above 0 and at most 1, not {beta_1!r}")
        self.beta_1 = float(beta_1)
        self.beta_2 = self._number("beta_2", beta_2, 0.0, 1.0)

    @property
    def op(self) -> str:
        return "lion"

    def hyper(self) -> dict[str, float]:
        return {"learning_rate": self.learning_rate} | self._config()

    def slot_values(self) -> dict[str, float]:
        return {"momentum": 0.0}

    def _config(self) -> dict[str, Any]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2}
