"""Files of safetensors, whose tensors are read when they are needed."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from safetensors import SafetensorError, safe_open

from polyroots.checkpoints.formats import other_format
from polyroots.checkpoints.weights import StoredTensor
from polyroots.errors import FileError
from polyroots.files import read_json, require_readable
from polyroots.limits import LONGEST_PICKLE, MOST_ENTRIES, require_at_most, require_names
from polyroots.text import quoted

# Names of floating-point types in safetensors and in torch.
_DTYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}

#: Types of weights that can be analysed.
FLOATING_POINT = tuple(_DTYPES.values())


def is_safetensors(path: str | Path) -> bool:
    """Return whether a file begins as one of safetensors, with the length of a header and the header's brace.

    Raises
    ------
    FileError
        If it can't be read, or has the suffix ``.safetensors`` and another content.
    """
    require_readable(path)
    with Path(path).open("rb") as stream:
        start = stream.read(9)
    begins = len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] <= Path(path).stat().st_size
    if Path(path).suffix == ".safetensors" and not begins:
        what = other_format(Path(path))
        content = f"is {what}" if what else "does not; fetch it again"
        raise FileError(f"{path} is no checkpoint: its name says safetensors, its content {content}")
    return begins


def read_safetensors(path: str | Path) -> dict[str, StoredTensor]:
    """Return the tensors of a file of safetensors by name, without reading them.

    Raises
    ------
    FileError
        If the file is damaged.
    """
    path = Path(path)
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8).ljust(8, b"\0"))
    require_at_most(path, min(length, path.stat().st_size), "bytes in its header", LONGEST_PICKLE)
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            require_names(path, names)
            require_at_most(path, len(names), "tensors", MOST_ENTRIES)
            found = {}
            for name in names:
                entry = file.get_slice(name)
                dtype = entry.get_dtype()
                found[name] = StoredTensor(path, name, tuple(entry.get_shape()), _DTYPES.get(dtype, dtype))
            return found
    except FileError:
        raise
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise FileError(f"{path} is no checkpoint: its header is that of safetensors, but it is damaged") from error


def read_shards(path: str | Path) -> dict[str, StoredTensor]:
    """Return the tensors of sharded safetensors by name, without reading them.

    Parameters
    ----------
    path : str or Path
        The index, ``model.safetensors.index.json``, whose ``weight_map`` names the file of each tensor beside it.

    Raises
    ------
    FileError
        If the file is no index, or a shard is missing, damaged or incomplete.
    """
    path = Path(path)
    index = read_json(path, "an index of sharded safetensors")
    files = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise FileError(f"{path} is no index of safetensors: expected a 'weight_map' of names to files")
    require_names(path, files)
    shards: dict[str, dict[str, StoredTensor]] = {}
    for name in dict.fromkeys(files.values()):
        if Path(name).name != name:
            raise FileError(f"{path} names the shard {quoted(name)}: expected a file beside the index")
        if not (path.parent / name).is_file():
            raise FileError(f"{path} names the shard {name}, which is not there; fetch all {len(set(files.values()))}")
        shards[name] = read_safetensors(path.parent / name)
    missing = [name for name, file in files.items() if name not in shards[file]]
    if missing:
        raise FileError(f"{path} names {missing[0]} in {files[missing[0]]}, which doesn't hold it; fetch both again")
    return {name: shards[file][name] for name, file in files.items()}
