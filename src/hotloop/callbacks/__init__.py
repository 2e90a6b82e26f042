"""Callbacks: what happens around epochs and batches."""

from typing import TYPE_CHECKING

from ..doors import door
from .base import Callback
from .callback_list import CallbackList
from .early_stopping import EarlyStopping
from .history import History
from .lambdas import LambdaCallback
from .learning_rate import LearningRateScheduler, ReduceLROnPlateau
from .monitor import MonitorCallback
from .progress import ProgressBar
from .progress import ProgressBar as ProgbarLogger
from .terminate_on_nan import TerminateOnNaN

if TYPE_CHECKING:
    from .backup_and_restore import BackupAndRestore
    from .csv_logger import CSVLogger
    from .model_checkpoint import ModelCheckpoint
    from .remote_monitor import RemoteMonitor
    from .swap_ema_weights import SwapEMAWeights
    from .tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "MonitorCallback",
    "ProgbarLogger",
    "ProgressBar",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]

# Those that write files, which need much: each is imported when it is first used.
__getattr__ = door(
    __name__,
    {
        "BackupAndRestore": ".backup_and_restore",
        "CSVLogger": ".csv_logger",
        "ModelCheckpoint": ".model_checkpoint",
        "RemoteMonitor": ".remote_monitor",
        "SwapEMAWeights": ".swap_ema_weights",
        "TensorBoard": ".tensorboard",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
