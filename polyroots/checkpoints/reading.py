"""Reading files of ``torch.save`` without executing code in them."""

from __future__ import annotations

import argparse
import datetime
import pathlib
import pickle
import re
import warnings
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch

from polyroots.errors import FileError
from polyroots.files import require_readable


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
    path = Path(path)
    require_readable(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols, for a file that is no checkpoint
            # torch.load maps zip files only.
            mmap = lazily and is_zipfile(path)
            with torch.serialization.safe_globals(_plain_data()):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)|got <class '(\S+)'>", str(error))
        if refused is None:
            raise _no_checkpoint(path) from error
        raise FileError(
            f"{path} holds {refused[1] or refused[2]}, and reading anything but tensors and plain data could run code: "
            "expected a checkpoint with a state dict and no other objects; save model.state_dict() by itself"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        # torch.load raises any of these for damaged and foreign files.
        raise _no_checkpoint(path) from error


def _plain_data() -> list[Any]:
    """Return the types of plain data that training scripts store beside a state dict."""
    numbers = [type(np.dtype(kind)) for kind in ("?", "i1", "i2", "i4", "i8", "u1", "f2", "f4", "f8")]
    scalar = np.float64(0).__reduce__()[0]
    array = np.zeros(0).__reduce__()[0]
    paths = [pathlib.PurePosixPath, pathlib.PosixPath, pathlib.PureWindowsPath]
    times = [datetime.datetime, datetime.date, datetime.timedelta]
    return [argparse.Namespace, scalar, array, np.ndarray, np.dtype, *numbers, *paths, *times]


def _no_checkpoint(path: Path) -> FileError:
    return FileError(
        f"{path} is no checkpoint: expected a file with a state dict that torch.save or safetensors wrote, whole"
    )
