"""Limits on what a file may declare: a small file can't take much time or memory before it is refused."""

from __future__ import annotations

import io
import os
import pickletools
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

from polyroots.errors import FileError

#: A file may declare content of this many bytes, or of `TIMES` its own size if that is more.
FREE, TIMES = 128 * 2**20, 20
#: Largest number of entries of an archive, and of tensors.
MOST_ENTRIES = 100_000
#: Largest number of instructions of a pickle, and of its bytes. A tensor takes about 30 instructions and 200 bytes.
MOST_INSTRUCTIONS, LONGEST_PICKLE = 1_000_000, 16 * 2**20
#: Largest number of bytes of a text file, and of the header of a file of safetensors.
LONGEST_TEXT = 64 * 2**20
#: Largest number of characters of a tensor's name.
LONGEST_NAME = 2000

_LIFTED = ContextVar("lifted", default=False)
_MIB = 2**20
# An archive lists an entry in 46 bytes and its name.
_LONGEST_LIST = 12 * _MIB
# Of the encodings of Python these take a time that is quadratic in the length of the text.
_SLOW_ENCODINGS = re.compile("punycode|idna", flags=re.IGNORECASE)
_LONGEST_ENCODING = 99
# Functions in pickles that return an array of a given length, or a copy of a text.
_MAKING = {"__builtin__ bytearray", "builtins bytearray"}
_COPYING = {"_codecs encode", *_MAKING}
#: What the modules for archives raise for damaged ones.
DAMAGED = (BadZipFile, OSError, ValueError, struct.error, NotImplementedError, RuntimeError, zlib.error, EOFError)


@contextmanager
def without_limits() -> Iterator[None]:
    """Read files of any size within the block, as ``polyroots --no-limits`` does.

    Examples
    --------
    >>> with without_limits():
    ...     require_at_most("giant.pt", 10**12, "bytes", 1000)
    """
    token = _LIFTED.set(True)
    try:
        yield
    finally:
        _LIFTED.reset(token)


def require_at_most(path: str | Path, number: int, what: str, most: int) -> None:
    """Raise FileError if a file declares more than a number.

    >>> require_at_most("giant.pt", 3000, "entries", 1000)
    Traceback (most recent call last):
    polyroots.errors.FileError: giant.pt has 3,000 entries, and of a file of unknown origin at most 1,000 are read; \
if you trust it, read it with 'polyroots --no-limits' or polyroots.limits.without_limits
    """
    if number > most and not _LIFTED.get():
        raise FileError(
            f"{path} has {number:,} {what}, and of a file of unknown origin at most {most:,} are read; if you trust "
            "it, read it with 'polyroots --no-limits' or polyroots.limits.without_limits"
        )


def require_size(path: str | Path, declared: int, what: str) -> None:
    """Raise FileError if the content that a file declares is far larger than the file."""
    most = max(FREE, TIMES * Path(path).stat().st_size)
    require_at_most(path, -(-declared // _MIB), f"MiB of {what}", most // _MIB)


def require_text_size(path: str | Path) -> None:
    """Raise FileError if a text file is longer than any that polyroots writes."""
    require_at_most(path, Path(path).stat().st_size, "bytes of text", LONGEST_TEXT)


def is_archive(path: str | Path) -> bool:
    """Return whether a file is a zip archive, as `zipfile.is_zipfile`, which raises an error for some damaged ones."""
    try:
        return is_zipfile(path)
    except BadZipFile:
        return False


def require_archive(path: str | Path) -> None:
    """Raise FileError if a zip archive declares too many entries, or too much content.

    Other files, and damaged ones, pass: who reads them says what is wrong. The end of the archive is read before the
    list of its entries, which takes long itself if they are many.
    """
    if _LIFTED.get():
        return
    with Path(path).open("rb") as stream:
        for count, length in _ends(stream):
            require_at_most(path, count, "entries", MOST_ENTRIES)
            require_at_most(path, length, "bytes in its list of entries", _LONGEST_LIST)
    with _damaged_ones_pass(), ZipFile(path) as archive:
        require_size(path, sum(entry.file_size for entry in archive.infolist()), "content")


def require_pickles(path: str | Path) -> None:
    """Raise FileError if the pickles of a file of torch.save take long, or much memory, by themselves.

    What is no pickle passes: who reads it says so.
    """
    if _LIFTED.get():
        return
    if not is_archive(path):
        with Path(path).open("rb") as stream:
            # The older format has five: a number, a version, the system, the content, and the names of the storages.
            _require_pickle(path, stream.read(LONGEST_PICKLE), 5)
        return
    with _damaged_ones_pass(), ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith("data.pkl"):
                require_at_most(path, entry.file_size, "bytes of pickle", LONGEST_PICKLE)
                _require_pickle(path, archive.read(entry), 1)


def _require_pickle(path: str | Path, content: bytes, count: int) -> None:
    """Raise FileError if some pickles, one after the other, have too many instructions, or costly ones."""
    stream = io.BytesIO(content)
    names: set[str] = set()
    largest = instructions = memo = 0
    is_slow = False
    for operation, argument in _operations(stream, count):
        instructions += 1
        if operation.name == "GLOBAL":
            names.add(str(argument))
        elif isinstance(argument, int):
            largest = max(largest, argument)
            memo = max(memo, argument if operation.name.endswith("PUT") else 0)
        elif isinstance(argument, str) and len(argument) < _LONGEST_ENCODING:
            is_slow = is_slow or bool(_SLOW_ENCODINGS.search(argument))
        if instructions > MOST_INSTRUCTIONS:
            break
    require_at_most(path, instructions, "instructions", MOST_INSTRUCTIONS)
    require_at_most(path, memo, "objects to remember", MOST_INSTRUCTIONS)
    if stream.tell() == LONGEST_PICKLE:
        require_at_most(path, LONGEST_PICKLE + 1, "bytes of pickle or more", LONGEST_PICKLE)
    if is_slow and "_codecs encode" in names:
        raise FileError(f"{path} encodes text in a way that takes long and that no checkpoint needs: it is not read")
    if names & _MAKING:
        require_size(path, largest, "bytes in an array")
    if names & _COPYING:
        require_size(path, _copied_texts(content, count), "copies of text")


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


@contextmanager
def _damaged_ones_pass() -> Iterator[None]:
    """Keep back the errors of a damaged archive, but not those about limits."""
    try:
        yield
    except FileError:
        raise
    except DAMAGED:
        return


def _ends(stream: io.BufferedIOBase) -> Iterator[tuple[int, int]]:
    """Yield the number of entries and the length of their list, as each end of a zip archive has them."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 2**16 - 100))
    tail = stream.read()
    for place in (found.start() for found in re.finditer(rb"PK\x05\x06", tail)):
        if len(tail) >= place + 16:
            count, length = struct.unpack("<HI", tail[place + 10 : place + 16])
            # The largest numbers stand for those in a record of 64 bits.
            yield (0 if count == 0xFFFF else count), (0 if length == 0xFFFFFFFF else length)
    for place in (found.start() for found in re.finditer(rb"PK\x06\x06", tail)):
        if len(tail) >= place + 48:
            yield struct.unpack("<QQ", tail[place + 32 : place + 48])
