"""Where a data set's files are found, how they are downloaded, and how they are read."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..files.whole import written_whole

Array = NDArray[Any]
StrPath = str | os.PathLike[str]
Split = tuple[tuple[Array, Array], tuple[Array, Array]]

_CHUNK = 1 << 16
_TIMEOUT_SECONDS = 20.0
_IDX_UINT8 = 0x08


@dataclass(frozen=True)
class Source:
    """One file of a data set: where it may lie, and where it is downloaded from.

    Attributes
    ----------
    name : str
        File name under which it is kept.
    url : str
        Where it is downloaded from.
    sha256 : str
        Hash of the file's content; of the decompressed content for a name in ``.gz``, so
        that the same data packed by another gzip is accepted.
    folder : str
        The data set's own folder inside ``$HOTLOOP_DATA`` and the cache.
    aliases : tuple of str
        Other file names that are accepted where ``name`` is not there.
    unique : bool
        Whether the names belong to this data set alone, so that they are also accepted
        directly in ``$HOTLOOP_DATA``. MNIST and Fashion-MNIST share their ``idx`` names.
    system : tuple of pathlib.Path
        Folders in which installed packages keep it, tried last.
    """

    name: str
    url: str
    sha256: str
    folder: str
    aliases: tuple[str, ...] = ()
    unique: bool = True
    system: tuple[Path, ...] = ()

    def places(self, path: StrPath | None = None) -> list[Path]:
        """Every file that could hold the data, in the order in which they are tried.

        Parameters
        ----------
        path : str or path-like, optional
            A file, or a folder that holds it. A bare file name that is not in the working
            folder is looked for everywhere, as Keras does.
        """
        names = [self.name, *self.aliases]
        found: list[Path] = []
        if path is not None:
            given = Path(path)
            if given.is_dir():
                found += [home / name for home in (given, given / self.folder) for name in names]
            else:
                found.append(given)
                if _is_bare(given):
                    names = [given.name, *(name for name in names if name != given.name)]
        homes = [cache_folder() / self.folder, *self.system]
        if chosen := os.environ.get("HOTLOOP_DATA"):
            own = [Path(chosen) / self.folder]
            homes = own + ([Path(chosen)] if self.unique else []) + homes
        return found + [home / name for home in homes for name in names]

    def find(self, path: StrPath | None = None) -> Path | None:
        """First of the places that is a file, or None."""
        return next((place for place in self.places(path) if place.is_file()), None)

    def fetch(self, path: StrPath | None = None) -> Path:
        """The file, downloaded if it is in none of the places.

        The download is kept in the cache, or at ``path`` if that names a file in a folder.

        Raises
        ------
        FileNotFoundError
            If it is nowhere and cannot be downloaded; the message lists every place tried.
        ChecksumError
            If what the server sent is not the expected content.
        """
        if found := self.find(path):
            return found
        target = cache_folder() / self.folder / self.name
        if path is not None and not Path(path).is_dir() and not _is_bare(Path(path)):
            target = Path(path)
        try:
            return download(self, target)
        except ChecksumError:
            raise
        except OSError as error:
            looked = ", ".join(str(place) for place in self.places(path))
            reason = getattr(error, "reason", error)
            raise FileNotFoundError(
                f"{self.name} was not found and could not be downloaded from {self.url} "
                f"({reason}). Looked for: {looked}. Download it on a machine with a network, "
                "then pass load_data(path=...) or set HOTLOOP_DATA to the folder that holds it."
            ) from None


def _is_bare(path: Path) -> bool:
    """Whether a path is a file name alone."""
    return path.parent == Path()


def cache_folder() -> Path:
    """Folder that downloads are kept in.

    Returns
    -------
    pathlib.Path
        ``$XDG_CACHE_HOME/hotloop`` if that variable is set, else the platform's usual place.

    Examples
    --------
    >>> cache_folder().name
    'hotloop'
    """
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "hotloop"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "hotloop"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "hotloop"
    return Path.home() / ".cache" / "hotloop"


class ChecksumError(OSError):
    """A download whose content is not what was expected; nothing of it is kept."""


def download(source: Source, target: Path) -> Path:
    """Download one file, check its hash and move it into place in one step.

    Parameters
    ----------
    source : Source
        What to download.
    target : pathlib.Path
        Where it ends up; missing folders are made. A partial file is never left there.

    Raises
    ------
    ChecksumError
        If the content differs from what ``source.sha256`` says.
    OSError
        If the server cannot be reached or the file cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(target) as file:
        file.writelines(received(source.url, source.name))
        file.seek(0)
        actual = _content_sha256(file, packed=source.name.endswith(".gz"))
        if actual != source.sha256:
            raise ChecksumError(
                f"{source.url} has changed or was damaged on the way: SHA-256 {actual}, "
                f"expected {source.sha256}. Nothing was kept; try again, or pass "
                "load_data(path=...) with a copy that you trust."
            )
    return target


