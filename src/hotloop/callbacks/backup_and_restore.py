"""Training that goes on where a killed program was."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import Any

from ..files.whole import remove_leftovers
from .base import Callback


class BackupAndRestore(Callback):
    """Back the training up, so that the same program, run again, goes on where it was.

    After a crash, a kill or a loss of power, the next run of the same program loads the last
    backup when fit begins, and ends with the result of a run that was never interrupted, bit for
    bit: weights, the optimizer's state and learning rate, shuffling, dropout and everything else
    that hotloop draws at random, and the history, in which the epochs before the interruption
    are, other than in Keras. The callbacks of hotloop go on as well (the patience of
    `EarlyStopping` and `ReduceLROnPlateau`, the best of `ModelCheckpoint`, the rows of
    `CSVLogger`); one of your own does if it has `Callback.get_state` and `Callback.set_state`.
    What the program draws by itself from ``random`` or ``numpy.random`` is not kept.

    The file is written aside and then put in its place, so that there is always a whole one.
    It is of about the size of the weights and the optimizer's state. The data must be the same
    arrays in both runs.

    Parameters
    ----------
    backup_dir : path-like
        A folder for this one training; made if it is not there.
    save_freq : "epoch" or int
        After each epoch, or each time so many batches are done, also in the middle of an epoch.
    double_checkpoint : bool
        Accepted as in Keras: the backup before the last is not needed, as none is ever broken.
    delete_checkpoint : bool
        Whether the backup is deleted when fit ends. If it is kept, a fit of more epochs goes on
        from there, and one of as many trains nothing.

    Raises
    ------
    ValueError
        For an empty backup_dir or another save_freq; when fit begins, if the backup is of
        another model, other data or another batch size.

    Examples
    --------
    >>> import hotloop, tempfile
    >>> model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=1)])
    >>> model.compile("sgd", "mse")
    >>> folder = tempfile.TemporaryDirectory()
    >>> backup = BackupAndRestore(folder.name, delete_checkpoint=False)
    >>> history = model.fit([[1.0]], [[2.0]], epochs=2, verbose=0, callbacks=[backup])
    >>> history = model.fit([[1.0]], [[2.0]], epochs=5, verbose=0, callbacks=[backup])
    >>> history.epoch
    [0, 1, 2, 3, 4]
    >>> folder.cleanup()
    """

    backs_up = True

    def __init__(
        self,
        backup_dir: str | PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if not fspath(backup_dir):
            raise ValueError("BackupAndRestore: backup_dir is empty; name a folder")
        by_batches = isinstance(save_freq, int) and not isinstance(save_freq, bool)
        if save_freq != "epoch" and (not by_batches or int(save_freq) < 1):
            raise ValueError(
                "BackupAndRestore: save_freq must be 'epoch' or a whole number of batches of at "
                f"least 1, not {save_freq!r}"
            )
        self.backup_dir = Path(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._unsaved = 0  # batches since the last backup

    @property
    def path(self) -> Path:
        """The file."""
        return self.backup_dir / "backup.safetensors"

    # What follows is called by fit, which alone knows when every callback has done its part.

    def begin(self) -> tuple[Path, dict[str, Any]] | None:
        """The backup with its path, if there is one."""
        from ..files import state

        self._unsaved = 0
        remove_leftovers(self.backup_dir)
        return (self.path, state.load(self.path)) if self.path.exists() else None

    def batches_to_go(self) -> int | None:
        """After how many batches a backup is due; None where epochs say when."""
        return None if self.save_freq == "epoch" else max(0, int(self.save_freq) - self._unsaved)

    def count(self, batches: int) -> bool:
        """Hear of batches that were run; returns whether a backup is due."""
        self._unsaved += batches
        return self.batches_to_go() == 0

    def save(self, training: dict[str, Any]) -> None:
        """Write a backup."""
        from ..files import state

        self._unsaved = 0
        self.backup_dir.mkdir(parents=True, exist_ok=True)
        state.save(training, self.path)

    def end(self) -> None:
        """Delete the backup, where that is wanted, and the folder if nothing else is in it."""
        if self.delete_checkpoint:
            self.path.unlink(missing_ok=True)
            if self.backup_dir.is_dir() and not any(self.backup_dir.iterdir()):
                self.backup_dir.rmdir()
