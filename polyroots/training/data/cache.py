"""Cache of decoded images on disk, so that the images of a folder are decoded once."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import PIL
from jaxtyping import UInt8

from polyroots.errors import FileError
from polyroots.files import cannot_read, make_directory, replacing

# To be changed together with the layout of the files.
_LAYOUT = b"polyroots images 1"
_DAY = 86_400


class CacheWarning(UserWarning):
    """Decoded images could not be written to the cache: they will be decoded again the next time."""


def cache_directory() -> Path:
    """Return the directory of the cache: $POLYROOTS_CACHE, or polyroots/ in the user's directory for caches.

    Its files can be removed at any time; they are written again when they are needed.

    Raises
    ------
    FileError
        If the user has no home directory, as in a container that runs under a number without a name.
    """
    own = os.environ.get("POLYROOTS_CACHE")
    try:
        return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "polyroots"
    except RuntimeError as error:
        raise FileError("the user has no home directory") from error


def cached_images(paths: Sequence[Path], image_size: tuple[int, int]) -> Path | None:
    """Return the file of the cache for the decoded images of some files; None, with a `CacheWarning`, without a cache.

    Its name depends on the contents of the files in their order, the image size and the version of the decoder, not on
    names and dates: a folder that was moved or copied is found again, one with a changed image is decoded anew.
    """
    try:
        directory = cache_directory()
    except FileError as error:
        _warn(str(error))
        return None
    digest = hashlib.sha256(_LAYOUT + f" {image_size} Pillow {PIL.__version__}".encode())
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise cannot_read(path, error) from error
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return directory / f"{digest.hexdigest()[:32]}.npy"


def read_cached(path: Path, shape: tuple[int, ...]) -> UInt8[np.ndarray, "N C H W"] | None:
    """Return the images that `write_cached` wrote, mapped into memory; None if there are none of this shape."""
    try:
        images = np.load(path, mmap_mode="c")
    except (OSError, ValueError, EOFError):
        return None
    return images if images.dtype == np.uint8 and images.shape == shape else None


def write_cached(
    path: Path, decode: Callable[[], Iterable[UInt8[np.ndarray, "C H W"]]], shape: tuple[int, ...]
) -> UInt8[np.ndarray, "N C H W"]:
    """Write images to the cache and return them, mapped into memory.

    A file that can't be written whole is not written at all: a `CacheWarning` has the reason, and the images are
    returned in memory. Errors of `decode` are raised.

    Parameters
    ----------
    path : Path
        File of the cache, from `cached_images`.
    decode : callable
        Returns the images, from the first one on at each call.
    shape : tuple of int
        (N, C, H, W).

    Returns
    -------
    (N, C, H, W) uint8 array
    """
    has_failed = False

    def decoding() -> Iterator[UInt8[np.ndarray, "C H W"]]:
        nonlocal has_failed
        try:
            yield from decode()
        except OSError:  # of an image, not of the cache
            has_failed = True
            raise

    problem = _why_no_room(path.parent, math.prod(shape))
    if not problem:
        _remove_old_temporaries(path.parent)
        try:
            # Written image by image: on a full disk a write raises an error, whereas a map ends the process.
            with replacing(path) as temporary, temporary.open("wb") as stream:
                np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
                for image in decoding():
                    stream.write(image.tobytes())
            return np.load(path, mmap_mode="c")
        except OSError as error:
            if has_failed:
                raise
            problem = str(error)
    _warn(problem)
    result = np.empty(shape, dtype=np.uint8)
    for index, image in enumerate(decode()):
        result[index] = image
    return result


def _warn(problem: str) -> None:
    warnings.warn(
        f"decoded images are not kept for the next time: {problem}; set POLYROOTS_CACHE to a directory with room",
        CacheWarning,
        stacklevel=3,
    )


def _remove_old_temporaries(directory: Path) -> None:
    """Remove temporary files of killed processes: those older than a day, as a running process may own younger ones."""
    for path in directory.glob(".*.npy"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _DAY:
                path.unlink()


def _why_no_room(directory: Path, size: int) -> str:
    """Return why a directory can't take a file of `size` bytes, or an empty string if it can."""
    try:
        make_directory(directory)
        free = shutil.disk_usage(directory).free
    except OSError as error:
        return str(error)
    return "" if free > size else f"{directory} has {free / 2**20:,.0f} MiB left for {size / 2**20:,.0f} MiB"
