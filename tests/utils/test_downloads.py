"""Files that are downloaded once: hashes, cache, archives and what must not be unpacked."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from hotloop.utils import get_file

CONTENT = b"some words"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(CONTENT)
    return path


def test_a_file_is_downloaded_once(source, tmp_path):
    def get(**options):
        return Path(get_file(origin=source.as_uri(), cache_dir=tmp_path / "cache", **options))

    path = get()
    assert path == tmp_path / "cache" / "datasets" / "words.txt"
    assert path.read_bytes() == CONTENT
    source.write_bytes(b"others")
    assert get().read_bytes() == CONTENT
    assert get(force_download=True).read_bytes() == b"others"
    assert get(fname="mine", cache_subdir="x").parts[-2:] == ("x", "mine")


@pytest.mark.parametrize("algorithm", ["auto", "sha256", "md5", "sha1"])
def test_hashes(algorithm, source, tmp_path):
    digest = hashlib.new("md5" if algorithm == "auto" else algorithm, CONTENT).hexdigest()
    given = {"origin": source.as_uri(), "cache_dir": tmp_path, "cache_subdir": "c"}
    options = given | {"file_hash": digest.upper(), "hash_algorithm": algorithm}
    path = Path(get_file(**options))
    path.write_bytes(b"damaged")  # the one in the cache is downloaded anew
    assert Path(get_file(**options)).read_bytes() == CONTENT
    path.unlink()
    source.write_bytes(b"another file")
    with pytest.raises(OSError, match="has changed, or was damaged on the way"):
        get_file(**options)
    assert not path.exists()
    with pytest.raises(OSError, match="md5"):
        get_file(**given, md5_hash="0" * 32)


def packed(kind, members, path):
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_archives_are_unpacked(kind, tmp_path):
    source = packed(kind, {"a/b.txt": b"b", "c.txt": b"c"}, tmp_path / "data.archive")
    given = {"origin": source.as_uri(), "cache_dir": tmp_path / "cache", "extract": True}
    folder = Path(get_file("data.tgz", **given))
    assert folder.name == "data_extracted"
    assert (folder / "a" / "b.txt").read_bytes() == b"b"
    (folder / "c.txt").write_bytes(b"mine")
    assert Path(get_file("data.tgz", **given)) == folder
    assert (folder / "c.txt").read_bytes() == b"mine"
    assert Path(get_file(**given)).name == "data.archive"
    assert (Path(get_file(**given)) / "c.txt").read_bytes() == b"c"
    other = "zip" if kind == "tar" else "tar"
    with pytest.raises(ValueError, match=f"no archive of the format {other}"):
        get_file("x", **given, archive_format=other)
    assert not [path for path in (tmp_path / "cache" / "datasets").iterdir() if path.name[0] == "."]


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "/out.txt", "C:/out.txt"])
def test_nothing_is_unpacked_outside(kind, name, tmp_path):
    source = packed(kind, {"fine.txt": b"", name: b"x"}, tmp_path / "data.archive")
    with pytest.raises(ValueError, match="outside of its folder"):
        get_file(origin=source.as_uri(), cache_dir=tmp_path / "cache", extract=True)
    assert not list(tmp_path.rglob("out.txt"))
    assert not list(tmp_path.rglob("fine.txt"))


def test_links_are_not_unpacked(tmp_path):
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(ValueError, match="is a link or a device"):
        get_file("links", path.as_uri(), cache_dir=tmp_path / "cache", untar=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "origin"),
        ({"origin": "https://example.org/"}, "name of a file"),
        ({"origin": "https://example.org/x", "fname": "../x"}, "name of a file"),
        ({"origin": "https://example.org/x", "fname": "a/b"}, "name of a file"),
        ({"origin": "x:y", "fname": "a", "file_hash": "0" * 64, "hash_algorithm": "no"}, "hashlib"),
    ],
)
def test_arguments(options, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        get_file(**options, cache_dir=tmp_path)
    with pytest.raises(OSError, match="nothing"):
        get_file("a", (tmp_path / "nothing").as_uri(), cache_dir=tmp_path / "c")
    assert not (tmp_path / "c" / "datasets" / "a").exists()
