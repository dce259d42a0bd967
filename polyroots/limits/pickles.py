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
from polyroots.limits.declared import LONGEST_PICKLE, MOST_INSTRUCTIONS, are_lifted, require_at_most, require_size

# Of the encodings of Python these take a time that is quadratic in the length of the text.
_SLOW_ENCODINGS = re.compile("punycode|idna", flags=re.IGNORECASE)
_LONGEST_ENCODING = 99
# Functions in pickles that return an array of a given length, or a copy of a text.
_MAKING = {"__builtin__ bytearray", "builtins bytearray"}
_COPYING = {"_codecs encode", *_MAKING}


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
    if counts.is_slow and "_codecs encode" in counts.names:
        raise FileError(f"{path} encodes text in a way that takes long and that no checkpoint needs: it is not read")
    if counts.names & _MAKING:
        require_size(path, counts.largest, "bytes in an array")
    if counts.names & _COPYING:
        require_size(path, _copied_texts(content, count), "copies of text")
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


def _copied_texts(content: bytes, count: int) -> int:
    """Return the number of characters that the calls in some pickles may copy."""
    texts = _Texts()
    for operation, argument in _operations(io.BytesIO(content), count):
        texts.follow(operation, argument)
    return texts.copied


class _Texts:
    """The lengths of the texts in each object on a pickle's stack and in its memo, as far as they can't change.

    Attributes
    ----------
    copied : int
        Characters in the arguments of all calls, each of which may return a copy of them.
    """

    def __init__(self) -> None:
        self.copied = 0
        self._stack: list[int | None] = []  # None is a mark
        self._memo: dict[int, int] = {}

    def follow(self, operation: pickletools.OpcodeInfo, argument: Any) -> None:
        """Do what an instruction does to the lengths."""
        name = operation.name
        if name.endswith("PUT") or name == "MEMOIZE":
            number = len(self._memo) if name == "MEMOIZE" else int(argument)
            self._memo[number] = (self._stack[-1:] or [0])[0] or 0
            return
        taken = sum(self._pop(before is pickletools.markobject) for before in reversed(operation.stack_before))
        if name.endswith("GET"):
            taken = self._memo.get(int(argument), 0)
        elif isinstance(argument, str | bytes) and name != "GLOBAL":
            taken = len(argument)
        self.copied += taken if name == "REDUCE" else 0
        if name == "DUP":
            self._stack += [taken, taken]
        else:
            self._stack += [None if after is pickletools.markobject else taken for after in operation.stack_after]

    def _pop(self, to_mark: bool) -> int:
        """Take the top of the stack, or all down to the last mark, and return its length."""
        length = 0
        while self._stack:
            top = self._stack.pop()
            length += top or 0
            if not to_mark or top is None:
                break
        return length


def _operations(stream: io.BytesIO, count: int) -> Iterator[tuple[pickletools.OpcodeInfo, Any]]:
    """Yield the instructions of some pickles with their arguments, up to the first that is none."""
    with suppress(ValueError, struct.error, EOFError, IndexError, OverflowError):
        for _ in range(count):
            for operation, argument, _ in pickletools.genops(stream):
                yield operation, argument
