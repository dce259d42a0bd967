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
from polyroots.limits import DAMAGED, is_archive, require_pickles, require_size
from polyroots.text import shortened

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
    except FileError:
        raise
    except Exception as error:  # whatever a damaged pickle raises
        raise FileError(
            f"{path} is a TorchScript archive that can't be read without its code ({shortened(str(error), 100)}); "
            "save its weights: torch.save(torch.jit.load(FILE).state_dict(), 'weights.pt')"
        ) from error
    return dict(_flat(module, ""))


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

        def read() -> Tensor:
            try:
                with ZipFile(self._path) as archive:
                    content = bytearray(archive.read(f"{self._folder}/{key}"))
                if not content:
                    return torch.empty(shape, dtype=dtype)
                return torch.frombuffer(content, dtype=dtype).as_strided(shape, stride, offset)
            except Exception as error:  # as above
                raise FileError(f"{self._path} is damaged: the tensor {key} can't be read") from error

        self.size += math.prod(shape) * dtype.itemsize
        require_size(self._path, self.size, "tensors")
        return ComputedTensor(tuple(shape), str(dtype).removeprefix("torch."), read)


def _flat(module: Any, prefix: str) -> list[tuple[str, ComputedTensor]]:
    """Return the tensors of a module and of those within it, by their names in a state dict."""
    found = []
    for name, value in vars(module).items():
        if isinstance(value, ComputedTensor):
            found.append((prefix + name, value))
        elif isinstance(value, _Object):
            found += _flat(value, f"{prefix}{name}.")
    return found
