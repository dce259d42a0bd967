"""The tensors of a state dict, whether they are in memory, in a file, or computed from others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from safetensors import SafetensorError, safe_open
from torch import Tensor

from polyroots.errors import FileError


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file of safetensors."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def read(self) -> Tensor:
        """Return the tensor; raise FileError if the file is no longer the same."""
        try:
            with safe_open(self.path, framework="pt") as file:
                return file.get_tensor(self.name)
        except (SafetensorError, OSError) as error:
            raise FileError(f"{self.path}: the tensor {self.name} can't be read; fetch the file again") from error


@dataclass(frozen=True)
class ComputedTensor:
    """A tensor that is computed from others when it is read.

    Attributes
    ----------
    shape : tuple of int
    dtype : str
        Such as ``"float32"``.
    read : callable
        Returns the tensor.
    note : str
        What it is computed from.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Tensor] = field(repr=False)
    note: str = ""

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)


Weight: TypeAlias = Tensor | StoredTensor | ComputedTensor
Weights: TypeAlias = Mapping[str, Weight]


def is_weight(value: Any) -> bool:
    """Return whether an entry of a state dict is a tensor."""
    return isinstance(value, Tensor | StoredTensor | ComputedTensor)


def is_sharded(value: Any) -> bool:
    """Return whether a tensor is a DTensor, of which one process has a part."""
    return type(value).__name__ == "DTensor"


def tensors_of(document: Mapping[Any, Any]) -> dict[str, Weight]:
    """Return the tensors among the entries of a mapping, by name."""
    return {str(name): value for name, value in document.items() if is_weight(value)}


def dtype_of(weight: Weight) -> str:
    """Return the name of a tensor's type, such as ``"bfloat16"``."""
    return str(weight.dtype).removeprefix("torch.")


def reader_of(weight: Weight) -> Callable[[], Tensor]:
    """Return a function that returns the tensor."""
    return (lambda: weight) if isinstance(weight, Tensor) else weight.read


def split_name(name: str) -> tuple[str, str]:
    """Return the module and the parameter of a name in a state dict.

    >>> split_name("layer1.0.conv1.weight"), split_name("weight")
    (('layer1.0.conv1', 'weight'), ('', 'weight'))
    """
    module, _, parameter = name.rpartition(".")
    return module, parameter


def in_module(module: str, parameter: str) -> str:
    """Return the name of a module's parameter in a state dict."""
    return f"{module}.{parameter}" if module else parameter
