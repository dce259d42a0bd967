"""Files of safetensors, whose tensors are read when they are needed."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from safetensors import SafetensorError, safe_open

from polyroots.checkpoints.weights import StoredTensor
from polyroots.errors import FileError
from polyroots.files import require_readable

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
        raise FileError(f"{path} is no checkpoint: its name says safetensors, its content does not; fetch it again")
    return begins


def read_safetensors(path: str | Path) -> dict[str, StoredTensor]:
    """Return the tensors of a file of safetensors by name, without reading them.

    Raises
    ------
    FileError
        If the file is damaged.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            found = {}
            for name in file.keys():  # noqa: SIM118, no mapping
                entry = file.get_slice(name)
                dtype = entry.get_dtype()
                found[name] = StoredTensor(path, name, tuple(entry.get_shape()), _DTYPES.get(dtype, dtype))
            return found
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise FileError(f"{path} is no checkpoint: its header is that of safetensors, but it is damaged") from error