def received(url: str, name: str) -> Iterator[bytes]:
    """The body of the response, chunk by chunk, behind a progress bar of this name."""
    # Imported here because together they would double the time of `import hotloop`.
    from http.client import HTTPException
    from urllib.request import urlopen

    from tqdm import tqdm

    try:
        with urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            length = int(response.headers.get("Content-Length", 0)) or None
            with tqdm(desc=name, total=length, unit="B", unit_scale=True, disable=None) as bar:
                received = 0
                while chunk := response.read(_CHUNK):
                    received += len(chunk)
                    bar.update(len(chunk))
                    yield chunk
    except HTTPException as error:
        raise OSError(f"the server's answer was broken: {error}") from error
    if length is not None and received < length:
        raise OSError(f"the connection was cut after {received:,} of {length:,} bytes")


def _content_sha256(file: IO[bytes], *, packed: bool) -> str:
    """SHA-256 of a file, or of what a gzip file holds; 'unreadable' for a broken gzip."""
    digest = hashlib.sha256()
    try:
        content: Any = gzip.GzipFile(fileobj=file) if packed else file
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return "unreadable"
    return digest.hexdigest()


def _open(file: Path, *, packed: bool) -> BinaryIO:
    """A binary file, decompressed on the fly if it is packed."""
    return gzip.open(file, "rb") if packed else file.open("rb")  # type: ignore[return-value]


def read_idx(file: Path) -> NDArray[np.uint8]:
    """Array in an ``idx`` file of unsigned bytes, the format of MNIST.

    The layout is two zero bytes, the type (8), the number of dimensions, each dimension as a
    big-endian 32-bit integer, then the values. A name in ``.gz`` is decompressed.

    Raises
    ------
    ValueError
        If the file is not of that format, or is cut short.
    """
    try:
        with _open(file, packed=file.suffix == ".gz") as content:
            raw = content.read()
    except (gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{file} is not a whole gzip file ({error}); get it again") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _IDX_UINT8:
        raise ValueError(f"{file} is not an idx file of unsigned bytes")
    rank = raw[3]
    start = 4 + 4 * rank
    shape = tuple(int(size) for size in np.frombuffer(raw[4:start], dtype=">u4"))
    expected = int(np.prod(shape, dtype=np.int64))
    if len(shape) != rank or len(raw) != start + expected:
        raise ValueError(
            f"{file} should hold {expected:,} values of shape {shape} but has "
            f"{max(len(raw) - start, 0):,}; get it again"
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape).copy()


def read_npz(file: Path, keys: Sequence[str]) -> list[Array]:
    """The arrays named ``keys`` of an ``npz`` file, without unpickling anything.

    Raises
    ------
    ValueError
        If the file is damaged or an array is missing.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return [arrays[key] for key in keys]
    except (zipfile.BadZipFile, EOFError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} is not an npz file with the arrays {', '.join(keys)} ({error}); get it again"
        ) from error


def shuffled_split(x: Array, y: Array, test_split: float, seed: int) -> Split:
    """Rows in a shuffled order, the last ``test_split`` of them as the test set.

    The order is that of ``numpy.random.RandomState(seed).shuffle``, which NumPy keeps
    the same in all its versions.

    Raises
    ------
    ValueError
        If ``test_split`` is not in [0, 1).

    Examples
    --------
    >>> x = np.arange(5)
    >>> (a, _), (b, _) = shuffled_split(x, x, 0.2, seed=1)
    >>> a.tolist(), b.tolist()
    ([2, 1, 4, 0], [3])
    """
    if not 0 <= test_split < 1:
        raise ValueError(f"test_split must be at least 0 and below 1, got {test_split}")
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    train, test = np.split(order, [int(len(x) * (1 - test_split))])
    return (x[train], y[train]), (x[test], y[test])
