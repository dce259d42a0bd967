"""Names of the convolutions in a checkpoint, for the completion of a command line: read within it, without torch."""

from __future__ import annotations

import json
import pickle
import re
import struct
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

from polyroots.errors import FileError
from polyroots.files import checkpoint_in
from polyroots.limits import (
    DAMAGED,
    LONGEST_NAME,
    LONGEST_PICKLE,
    MOST_ITEMS,
    is_archive,
    require_archive,
    require_pickles,
)

# Pickles in a file of the older format of torch.save: a number, a version, the system, and the content.
_PICKLES = 4
# Of data parallelism and torch.compile; --layer takes names without them.
_PREFIXES = re.compile(r"^((module|_orig_mod)\.)+")

# Errors that the modules which read files raise for damaged ones.
_DAMAGED = (*DAMAGED, TypeError, LookupError, AttributeError, MemoryError, pickle.UnpicklingError, OverflowError)


def layer_names(path: Path) -> list[str]:
    """Return the names of the weights with the dimensions of a convolution, without ``.weight``.

    Parameters
    ----------
    path : a file of ``torch.save``, ``torch.jit.save`` or safetensors, an index of shards, or a directory with one
        What can't be read has no names: the command itself says why.
    """
    try:
        path = checkpoint_in(path)
        shapes = _of_shards(path) if path.suffix == ".json" else _shapes(path)
        kernels = (name for name, shape in shapes.items() if len(shape) == 4)
        return list(dict.fromkeys(_PREFIXES.sub("", name).removesuffix(".weight") for name in kernels))
    except (FileError, *_DAMAGED):
        return []


def _of_shards(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors that an index names, from the files beside it."""
    if path.stat().st_size > LONGEST_PICKLE:
        return {}
    files = json.loads(path.read_bytes())["weight_map"]
    shapes: dict[str, tuple[int, ...]] = {}
    for name in dict.fromkeys(files.values()):
        if Path(name).name == name:
            shapes |= _shapes(path.parent / name)
    return {name: shapes[name] for name in files if name in shapes}


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in a file by name."""
    if is_archive(path):
        require_archive(path)
        require_pickles(path)
        with ZipFile(path) as archive:
            (name,) = (entry for entry in archive.namelist() if entry.endswith("data.pkl"))
            with archive.open(name) as stream:
                return dict(_tensors(_Reader(stream).load()))
    with path.open("rb") as stream:
        start = stream.read(9)
        if start[8:] == b"{":
            return _header(stream, struct.unpack("<Q", start[:8])[0])
        require_pickles(path, whole=True)
        stream.seek(0)
        document = None
        for _ in range(_PICKLES):
            document = _Reader(stream).load()
        return dict(_tensors(document))


def _header(stream: IO[bytes], length: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes in the header of a file of safetensors."""
    stream.seek(8)
    header = json.loads(stream.read(min(length, LONGEST_PICKLE)))
    return {name: tuple(entry["shape"]) for name, entry in header.items() if "shape" in entry}


class _Object:
    """Stands for an object of any class: nothing of it is run, only the arguments that it was made with are kept."""

    arguments: tuple[Any, ...] = ()  # of objects that are made without any

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __call__(self, *arguments: Any) -> _Object:
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Drop an element."""

    def __setstate__(self, state: Any) -> None:
        pass


class _Dictionary(dict[Any, Any]):
    """A state dict, whose attributes are dropped."""

    def __setstate__(self, state: Any) -> None:
        pass


class _Reader(pickle.Unpickler):
    """Reads plain data, ordered dictionaries, attributes of TorchScript's modules, and the arguments of tensors.

    A tensor is made from its storage, offset and shape.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in for every class and function but ordered dictionaries."""
        if (module, name) == ("collections", "OrderedDict"):
            return _Dictionary
        if module.startswith("__torch__"):
            return _Module
        is_tensor = module == "torch._utils" and name.startswith("_rebuild_tensor")
        return _Tensor if is_tensor else _Object

    def persistent_load(self, key: Any) -> Any:
        """Return nothing for a storage."""
        return None


class _Tensor(_Object):
    """Stands for a tensor."""


class _Module(_Object):
    """A module of TorchScript, whose attributes are its tensors and the modules within it."""

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if isinstance(state, dict) else {}


def _tensors(document: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield names and shapes of tensors: those within modules after the modules' names, those in dictionaries alone."""
    waiting = deque([("", document)])
    # Parts may be in each other any number of times.
    left = MOST_ITEMS
    while waiting and left > 0:
        prefix, item = waiting.popleft()
        entries = getattr(item, "attributes", {}) if isinstance(item, _Module) else item
        if not isinstance(entries, Mapping) or len(prefix) > LONGEST_NAME:
            continue
        left -= 1 + len(entries)
        for name, value in entries.items():
            if isinstance(value, _Object) and not isinstance(value, _Tensor) and value.arguments:
                value = value.arguments[0]  # a parameter holds its tensor
            if isinstance(value, _Tensor) and isinstance(name, str):
                yield prefix + name, tuple(value.arguments[2])
            elif isinstance(value, _Module):
                waiting.append((f"{prefix}{name}.", value))
            elif isinstance(value, Mapping):
                waiting.append(("", value))
