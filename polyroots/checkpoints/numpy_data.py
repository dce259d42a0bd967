"""The numbers and arrays of numpy in a pickle, made by functions that take no more memory than the pickle has."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Largest number of characters of the name of a type, such as "<f8", and of bytes of an entry.
_LONGEST_TYPE, _LARGEST_ITEM = 20, 2**16


def numpy_data() -> list[tuple[Any, str]]:
    """Return what torch may call for arrays and numbers of numpy, with the names that pickles have for it."""
    kinds = [*np.typecodes["AllInteger"], *np.typecodes["AllFloat"], "?", "S", "U", "M", "m"]
    types = {type(np.dtype(kind)) for kind in kinds}
    # torch gives objects of these types their states. No pickle can name them: a name ends with its line.
    unnamed: list[tuple[Any, str]] = [(kind, f"\n{kind.__name__}") for kind in (*types, np.ndarray)]
    # numpy 1 has them in numpy.core, numpy 2 in numpy._core.
    functions = [
        (function, f"numpy.{core}.multiarray.{name}")
        for function, name in ((_scalar, "scalar"), (_array, "_reconstruct"))
        for core in ("core", "_core")
    ]
    return [*unnamed, *functions, (_dtype, "numpy.dtype"), (_no_array, "numpy.ndarray")]


def _dtype(name: Any, *_: Any) -> np.dtype[Any]:
    """Return a type of numbers or text by its name, as numpy.dtype, which also takes nested and giant ones."""
    if not isinstance(name, str | bytes) or len(name) > _LONGEST_TYPE:
        raise pickle.UnpicklingError("a type of numpy has no name")
    # A copy: the state that follows changes it, and numpy has one object for each of its own types.
    dtype: np.dtype[Any] = np.dtype(name if isinstance(name, str) else name.decode("ascii"), copy=True)
    if dtype.hasobject:
        raise pickle.UnpicklingError(f"got {type(dtype)}")  # as torch says it for the types that it refuses
    if dtype.itemsize > _LARGEST_ITEM:
        raise pickle.UnpicklingError(f"an entry of a type of numpy has {dtype.itemsize:,} bytes")
    return dtype


def _scalar(dtype: Any, data: Any = None) -> Any:
    """Return a number by its type and bytes; without bytes numpy would fill any memory with zeros."""
    if not isinstance(dtype, np.dtype) or not isinstance(data, str | bytes) or dtype.itemsize > len(data):
        raise pickle.UnpicklingError("a number of numpy has no bytes")
    rebuild: Any = np.float64(0).__reduce__()[0]
    return rebuild(dtype, data)


def _array(*_: Any) -> NDArray[Any]:
    """Return an empty array, whose state gives it shape, type and numbers."""
    return np.zeros(0, dtype="b")


def _no_array(*_: Any) -> None:
    """Stand for the type of arrays among the arguments of `_array`; pickles don't call it."""
