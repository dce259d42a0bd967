"""The state dicts in a document: which entries hold networks, and which of them is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polyroots.checkpoints.own import kind_of
from polyroots.checkpoints.weights import is_sharded, is_weight
from polyroots.errors import FileError
from polyroots.limits import MOST_ITEMS, require_at_most
from polyroots.text import count_of, listed, quoted

# Entries under which programs store the one network of a file; those of averaged weights are further ones.
_NETWORK = ("state_dict", "model_state_dict", "model", "net", "module", "params", "weights", "network")
_AVERAGED = re.compile(r"ema|averaged?|swa|shadow", flags=re.IGNORECASE)
_OPTIMIZER = re.compile(r"optim|schedul|scaler|momentum|exp_avg", flags=re.IGNORECASE)
# Names of the weights of convolutions, or of factors of them.
_KERNEL = re.compile(r"(^|\.)(weight|kernel|weight_orig|weight_v|parametrizations\.weight\.original1?)$")
_DEPTH = 5
_MOST_PARTS = 100_000


@dataclass(frozen=True)
class Entry:
    """A state dict in a document.

    Attributes
    ----------
    name : str
        Its keys, joined by points; empty for the document itself.
    tensors : mapping
    convolutions : int
        Number of four-dimensional weights.
    """

    name: str
    tensors: Mapping[Any, Any]
    convolutions: int

    def __str__(self) -> str:
        """Return the name with the number of convolutions."""
        return f"{self.name} ({count_of(self.convolutions, 'convolution')})"


def choose_entry(path: str | Path, document: Any, name: str | None) -> tuple[Entry, list[Entry]]:
    """Return the state dict of a document, and the others.

    Parameters
    ----------
    path : str or Path
        Of the document, for messages.
    document : object
        Of a file.
    name : str or None
        Name of the entry; None for the only one, or for the one under a usual key such as ``"state_dict"``.

    Raises
    ------
    FileError
        If the document is no mapping, no entry has the name, or several networks are there and none is named.
    """
    if not isinstance(document, Mapping | list | tuple):
        raise FileError(f"{path} holds no state dict: expected a mapping of names to tensors, got {kind_of(document)}")
    found = entries_of(document)
    if name is not None:
        chosen = [entry for entry in found if entry.name == name]
        if not chosen:
            names = listed([str(entry) for entry in found if entry.name], 8) or "none"
            raise FileError(f"{path} has no state dict in the entry {quoted(name)}; it has {names}", fields=["entry"])
    else:
        chosen = _preferred(found)
    if not chosen and found:
        raise FileError(
            f"{path} holds several networks: {listed([str(entry) for entry in found], 8)}; name the entry to read",
            fields=["entry"],
        )
    if not chosen:
        if not isinstance(document, Mapping):
            raise FileError(
                f"{path} holds no state dict: expected a mapping of names to tensors, got {kind_of(document)}"
            )
        chosen = [Entry("", _tensors(document), 0)]
    return chosen[0], [entry for entry in found if entry is not chosen[0]]


def entries_of(document: Any) -> list[Entry]:
    """Return the state dicts with convolutions in a document, from the outside to the inside.

    Raises
    ------
    FileError
        If parts are in each other so often that they can't be listed, or have too many items together.
    """
    found: list[Entry] = []
    # The parts still to be searched, the last one first: name, content, and what is around it, which may hold itself.
    waiting: list[tuple[str, Any, tuple[int, ...]]] = [("", document, ())]
    looked_at = 0
    for _ in range(_MOST_PARTS):
        if not waiting:
            return found
        name, part, around = waiting.pop()
        if len(around) > _DEPTH or id(part) in around or _OPTIMIZER.search(name):
            continue
        looked_at += len(part)
        require_at_most("the file", looked_at, "items in lists and mappings", MOST_ITEMS)
        items: list[tuple[Any, Any]] = list(part.items() if isinstance(part, Mapping) else enumerate(part))
        if isinstance(part, Mapping):
            tensors = _tensors(part)
            count = sum(value.ndim == 4 and bool(_KERNEL.search(str(key))) for key, value in tensors.items())
            if count or any(value.ndim > 2 for value in tensors.values()):
                found.append(Entry(name, tensors, count))
        waiting += [
            (f"{name}.{key}" if name else str(key), value, (*around, id(part)))
            for key, value in reversed(items)
            if isinstance(value, Mapping | list | tuple)
        ]
    raise FileError(f"the file holds more than {_MOST_PARTS:,} lists and mappings; expected a state dict")


def _preferred(found: list[Entry]) -> list[Entry]:
    """Return the entry to read if none is named; none if several have an equal right."""
    if found and not found[0].name:
        return found[:1]
    with_kernels = [entry for entry in found if entry.convolutions] or found
    usual = [entry for entry in with_kernels if entry.name in _NETWORK]
    plain = [entry for entry in with_kernels if not _AVERAGED.search(entry.name)]
    for candidates in (usual, plain, with_kernels):
        if len(candidates) == 1:
            return candidates
    return []


def _tensors(document: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the tensors of a mapping; floating-point arrays of numpy are weights, too."""
    found = {}
    for key, value in document.items():
        if not isinstance(key, str | int):  # Names are bounded, and other keys may be far longer as text.
            continue
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.dtype.itemsize <= 8:
            found[key] = torch.from_numpy(value)
        elif is_weight(value):
            is_whole = is_sharded(value) and value.to_local().shape == value.shape
            found[key] = value.to_local() if is_whole else value
    return found
