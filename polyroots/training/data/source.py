"""Sources of images: data sets that have been found, whose images are not yet read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from polyroots.errors import InputError
from polyroots.training.data.split import DataSet, Split, hold_out

Progress = Callable[[int, int], None]
Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = ("train", "test")


class Source(ABC):
    """A data set that has been found, and whose images have not been read yet.

    Attributes
    ----------
    name : str
        Name in `polyroots.training.SOURCES`.
    title : str
        Name of the data set in tables and figures.
    data_dir : Path or None
        Its directory; None if it is embedded.
    channels, image_size : int, tuple of int
        Shape of its images.
    classes : tuple of str
        Names of its classes.
    counts : tuple of int
        Numbers of training and of test images.
    """

    name: str
    title: str
    data_dir: Path | None
    channels: int
    image_size: tuple[int, int]
    classes: tuple[str, ...]
    counts: tuple[int, int]
    #: Libraries that `read` imports.
    modules: tuple[str, ...] = ()
    #: The network of the user's own that is trained on them; None for one that a configuration describes.
    network: Any = None

    def load(self, limit: int | None = None, progress: Progress | None = None, val_fraction: float = 0.0) -> DataSet:
        """Return all images, in memory.

        Parameters
        ----------
        limit : int, optional
            Largest number of images of each split; classes are represented equally as far as their images go.
        progress : callable, optional
            Called with (done, total) while images are decoded.
        val_fraction : float
            Share of the training images, and of each class, that is held out for validation.

        Returns
        -------
        DataSet

        Raises
        ------
        InputError
            If fewer images than classes are left for training or for validation.
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
        """Return the images of some splits; `limit` and `progress` are those of `load`."""


def needs_directory(name: str) -> InputError:
    """Return the error for a data set whose directory is not given."""
    return InputError(f"data set {name} needs data_dir, the directory that holds it", fields=["data_dir"])
