"""Models: layers put together, compiled, trained."""

from typing import TYPE_CHECKING, Any

from ..doors import door
from ..files.models import model_files
from . import eager as eager  # which makes calls on arrays work
from .model import Model
from .sequential import Sequential
from .structure import clone_model

if TYPE_CHECKING:
    from ..saving import load_model, model_from_json, save_model

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


_unknown = door(__name__)


def __getattr__(name: str) -> Any:
    """Imports what files need, archives and checksums among it, when it is first used."""
    if name in ("load_model", "model_from_json", "save_model"):
        return getattr(model_files(), name)
    return _unknown(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
