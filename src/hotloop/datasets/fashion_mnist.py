"""Fashion-MNIST: 70,000 pictures of clothing of 28x28 pixels."""

from __future__ import annotations

from pathlib import Path

from . import files, images

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # package dataset-fashion-mnist
_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
_SOURCES = tuple(
    files.Source(
        name=f"{name}.gz",
        url=f"{_URL}{name}.gz",
        sha256=sha256,
        folder="fashion-mnist",
        aliases=(name,),
        unique=False,
        system=(_DEBIAN,),
    )
    for name, sha256 in _SHA256.items()
)


def load_data(path: files.StrPath | None = None) -> files.Split:
    """Clothing of ten kinds as gray images, with their labels; a drop-in for MNIST.

    Label ``i`` means ``CLASSES[i]``.

    Parameters
    ----------
    path : str or path-like, optional
        A folder that holds the four ``idx`` files (gzipped or not), or one ``npz`` file with
        ``x_train``, ``y_train``, ``x_test`` and ``y_test``. Then come the folder
        ``fashion-mnist`` of ``$HOTLOOP_DATA`` and of the cache, Debian's package
        ``dataset-fashion-mnist``, and the download.

    Returns
    -------
    tuple
        ``(x_train, y_train), (x_test, y_test)``: images uint8 of shape (60000, 28, 28) and
        (10000, 28, 28), 0 (background) to 255; labels uint8 of shape (60000,) and (10000,).

    Raises
    ------
    FileNotFoundError
        If ``path`` does not exist, or a file is nowhere and cannot be downloaded.
    ValueError
        If a file that was found is damaged.

    Notes
    -----
    H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking
    machine learning algorithms", 2017, arXiv:1708.07747; MIT licence.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    >>> x_train.shape, CLASSES[y_train[0]]  # doctest: +SKIP
    ((60000, 28, 28), 'Ankle boot')
    """
    if path is not None and not Path(path).exists():
        raise FileNotFoundError(
            f"path {str(path)!r} does not exist; it should be a folder with the four idx files "
            "or an npz file"
        )
    if path is not None and Path(path).is_file():
        return images.read_npz(Path(path))
    return images.read_idx([source.fetch(path) for source in _SOURCES])
