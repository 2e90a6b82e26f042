"""Values that are the same whatever numbers they are made from."""

from __future__ import annotations

from ..op import OPS
from ..trace import Value, apply

__all__ = ["ones_like", "zeros_like"]


def zeros_like(x: Value) -> Value:
    """0 for each number of x, infinite ones too, which 0 times x would make NaN."""
    above = apply(OPS["relu"], x, alpha=0.0)
    return apply(OPS["relu"], apply(OPS["scale"], above, factor=-1.0, offset=0.0), alpha=0.0)


def ones_like(x: Value) -> Value:
    """1 for each number of x."""
    return apply(OPS["scale"], zeros_like(x), factor=1.0, offset=1.0)
