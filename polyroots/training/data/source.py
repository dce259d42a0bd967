"""What a data set is before its images have been read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from polyroots.errors import InputError
from polyroots.training.data.split import DataSet, Split, hold_out

Progress = Callable[[int, int], None]
Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = ("train", "test")


class Source(ABC):
    """A data set that is there and has been looked at, but not been read yet.

    Attributes
    ----------
    name : what ``--dataset`` calls it
    title : what results on it are called
    data_dir : where it lies; None if it is embedded
    channels, size : shape of its images
    classes : their names
    counts : number of training and of test images
    """

    name: str
    title: str
    data_dir: Path | None
    channels: int
    size: tuple[int, int]
    classes: tuple[str, ...]
    counts: tuple[int, int]

    def load(self, limit: int | None = None, progress: Progress | None = None, val_fraction: float = 0.0) -> DataSet:
        """Read all images.

        Parameters
        ----------
        limit : int, optional
            At most so many of each split, the same number of each class as far as they go.
        progress : callable, optional
            Called with (done, total) while images are decoded.
        val_fraction : float
            Share of the training images, and of each class, that is held out for validation.

        Raises
        ------
        InputError
            If that leaves fewer images than classes on either side.
        FileError
            If an image can't be read.
        """
        train, test = self.read(PARTS, limit, progress)
        if not val_fraction:
            return DataSet(train, test)
        rest, validation = hold_out(train, val_fraction)
        if min(len(rest), len(validation)) < len(self.classes):
            raise InputError(
                f"a share of {val_fraction:g} for validation divides {len(train)} training images into {len(rest)} and "
                f"{len(validation)}, too few for {len(self.classes)} classes; choose another share or more images"
            )
        return DataSet(rest, test, validation)

    @abstractmethod
    def read(self, parts: Sequence[Part], limit: int | None = None, progress: Progress | None = None) -> list[Split]:
        """Read the images of some splits alone; `limit` and `progress` as in `load`."""


def needs_directory(name: str) -> InputError:
    """Return the error for a data set of which nobody has said where it lies."""
    return InputError(f"data set {name} needs --data-dir, the directory that it lies in")
