"""Trees of image files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image, UnidentifiedImageError

from polyroots.errors import FileError
from polyroots.text import listed
from polyroots.threads import usable_cores
from polyroots.training.data.cache import cached_images, read_cached, write_cached
from polyroots.training.data.source import PARTS, Part, Progress, Source
from polyroots.training.data.split import Split, balanced, split_from

# Number of images that are decoded ahead of those that are being written to the cache.
_AHEAD = 1024


class Folder(Source):
    """RGB images of one size under train/<class>/ and test/<class>/, which are decoded once, see `cache`."""

    name = "folder"
    channels = 3

    def __init__(self, data_dir: Path) -> None:
        if data_dir.is_file():
            raise FileError(f"{data_dir} is a file: expected a directory with train/<class>/* and test/<class>/* in it")
        if not data_dir.is_dir():
            raise FileError(
                f"no directory {data_dir}: expected one with train/<class>/* and test/<class>/* in it as data_dir",
                fields=["data_dir"],
            )
        missing = [part for part in PARTS if not (data_dir / part).is_dir()]
        if missing:
            raise FileError(
                f"{data_dir} has no {' and no '.join(f'{part}/' for part in missing)}: expected a directory with "
                "train/<class>/* and test/<class>/* in it"
            )
        self.data_dir = data_dir
        self.title = f"folder {data_dir.resolve().name}"
        self._splits = {part: _find_images(data_dir / part) for part in PARTS}
        self.classes = self._splits["train"][0]
        self.counts = (len(self._splits["train"][1]), len(self._splits["test"][1]))
        if self._splits["test"][0] != self.classes:
            train, test = (set(self._splits[part][0]) for part in PARTS)
            alone = [("train/", train - test), ("test/", test - train)]
            different = " and ".join(
                f"{part} alone has {listed(sorted(names), characters=80)}" for part, names in alone if names
            )
            raise FileError(
                f"{data_dir}: train/ and test/ must have the same classes, {different}; add or remove these directories"
            )
        W, H = _read_image(self._splits["train"][1][0]).size
        self.image_size = (H, W)

    def read(self, parts: Sequence[Part], limit: int | None = None, progress: Progress | None = None) -> list[Split]:
        """Return the images of some splits, from the cache where all images of a split have been decoded before."""
        chosen = []
        for part in parts:
            _, paths, labels = self._splits[part]
            kept = balanced(labels, limit)
            is_whole = len(kept) == len(paths)
            chosen.append(([paths[index] for index in kept], labels[kept], is_whole))
        total, done = sum(len(paths) for paths, _, _ in chosen), 0
        splits = []
        for paths, labels, is_whole in chosen:
            shape = (len(paths), self.channels, *self.image_size)
            cached = cached_images(paths, self.image_size) if is_whole else None
            images = None if cached is None else read_cached(cached, shape)
            if images is None:
                decode = partial(self._decode_all, paths, done, total, progress)
                # Images of a limited split aren't cached: another limit chooses others.
                images = np.stack(list(decode())) if cached is None else write_cached(cached, decode, shape)
            elif progress:
                progress(done + len(paths), total)
            done += len(paths)
            splits.append(split_from(images, labels))
        return splits

    def _decode_all(
        self, paths: Sequence[Path], done: int, total: int, progress: Progress | None
    ) -> Iterator[UInt8[np.ndarray, "C H W"]]:
        """Yield the images in their order, decoded by several threads."""
        # Decoding JPEG releases the interpreter lock.
        with ThreadPoolExecutor(usable_cores()) as pool:
            for first in range(0, len(paths), _AHEAD):
                for image in pool.map(self._decode, paths[first : first + _AHEAD]):
                    yield image
                    done += 1
                    if progress:
                        progress(done, total)

    def _decode(self, path: Path) -> UInt8[np.ndarray, "C H W"]:
        image = _read_image(path)
        H, W = self.image_size
        if image.size != (W, H):
            raise FileError(
                f"{path} has {image.size[0]}x{image.size[1]} pixels, others in {self.data_dir} have {W}x{H} "
                "(width x height): all images must have one size"
            )
        return np.asarray(image).transpose(2, 0, 1)


def _find_images(root: Path) -> tuple[tuple[str, ...], list[Path], Int64[np.ndarray, "N"]]:
    """Return the names of the classes, the image files below root/<class>/, and the class of each file."""
    # Imported here: torchvision takes as long as torch, and the embedded data doesn't need it.
    from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

    try:
        names, numbers = find_classes(str(root))
    except FileNotFoundError as error:
        raise FileError(f"{root} holds no directory: it must hold one for each class, with images in it") from error
    samples = make_dataset(str(root), numbers, extensions=IMG_EXTENSIONS, allow_empty=True)
    there = {label for _, label in samples}
    if empty := [name for name in names if numbers[name] not in there]:
        raise FileError(
            f"{root} holds no image of {listed(empty)}: each class needs files such as .png or .jpg in its directory"
        )
    return tuple(names), [Path(path) for path, _ in samples], np.array([label for _, label in samples])


def _read_image(path: Path) -> Image.Image:
    """Return an image file as RGB, or raise FileError."""
    try:
        with Image.open(path) as image:
            # Pillow clips their values to 0..255 instead of scaling them.
            if image.mode.startswith(("I", "F")):
                raise FileError(f"{path} has more than 8 bits a channel (mode {image.mode}); convert it to 8 bits")
            return image.convert("RGB")
    except FileError:
        raise
    # Pillow raises these for damaged files, besides its own errors.
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, TypeError, SyntaxError) as error:
        why = "its format is unknown or it is damaged" if isinstance(error, UnidentifiedImageError) else error
        raise FileError(f"{path} can't be read as an image: {why}; repair or remove it") from error
