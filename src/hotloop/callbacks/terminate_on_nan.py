"""A loss that is not finite as a way to end."""

from __future__ import annotations

from .base import Callback


class TerminateOnNaN(Callback):
    """End training when the loss is no longer finite, and say so, instead of raising an error.

    With it or without it, the weights are those before the batch whose loss was not finite. That
    batch's and its epoch's logs, and so the history, have the loss NaN; all other metrics are
    those of the batches before it.

    Parameters
    ----------
    raise_error : bool
        Whether to raise `NonFiniteError`, a RuntimeError, all the same, as without the callback.

    Examples
    --------
    >>> import hotloop
    >>> model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=1)])
    >>> model.compile("sgd", "mse")
    >>> ends = [TerminateOnNaN()]
    >>> history = model.fit([[1.0]], [[1e30]], verbose=0, callbacks=ends)  # doctest: +ELLIPSIS
    Training ends: the loss is not finite at epoch 1, batch 1...
    >>> model.stop_training, history.history
    (True, {'loss': [nan]})
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error
        self.ends_at_nan = not raise_error
