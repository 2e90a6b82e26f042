"""Which format a file's name asks for, and what a file is by its content."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

HOTLOOP, KERAS, HDF5, SAFETENSORS = "hotloop", "keras", "hdf5", "safetensors"

# Names of other programs' formats, which must not be given to one of these.
_FOREIGN = {
    ".gguf": "GGUF",
    ".hdf5": "HDF5",
    ".joblib": "joblib",
    ".json": "JSON",
    ".npy": "NumPy",
    ".npz": "NumPy",
    ".onnx": "ONNX",
    ".pb": "TensorFlow",
    ".pickle": "pickle",
    ".pkl": "pickle",
    ".pt": "PyTorch",
    ".pth": "PyTorch",
    ".tflite": "TensorFlow Lite",
}


def format_of_weights(path: Path) -> str:
    """The format that `save_weights` gives a file of this name.

    Raises
    ------
    ValueError
        For a name that promises another one.
    """
    name, suffix = path.name.lower(), path.suffix.lower()
    if name.endswith(".weights.h5"):
        return HDF5
    if suffix == ".h5":
        raise ValueError(
            f"{path.name}: name a file of weights {path.stem}.weights.h5, as Keras demands, or "
            f"{path.stem}.safetensors"
        )
    if suffix in (".keras", ".hotloop"):
        raise ValueError(
            f"{path.name}: {suffix} files hold whole models, which save() writes; name a file of "
            f"weights {path.stem}.safetensors, or {path.stem}.weights.h5 for Keras"
        )
    _refuse_foreign(path, f"{path.stem}.safetensors, or {path.stem}.weights.h5 for Keras")
    return SAFETENSORS


def format_of_model(path: Path) -> str:
    """The format that `save` gives a file of this name.

    Raises
    ------
    ValueError
        For a name that promises another one.
    """
    name, suffix = path.name.lower(), path.suffix.lower()
    if suffix == ".keras":
        return KERAS
    stem = re.sub(r"\.weights$", "", path.stem)
    wanted = f"{stem}.hotloop, or {stem}.keras for Keras"
    if name.endswith(".weights.h5") or suffix == ".safetensors":
        raise ValueError(
            f"{path.name}: such files hold weights alone, which save_weights() writes; name it "
            f"{wanted}"
        )
    if suffix == ".h5":
        raise ValueError(f"{path.name}: hotloop writes no models as HDF5; name it {wanted}")
    _refuse_foreign(path, wanted)
    return HOTLOOP


def _refuse_foreign(path: Path, wanted: str) -> None:
    if kind := _FOREIGN.get(path.suffix.lower()):
        raise ValueError(f"{path.name}: hotloop writes no {kind} files; name it {wanted}")


# ------------------------------------------------------------------------ content


def format_of(path: Path) -> str | None:
    """The format of a file, by its content; None if it is none that hotloop reads.

    Raises
    ------
    OSError
        If there is no such file.
    """
    if path.is_dir():
        return None
    with open(path, "rb") as file:
        start = file.read(1024)
    if start.startswith(b"PK"):
        names = _members(path)
        if "model.json" in names or "weights.safetensors" in names:
            return HOTLOOP
        if "config.json" in names or "model.weights.h5" in names:
            return KERAS
        return None
    if _is_hdf5(path, start):
        return HDF5
    size = path.stat().st_size
    header = int.from_bytes(start[:8], "little")
    if len(start) > 8 and header <= size - 8 and start[8:9] == b"{":
        return SAFETENSORS
    return None


def description(path: Path) -> str:
    """What a file is, in words with which a sentence may begin, and what to do with it."""
    if path.is_dir():
        return _folder(path)
    with open(path, "rb") as file:
        start = file.read(1024)
    if not start:
        return "an empty file (truncated, corrupt or never written)"
    if start.startswith(b"PK"):
        return _archive(_members(path))
    for magic, words in _MAGIC:
        if start.startswith(magic):
            return words
    if start[4:8] == b"TFL3":
        return "a TensorFlow Lite model, which is for inference; save the original with Keras 3"
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05":
        return _PICKLE
    if re.match(rb"\x08[\x01-\x14](\x12.{1,40}[\x1a\"*:]|[:\"*])", start, re.DOTALL):
        return (
            "an ONNX model, by its looks, or other protocol buffers; hotloop reads no such files. "
            "Save the weights of the original as safetensors"
        )
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page: the download went wrong; get the file again"
    if text.startswith(b"{"):
        if b'"class_name"' in start:
            return "a model's structure as JSON, without weights; read it with model_from_json"
        return "JSON, and no model of hotloop or Keras"
    if _is_text(start):
        return "text"
    return "nothing that hotloop knows (truncated, corrupt or another format)"


_PICKLE = (
    "a pickle, which holds code; files are never executed. If you trust it, unpickle it in Python "
    "and save the model, or its arrays with set_weights"
)
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_MAGIC = (
    (_HDF5_MAGIC, "an HDF5 file"),
    (b"\x93NUMPY", "an array of NumPy; read it with numpy.load, then call set_weights"),
    (b"\x1f\x8b", "a gzip file; unpack it first"),
    (b"BZh", "a bzip2 file; unpack it first"),
    (b"\xfd7zXZ", "an xz file; unpack it first"),
    (b"7z\xbc\xaf", "a 7z file; unpack it first"),
    (b"GGUF", "a GGUF file of llama.cpp; hotloop reads no such files"),
    (b"PAR1", "a Parquet table, that is, data and no model"),
    (
        b"version https://git-lfs",
        "a pointer of Git LFS and not the file itself; get that with `git lfs pull`",
    ),
)


def _is_hdf5(path: Path, start: bytes) -> bool:
    """HDF5's mark stands at the beginning, or behind 512, 1024 ... bytes of somebody else's."""
    if start.startswith(_HDF5_MAGIC):
        return True
    with open(path, "rb") as file:
        for place in (512, 1024, 2048, 4096):
            file.seek(place)
            if file.read(8) == _HDF5_MAGIC:
                return True
    return False


def _members(path: Path) -> Sequence[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except Exception:  # zipfile raises many kinds: whoever reads the file says what is wrong
        return ()


def _archive(names: Sequence[str]) -> str:
    if not names:
        return "a zip archive that is truncated or corrupt"
    if any(name.endswith("data.pkl") for name in names):
        return (
            "a zip archive of PyTorch, which holds a pickle, that is, code; files are never "
            "executed. In PyTorch, save it with safetensors.torch.save_file(state_dict, path), or "
            "use hotloop.interop.torch"
        )
    if all(name.endswith(".npy") for name in names):
        return "an npz archive of NumPy; read it with numpy.load, then call set_weights"
    if "[Content_Types].xml" in names:
        return "an Office document"
    return f"a zip archive of {', '.join(names[:5])}, and no model of hotloop or Keras 3"


def _folder(path: Path) -> str:
    inside = {one.name for one in path.iterdir()}
    if "saved_model.pb" in inside or "keras_metadata.pb" in inside:
        return (
            "a TensorFlow SavedModel, a folder; load it with the Keras that wrote it and save it "
            "as .keras"
        )
    if {"config.json", "model.weights.h5"} <= inside:
        return f"a .keras archive that was unpacked; name {path / 'model.weights.h5'}, or zip it"
    if "checkpoint" in inside or any(name.endswith(".index") for name in inside):
        return (
            "a folder of TensorFlow checkpoints; load them with the Keras that wrote them and "
            "save as .keras or .weights.h5"
        )
    return "a folder; name a file in it"


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:
            return False
        text = start[: error.start].decode("utf-8")
    return all(c.isprintable() or c in "\t\r\n\f" for c in text)
