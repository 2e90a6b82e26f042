"""A loss that is not finite as a way to end."""

from __future__ import annotations

from .base import Callback


class TerminateOnNaN(Callback):
    """End training when the loss is no longer finite, and say so, instead of raising an error.

    With it or without it, the weights are those before the batch whose loss was not finite. The
    history ends with the last whole epoch.

    Examples
    --------
    >>> import hotloop
    >>> model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=1)])
    >>> model.compile("sgd", "mse")
    >>> ends = [TerminateOnNaN()]
    >>> history = model.fit([[1.0]], [[1e30]], verbose=0, callbacks=ends)  # doctest: +ELLIPSIS
    Training ends: the loss is not finite at epoch 1, batch 1...
    >>> model.stop_training
    True
    """

    ends_at_nan = True
