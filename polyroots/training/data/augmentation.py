"""Augmentation of batches of images, as bytes on their device, with independent random numbers for each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor
from torch.nn.functional import pad

from polyroots.errors import InputError, unknown_name
from polyroots.text import quoted
from polyroots.training.data.autoaugment import autoaugment
from polyroots.training.data.draws import integers

Images = UInt8[Tensor, "batch C H W"]
#: Random numbers of each image by their names, `polyroots.training.data.draws.COLUMNS`.
Numbers = Mapping[str, Float64[Tensor, "batch"]]


def crop(images: Images, numbers: Numbers, fill: int) -> Images:
    """Pad by an eighth of the shorter side (4 pixels of 32, 1 of 8), and crop to the old size at a random place."""
    height, width = images.shape[-2:]
    margin = min(height, width) // 8
    rows = integers(numbers["crop_row"], 2 * margin + 1).to(images.device, non_blocking=True)
    columns = integers(numbers["crop_column"], 2 * margin + 1).to(images.device, non_blocking=True)
    padded = pad(images, [margin] * 4, value=fill)
    at = torch.arange(max(height, width), device=images.device)
    return _gather(padded, rows[:, None] + at[:height], columns[:, None] + at[:width])


def flip(images: Images, numbers: Numbers, fill: int) -> Images:
    """Mirror left and right with probability 1/2."""
    del fill
    is_mirrored = (numbers["flip"] < 0.5).to(images.device, non_blocking=True)
    return torch.where(is_mirrored[:, None, None, None], images.flip(3), images)


def cutout(images: Images, numbers: Numbers, fill: int) -> Images:
    """Cover a square of half the shorter side, centred at any pixel; a part of it can lie outside of the image.

    References
    ----------
    T. DeVries, G. W. Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, arXiv 1708.04552.
    """
    height, width = images.shape[-2:]
    side = min(height, width) // 2

    def covered(name: str, length: int) -> Tensor:
        start = (integers(numbers[name], length) - side // 2).to(images.device, non_blocking=True)[:, None]
        at = torch.arange(length, device=images.device)
        return (at >= start) & (at < start + side)

    rows, columns = covered("cutout_row", height), covered("cutout_column", width)
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], fill)


#: The parts in the order in which they are applied, which is the authors'.
PARTS: dict[str, Callable[[Images, Numbers, int], Images]] = {
    "crop": crop,
    "flip": flip,
    "autoaugment": autoaugment,
    "cutout": cutout,
}


def parse(text: str) -> tuple[str, ...]:
    """Return the parts that a text such as ``"crop,flip"`` names, in the order of `PARTS`; none for ``"none"``.

    Raises
    ------
    InputError
        If a part is unknown or given twice.

    Examples
    --------
    >>> parse("flip, crop")
    ('crop', 'flip')
    """
    names = [name.strip() for name in text.split(",")]
    if names == ["none"]:
        return ()
    if "none" in names:
        raise InputError(f"augmentation {quoted(text)} names none and others; leave none or the others out")
    for name in names:
        if name not in PARTS:
            raise unknown_name("augmentation", name, [*PARTS, "none"])
        if names.count(name) > 1:
            raise InputError(f"augmentation {quoted(text)} names {name} twice; name each part once")
    return tuple(name for name in PARTS if name in names)


def augment(parts: tuple[str, ...], images: Images, numbers: Numbers, fill: int) -> Images:
    """Return the images after the parts of an augmentation.

    Parameters
    ----------
    parts : tuple of str
        Names in `PARTS`, in their order.
    images : (batch, C, H, W) uint8 tensor
        On any device.
    numbers : mapping
        Random numbers from `polyroots.training.data.draws.Draws`, on the CPU.
    fill : int
        Value in 0..255 of pixels from outside of the image.

    Returns
    -------
    (batch, C, H, W) uint8 tensor
    """
    for name in parts:
        images = PARTS[name](images, numbers, fill)
    return images


def _gather(
    images: UInt8[Tensor, "batch C _ _"], rows: Int64[Tensor, "batch H"], columns: Int64[Tensor, "batch W"]
) -> Images:
    """Return the pixels at the given rows and columns of each image."""
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    # Indexing puts the channels last.
    return images[batch, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
