"""Data sets: opened first, which is quick and finds what is wrong, then loaded into memory as bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.error import URLError

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from polyroots.errors import FileError, InputError, unknown_name
from polyroots.pool import usable_cores

# Which images are held out or kept by a limit is part of the data set: the same in every run, whatever its seed.
_SPLIT_SEED = 20250219

Progress = Callable[[int, int], None]
Part = Literal["train", "test"]


@dataclass(frozen=True)
class Split:
    """Images and their classes.

    Attributes
    ----------
    images : (N, C, H, W) uint8
    labels : (N,) int64
    """

    images: UInt8[Tensor, "N C H W"]
    labels: Int64[Tensor, "N"]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class DataSet:
    """A data set in memory: training images, held-out test images."""

    train: Split
    test: Split


class Source(ABC):
    """A data set that is there and has been looked at, but not been read yet.

    Attributes
    ----------
    name : what ``--dataset`` calls it
    title : what results on it are called
    data_dir : where it lies; None if it is embedded
    channels, size : shape of its images
    classes : their names
    """

    name: str
    title: str
    data_dir: Path | None
    channels: int
    size: tuple[int, int]
    classes: tuple[str, ...]

    def load(self, limit: int | None = None, progress: Progress | None = None) -> DataSet:
        """Read all images; at most `limit` of each split, the same share of each class."""
        train, test = self.read(("train", "test"), limit, progress)
        return DataSet(train, test)

    @abstractmethod
    def read(self, parts: Sequence[Part], limit: int | None = None, progress: Progress | None = None) -> list[Split]:
        """Read the images of some splits alone; `limit` and `progress` as in `load`."""


def describe_data(name: str, data_dir: str | Path | None = None) -> Source:
    """Return what is known of a data set without its images: enough to shape a network.

    The parameters are those of `open_data`, as are the errors; cifar10 need not be there.
    """
    if name not in SOURCES:
        raise unknown_name("data set", name, SOURCES)
    if name == "digits":
        if data_dir is not None:
            raise InputError("digits is embedded and lies in no directory; leave --data-dir out")
        return _Digits()
    if name == "cifar10":
        return _Cifar10(None if data_dir is None else Path(data_dir))
    if data_dir is None:
        raise _needs_directory(name)
    return _Folder(Path(data_dir))


def open_data(name: str, data_dir: str | Path | None = None, download: bool = False) -> Source:
    """Find a data set and look whether it is whole.

    Parameters
    ----------
    name : str
        ``"digits"`` (scikit-learn's 1,797 grey 8x8 images, embedded), ``"folder"`` (images under
        ``train/<class>/`` and ``test/<class>/``) or ``"cifar10"`` (torchvision's).
    data_dir : path, optional
        Where it lies; needed for all but digits.
    download : bool
        Whether cifar10 may be downloaded to `data_dir`.

    Raises
    ------
    InputError
        If the name is unknown, or `data_dir` or `download` don't go with it.
    FileError
        If the data is not where it was said to be.
    """
    source = describe_data(name, data_dir)
    if isinstance(source, _Cifar10):
        source.open(download)
    elif download:
        raise InputError(f"only cifar10 can be downloaded, not {name}; leave --download out")
    return source


def _needs_directory(name: str) -> InputError:
    return InputError(f"data set {name} needs --data-dir, the directory that it lies in")


class _Digits(Source):
    """scikit-learn's digits, a fifth of each class held out."""

    name = "digits"
    title = "digits"
    data_dir = None
    channels = 1
    size = (8, 8)
    classes = tuple(str(digit) for digit in range(10))

    def read(self, parts: Sequence[Part], limit: int | None = None, progress: Progress | None = None) -> list[Split]:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        grey, labels = load_digits(return_X_y=True)
        images = np.rint(grey * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
        numbers = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=_SPLIT_SEED)
        members = dict(zip(("train", "test"), numbers, strict=True))
        splits = []
        for part in parts:
            kept = members[part][_balanced(labels[members[part]], limit)]
            splits.append(_split(images[kept], labels[kept]))
        return splits


class _Folder(Source):
    """Images under train/<class>/ and test/<class>/, all of one size, read as RGB."""

    name = "folder"
    channels = 3

    def __init__(self, data_dir: Path) -> None:
        if not data_dir.is_dir():
            raise FileError(
                f"no directory {data_dir}: expected one with train/<class>/* and test/<class>/* in it as --data-dir"
            )
        missing = [part for part in ("train", "test") if not (data_dir / part).is_dir()]
        if missing:
            raise FileError(
                f"{data_dir} has no {' and no '.join(f'{part}/' for part in missing)}: expected a directory with "
                "train/<class>/* and test/<class>/* in it"
            )
        self.data_dir = data_dir
        self.title = f"folder {data_dir.resolve().name}"
        self._splits = {part: _find_images(data_dir / part) for part in ("train", "test")}
        self.classes = self._splits["train"][0]
        if self._splits["test"][0] != self.classes:
            different = sorted(set(self.classes) ^ set(self._splits["test"][0]))
            raise FileError(
                f"{data_dir}: train/ and test/ must have the same classes, only one of them has {', '.join(different)}"
            )
        W, H = _read_image(self._splits["train"][1][0]).size
        self.size = (H, W)

    def read(self, parts: Sequence[Part], limit: int | None = None, progress: Progress | None = None) -> list[Split]:
        chosen = []
        for part in parts:
            _, paths, labels = self._splits[part]
            kept = _balanced(labels, limit)
            chosen.append(([paths[index] for index in kept], labels[kept]))
        total, done = sum(len(paths) for paths, _ in chosen), 0
        splits = []
        # Decoding JPEG releases the interpreter lock.
        with ThreadPoolExecutor(usable_cores()) as pool:
            for paths, labels in chosen:
                images = np.empty((len(paths), *self.size, self.channels), dtype=np.uint8)
                for index, pixels in enumerate(pool.map(self._decode, paths)):
                    images[index] = pixels
                    done += 1
                    if progress:
                        progress(done, total)
                splits.append(_split(images.transpose(0, 3, 1, 2), labels))
        return splits

    def _decode(self, path: Path) -> NDArray[np.uint8]:
        image = _read_image(path)
        H, W = self.size
        if image.size != (W, H):
            raise FileError(
                f"{path} has {image.size[0]}x{image.size[1]} pixels, others in {self.data_dir} have {W}x{H} "
                "(width x height): all images must have one size"
            )
        return np.asarray(image)


class _Cifar10(Source):
    """CIFAR-10 in torchvision's layout."""

    name = "cifar10"
    title = "CIFAR-10"
    channels = 3
    size = (32, 32)
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def __init__(self, data_dir: Path | None) -> None:
        self.data_dir = data_dir

    def open(self, download: bool) -> None:
        """Check the files, after downloading them if need be and allowed."""
        from torchvision.datasets import CIFAR10

        if self.data_dir is None:
            raise _needs_directory(self.name)
        data_dir = self.data_dir
        archive = f"{CIFAR10.filename} (MD5 {CIFAR10.tgz_md5})"
        try:
            self._splits = {
                part: CIFAR10(str(data_dir), train=part == "train", download=download) for part in ("train", "test")
            }
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", None) or error
            raise FileError(
                f"cannot download CIFAR-10: {reason}; put {archive} into {data_dir} by hand and unpack it there"
            ) from error
        except RuntimeError as error:
            raise FileError(
                f"{data_dir} holds no whole CIFAR-10: expected {data_dir / CIFAR10.base_folder}, unpacked from "
                f"{archive}; put it there or add --download"
            ) from error

    def read(self, parts: Sequence[Part], limit: int | None = None, progress: Progress | None = None) -> list[Split]:
        splits = []
        for source in (self._splits[part] for part in parts):
            labels = np.asarray(source.targets)
            kept = _balanced(labels, limit)
            splits.append(_split(source.data[kept].transpose(0, 3, 1, 2), labels[kept]))
        return splits


#: The data sets that `open_data` knows.
SOURCES = ("digits", "folder", "cifar10")


def _find_images(root: Path) -> tuple[tuple[str, ...], list[Path], NDArray[np.int64]]:
    """Class names, image files and their classes below root/<class>/."""
    from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

    try:
        names, numbers = find_classes(str(root))
        samples = make_dataset(str(root), numbers, extensions=IMG_EXTENSIONS)
    except FileNotFoundError as error:
        raise FileError(f"{root} must hold one directory a class, with images in each: {error}") from error
    return tuple(names), [Path(path) for path, _ in samples], np.array([label for _, label in samples])


def _read_image(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            # Pillow would clip these to 0..255, not scale them.
            if image.mode.startswith(("I", "F")):
                raise FileError(f"{path} has more than 8 bits a channel (mode {image.mode}); convert it to 8 bits")
            return image.convert("RGB")
    except FileError:
        raise
    # Besides its own errors, Pillow raises ValueError and TypeError for some damaged files.
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, TypeError) as error:
        raise FileError(f"{path} can't be read as an image: {error}; mend or remove it") from error


def _balanced(labels: Sequence[int] | NDArray[np.int64], limit: int | None) -> NDArray[np.intp]:
    """Indices, ascending, of at most `limit` samples: random ones, the same number of each class as far as it goes."""
    labels = np.asarray(labels)
    if limit is None or limit >= len(labels):
        return np.arange(len(labels))
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(labels))
    rank = np.empty(len(labels), dtype=np.intp)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = np.arange(len(members))
    return np.sort(order[np.argsort(rank[order], kind="stable")][:limit])


def _split(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Split:
    return Split(torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels.astype(np.int64)))
