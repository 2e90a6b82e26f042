"""Layers that number the terms of a vocabulary: strings and integers become indices.

A lookup is no arithmetic. On arrays it is done in NumPy; in a model it is done once for all
examples of a call, before the compiled core begins, and must stand on one of the model's inputs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.adapters import as_array
from ..graph.trace import Value
from .base import Layer, check_has_features
from .preprocessing import (
    ENCODINGS,
    batches_of,
    check_dense,
    check_output_mode,
    encoded,
    parts_of,
    prepared,
)

Array = NDArray[Any]


class IndexLookup(Layer):
    """Base of StringLookup and IntegerLookup, whose terms are of one type each.

    Indices count, in this order: the mask token, if there is one and output_mode is ``"int"``; the
    `num_oov_indices` for terms that are not in the vocabulary; the vocabulary.
    """

    _what = "terms"

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        invert: bool,
        output_mode: str,
        sparse: bool,
        pad_to_max_tokens: bool,
        options: dict[str, Any],
    ) -> None:
        super().__init__(**options)
        if max_tokens is not None and max_tokens < 2:
            raise ValueError(f"{self.describe()}: max_tokens must be above 1, not {max_tokens!r}")
        if num_oov_indices < 0:
            raise ValueError(
                f"{self.describe()}: num_oov_indices must be at least 0, not {num_oov_indices!r}"
            )
        if pad_to_max_tokens and max_tokens is None:
            raise ValueError(f"{self.describe()}: pad_to_max_tokens=True needs max_tokens")
        if output_mode == "tf_idf" or idf_weights is not None:
            raise ValueError(
                f"{self.describe()}: output_mode='tf_idf' and idf_weights are not supported; use "
                "'count' or 'multi_hot'"
            )
        check_output_mode(self, output_mode, ("int", *ENCODINGS))
        check_dense(self, sparse)
        if invert and output_mode != "int":
            raise ValueError(
                f"{self.describe()}: invert=True goes from indices to {self._what}, so "
                f"output_mode must be 'int', not {output_mode!r}"
            )
        self.max_tokens = max_tokens
        self.num_oov_indices = num_oov_indices
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.invert = bool(invert)
        self.output_mode = output_mode
        self.pad_to_max_tokens = bool(pad_to_max_tokens)
        self._terms: list[Any] | None = None
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)

    # -- what subclasses define -------------------------------------------------

    def _flat(self, given: Any) -> Array:
        """All terms of an array, checked, on one axis."""
        raise NotImplementedError

    def _out_of_vocabulary(self, terms: Array) -> Any:
        """Which of the indices for others each of these terms has, from 0."""
        raise NotImplementedError

    def _find(self, terms: Array) -> NDArray[np.int64]:
        """Each term's place in the vocabulary, from 0; -1 if it has none."""
        raise NotImplementedError

    # -- the vocabulary ---------------------------------------------------------

    def set_vocabulary(self, vocabulary: Any) -> None:
        """Replaces the vocabulary.

        Parameters
        ----------
        vocabulary : array-like or path
            Terms in the order of their indices, each once; or a text file with a term in each
            line. They may begin with the mask token and the tokens for others, exactly as
            `get_vocabulary` gives them.

        Raises
        ------
        ValueError
            If it is empty, repeats a term, holds the mask token elsewhere or is larger than
            `max_tokens`.
        """
        if isinstance(vocabulary, str):
            with open(vocabulary, encoding="utf-8") as file:
                vocabulary = self._read(file.read().splitlines())
        terms: list[Any] = self._flat(vocabulary).tolist()
        special = self._special()
        if special and terms[: len(special)] == special:
            terms = terms[len(special) :]
        if not terms:
            raise ValueError(f"{self.describe()}: the vocabulary is empty")
        repeated = [term for term, count in Counter(terms).items() if count > 1]
        if repeated:
            raise ValueError(f"{self.describe()}: the vocabulary repeats {_some(repeated)}")
        reserved = [self.mask_token, self.oov_token] if self.invert else [self.mask_token]
        for token in reserved:
            if token is not None and token in terms:
                raise ValueError(
                    f"{self.describe()}: the vocabulary has the reserved token {token!r} at "
                    f"{terms.index(token)}; leave such tokens out, or let it begin with {special}"
                )
        if self.max_tokens is not None and len(special) + len(terms) > self.max_tokens:
            raise ValueError(
                f"{self.describe()}: the vocabulary has {len(special) + len(terms)} terms, those "
                f"for others included, but max_tokens is {self.max_tokens}"
            )
        self._keep(terms)

    def adapt(self, data: Any) -> None:
        """Makes a vocabulary of the terms in data, the most frequent ones first.

        Of equally frequent ones, the larger comes first, as in Keras. With `max_tokens`, the rest
        is left out.

        Parameters
        ----------
        data : array-like or iterable of array-like
            A list or an iterator of arrays holds batches of them.

        Raises
        ------
        ValueError
            If there are no terms.
        """
        counts: Counter[Any] = Counter()
        for batch in batches_of(data, text=self.takes_text, missing=self.takes_missing):
            for part in parts_of(batch):
                counts.update(self._flat(part).tolist())
        for token in (self.mask_token, self.oov_token):
            counts.pop(token, None)
        learned = sorted(counts, key=lambda term: (counts[term], term), reverse=True)
        if self.max_tokens is not None:
            learned = learned[: self.max_tokens - len(self._special())]
        if not learned:
            raise ValueError(f"{self.describe()}: adapt() got no {self._what}")
        self._keep(learned)

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The terms in the order of their indices.

        Parameters
        ----------
        include_special_tokens : bool
            Whether it begins with the mask token and the tokens for others.
        """
        terms = [] if self._terms is None else self._terms
        return [*self._special(), *terms] if include_special_tokens else list(terms)

    def vocabulary_size(self) -> int:
        """How many indices there are."""
        return len(self.get_vocabulary())

    def _special(self) -> list[Any]:
        """What comes before the vocabulary."""
        masks = [self.mask_token] if self._masks else []
        return masks + [self.oov_token] * self.num_oov_indices

    @property
    def _masks(self) -> bool:
        return self.mask_token is not None and self.output_mode == "int"

    def _keep(self, terms: list[Any]) -> None:
        fixed = self.built and self.output_mode != "int" and not self.pad_to_max_tokens
        if fixed and self._terms is not None and len(terms) != len(self._terms):
            raise ValueError(
                f"{self.describe()} has been called with a vocabulary of {len(self._terms)} terms, "
                f"which its outputs have the length of, and cannot get one of {len(terms)}; make "
                "layer and model anew"
            )
        self._terms = terms

    def _read(self, lines: Iterable[str]) -> list[Any]:
        """The terms that a file's lines stand for."""
        return list(lines)

    @property
    def _depth(self) -> int:
        """The length of encoded vectors."""
        if self.pad_to_max_tokens and self.max_tokens is not None:
            return self.max_tokens
        return self.vocabulary_size()

    def check_ready(self) -> None:
        if self._terms is None:
            raise ValueError(
                f"{self.describe()} has no vocabulary yet: pass vocabulary=..., or call its "
                "adapt(data) first"
            )

    # -- lookups ----------------------------------------------------------------

    def prepare(self, array: Array) -> NDArray[np.int64]:
        """The index of each term; -1 for masked ones that are not to be encoded."""
        self.check_ready()
        out = np.empty(array.shape, np.int64)
        start = 0
        for part in parts_of(array):
            out[start : start + len(part)] = self._indices(self._flat(part)).reshape(part.shape)
            start += len(part)
        return out

    def _indices(self, terms: Array) -> NDArray[np.int64]:
        found = self._find(terms)
        index = found + len(self._special())
        masked = np.zeros(len(terms), bool) if self.mask_token is None else terms == self.mask_token
        other = (found < 0) & ~masked
        if other.any():
            index[other] = self._others(terms[other])
        index[masked] = 0 if self._masks else -1
        return index

    def _others(self, terms: Array) -> Any:
        """The indices of terms that are not in the vocabulary."""
        if not self.num_oov_indices:
            unknown = sorted(set(terms.tolist()))
            raise ValueError(
                f"{self.describe()} has no index for {_some(unknown)}, which its "
                "vocabulary does not hold; num_oov_indices=1 gives all such terms one"
            )
        return self._out_of_vocabulary(terms) + (1 if self._masks else 0)

    def _inverted(self, x: Array) -> Array:
        """The terms that indices stand for."""
        self.check_ready()
        index = x.astype(np.int64)
        terms = np.array([self.oov_token, *self.get_vocabulary()])
        known = (index >= 0) & (index < len(terms) - 1)
        return np.asarray(terms[np.where(known, index + 1, 0)])

    def __call__(self, x: Any, training: Any = None) -> Any:
        parts = x if isinstance(x, list | tuple) else [x]
        if any(isinstance(part, Value) for part in parts):
            return super().__call__(x, training=training)
        if self.invert or self.output_mode == "int":
            text = self.takes_text and not self.invert
            array = as_array(x, "x", text=text, missing=text and self.takes_missing)
            check_has_features(self, array.shape)
            return self._inverted(array) if self.invert else self.prepare(array)
        return super().__call__(x, training=training)

    def call(self, x: Value) -> Any:
        if self.invert:
            raise ValueError(
                f"{self.describe()}: invert=True works on arrays, not in a model, whose outputs "
                "are numbers"
            )
        y = prepared(self, x, self.prepare)
        if self.output_mode == "int":
            return y
        if self._terms is None and not self.pad_to_max_tokens:
            self.check_ready()
        return encoded(self, y, self._depth, self.output_mode, least=-1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "max_tokens": self.max_tokens,
            "num_oov_indices": self.num_oov_indices,
            "mask_token": self.mask_token,
            "oov_token": self.oov_token,
            "vocabulary": None if self._terms is None else list(self._terms),
            "invert": self.invert,
            "output_mode": self.output_mode,
            "pad_to_max_tokens": self.pad_to_max_tokens,
        }


class StringLookup(IndexLookup):
    """Numbers strings by their place in a vocabulary.

    On an array of strings it gives an array of indices. In a model it must be called on one of
    the model's inputs, and then `fit` and `predict` take arrays of strings for that input: they
    are looked up once, before the compiled core begins.

    Parameters
    ----------
    max_tokens : int, optional
        The largest size of the vocabulary, with the tokens for others and the mask.
    num_oov_indices : int
        1 gives all strings that are not in the vocabulary one index; 0 makes them an error.
    mask_token : str, optional
        Has the index 0; in other modes than ``"int"`` it is left out.
    oov_token : str
        What stands for the others in `get_vocabulary`, and where indices are inverted.
    vocabulary : array-like or path, optional
        The strings in the order of their indices, or a text file of a string a line; found by
        `adapt` if not given.
    invert : bool
        Whether to go from indices to strings; on arrays only.
    output_mode : {"int", "one_hot", "multi_hot", "count"}
        Indices, or vectors as `CategoryEncoding` makes them.
    pad_to_max_tokens : bool
        Whether those vectors have the length `max_tokens` even if the vocabulary is smaller.
    encoding : str
        Of strings that come as bytes.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For options that do not fit each other or are not supported (``"tf_idf"``, `sparse`,
        `salt`, more than one index for others), and when used without a vocabulary.

    Examples
    --------
    >>> from hotloop.layers import StringLookup
    >>> layer = StringLookup(vocabulary=["red", "green", "blue"])
    >>> layer([["green", "pink"], ["blue", "red"]])
    array([[2, 0],
           [3, 1]])
    >>> layer.get_vocabulary()
    ['[UNK]', 'red', 'green', 'blue']
    """

    takes_text = True
    _what = "strings"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: Any = None,
        **options: Any,
    ) -> None:
        self.encoding = encoding
        self._places: dict[str, int] = {}
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            sparse,
            pad_to_max_tokens,
            {"name": name, **options},
        )
        if num_oov_indices > 1 or salt is not None:
            raise ValueError(
                f"{self.describe()}: num_oov_indices must be 0 or 1 and salt None; strings are "
                "not hashed"
            )

    def _keep(self, terms: list[Any]) -> None:
        super()._keep(terms)
        self._places = {term: place for place, term in enumerate(terms)}

    def _flat(self, given: Any) -> Array:
        array = np.asarray(given)
        if array.dtype.kind == "S":
            array = np.char.decode(array, self.encoding)
        if array.dtype.kind not in "UTO":
            raise TypeError(
                f"{self.describe()} takes strings, not {array.dtype}; IntegerLookup takes integers"
            )
        flat = array.reshape(-1)
        if flat.dtype.kind == "U":
            return flat
        # Objects stay objects: an array of the longest string's width may need far more memory.
        out = np.empty(len(flat), object)
        out[:] = [self._string(given, i) for i, given in enumerate(flat.tolist())]
        return out

    def _string(self, given: Any, number: int) -> str:
        """An object that is a string, bytes of one, or missing."""
        if isinstance(given, str):
            return given
        if isinstance(given, bytes):
            return given.decode(self.encoding)
        if not _is_missing(given):
            raise TypeError(
                f"{self.describe()} takes strings, but element {number} is {given!r}, a "
                f"{type(given).__name__}; make strings of all, or none"
            )
        if self.mask_token is None:
            raise TypeError(
                f"{self.describe()} takes strings, but element {number} is {given!r}; replace "
                "missing values first, or give the layer a mask_token, which then stands for them"
            )
        return str(self.mask_token)

    @property
    def takes_missing(self) -> bool:  # type: ignore[override]
        """Whether strings may be missing: the mask token stands for them."""
        return self.mask_token is not None

    def _find(self, terms: Array) -> NDArray[np.int64]:
        places = self._places
        return np.array([places.get(term, -1) for term in terms.tolist()], np.int64)

    def _out_of_vocabulary(self, terms: Array) -> Any:
        return 0

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"encoding": self.encoding}


class IntegerLookup(IndexLookup):
    """Numbers integers by their place in a vocabulary.

    In a model it must be called on one of the model's inputs: they are looked up once, before the
    compiled core begins.

    Parameters
    ----------
    max_tokens : int, optional
        The largest size of the vocabulary, with the tokens for others and the mask.
    num_oov_indices : int
        How many indices there are for integers that are not in the vocabulary: of several, an
        integer has the one that is its remainder. 0 makes them an error.
    mask_token : int, optional
        Has the index 0; in other modes than ``"int"`` it is left out.
    oov_token : int
        What stands for the others in `get_vocabulary`, and where indices are inverted.
    vocabulary : array-like or path, optional
        The integers in the order of their indices, or a text file of one a line; found by `adapt`
        if not given.
    invert : bool
        Whether to go from indices to integers; on arrays only.
    output_mode : {"int", "one_hot", "multi_hot", "count"}
        Indices, or vectors as `CategoryEncoding` makes them.
    pad_to_max_tokens : bool
        Whether those vectors have the length `max_tokens` even if the vocabulary is smaller.
    **options
        As in `Layer`.

    Raises
    ------
    ValueError
        For options that do not fit each other or are not supported (``"tf_idf"``, `sparse`,
        ``oov_method="farmhash"``), and when used without a vocabulary.

    Examples
    --------
    >>> from hotloop.layers import IntegerLookup
    >>> layer = IntegerLookup(vocabulary=[12, 36, 1138, 42])
    >>> layer([[12, 1138, 42], [42, 1000, 36]])
    array([[1, 3, 4],
           [4, 0, 2]])
    """

    _what = "integers"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        self._sorted = self._order = np.zeros(0, np.int64)
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            sparse,
            pad_to_max_tokens,
            {"name": name, **options},
        )
        if vocabulary_dtype != "int64":
            raise ValueError(f"{self.describe()}: vocabulary_dtype must be 'int64'")
        if oov_method != "floormod" or salt is not None:
            raise ValueError(
                f"{self.describe()}: oov_method must be 'floormod' and salt None; integers are "
                "not hashed"
            )

    def _keep(self, terms: list[Any]) -> None:
        super()._keep(terms)
        array = np.array(terms, np.int64)
        self._order = np.argsort(array)
        self._sorted = array[self._order]

    def _flat(self, given: Any) -> Array:
        flat = as_array(given, "x").reshape(-1)
        return self._whole(flat) if flat.dtype.kind == "f" else flat.astype(np.int64)

    def _whole(self, floats: Array) -> NDArray[np.int64]:
        """Floats that are whole numbers, as integers."""
        with np.errstate(invalid="ignore"):
            whole = floats.astype(np.int64)
            bad = np.flatnonzero(whole != floats)
        if len(bad):
            raise ValueError(
                f"{self.describe()} takes whole numbers, but element {bad[0]} is {floats[bad[0]]}"
            )
        return whole

    def _read(self, lines: Iterable[str]) -> list[Any]:
        return [int(line) for line in lines]

    def _find(self, terms: Array) -> NDArray[np.int64]:
        at = np.minimum(np.searchsorted(self._sorted, terms), len(self._sorted) - 1)
        return np.where(self._sorted[at] == terms, self._order[at], -1)

    def _out_of_vocabulary(self, terms: Array) -> Any:
        return terms % self.num_oov_indices

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"vocabulary_dtype": "int64", "oov_method": "floormod"}


def _is_missing(given: Any) -> bool:
    """Whether this is what NumPy and tables have where there is no value: None, NaN, NA or NaT."""
    if given is None or (isinstance(given, float) and math.isnan(given)):
        return True
    return type(given).__name__ in ("NAType", "NaTType")


def _some(terms: Sequence[Any]) -> str:
    """The first few, for a message."""
    return ", ".join(map(repr, terms[:5])) + (", ..." if len(terms) > 5 else "")
