"""The formats of files that are no checkpoints of torch.save or safetensors, with the way from there."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

from polyroots.checkpoints.matrices import is_of_scipy
from polyroots.limits import DAMAGED, is_archive

_SAVE = "and save it: torch.save(weights, 'weights.pt')"
# First bytes of a file, what it is, and what to do.
_BEGINNINGS = (
    (b"version https://git-lfs.github.com", "a Git LFS pointer, not the file itself", "fetch it: git lfs pull"),
    (b"<!doctype html", "an HTML page", "the address needs a login or another link; fetch the file itself"),
    (b"<html", "an HTML page", "the address needs a login or another link; fetch the file itself"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", f"load it with Keras, take model.get_weights() {_SAVE}"),
    (b"\x1f\x8b", "a gzip file", "unpack it: gunzip FILE, or tar xzf FILE"),
    (b"\xfd7zXZ\x00", "an xz file", "unpack it: xz -d FILE, or tar xJf FILE"),
    (b"BZh", "a bzip2 file", "unpack it: bunzip2 FILE"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"%%matrixmarket", "a matrix of MatrixMarket", "give it the ending .mtx, which 'polyroots init' reads"),
    (b"GGUF", "a GGUF file", "use the file that it was converted from"),
    (b"\x93NUMPY", "an array of numpy", f"numpy.load it, make a tensor of it {_SAVE}"),
)
_SUFFIXES = {
    ".onnx": ("an ONNX model", f"take onnx.load(FILE).graph.initializer, numpy_helper.to_array of each {_SAVE}"),
    ".pb": ("a TensorFlow graph", f"load it with TensorFlow, take the variables {_SAVE}"),
    ".index": ("an index of a TensorFlow checkpoint", f"tf.train.load_checkpoint it, take its tensors {_SAVE}"),
    ".ckpt-1": ("a TensorFlow checkpoint", f"tf.train.load_checkpoint it, take its tensors {_SAVE}"),
    ".msgpack": ("a file of Flax", f"load it with flax.serialization {_SAVE}"),
}
_EXPORTED = "torch.export.load(FILE).state_dict"


def other_format(path: Path) -> str | None:
    """Return what a file is, and the way from there to a state dict; None if its format is not known."""
    with path.open("rb") as stream:
        start = stream.read(512)
    text = start.lstrip().lower()
    for beginning, what, remedy in _BEGINNINGS:
        if start.startswith(beginning) or text.startswith(beginning):
            return f"{what}; {remedy}"
    if start[257:262] == b"ustar":
        return "a tar archive; unpack it: tar xf FILE"
    if start[4:8] == b"TFL3":
        return f"a TensorFlow Lite model; load it with TensorFlow, take the variables {_SAVE}"
    if is_archive(path):
        return _in_archive(path)
    if path.suffix in _SUFFIXES:
        what, remedy = _SUFFIXES[path.suffix]
        return f"{what}; {remedy}"
    if ".data-0000" in path.name:
        return f"a part of a TensorFlow checkpoint; tf.train.load_checkpoint it, take its tensors {_SAVE}"
    return None


def _in_archive(path: Path) -> str | None:
    """Return what a zip archive is by the names in it."""
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
    except DAMAGED:
        return None
    last = {name.rpartition("/")[2] for name in names}
    if any(name.endswith("constants.pkl") for name in names) and "data.pkl" in last:
        return f"a TorchScript archive; take torch.jit.load(FILE).state_dict() {_SAVE}"
    if "archive_format" in last or "serialized_exported_program.json" in last:
        return f"a program of torch.export; take {_EXPORTED} {_SAVE}"
    if is_of_scipy(names):
        return "a sparse matrix of scipy; 'polyroots init' reads it"
    if names and all(name.endswith(".npy") for name in names):
        return f"an .npz file of numpy; make a mapping of names to tensors of it {_SAVE}"
    if "model.weights.h5" in last:
        return f"a Keras model; load it with Keras, take model.get_weights() {_SAVE}"
    return None if "data.pkl" in last else "a zip archive; unpack it"
