"""Errors that several parts of the library raise."""

from __future__ import annotations

from typing import Any


class NonFiniteError(ArithmeticError, RuntimeError):
    """The loss became NaN or infinite; the model has the weights from before that batch.

    Attributes
    ----------
    logs : dict of str to float
        Metrics of the epoch up to that batch; the loss is NaN.
    """

    def __init__(self, what: str, logs: dict[str, Any] | None = None) -> None:
        super().__init__(what)
        self.logs = logs or {}
