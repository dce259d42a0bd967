"""Files that are written completely or not at all, and errors about files."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from polyroots.errors import FileError
from polyroots.limits import require_archive, require_text_size
from polyroots.text import listed

if sys.platform != "win32":
    import fcntl

# Errors of file systems without links.
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EXDEV, errno.EMLINK)


def require_readable(path: str | Path) -> None:
    """Raise FileError unless a path is a file that can be read."""
    path = Path(path)
    if not path.exists():
        raise FileError(f"no file {path}: expected a checkpoint")
    if path.is_dir():
        raise FileError(f"{path} is a directory: expected a checkpoint")
    if not path.is_file():
        raise FileError(f"{path} is no regular file: expected a checkpoint")
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise cannot_read(path, error) from error


def checkpoint_in(path: str | Path) -> Path:
    """Return the file that a path stands for: of a run's directory its ``last.pt``, of sharded safetensors the index.

    Raises
    ------
    FileError
        If a directory holds no such file, or several.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    if (path / "last.pt").is_file():
        return path / "last.pt"
    for pattern in ("*.safetensors.index.json", "*.safetensors"):
        found = sorted(path.glob(pattern))
        if len(found) == 1:
            return found[0]
    there = sorted(
        file.name for file in path.iterdir() if file.suffix in (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
    )
    which = f"it holds {listed(there, 5)}" if there else "it holds no checkpoint"
    raise FileError(f"{path} is a directory: expected a run with last.pt, or a checkpoint; {which}")


def shards_beside(path: Path) -> list[Path]:
    """Return the files of safetensors beside an index of shards; none for any other file."""
    return sorted(path.parent.glob("*.safetensors")) if path.suffix == ".json" else []


@contextmanager
def reading_archive(path: str | Path, what: str, writer: str) -> Iterator[None]:
    """Turn numpy's errors about missing, damaged and foreign files into FileError, which names their `writer`."""
    try:
        require_archive(path)
        yield
    except FileError:
        raise
    except FileNotFoundError as error:
        raise FileError(f"no file {path}: expected one that {writer} wrote") from error
    except MemoryError as error:
        raise FileError(f"{path} takes more memory than there is, or is damaged") from error
    except Exception as error:
        # Damaged archives make numpy and zipfile raise errors of any class.
        raise FileError(f"{path} {what}: expected an .npz file that {writer} wrote") from error


def _resolved(path: Path) -> Path:
    """Return the file that a link leads to, or raise FileError for one that leads to itself."""
    resolved = Path(os.path.realpath(path))
    if resolved.is_symlink():
        raise FileError(f"cannot write {path}: it is a link to itself; choose another name")
    return resolved


def are_same(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file, which need not be there; links to themselves are equal by their names."""
    return os.path.realpath(path) == os.path.realpath(other)


@contextmanager
def replacing(path: str | Path, *, make_parents: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces it, flushed to disk, if the block ends without an error.

    Readers of `path` find the old file or the new one, never a part. Missing parent directories are made, unless
    `make_parents` is False. A link stays a link, and special files (a pipe, ``/dev/stdout``) are written at the end.

    Raises
    ------
    FileError
        If the directory can't be made or written.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        if path.is_dir():
            raise FileError(f"{path} is a directory, expected a file or a new name; choose another")
        is_stream = path.is_relative_to("/dev") and not path.is_relative_to("/dev/shm")
        is_special = is_stream or (path.exists() and not path.is_file())
        if not is_special:
            path = _resolved(path)
            if make_parents:
                path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays last: some writers choose the format by it.
        directory = None if is_special else path.parent
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=directory)
        os.close(handle)
        temporary = Path(name)
        temporary.chmod(0o666 & ~_umask())
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        if is_special:
            with temporary.open("rb") as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)
        else:
            temporary.replace(path)
            _sync_directory(path.parent)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise cannot_write(path, error) from error
    except ValueError as error:  # of a null character in the name
        if temporary is not None:
            raise
        raise FileError(f"cannot write {path}: {error}; choose another name") from error
    finally:
        if temporary is not None:
            with suppress(OSError):  # it has its final name, or the error is already raised
                temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class HeldDirectory:
    """A directory that is held open: it is recognised after it was moved, removed or replaced by another one.

    Attributes
    ----------
    path : Path
        Where it was when it was opened.
    handle : int
        File descriptor.
    is_locked : bool
        Whether it is locked; False on a file system without locks.
    """

    path: Path
    handle: int
    is_locked: bool

    @property
    def is_in_place(self) -> bool:
        """Whether the directory is the one at `path`."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self.handle))
        except OSError:
            return False

    @property
    def place(self) -> Path | None:
        """Where the directory is now; None if it was removed, or the system doesn't say."""
        try:
            found = replace(self, path=Path(f"/proc/self/fd/{self.handle}").readlink())
        except OSError:
            return None
        return found.path if found.is_in_place else None


@contextmanager
def held(path: Path, patience: float, message: str) -> Iterator[HeldDirectory]:
    """Lock a directory against other processes that use this function; the system releases locks of dead processes.

    Yields
    ------
    HeldDirectory

    Raises
    ------
    FileError
        With the message, if another process holds the lock for longer than `patience` seconds, or if there is no such
        directory.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise cannot_read(path, error) from error
    try:
        deadline = time.monotonic() + patience
        while (is_locked := _lock(handle)) is False:
            if time.monotonic() > deadline:
                raise FileError(message)
            time.sleep(0.3)
        yield HeldDirectory(path, handle, bool(is_locked))
    finally:
        os.close(handle)


def make_directory(path: str | Path) -> None:
    """Make a directory with its parents and check that files can be written in it; if not, a new one is removed."""
    path = Path(path)
    made = False
    try:
        if path.is_file():
            raise FileError(f"{path} is a file, expected a directory or a new name; choose another")
        made = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        if made:
            with suppress(OSError):
                path.rmdir()
        if isinstance(error, FileError):
            raise
        raise cannot_write(path, error) from error


def write_json(path: str | Path, document: Any, *, make_parents: bool = True) -> None:
    """Write a JSON document; a failure leaves an existing file unchanged."""
    with replacing(path, make_parents=make_parents) as temporary:
        temporary.write_text(_json(document), encoding="utf-8")


def create_json(path: Path, document: Any) -> None:
    """Write a JSON document to a new file, or raise FileExistsError; of several processes one succeeds.

    A failure leaves no file.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            temporary.chmod(0o666 & ~_umask())
            _write_flushed(stream, _json(document))
        try:
            # Unlike a rename, a link doesn't replace an existing file.
            path.hardlink_to(temporary)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _create(path, _json(document))
        _sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _create(path: Path, text: str) -> None:
    """Write a new file without a link to a temporary one."""
    stream = path.open("x", encoding="utf-8")
    try:
        with stream:
            _write_flushed(stream, text)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _write_flushed(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
    os.fsync(stream.fileno())


def read_json(path: Path, what: str) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    FileError
        If the file is missing, can't be read, or is not JSON; the message has `what` as the expected content.
    """
    try:
        require_text_size(path)
        return json.loads(path.read_text(encoding="utf-8"))
    except FileError:
        raise
    except FileNotFoundError as error:
        raise FileError(f"no file {path}: expected {what}") from error
    except OSError as error:
        raise cannot_read(path, error) from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is damaged: expected {what} as JSON, {error}") from error


def without_infinity(document: Any) -> Any:
    """Return a document of plain data with None in place of NaN and infinity, which JSON doesn't have.

    >>> without_infinity({"norm": float("inf"), "roots": (1.0, float("nan"))})
    {'norm': None, 'roots': [1.0, None]}
    """
    if isinstance(document, dict):
        return {key: without_infinity(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [without_infinity(value) for value in document]
    return None if isinstance(document, float) and not math.isfinite(document) else document


def cannot_read(path: str | Path, error: OSError) -> FileError:
    """Return the error for an existing file that can't be read."""
    return FileError(f"cannot read {path}: {error.strerror or error}; choose a file that can be read")


def cannot_write(path: str | Path, error: OSError) -> FileError:
    """Return the error for a path that can't be written."""
    why = "a part of the path is a file" if isinstance(error, FileExistsError) else error.strerror or error
    return FileError(f"cannot write {path}: {why}; choose a place that can be written")


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _lock(handle: int) -> bool | None:
    """Try to lock a directory; return False if another process holds the lock, None where locks don't exist."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without them
        return None
    return True


def _sync_directory(path: Path) -> None:
    """Flush the names in a directory to disk, where the system can: a power cut then leaves a renamed file."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
