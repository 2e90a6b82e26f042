"""What is one value in training, and another one otherwise."""

from __future__ import annotations

from typing import Any

from ..op import Op, any_layout, like_first
from ..trace import Value, apply

__all__ = ["BY_TRAINING", "by_training"]


def by_training(predicting: Value, training: Value) -> Value:
    """`training` in plans that train, `predicting` in others."""
    return apply(BY_TRAINING, predicting, training)


_IN_PLANS: Any = "a plan has one of its inputs in its place"

BY_TRAINING = Op(
    "by_training",
    "Its second input in training, its first one otherwise.",
    shape=like_first,
    takes=("any", "same"),
    layout=any_layout,
    weights=range(2),
    chooses=True,
    mask="passes",
    why_not=dict.fromkeys(("reference", "gradient", "profile", "backends"), _IN_PLANS),
)
