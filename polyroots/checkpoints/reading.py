"""Reading files of ``torch.save`` without executing code in them."""

from __future__ import annotations

import argparse
import datetime
import importlib
import logging
import pathlib
import pickle
import re
import types
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polyroots.checkpoints.formats import other_format
from polyroots.checkpoints.numpy_data import numpy_data
from polyroots.errors import FileError
from polyroots.files import checkpoint_in, require_readable
from polyroots.limits import (
    MOST_ENTRIES,
    is_archive_of_torch,
    require_archive,
    require_at_most,
    require_names,
    require_pickles,
    require_size,
)


def read_document(path: str | Path, *, lazily: bool = False) -> Any:
    """Return the content of a file of torch.save.

    Parameters
    ----------
    path : str or Path
    lazily : bool
        Map the tensors of a zip file into memory, so that they are read when they are used.

    Returns
    -------
    object
        Tensors and plain data, usually a dict.

    Raises
    ------
    FileError
        If the file is missing, damaged, or holds other objects than tensors and plain data.
    """
    path = checkpoint_in(path)
    require_readable(path)
    require_archive(path)
    require_pickles(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols, for a file that is no checkpoint
            # torch.load maps zip files only.
            mmap = lazily and is_archive_of_torch(path)
            with torch.serialization.safe_globals(_plain_data()):
                document = _load(path, mmap=mmap)
    except pickle.UnpicklingError as error:
        if f"Unsupported operand {pickle.FRAME[0]}" in str(error) and not other_format(path):
            raise FileError(
                f"{path} can't be read without running code: it was saved with a pickle protocol above 3; expected "
                "torch.save with its own protocol, 2; load it with torch and save model.state_dict() so"
            ) from error
        refused = re.search(r"GLOBAL (\S+)|got <class '(\S+)'>", str(error))
        if refused is None or other_format(path):
            raise _no_checkpoint(path) from error
        kind = refused[1] or refused[2]
        raise FileError(
            f"{path} holds {kind}, and reading anything but tensors and plain data could run code: "
            "expected a checkpoint with a state dict and no other objects; save model.state_dict() by itself"
        ) from error
    except MemoryError as error:
        raise FileError(f"{path} takes more memory than there is, or is damaged") from error
    except Exception as error:
        require_readable(path)  # It may be gone by now.
        # Damaged and foreign files make torch.load, and the constructors that it calls, raise errors of any class.
        raise _no_checkpoint(path) from error
    _require_tensors(path, document)
    return document


def _require_tensors(path: Path, document: Any) -> None:
    """Raise FileError if a document has too many tensors, too large ones or such that have no shape.

    A tensor of stride 0 has more entries than the file.
    """
    waiting, seen = [document], set()
    names: list[str] = []
    tensors = size = 0
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            if item.is_nested:
                raise FileError(f"{path} holds a nested tensor, which is no weight of a convolution: leave it out")
            tensors += 1
            is_dense = item.layout == torch.strided and not item.is_meta
            size += item.numel() * item.element_size() if is_dense else 0
        elif isinstance(item, np.ndarray):
            size += item.nbytes
        elif isinstance(item, Mapping | list | tuple | set) and id(item) not in seen:
            seen.add(id(item))
            waiting += item.values() if isinstance(item, Mapping) else item
            if isinstance(item, Mapping):
                names += [key for key in item if isinstance(key, str)]
    require_names(path, names)
    require_at_most(path, tensors, "tensors", MOST_ENTRIES)
    require_size(path, size, "tensors")


def _load(path: Path, *, mmap: bool) -> Any:
    """Return the content of a file; the class of sharded tensors is imported if the file holds some."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        if "to load DTensors" not in str(error):
            raise
    importlib.import_module("torch.distributed.tensor")
    # It warns that there is no group of processes, which reading a file doesn't need.
    logger = logging.getLogger("torch.distributed.device_mesh")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    finally:
        logger.setLevel(level)


def _without_factory(*_: Any) -> dict[Any, Any]:
    """Return an empty dict in place of a defaultdict, whose factory isn't kept."""
    return {}


class _RandomState:
    """Stands in a document for a generator of random numbers, whose state isn't kept."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


# Classes and functions under which numpy and Python pickle generators of random numbers.
_GENERATORS = (
    "random.Random",
    *(f"numpy.random._pickle.__{kind}_ctor" for kind in ("randomstate", "generator", "bit_generator")),
    *(f"numpy.random._{file}" for file in ("mt19937.MT19937", "philox.Philox", "sfc64.SFC64")),
    *(f"numpy.random._pcg64.PCG64{kind}" for kind in ("", "DXSM")),
    *(f"numpy.random.bit_generator.{prefix}SeedSequence" for prefix in ("", "__pyx_unpickle_")),
)


def _plain_data() -> list[Any]:
    """Return the types of plain data that training scripts store beside a state dict; none of them runs code.

    Other names are given for classes of other versions and packages.
    """
    # A path of another system can't be made here, a pure path can.
    kinds_of_path = {"PosixPath": pathlib.PurePosixPath, "WindowsPath": pathlib.PureWindowsPath}
    paths = [
        (kind, f"{module}.{prefix}{name}")
        for name, kind in kinds_of_path.items()
        for prefix in ("", "Pure")
        for module in ("pathlib", "pathlib._local")
    ]
    times = [datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone]
    # Factories of defaultdicts, which aren't kept: a file may name these types, but a call of one makes nothing.
    kinds_of_value = ("dict", "list", "set", "tuple", "int", "float", "str", "bool")
    factories: list[Any] = [(_without_factory, f"builtins.{name}") for name in kinds_of_value]
    dicts: list[Any] = [(_without_factory, "collections.defaultdict")]
    # Lightning's hyperparameters are a dict.
    dicts += [
        (dict, f"{package}.AttributeDict")
        for package in (
            "pytorch_lightning.utilities.parsing",
            "lightning.pytorch.utilities.parsing",
            "lightning_fabric.utilities.data",
            "lightning.fabric.utilities.data",
        )
    ]
    generators = [(_RandomState, name) for name in _GENERATORS]
    plain = [argparse.Namespace, types.SimpleNamespace, *times]
    return [*plain, *numpy_data(), *paths, *factories, *dicts, *generators]


def _no_checkpoint(path: Path) -> FileError:
    what = other_format(path)
    if what:
        return FileError(f"{path} is no checkpoint but {what}")
    return FileError(
        f"{path} is no checkpoint: expected a file with a state dict that torch.save or safetensors wrote, whole"
    )
