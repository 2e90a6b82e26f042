"""Boston housing: the median price of houses in 506 parts of Boston, about 1970."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from . import files

FEATURES = (
    "CRIM",
    "ZN",
    "INDUS",
    "CHAS",
    "NOX",
    "RM",
    "AGE",
    "DIS",
    "RAD",
    "TAX",
    "PTRATIO",
    "B",
    "LSTAT",
)


def load_data(
    path: files.StrPath | None = None, test_split: float = 0.2, seed: int = 113
) -> files.Split:
    """Thirteen figures about a neighbourhood and its median house price in 1,000 dollars.

    Parameters
    ----------
    path : str or path-like, optional
        ``boston_housing.npz`` with the arrays ``x`` and ``y``; or a table in plain text, 14
        numbers a row (comma or blanks between them, a line of names on top or not), the
        price last; or a folder that holds ``boston_housing.npz``, ``boston_housing.csv``,
        ``boston.csv``, ``housing.csv`` or ``housing.data``. Then come ``$HOTLOOP_DATA``, the
        cache, the copy that mlxtend installs, and the download.
    test_split : float, default 0.2
        Share of the rows that becomes the test set.
    seed : int, default 113
        Seed of the shuffle before the split; the split is the one that Keras makes.

    Returns
    -------
    tuple
        ``(x_train, y_train), (x_test, y_test)``: float64 of shapes (404, 13), (404,),
        (102, 13) and (102,). Column ``i`` is ``FEATURES[i]``.

    Raises
    ------
    FileNotFoundError
        If it is nowhere and cannot be downloaded.
    ValueError
        If the file that was found is damaged, or ``test_split`` is not in [0, 1).

    Notes
    -----
    D. Harrison and D. L. Rubinfeld, "Hedonic prices and the demand for clean air", Journal of
    Environmental Economics and Management 5, 1978. Column ``B`` is built on the share of Black
    residents and assumes that segregation sets prices: fit for teaching, not for decisions.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    >>> x_train.shape, float(y_train[0])  # doctest: +SKIP
    ((404, 13), 15.2)
    """
    file = _source().fetch(path)
    x, y = files.read_npz(file, ["x", "y"]) if file.suffix == ".npz" else _read_text(file)
    return files.shuffled_split(x, y, test_split, seed)


def _source() -> files.Source:
    """The file, and where it may lie; finding mlxtend does not import it."""
    mlxtend = importlib.util.find_spec("mlxtend")
    installed = mlxtend.submodule_search_locations if mlxtend else None
    return files.Source(
        name="boston_housing.npz",
        url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/boston_housing.npz",
        sha256="f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5",
        folder="boston-housing",
        aliases=("boston_housing.csv", "boston.csv", "housing.csv", "housing.data"),
        system=tuple(Path(folder) / "data" / "data" for folder in installed or ()),
    )


def _read_text(file: Path) -> tuple[files.Array, files.Array]:
    """Features and prices of a table in plain text."""
    lines = [line.replace(",", " ").split() for line in file.read_text("utf-8").splitlines()]
    rows: list[list[float]] = []
    for number, cells in enumerate(lines, start=1):
        if not cells:
            continue
        try:
            row = [float(cell) for cell in cells]
        except ValueError:
            if number == 1:
                continue
            raise ValueError(f"{file}, line {number}: a cell is not a number") from None
        if len(row) != len(FEATURES) + 1:
            raise ValueError(
                f"{file}, line {number}: expected {len(FEATURES) + 1} numbers, got {len(row)}"
            )
        rows.append(row)
    if not rows:
        raise ValueError(f"{file} holds no rows")
    table = np.array(rows)
    return table[:, :-1], table[:, -1]
