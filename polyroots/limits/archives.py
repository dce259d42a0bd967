"""Zip archives: how much they declare, and whether torch reads the pickles in them that Python's zipfile shows."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo, is_zipfile

from polyroots.errors import FileError
from polyroots.limits.declared import LONGEST_PICKLE, MOST_ENTRIES, are_lifted, require_at_most, require_size

#: What the modules for archives raise for damaged ones.
DAMAGED = (BadZipFile, OSError, ValueError, struct.error, NotImplementedError, RuntimeError, zlib.error, EOFError)
# First bytes of the files that torch.load takes for archives.
_START = b"PK\x03\x04"

# An archive lists an entry in 46 bytes and its name.
_LONGEST_LIST = 12 * 2**20
# Lengths of the end of an archive, and of the record of 64 bits and its locator, which may be before it.
_END, _RECORD, _LOCATOR = 22, 56, 20


def is_archive(path: str | Path) -> bool:
    """Return whether a file is a zip archive, as `zipfile.is_zipfile`, which raises an error for some damaged ones."""
    try:
        return is_zipfile(path)
    except BadZipFile:
        return False


def is_archive_of_torch(path: str | Path) -> bool:
    """Return whether torch.load takes a file for a zip archive: by its first bytes, not by its end as zipfile does."""
    with Path(path).open("rb") as stream:
        return stream.read(len(_START)) == _START


def require_archive(path: str | Path) -> None:
    """Raise FileError if a zip archive declares too many entries, or too much content.

    Other files, and damaged ones, pass: who reads them says what is wrong. The end of the archive is read before the
    list of its entries, which takes long itself if they are many.
    """
    if are_lifted():
        return
    with Path(path).open("rb") as stream:
        for count, length in _ends(stream):
            require_at_most(path, count, "entries", MOST_ENTRIES)
            require_at_most(path, length, "bytes in its list of entries", _LONGEST_LIST)
    with _damaged_ones_pass(), ZipFile(path) as archive:
        require_size(path, sum(entry.file_size for entry in archive.infolist()), "content")


def pickles_in(path: str | Path) -> Iterator[bytes]:
    """Yield the pickles of an archive as torch reads them, which doesn't look at checksums.

    A file that doesn't begin as an archive is none for torch; if it is none for zipfile either, it has no pickles.

    Raises
    ------
    FileError
        If torch may read other pickles than these, or they are too long together.
    """
    is_for_torch = is_archive_of_torch(path)
    with Path(path).open("rb") as stream:
        try:
            if is_for_torch and not _has_one_directory(stream):
                raise BadZipFile
            with ZipFile(path) as archive:
                entries = archive.infolist()
        except DAMAGED as error:
            if not is_for_torch:
                return
            raise _damaged(path) from error
        total = 0
        # zipfile ends names at a zero byte, and torch looks for them without regard to case.
        for entry in (entry for entry in entries if entry.orig_filename.lower().endswith("data.pkl")):
            require_at_most(path, entry.file_size, "bytes of pickle", LONGEST_PICKLE)
            try:
                content = _content(stream, entry)
            except DAMAGED as error:
                raise _damaged(path) from error
            total += len(content)
            require_at_most(path, total, "bytes of pickle", LONGEST_PICKLE)
            yield content


def _damaged(path: str | Path) -> FileError:
    return FileError(
        f"{path} is no checkpoint: expected a whole zip archive, and its entries can't be read; fetch it again"
    )


def _has_one_directory(stream: BinaryIO) -> bool:
    """Return whether the list of entries is directly before the end of the archive, where all readers look for it."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _END - _LOCATOR - _RECORD))
    tail = stream.read().rjust(_END + _LOCATOR + _RECORD, b"\0")
    record, locator, end = tail[:_RECORD], tail[_RECORD:-_END], tail[-_END:]
    place = size - _END
    if not end.startswith(b"PK\x05\x06") or end[-2:] != b"\0\0":
        return False
    length, offset = struct.unpack("<II", end[12:20])
    if locator.startswith(b"PK\x06\x07"):
        place -= _LOCATOR + _RECORD
        (located,) = struct.unpack("<Q", locator[8:16])
        if located != place or not record.startswith(b"PK\x06\x06"):
            return False
        length, offset = struct.unpack("<QQ", record[40:56])
    return bool(offset + length == place)


def _content(stream: BinaryIO, entry: ZipInfo) -> bytes:
    """Return the content of an entry, whatever its checksum, up to one byte more than is allowed."""
    stream.seek(entry.header_offset)
    header = stream.read(30)
    if not header.startswith(_START):
        raise BadZipFile
    stream.seek(sum(struct.unpack("<HH", header[26:])), os.SEEK_CUR)
    stored = stream.read(min(entry.compress_size, LONGEST_PICKLE + 1))
    if entry.compress_type == ZIP_DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, LONGEST_PICKLE + 1)
    if entry.compress_type != ZIP_STORED or entry.compress_size != entry.file_size:
        raise BadZipFile
    return stored


@contextmanager
def _damaged_ones_pass() -> Iterator[None]:
    """Keep back the errors of a damaged archive, but not those about limits."""
    try:
        yield
    except FileError:
        raise
    except DAMAGED:
        return


def _ends(stream: BinaryIO) -> Iterator[tuple[int, int]]:
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
