"""Models on disk while they train."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from ..console import say
from .base import Logs
from .monitor import MonitorCallback


class ModelCheckpoint(MonitorCallback):
    """Save the model, or its weights, now and then.

    Files are written atomically: whatever happens meanwhile, there is always a whole one.

    Parameters
    ----------
    filepath : path-like
        Where to; the name says the format, as of `Model.save` (``.hotloop``, ``.keras``) and
        `Model.save_weights` (``.safetensors``, ``.weights.h5``). ``{epoch}`` stands for the
        epoch, from 1, ``{batch}`` for the batch, from 1, where `save_freq` counts batches, and
        ``{val_loss:.3f}`` or the like for a metric. Folders on the way to it are made.
    monitor : str
        Name of the metric that `save_best_only` looks at.
    verbose : {0, 1}
        1 says what is saved.
    save_best_only : bool
        Whether only a model that is better than all before it is saved. Where the metric is not
        there, a warning says so, and each model is saved until there is a best one.
    save_weights_only : bool
        Whether `save_weights` writes the file, instead of `save`.
    mode : {"auto", "min", "max"}
        Whether less or more is better; "auto" asks the metric.
    save_freq : "epoch" or int
        After each epoch, or each time so many batches are done.
    initial_value_threshold : float, optional
        What the first model must be better than.

    Raises
    ------
    ValueError
        For another mode or save_freq, and for a name that promises another format than the one
        that would be written; while training, if the path names a metric that is not there.

    Examples
    --------
    >>> keep = ModelCheckpoint("runs/best.hotloop", "val_accuracy", save_best_only=True)
    >>> keep.monitor
    'val_accuracy'
    """

    def __init__(
        self,
        filepath: str | PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        by_batches = isinstance(save_freq, int) and not isinstance(save_freq, bool)
        if save_freq != "epoch" and (not by_batches or int(save_freq) < 1):
            raise ValueError(
                "ModelCheckpoint: save_freq must be 'epoch' or a whole number of batches of at "
                f"least 1, not {save_freq!r}"
            )
        from ..files.formats import format_of_model, format_of_weights

        # Now, and not when the first epoch is over.
        format_of = format_of_weights if save_weights_only else format_of_model
        format_of(Path(filepath))
        self.filepath = fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.best = initial_value_threshold
        self._has_best = False
        self._epoch = 0
        self._batches = 0
        if by_batches:
            # Of the instance: a hook of batches costs speed, see Callback.overrides.
            self.on_train_batch_end = self._count_batch  # type: ignore[method-assign]

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Remember the epoch for the names of files."""
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, unless batches say when."""
        if self.save_freq == "epoch":
            self._save(logs or {}, epoch=epoch + 1)

    def get_state(self) -> dict[str, Any]:
        """The best value, and the batches so far."""
        return {"best": self.best, "has_best": self._has_best, "batches": self._batches}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.best, self._batches = state["best"], state["batches"]
        self._has_best = state["has_best"]

    def _count_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches % int(self.save_freq) == 0:
            self._save(logs or {}, epoch=self._epoch + 1, batch=batch + 1)

    def _save(self, logs: Logs, **numbers: int) -> None:
        """Save where this is the best model, or where each is saved."""
        if self.save_best_only:
            value = self.monitored(logs)
            if value is None:
                if self._has_best:
                    return
            elif self.improves(value, self.best):
                self.best, self._has_best = value, True
            else:
                return
        path = Path(self._name(logs, numbers))
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose:
            reason = f", {self.monitor} is {self.best:g}" if self._has_best else ""
            say(f"Epoch {numbers['epoch']}: saved {path}{reason}")

    def _name(self, logs: Logs, numbers: dict[str, int]) -> str:
        try:
            return self.filepath.format(**(logs | numbers))
        except KeyError as error:
            raise ValueError(
                f"ModelCheckpoint: {self.filepath!r} names {error}, which is not there; there are "
                f"{', '.join(sorted(logs | numbers))}"
            ) from None
