"""Pickles: their instructions are counted before they are carried out."""

from __future__ import annotations

import io
import pickletools
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from polyroots.errors import FileError
from polyroots.limits.archives import is_archive_of_torch, pickles_in
from polyroots.limits.costs import ENCODE, MAKING, Costs
from polyroots.limits.declared import (
    LONGEST_PICKLE,
    MOST_INSTRUCTIONS,
    are_lifted,
    most_bytes,
    require_at_most,
    require_size,
)

# Of the encodings of Python these take a time that is quadratic in the length of the text.
_SLOW_ENCODINGS = re.compile("punycode|idna", flags=re.IGNORECASE)
_LONGEST_ENCODING = 99


def require_pickles(path: str | Path, *, whole: bool = False) -> None:
    """Raise FileError if the pickles of a file of torch.save take long, or much memory, by themselves.

    Parameters
    ----------
    path : str or Path
    whole : bool
        Refuse what is no pickle as well. It passes otherwise, since torch stops there and says so, but Python's own
        reader knows more ways to write a number than `pickletools`, and would go on. An archive's are always whole.
    """
    if are_lifted():
        return
    instructions = 0
    for pickle in pickles_in(path):
        instructions += _require_pickle(path, pickle, 1, instructions, whole=True)
    # A file may end as an archive, and begin with the pickles that torch reads.
    if not is_archive_of_torch(path):
        with Path(path).open("rb") as stream:
            content = stream.read(LONGEST_PICKLE)
        # The older format has five: a number, a version, the system, the content, and the names of the storages.
        _require_pickle(path, content, 5, whole=whole)


def _require_pickle(path: str | Path, content: bytes, count: int, before: int = 0, *, whole: bool) -> int:
    """Return the number of instructions of some pickles, one after the other, if no more are too many or costly.

    Parameters
    ----------
    before : int
        Instructions of other pickles of the file.
    """
    counts = _Counts()
    stream = io.BytesIO(content)
    for operation, argument in _operations(stream, count):
        counts.add(operation, argument)
        if before + counts.instructions > MOST_INSTRUCTIONS:
            break
    require_at_most(path, before + counts.instructions, "instructions", MOST_INSTRUCTIONS)
    require_at_most(path, counts.memo, "objects to remember", MOST_INSTRUCTIONS)
    if stream.tell() == LONGEST_PICKLE:
        require_at_most(path, LONGEST_PICKLE + 1, "bytes of pickle or more", LONGEST_PICKLE)
    if counts.is_slow and ENCODE in counts.names:
        raise FileError(f"{path} encodes text in a way that takes long and that no checkpoint needs: it is not read")
    if counts.names & MAKING:
        require_size(path, counts.largest, "bytes in an array")
    require_size(path, _cost(content, count, most_bytes(path)), "copies of text, of lists and of keys")
    if whole and counts.ends < count:
        raise FileError(f"{path} is no checkpoint: expected a pickle, and it breaks off or is damaged; fetch it again")
    return counts.instructions


class _Counts:
    """What the instructions of some pickles are, each looked at by itself.

    Attributes
    ----------
    instructions, ends : int
        Number of instructions, and of those that end a pickle.
    largest, memo : int
        Largest number in them, and largest number under which an object is remembered.
    names : set of str
        Classes and functions.
    is_slow : bool
        Whether a text is the name of a slow encoding.
    """

    def __init__(self) -> None:
        self.instructions = self.ends = self.largest = self.memo = 0
        self.names: set[str] = set()
        self.is_slow = False

    def add(self, operation: pickletools.OpcodeInfo, argument: Any) -> None:
        """Count an instruction."""
        self.instructions += 1
        self.ends += operation.name == "STOP"
        if operation.name == "GLOBAL":
            self.names.add(str(argument))
        elif isinstance(argument, int):
            self.largest = max(self.largest, argument)
            self.memo = max(self.memo, argument if operation.name.endswith("PUT") else 0)
        elif isinstance(argument, str) and len(argument) < _LONGEST_ENCODING:
            self.is_slow = self.is_slow or bool(_SLOW_ENCODINGS.search(argument))


def _cost(content: bytes, count: int, most: int) -> int:
    """Return the bytes that some pickles copy and hash, or a larger number than is allowed."""
    costs = Costs()
    for operation, argument in _operations(io.BytesIO(content), count):
        costs.follow(operation, argument)
        if costs.total > most + 2**30:
            break
    return costs.total


def _operations(stream: io.BytesIO, count: int) -> Iterator[tuple[pickletools.OpcodeInfo, Any]]:
    """Yield the instructions of some pickles with their arguments, up to the first that is none."""
    with suppress(ValueError, struct.error, EOFError, IndexError, OverflowError):
        for _ in range(count):
            for operation, argument, _ in pickletools.genops(stream):
                yield operation, argument
