"""Models: layers put together, compiled, trained."""

from ..saving.model import load_model, save_model
from .model import Model
from .sequential import Sequential
from .structure import clone_model, model_from_json

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]
