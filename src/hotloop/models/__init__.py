"""Models: layers put together, compiled, trained."""

from .model import Model
from .sequential import Sequential

__all__ = ["Model", "Sequential"]
