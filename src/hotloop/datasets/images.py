"""The file layouts in which MNIST and its drop-in replacements come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import files


def read_npz(file: Path) -> files.Split:
    """Images and labels from one ``npz`` file, as Keras packs MNIST.

    Raises
    ------
    ValueError
        If the file is damaged or one of its four arrays is missing.
    """
    x_train, y_train, x_test, y_test = files.read_npz(
        file, ["x_train", "y_train", "x_test", "y_test"]
    )
    return (x_train, y_train), (x_test, y_test)


def read_idx(quartet: Sequence[Path]) -> files.Split:
    """Images and labels from four ``idx`` files: train images, labels, test images, labels.

    Raises
    ------
    ValueError
        If a file is damaged, or images and labels differ in number.
    """
    x_train, y_train, x_test, y_test = (files.read_idx(file) for file in quartet)
    for images, labels, file in ((x_train, y_train, quartet[0]), (x_test, y_test, quartet[2])):
        if len(images) != len(labels):
            raise ValueError(
                f"{file} holds {len(images):,} images but there are {len(labels):,} labels; "
                "the files do not belong together"
            )
    return (x_train, y_train), (x_test, y_test)
