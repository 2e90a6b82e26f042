"""Averages in place of weights, while a model is evaluated."""

from __future__ import annotations

from .base import Callback, Logs


class SwapEMAWeights(Callback):
    """Evaluates with the moving averages of the weights, and goes on training with the weights.

    The optimizer keeps averages with ``use_ema=True``.

    Parameters
    ----------
    swap_on_epoch : bool
        Whether they change places at the end of an epoch already, for callbacks behind this one, as
        `ModelCheckpoint`, and back at the begin of the next.

    Raises
    ------
    ValueError
        In `fit`, if the optimizer keeps no averages.

    Examples
    --------
    >>> import hotloop
    >>> model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=1)])
    >>> model.compile(hotloop.optimizers.SGD(0.1, use_ema=True), "mse")
    >>> x, y = [[1.0], [2.0]], [2.0, 4.0]
    >>> history = model.fit(
    ...     x, y, validation_data=(x, y), callbacks=[SwapEMAWeights()], verbose=0
    ... )
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def _swap(self, swapped: bool) -> None:
        """Weights and averages change places, unless they have."""
        if swapped is self._swapped:
            return
        optimizer = self.model.optimizer
        if optimizer is None or not optimizer.use_ema:
            raise ValueError(
                "SwapEMAWeights needs an optimizer that keeps averages: pass use_ema=True to it"
            )
        for weight in self.model.trainable_weights:
            average = optimizer.average(weight)
            before = weight.numpy()
            weight.assign(average.numpy())
            average.assign(before)
        self._swapped = swapped

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Weights are themselves while they are trained."""
        self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """The averages take their places, if that is wanted here."""
        if not self.swap_on_epoch:
            return
        self._swap(True)
        last = (self.params or {}).get("epochs", 0) - 1
        if epoch == last:  # behind which weights become the averages
            for weight in self.model.trainable_weights:
                self.model.optimizer.average(weight).assign(weight.numpy())
            self._swapped = False

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """The averages take the weights' places."""
        self._swap(True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """And leave them."""
        self._swap(False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """The averages take the weights' places."""
        self._swap(True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """And leave them."""
        self._swap(False)
