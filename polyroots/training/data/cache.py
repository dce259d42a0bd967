"""Decoded images on disk, so that a folder is decoded once."""

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
from numpy.typing import NDArray

from polyroots.files import cannot_read, make_directory, replacing

# Changes when the layout of the files does.
_LAYOUT = b"polyroots images 1"
_DAY = 86_400


class CacheWarning(UserWarning):
    """Decoded images could not be kept, so that they have to be decoded again the next time."""


def cache_directory() -> Path:
    """Return where decoded images are kept: $POLYROOTS_CACHE, or polyroots/ in the user's directory for caches.

    Files in it can be removed at any time; they are made again.
    """
    own = os.environ.get("POLYROOTS_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "polyroots"


def cached_images(paths: Sequence[Path], size: tuple[int, int]) -> Path:
    """Return the name under which the decoded images of some files are kept.

    It follows from the contents of the files in their order, from the image size and the decoder, not from names and
    dates: a folder that was moved or copied is not decoded anew, and one in which an image was changed is.
    """
    digest = hashlib.sha256(_LAYOUT + f" {size} Pillow {PIL.__version__}".encode())
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise cannot_read(path, error) from error
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return cache_directory() / f"{digest.hexdigest()[:32]}.npy"


def read_cached(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Map images (N, C, H, W) that `write_cached` has kept into memory; None if there are none of this shape."""
    try:
        images = np.load(path, mmap_mode="c")
    except (OSError, ValueError, EOFError):
        return None
    return images if images.dtype == np.uint8 and images.shape == shape else None


def write_cached(
    path: Path, decode: Callable[[], Iterable[NDArray[np.uint8]]], shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Keep images, one (C, H, W) after the other, and return them all, mapped into memory.

    The file is whole or not there. Where it can't be written, a warning says so, and the images are in memory.

    Parameters
    ----------
    path : of `cached_images`
    decode : returns the images, anew at each call
    shape : (N, C, H, W)
    """
    problem = _why_no_room(path.parent, math.prod(shape))
    decoding = _Watched(decode)
    if not problem:
        _remove_old_temporaries(path.parent)
        try:
            # One after the other: a map that outgrows the disk would end the process, a write raises.
            with replacing(path) as temporary, temporary.open("wb") as stream:
                np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
                for image in decoding:
                    stream.write(image.tobytes())
            return np.load(path, mmap_mode="c")
        except OSError as error:
            if decoding.failed:
                raise
            problem = str(error)
    warnings.warn(
        f"decoded images are not kept for the next time: {problem}; set POLYROOTS_CACHE to a directory with room",
        CacheWarning,
        stacklevel=2,
    )
    result = np.empty(shape, dtype=np.uint8)
    for index, image in enumerate(decode()):
        result[index] = image
    return result


class _Watched:
    """Images of which one knows whether decoding them has failed."""

    def __init__(self, decode: Callable[[], Iterable[NDArray[np.uint8]]]) -> None:
        self._decode = decode
        self.failed = False

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        images = iter(self._decode())
        while True:
            try:
                image = next(images)
            except StopIteration:
                return
            except Exception:
                self.failed = True
                raise
            yield image


def _remove_old_temporaries(directory: Path) -> None:
    """Remove what a process that was killed has left; a young one may be somebody's who is at work."""
    for path in directory.glob(".*.npy"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _DAY:
                path.unlink()


def _why_no_room(directory: Path, size: int) -> str:
    """Why a file of so many bytes can't be kept in a directory; nothing if it can."""
    try:
        make_directory(directory)
        free = shutil.disk_usage(directory).free
    except OSError as error:
        return str(error)
    return "" if free > size else f"{directory} has {free / 2**20:,.0f} MiB left for {size / 2**20:,.0f} MiB"
