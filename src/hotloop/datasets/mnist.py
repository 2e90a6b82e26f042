"""MNIST: 70,000 handwritten digits of 28x28 pixels."""

from __future__ import annotations

from . import files, images

_SOURCE = files.Source(
    name="mnist.npz",
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
    sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    folder="mnist",
)


def load_data(path: files.StrPath | None = None) -> files.Split:
    """Handwritten digits 0 to 9 as gray images, with their labels.

    Parameters
    ----------
    path : str or path-like, optional
        ``mnist.npz``, or a folder that holds it; a file that is not there yet is where the
        download is kept. Then come ``$HOTLOOP_DATA``, the cache, and the download.

    Returns
    -------
    tuple
        ``(x_train, y_train), (x_test, y_test)``: images uint8 of shape (60000, 28, 28) and
        (10000, 28, 28), 0 (background) to 255; labels uint8 of shape (60000,) and (10000,).

    Raises
    ------
    FileNotFoundError
        If it is nowhere and cannot be downloaded.
    ValueError
        If the file that was found is damaged.

    Notes
    -----
    Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits"; CC BY-SA 3.0.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    >>> x_train.shape, y_test.shape  # doctest: +SKIP
    ((60000, 28, 28), (10000,))
    """
    return images.read_npz(_SOURCE.fetch(path))
