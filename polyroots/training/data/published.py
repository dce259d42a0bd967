"""The published data sets that torchvision reads and downloads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np

from polyroots.errors import FileError
from polyroots.training.data.source import PARTS, Part, Progress, Source, needs_directory
from polyroots.training.data.split import Split, balanced, split_from

_DIGITS = tuple(str(digit) for digit in range(10))
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


@dataclass(frozen=True)
class DataSetInfo:
    """Properties of a published data set that are known without its files.

    Attributes
    ----------
    title : str
        Name of the data set in tables and figures.
    loader : str
        Name of torchvision's class.
    channels, image_size : int, tuple of int
        Shape of its images.
    classes : tuple of str
        Names of its classes; placeholders for CIFAR-100, whose files hold the names.
    counts : tuple of int
        Numbers of training and of test images.
    """

    title: str
    loader: str
    channels: int
    image_size: tuple[int, int]
    classes: tuple[str, ...]
    counts: tuple[int, int]


PUBLISHED = {
    "cifar10": DataSetInfo("CIFAR-10", "CIFAR10", 3, (32, 32), _CIFAR10, (50_000, 10_000)),
    "cifar100": DataSetInfo(
        "CIFAR-100", "CIFAR100", 3, (32, 32), tuple(f"class {i}" for i in range(100)), (50_000, 10_000)
    ),
    "mnist": DataSetInfo("MNIST", "MNIST", 1, (28, 28), _DIGITS, (60_000, 10_000)),
    "fashion-mnist": DataSetInfo("FashionMNIST", "FashionMNIST", 1, (28, 28), _CLOTHES, (60_000, 10_000)),
}


class Published(Source):
    """A published data set in torchvision's layout, with its own splits."""

    def __init__(self, name: str, data_dir: Path | None) -> None:
        known = PUBLISHED[name]
        self.name, self.data_dir = name, data_dir
        self.title, self.classes = known.title, known.classes
        self.channels, self.image_size = known.channels, known.image_size
        self.counts = known.counts

    def open(self, download: bool) -> None:
        """Check the files, and download missing ones if that is allowed; raise FileError if they are not complete."""
        # Imported here: torchvision takes as long as torch, and the embedded data doesn't need it.
        import torchvision.datasets

        if self.data_dir is None:
            raise needs_directory(self.name)
        data_dir, loader = self.data_dir, getattr(torchvision.datasets, PUBLISHED[self.name].loader)
        place, files = _by_hand(loader, data_dir)
        try:
            self._splits = {part: loader(str(data_dir), train=part == "train", download=download) for part in PARTS}
        # numpy and pickle raise any of these for a damaged file.
        except (URLError, OSError, RuntimeError, ValueError, EOFError, KeyError, AssertionError) as error:
            if download:
                reason = str(getattr(error, "reason", None) or error).strip().splitlines()[-1]
                raise FileError(
                    f"cannot download {self.title}: {reason}; put {files} into {place} by hand, and run this again "
                    "with download=True, which unpacks them",
                    fields=["download"],
                ) from error
            raise FileError(
                f"{data_dir} holds no complete {self.title}; run this with download=True, which downloads it, or "
                f"unpacks files that were put into {place} by hand: {files}",
                fields=["download"],
            ) from error
        if self.name == "cifar100":
            self.classes = tuple(self._splits["train"].classes)

    def read(self, parts: Sequence[Part], limit: int | None = None, progress: Progress | None = None) -> list[Split]:
        """Return the images of some splits."""
        splits = []
        for source in (self._splits[part] for part in parts):
            labels, images = np.asarray(source.targets), np.asarray(source.data)
            kept = balanced(labels, limit)
            chosen = images[kept]
            # Grey images have no axis for channels; others have it at the end.
            chosen = chosen[:, None] if chosen.ndim == 3 else chosen.transpose(0, 3, 1, 2)
            splits.append(split_from(chosen, labels[kept]))
        return splits


def _by_hand(loader: Any, data_dir: Path) -> tuple[Path, str]:
    """Return the directory in which torchvision looks for archives, and their names and checksums."""
    if hasattr(loader, "resources"):
        files = ", ".join(f"{name} (MD5 {md5})" for name, md5 in loader.resources)
        return data_dir / loader.__name__ / "raw", files
    return data_dir, f"{loader.filename} (MD5 {loader.tgz_md5})"
