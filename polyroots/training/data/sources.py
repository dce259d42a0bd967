"""Data sets by their names."""

from __future__ import annotations

from pathlib import Path

from polyroots.errors import InputError, unknown_name
from polyroots.training.data.digits import Digits
from polyroots.training.data.folder import Folder
from polyroots.training.data.published import PUBLISHED, Published
from polyroots.training.data.source import Source, needs_directory

#: The data sets that `open_data` knows.
SOURCES = ("digits", "folder", *PUBLISHED)


def describe_data(name: str, data_dir: str | Path | None = None) -> Source:
    """Return what is known of a data set without its images: enough to shape a network.

    The parameters are those of `open_data`, as are the errors; torchvision's data sets need not be there.
    """
    if name not in SOURCES:
        raise unknown_name("data set", name, SOURCES)
    if name == "digits":
        if data_dir is not None:
            raise InputError("digits is embedded and lies in no directory; leave --data-dir out")
        return Digits()
    if name in PUBLISHED:
        return Published(name, None if data_dir is None else Path(data_dir))
    if data_dir is None:
        raise needs_directory(name)
    return Folder(Path(data_dir))


def open_data(name: str, data_dir: str | Path | None = None, download: bool = False) -> Source:
    """Find a data set and look whether it is whole.

    Parameters
    ----------
    name : str
        ``"digits"`` (scikit-learn's 1,797 grey 8x8 images, embedded), ``"folder"`` (images under
        ``train/<class>/`` and ``test/<class>/``), ``"cifar10"``, ``"cifar100"``, ``"mnist"`` or ``"fashion-mnist"``
        (torchvision's).
    data_dir : path, optional
        Where it lies; needed for all but digits.
    download : bool
        Whether a data set of torchvision's may be downloaded to `data_dir`.

    Raises
    ------
    InputError
        If the name is unknown, or `data_dir` or `download` don't go with it.
    FileError
        If the data is not where it was said to be, or can't be downloaded; says which file to put where by hand.
    """
    source = describe_data(name, data_dir)
    if isinstance(source, Published):
        source.open(download)
    elif download:
        raise InputError(f"only {', '.join(PUBLISHED)} can be downloaded, not {name}; leave --download out")
    return source
