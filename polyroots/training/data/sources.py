"""Data sets by their names."""

from __future__ import annotations

from pathlib import Path

from polyroots.errors import InputError, unknown_name
from polyroots.training.data.digits import Digits
from polyroots.training.data.folder import Folder
from polyroots.training.data.published import PUBLISHED, Published
from polyroots.training.data.source import Source, needs_directory

#: The data sets that `open_data` opens.
SOURCES = ("digits", "folder", *PUBLISHED)


def describe_data(name: str, data_dir: str | Path | None = None) -> Source:
    """Return a data set without opening its images: its shape and its classes.

    Files of torchvision's data sets need not be there. `open_data` explains the names.

    Parameters
    ----------
    name : str
        Name in `SOURCES`.
    data_dir : path, optional
        Directory of the data set; needed for a folder.

    Returns
    -------
    Source

    Raises
    ------
    InputError
        If the name is unknown, or `data_dir` doesn't go with it.
    FileError
        If a folder is not there or not complete.

    Examples
    --------
    >>> source = describe_data("cifar10")
    >>> source.channels, source.image_size, len(source.classes)
    (3, (32, 32), 10)
    """
    if name not in SOURCES:
        raise unknown_name("data set", name, SOURCES)
    if name == "digits":
        if data_dir is not None:
            raise InputError("digits is embedded and has no directory; leave data_dir out", fields=["data_dir"])
        return Digits()
    if name in PUBLISHED:
        return Published(name, None if data_dir is None else Path(data_dir))
    if data_dir is None:
        raise needs_directory(name)
    return Folder(Path(data_dir))


def open_data(name: str, data_dir: str | Path | None = None, download: bool = False) -> Source:
    """Return a data set whose files have been found and checked; its images are read by `Source.load`.

    Parameters
    ----------
    name : str
        ``"digits"`` (scikit-learn's 1,797 grey 8x8 images, embedded), ``"folder"`` (images under
        ``train/<class>/`` and ``test/<class>/``), ``"cifar10"``, ``"cifar100"``, ``"mnist"`` or ``"fashion-mnist"``
        (torchvision's).
    data_dir : path, optional
        Directory of the data set; needed for all but digits.
    download : bool
        Whether a data set of torchvision's may be downloaded to `data_dir`.

    Returns
    -------
    Source

    Raises
    ------
    InputError
        If the name is unknown, or `data_dir` or `download` don't go with it.
    FileError
        If the data is not in `data_dir`, or can't be downloaded; the message has the names of the files to put there.

    Examples
    --------
    >>> data = open_data("digits").load(limit=100)
    >>> data.train.images.shape
    torch.Size([100, 1, 8, 8])
    """
    source = describe_data(name, data_dir)
    if isinstance(source, Published):
        source.open(download)
    elif download:
        raise InputError(
            f"only {', '.join(PUBLISHED)} can be downloaded, not {name}; leave download out", fields=["download"]
        )
    return source
