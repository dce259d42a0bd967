"""The tensors of TorchScript archives, which are read without the code beside them."""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from torch import Tensor

from polyroots.checkpoints.weights import ComputedTensor
from polyroots.errors import FileError
from polyroots.limits import (
    DAMAGED,
    LONGEST_NAME,
    MOST_ENTRIES,
    MOST_ITEMS,
    is_archive,
    require_at_most,
    require_names,
    require_pickles,
    require_size,
)
from polyroots.text import shortened

# As many as torch allows.
_MOST_DIMENSIONS = 64
_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def is_torchscript(path: str | Path) -> bool:
    """Return whether a file is an archive of torch.jit.save."""
    if not is_archive(path):
        return False
    try:
        with ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except DAMAGED:
        return False
    return {"data.pkl", "constants.pkl"} <= names


def read_torchscript(path: str | Path) -> dict[str, ComputedTensor]:
    """Return the parameters and buffers of a TorchScript archive by name; tensors are read when they are needed.

    Objects are read as their attributes. No function of the archive, or of any other module, is called.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileError
        If the archive is damaged, or holds other objects than modules, tensors and plain data.
    """
    path = Path(path)
    try:
        require_pickles(path)
        with ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            content = archive.read(name)
        module = _Attributes(io.BytesIO(content), path, name.removesuffix(".pkl")).load()
        tensors = _flat(path, module)
    except FileError:
        raise
    except Exception as error:  # whatever a damaged pickle raises
        raise FileError(
            f"{path} is a TorchScript archive that can't be read without its code ({shortened(str(error), 100)}); "
            "save its weights: torch.save(torch.jit.load(FILE).state_dict(), 'weights.pt')"
        ) from error
    require_at_most(path, len(tensors), "tensors", MOST_ENTRIES)
    require_names(path, tensors)
    return tensors


class _Object:
    """An object of the archive, of which the attributes are kept."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


class _Attributes(pickle.Unpickler):
    """Reads modules as objects without methods, and tensors as what is to be read."""

    def __init__(self, stream: io.BytesIO, path: Path, folder: str) -> None:
        super().__init__(stream)
        self._path, self._folder = path, folder
        self.size = 0

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Object
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if module == "torch.jit._pickle" and name.startswith("build_"):
            return list
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"it holds {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[torch.dtype, str]:
        _, dtype, key, *_ = pid
        return dtype, str(key)

    def _tensor(
        self, storage: tuple[torch.dtype, str], offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any
    ) -> ComputedTensor:
        dtype, key = storage
        if len(shape) > _MOST_DIMENSIONS or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError(f"its storage {key} is that of a tensor without a shape")

        def read() -> Tensor:
            try:
                with ZipFile(self._path) as archive:
                    content = bytearray(archive.read(f"{self._folder}/{key}"))
                if not content and math.prod(shape) == 0:
                    return torch.empty(shape, dtype=dtype)
                return torch.frombuffer(content, dtype=dtype).as_strided(shape, stride, offset)
            except Exception as error:  # as above
                raise FileError(f"{self._path} is damaged: the tensor {key} can't be read") from error

        self.size += math.prod(shape) * dtype.itemsize
        require_size(self._path, self.size, "tensors")
        return ComputedTensor(tuple(shape), str(dtype).removeprefix("torch."), read)


def _flat(path: Path, module: Any) -> dict[str, ComputedTensor]:
    """Return the tensors of a module and of those within it, by their names in a state dict.

    A module may be in several others, and in a hostile file in itself, or twice in each of many levels.
    """
    if not isinstance(module, _Object):
        raise ValueError(f"it holds a {type(module).__name__} and no module")
    found = {}
    looked_at = 0
    # The modules around the attribute that is looked at, each with the start of its names.
    around = [("", module, iter(vars(module).items()))]
    while around:
        prefix, _, attributes = around[-1]
        for name, value in attributes:
            looked_at += 1
            require_at_most(path, looked_at, "attributes of modules", MOST_ITEMS)
            if not isinstance(value, ComputedTensor | _Object):
                continue
            require_at_most(path, len(prefix) + len(name), "characters in a name", LONGEST_NAME)
            if isinstance(value, ComputedTensor):
                found[prefix + name] = value
                continue
            if any(value is outer for _, outer, _ in around):
                raise ValueError("a module is in itself")
            around.append((f"{prefix}{name}.", value, iter(vars(value).items())))
            break
        else:
            around.pop()
    return found
