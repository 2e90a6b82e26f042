"""Callbacks: what happens around epochs and batches."""

from .base import Callback, CallbackList
from .early_stopping import EarlyStopping
from .history import History
from .progress import ProgressBar

__all__ = ["Callback", "CallbackList", "EarlyStopping", "History", "ProgressBar"]
