"""The data of a figure as an .npz file: arrays by name, everything else as one JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from polyroots.files import reading_archive, replacing

# Name of the JSON text among the arrays.
_TEXT = "polyroots_figure"
# Prefix of an array's name in the JSON text.
_ARRAY = "array:"


def save(path: Path, figure: str, data: Mapping[str, Any]) -> None:
    """Write the data of a figure; a file is written as a whole or not at all.

    Parameters
    ----------
    path : file
    figure : its name
    data : mappings, lists, strings, numbers and arrays in any depth
        The name of an array is its path, such as ``levels/0/values``.
    """
    arrays: dict[str, Any] = {}
    text = {"figure": figure, "data": _without_arrays(data, "", arrays)}
    arrays[_TEXT] = json.dumps(text)
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def load(path: Path) -> tuple[str, dict[str, Any]] | None:
    """Read a figure's name and data; None if an .npz file holds something else.

    Raises
    ------
    FileError
        If it is no .npz file, or damaged.
    """
    with reading_archive(path, "holds no data of a figure", "'polyroots figures'"), np.load(path) as archive:
        if _TEXT not in archive:
            return None
        text = json.loads(str(archive[_TEXT]))
        return str(text["figure"]), _with_arrays(text["data"], archive)


def _without_arrays(value: Any, name: str, arrays: dict[str, Any]) -> Any:
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return f"{_ARRAY}{name}"
    if isinstance(value, Mapping):
        return {key: _without_arrays(item, f"{name}/{key}".lstrip("/"), arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_arrays(item, f"{name}/{index}", arrays) for index, item in enumerate(value)]
    return value


def _with_arrays(value: Any, archive: Mapping[str, Any]) -> Any:
    if isinstance(value, str) and value.startswith(_ARRAY) and value.removeprefix(_ARRAY) in archive:
        return archive[value.removeprefix(_ARRAY)]
    if isinstance(value, dict):
        return {key: _with_arrays(item, archive) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_arrays(item, archive) for item in value]
    return value
