"""What a layer expects of its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class InputSpec:
    """Number of axes, lengths and dtype of an input: the `input_spec` of a layer of one's own.

    Parameters
    ----------
    dtype : str, optional
    shape : tuple, optional
        The batch included; None for any length.
    ndim, max_ndim, min_ndim : int, optional
        Numbers of axes, the batch included.
    axes : dict of int to int, optional
        Lengths of single axes; None for any.
    allow_last_axis_squeeze : bool
        Whether a last axis of length 1 may be missing, or be there besides.
    name : str, optional
        Of an input in a dict.
    optional : bool
        Whether it may be None.

    Raises
    ------
    TypeError
        If axes are no whole numbers.
    ValueError
        For an axis beyond those that there are.

    Examples
    --------
    >>> InputSpec(shape=(None, 3))
    InputSpec(shape=(None, 3), ndim=2)
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else np.dtype(dtype).name
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        try:
            self.axes = {int(axis): length for axis, length in (axes or {}).items()}
        except (AttributeError, TypeError, ValueError):
            raise TypeError(
                f"axes must be a dict of whole numbers to lengths, not {axes!r}"
            ) from None
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional
        most = self.ndim or self.max_ndim
        if self.axes and most is not None and max(self.axes) >= most:
            raise ValueError(
                f"axis {max(self.axes)} of axes is beyond the {most} axes of the input"
            )

    def fault(self, shape: tuple[int | None, ...], dtype: str) -> str | None:
        """What an input of this shape, the batch included, and dtype lacks; None if nothing."""
        axes, expected = len(shape), self.shape
        if expected is not None and self.allow_last_axis_squeeze:
            shape, expected = (one[:-1] if one[-1:] == (1,) else one for one in (shape, expected))
        wanted = {
            "ndim": self.ndim is None or self.allow_last_axis_squeeze or axes == self.ndim,
            "min_ndim": self.min_ndim is None or axes >= self.min_ndim,
            "max_ndim": self.max_ndim is None or axes <= self.max_ndim,
            "dtype": self.dtype is None or dtype == self.dtype,
            "axes": all(
                length is None or (-axes <= axis < axes and shape[axis] in (length, None))
                for axis, length in self.axes.items()
            ),
            "shape": all(
                None in (one, other) or one == other
                for one, other in zip(expected or (), shape, strict=False)
            ),
        }
        return next(
            (f"{name}={getattr(self, name)}" for name, fits in wanted.items() if not fits), None
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {
            "dtype": self.dtype,
            "shape": self.shape,
            "ndim": self.ndim,
            "max_ndim": self.max_ndim,
            "min_ndim": self.min_ndim,
            "axes": self.axes,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> InputSpec:
        """One of these arguments."""
        return cls(**config)

    def __repr__(self) -> str:
        given = {name: value for name, value in self.get_config().items() if value}
        return f"InputSpec({', '.join(f'{name}={value}' for name, value in given.items())})"
