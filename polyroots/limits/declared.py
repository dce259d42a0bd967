"""Numbers that a file of unknown origin may declare at most, and the error for one that declares more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO

from polyroots.errors import FileError

#: A file may declare content of this many bytes, or of `TIMES` its own size if that is more.
FREE, TIMES = 128 * 2**20, 20
#: Largest number of entries of an archive, and of tensors.
MOST_ENTRIES = 100_000
#: Largest number of instructions of a pickle, and of its bytes. A tensor takes about 30 instructions and 200 bytes.
MOST_INSTRUCTIONS, LONGEST_PICKLE = 1_000_000, 16 * 2**20
#: Largest number of bytes of a text file, and of the header of a file of safetensors.
LONGEST_TEXT = 64 * 2**20
#: Largest number of things that are looked at one by one, however often they are in each other.
MOST_ITEMS = 1_000_000
#: Largest number of characters of a tensor's name.
LONGEST_NAME = 2000

_LIFTED = ContextVar("lifted", default=False)
_MIB = 2**20


def are_lifted() -> bool:
    """Return whether files of any size are read."""
    return _LIFTED.get()


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
    require_at_most(path, -(-declared // _MIB), f"MiB of {what}", most_bytes(path) // _MIB)


def read_at_most(path: str | Path, stream: IO[bytes], what: str) -> bytes:
    """Return the content of a stream that reads a file, compressed perhaps, or raise FileError if it is too long."""
    content = stream.read(-1 if are_lifted() else most_bytes(path) + 1)
    require_size(path, len(content), what)
    return content


def most_bytes(path: str | Path) -> int:
    """Return the number of bytes that the content of a file may have."""
    return max(FREE, TIMES * Path(path).stat().st_size)


def require_names(path: str | Path, names: Iterable[str]) -> None:
    """Raise FileError if names of tensors are long, or have so many dots that the names of all modules are."""
    characters = 0
    for name in names:
        require_at_most(path, len(name), "characters in a name", LONGEST_NAME)
        # Each dot ends the name of a module.
        characters += len(name) * (name.count(".") + 1)
    require_size(path, characters, "names of modules")


def require_text_size(path: str | Path) -> None:
    """Raise FileError if a text file is longer than any that polyroots writes."""
    require_at_most(path, Path(path).stat().st_size, "bytes of text", LONGEST_TEXT)
