"""AutoAugment's policy for CIFAR-10, on many images at once: bit by bit what torchvision makes of each of them.

torchvision augments one image at a time, or a batch in which all images get the same. Here the images that get the
same operation, of the same strength, are a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from polyroots.training.data.draws import integers

# torchvision's number of strengths.
_BINS = 10


def autoaugment(images: UInt8[Tensor, "batch C H W"], numbers: Mapping[str, Tensor], fill: int) -> Tensor:
    """Apply to each image the two operations of a random policy, each with its probability.

    Parameters
    ----------
    images : (batch, C, H, W) uint8, on any device
    numbers : ``policy``, ``first_chance``, ``second_chance``, ``first_sign`` and ``second_sign``, (batch,) in [0, 1)
    fill : 0..255, what pixels from outside of the image are

    References
    ----------
    E. D. Cubuk, B. Zoph, D. Mane, V. Vasudevan, Q. V. Le, AutoAugment: Learning Augmentation Strategies from Data,
    CVPR 2019.
    """
    # Late: importing torchvision takes as long as importing torch.
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.autoaugment import _apply_op

    height, width = images.shape[-2:]
    operations, chances, places = _table(height, width)
    policy = integers(numbers["policy"], len(chances)).numpy()
    fills = [float(fill)] * images.shape[1]
    images = images.clone()
    for turn, word in enumerate(("first", "second")):
        is_positive = integers(numbers[f"{word}_sign"], 2).numpy()
        place = places[policy, turn, is_positive]
        place = np.where(numbers[f"{word}_chance"].numpy() <= chances[policy, turn], place, -1)
        # Sorted on the CPU, and brought to the device in one piece.
        order = np.argsort(place, kind="stable")
        ends = np.searchsorted(place[order], np.arange(len(operations) + 1))
        ranks = torch.from_numpy(order).to(images.device, non_blocking=True)
        for (name, strength), first, last in zip(operations, ends[:-1], ends[1:], strict=True):
            if first == last:
                continue
            members = ranks[first:last]
            if name == "Equalize":
                images[members] = equalize(images[members])
            else:
                images[members] = _apply_op(images[members], name, strength, InterpolationMode.NEAREST, fills)
    return images


def equalize(images: UInt8[Tensor, "batch C H W"]) -> UInt8[Tensor, "batch C H W"]:
    """Flatten the histogram of each channel; torchvision's works on one channel after the other.

    A channel in which all but the brightest pixels are less than 255 stays as it is.
    """
    flat = images.flatten(2).long()
    ones = torch.ones_like(flat[:1, :1]).expand_as(flat)
    histogram = torch.zeros(*flat.shape[:2], 256, dtype=torch.long, device=images.device).scatter_add_(2, flat, ones)
    below = flat.shape[2] - histogram.gather(2, flat.amax(2, keepdim=True))
    step = below // 255
    table = (histogram.cumsum(2) + step // 2) // step.clamp(min=1)
    # Every brightness takes the entry of the one before it.
    table = torch.cat([torch.zeros_like(table[:, :, :1]), table[:, :, :-1]], 2).clamp(0, 255)
    result = table.gather(2, flat).to(torch.uint8).view_as(images)
    return torch.where((step == 0)[..., None], images, result)


@cache
def _table(height: int, width: int) -> tuple[list[tuple[str, float]], NDArray[np.float32], NDArray[np.intp]]:
    """The policies for images of a size.

    Returns
    -------
    operations : name and signed strength of each different one
    chances : (policies, 2) probability of the first and the second operation
    places : (policies, 2, 2) which of `operations`, if the sign is negative, and if it is positive
    """
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy

    original = AutoAugment(AutoAugmentPolicy.CIFAR10)
    strengths = original._augmentation_space(_BINS, (height, width))
    operations: dict[tuple[str, float], int] = {}
    chances = np.empty((len(original.policies), 2), dtype=np.float32)
    places = np.empty((len(original.policies), 2, 2), dtype=np.intp)
    for policy, pair in enumerate(original.policies):
        for turn, (name, chance, index) in enumerate(pair):
            by_index, is_signed = strengths[name]
            strength = 0.0 if index is None else float(by_index[index])
            chances[policy, turn] = chance
            for sign in (0, 1):
                signed = -strength if is_signed and sign == 0 else strength
                places[policy, turn, sign] = operations.setdefault((name, signed), len(operations))
    return list(operations), chances, places
