"""Files from elsewhere: downloaded once, checked, unpacked with care."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from ..datasets.files import ChecksumError, cache_folder, received
from ..files.whole import written_whole

_CHUNK = 1 << 16
_FORMATS = ("tar", "zip")


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | list[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """The path of a file that is downloaded, if it is not in the cache yet.

    It takes its name when all of it is there and its hash is right. Archives are unpacked into a
    folder beside it, of which nothing can lead out.

    Parameters
    ----------
    fname : str, optional
        Its name in the cache; the end of the URL if not given.
    origin : str
        Where it is: a URL of http, https, ftp or file.
    untar : bool
        As `extract`, of a tar archive.
    md5_hash : str, optional
        As `file_hash`, of MD5.
    file_hash : str, optional
        What the file's hash must be, in hexadecimal digits. A file in the cache that has another
        one is downloaded anew.
    cache_subdir : str
        Folder in the cache.
    hash_algorithm : {"auto", "sha256", "md5", ...}
        One of `hashlib`'s; by the length of `file_hash` if "auto".
    extract : bool
        Whether it is an archive to be unpacked; the path of the folder is returned.
    archive_format : {"auto", "tar", "zip"}, list of them, or None
        What the archive may be; None unpacks nothing.
    cache_dir : path-like, optional
        ``~/.cache/hotloop``, or what this system has in its place, if not given.
    force_download : bool
        Whether it is downloaded even if it is in the cache.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        For missing or contradicting arguments, and for an archive with a member that would lie
        outside of its folder, or that is no archive.
    OSError
        If it cannot be downloaded, or does not have the hash.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     source = pathlib.Path(folder, "words.txt")
    ...     _ = source.write_text("some words")
    ...     path = get_file("mine.txt", source.as_uri(), cache_dir=folder)
    ...     pathlib.Path(path).read_text()
    'some words'
    """
    if not origin:
        raise ValueError("get_file: origin, the URL of the file, must be given")
    name = os.fspath(fname) if fname else PurePosixPath(unquote(urlsplit(origin).path)).name
    if not name or name in (".", "..") or Path(name).name != name:
        raise ValueError(
            f"get_file: fname must be the name of a file, without folders, not {name!r}; "
            "cache_dir and cache_subdir say where it is kept"
        )
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    folder = Path(cache_dir or cache_folder()).expanduser() / cache_subdir
    unpack = extract or untar
    target, unpacked = folder / name, folder / name
    if unpack:
        stem = name[: name.find(".")] if "." in name else name
        if fname and "." in name:
            unpacked = folder / f"{stem}_extracted"
        else:
            target = folder / f"{name}_archive"
    digest = None if file_hash is None else _Digest(file_hash, hash_algorithm)
    fresh = force_download or not target.exists()
    if not fresh and digest is not None and not digest.fits(target):
        fresh = True
    if fresh:
        _download(origin, name, target, digest)
    if not unpack or archive_format is None:
        return str(target)
    if fresh or not unpacked.is_dir():
        known = _FORMATS if archive_format == "auto" else archive_format
        _unpack(
            target, unpacked, ["tar"] if untar else [known] if isinstance(known, str) else known
        )
    return str(unpacked)


class _Digest:
    """A hash that a file must have."""

    def __init__(self, expected: str, algorithm: str) -> None:
        self.expected = expected.lower()
        if algorithm == "auto":
            algorithm = {32: "md5", 40: "sha1", 128: "sha512"}.get(len(expected), "sha256")
        if algorithm not in hashlib.algorithms_available:
            raise ValueError(f"get_file: hashlib knows no hash_algorithm {algorithm!r}")
        self.algorithm = algorithm

    def of(self, file: IO[bytes]) -> str:
        """The hash of a file's content."""
        found = hashlib.new(self.algorithm, usedforsecurity=False)
        while chunk := file.read(_CHUNK):
            found.update(chunk)
        return found.hexdigest()

    def fits(self, path: Path) -> bool:
        """Whether a file has it."""
        with path.open("rb") as file:
            return self.of(file) == self.expected


def _download(origin: str, name: str, target: Path, digest: _Digest | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(target) as file:
        file.writelines(received(origin, name))
        if digest is None:
            return
        file.seek(0)
        actual = digest.of(file)
        file.seek(0, os.SEEK_END)
        if actual != digest.expected:
            raise ChecksumError(
                f"{origin} has the {digest.algorithm} {actual}, expected {digest.expected}: it "
                "has changed, or was damaged on the way. Nothing was kept"
            )


def _unpack(archive: Path, folder: Path, formats: Any) -> None:
    """An archive's members in a folder, which is there when all of them are."""
    for one in formats:
        if one not in _FORMATS:
            raise ValueError(f"get_file: archive_format is 'auto', 'tar' or 'zip', not {one!r}")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as beside:
        inside = Path(beside) / "content"
        inside.mkdir()
        if "tar" in formats and tarfile.is_tarfile(archive):
            with tarfile.open(archive) as packed:
                for member in packed.getmembers():
                    _check(member.name, archive)
                    if not (member.isfile() or member.isdir()):
                        raise ValueError(
                            f"{archive}: {member.name} is a link or a device; it is not unpacked"
                        )
                    member.mode = 0o755 if member.isdir() else 0o644
                    packed.extract(member, inside, set_attrs=False)
        elif "zip" in formats and zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                for name in zipped.namelist():
                    _check(name, archive)
                zipped.extractall(inside)
        else:
            raise ValueError(f"{archive} is no archive of the format {' or '.join(formats)}")
        if folder.exists():
            shutil.rmtree(folder)
        inside.rename(folder)


def _check(name: str, archive: Path) -> None:
    """That a member lies within the archive's folder."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in name[:3]:
        raise ValueError(
            f"{archive}: {name!r} would lie outside of its folder; nothing is unpacked"
        )
