"""Adam."""

from __future__ import annotations

from typing import Any, Unpack

from .optimizer import Optimizer, OtherOptions


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980, the form before section 2.1).

    At step t, with gradient g::

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        W <- W - a sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon)

    Parameters
    ----------
    learning_rate : float
        a.
    beta_1, beta_2 : float
        b1 and b2, from 0 up to, but not including, 1.
    epsilon : float
        What keeps the division away from zero.
    amsgrad : bool
        Whether to divide by the largest v so far (Reddi et al., 2018).
    weight_decay : float, optional
        Each step first takes this share times the learning rate off every weight, apart
        from the gradient (as in AdamW).
    **options
        As in `Optimizer`.

    Examples
    --------
    >>> Adam().get_config()["epsilon"]
    1e-07
    """

    _rule_decays = True

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        *,
        name: str = "adam",
        **options: Unpack[OtherOptions],
    ) -> None:
        super().__init__(learning_rate, weight_decay, name=name, **options)
        self.beta_1 = self._number("beta_1", beta_1, 0.0, 1.0)
        self.beta_2 = self._number("beta_2", beta_2, 0.0, 1.0)
        self.epsilon = self._number("epsilon", epsilon, 0.0)
        self.amsgrad = bool(amsgrad)

    @property
    def op(self) -> str:
        return "adam_amsgrad" if self.amsgrad else "adam"

    def hyper(self) -> dict[str, float]:
        return {
            "learning_rate": self.learning_rate,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "weight_decay": 0.0 if self._excludes else self.weight_decay or 0.0,
        }

    def slot_values(self) -> dict[str, float]:
        slots = {"momentum": 0.0, "velocity": 0.0}
        return slots | {"velocity_hat": 0.0} if self.amsgrad else slots

    def _config(self) -> dict[str, Any]:
        return {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }
