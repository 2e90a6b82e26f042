"""Digits: 1,797 handwritten digits of 8x8 pixels, shipped with hotloop."""

from __future__ import annotations

from pathlib import Path

from . import files

_SHIPPED = Path(__file__).with_name("digits.npz")


def load_data(
    path: files.StrPath | None = None, test_split: float = 0.2, seed: int = 113
) -> files.Split:
    """Handwritten digits 0 to 9 as small gray images, with their labels; needs no network.

    Parameters
    ----------
    path : str or path-like, optional
        Another ``npz`` file with the arrays ``x`` and ``y`` in place of the shipped one.
    test_split : float, default 0.2
        Share of the rows that becomes the test set.
    seed : int, default 113
        Seed of the shuffle before the split.

    Returns
    -------
    tuple
        ``(x_train, y_train), (x_test, y_test)``: images uint8 of shape (1437, 8, 8) and
        (360, 8, 8), 0 (background) to 16; labels uint8 of shape (1437,) and (360,).

    Raises
    ------
    FileNotFoundError
        If ``path`` does not exist.
    ValueError
        If the file is damaged, or ``test_split`` is not in [0, 1).

    Notes
    -----
    E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning
    Repository, 1998, CC BY 4.0. These are the rows of its test set, as scikit-learn ships them:
    each pixel counts the inked dots of a 4x4 block.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = load_data()
    >>> x_train.shape, x_test.shape, int(x_train.max())
    ((1437, 8, 8), (360, 8, 8), 16)
    """
    x, y = files.read_npz(_SHIPPED if path is None else Path(path), ["x", "y"])
    return files.shuffled_split(x, y, test_split, seed)
