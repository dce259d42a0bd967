"""AutoAugment's policy for CIFAR-10 on batches of images, with the bits of torchvision's version for single images.

torchvision applies the same operations to all images of a batch. Here the images of a batch are grouped by operation
and strength, and each group is augmented at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from torch import Tensor

from polyroots.training.data.draws import integers

# Number of strengths that torchvision distinguishes.
_BINS = 10


def autoaugment(
    images: UInt8[Tensor, "batch C H W"], numbers: Mapping[str, Float64[Tensor, "batch"]], fill: int
) -> UInt8[Tensor, "batch C H W"]:
    """Apply to each image the two operations of a random policy, each with its probability.

    Parameters
    ----------
    images : (batch, C, H, W) uint8 tensor
        On any device.
    numbers : mapping
        ``policy``, ``first_chance``, ``second_chance``, ``first_sign`` and ``second_sign`` of each image, in [0, 1).
    fill : int
        Value in 0..255 of pixels from outside of the image.

    Returns
    -------
    (batch, C, H, W) uint8 tensor

    References
    ----------
    E. D. Cubuk, B. Zoph, D. Mane, V. Vasudevan, Q. V. Le, AutoAugment: Learning Augmentation Strategies from Data,
    CVPR 2019.
    """
    # Imported here: torchvision takes as long as torch, and few runs need it.
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
        # Sorting on the CPU leaves one copy to the device.
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
    """Return images with a flattened histogram of each channel, all channels at once.

    A channel with fewer than 255 pixels darker than its brightest ones stays as it is, as in torchvision.
    """
    flat = images.flatten(2).long()
    ones = torch.ones_like(flat[:1, :1]).expand_as(flat)
    histogram = torch.zeros(*flat.shape[:2], 256, dtype=torch.long, device=images.device).scatter_add_(2, flat, ones)
    below = flat.shape[2] - histogram.gather(2, flat.amax(2, keepdim=True))
    step = below // 255
    table = (histogram.cumsum(2) + step // 2) // step.clamp(min=1)
    # Each brightness takes the entry of the next darker one.
    table = torch.cat([torch.zeros_like(table[:, :, :1]), table[:, :, :-1]], 2).clamp(0, 255)
    result = table.gather(2, flat).to(torch.uint8).view_as(images)
    return torch.where((step == 0)[..., None], images, result)


@cache
def _table(
    height: int, width: int
) -> tuple[list[tuple[str, float]], Float32[np.ndarray, "policies 2"], Int64[np.ndarray, "policies 2 2"]]:
    """Return the policies for images of a size.

    Returns
    -------
    operations : list
        Name and signed strength of each distinct operation.
    chances : (policies, 2) float32 array
        Probability of the first and the second operation.
    places : (policies, 2, 2) int64 array
        Index into `operations` of the first and the second operation, with negative and with positive sign.
    """
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy

    original = AutoAugment(AutoAugmentPolicy.CIFAR10)
    strengths = original._augmentation_space(_BINS, (height, width))
    operations: dict[tuple[str, float], int] = {}
    chances = np.empty((len(original.policies), 2), dtype=np.float32)
    places = np.empty((len(original.policies), 2, 2), dtype=np.int64)
    for policy, pair in enumerate(original.policies):
        for turn, (name, chance, index) in enumerate(pair):
            by_index, is_signed = strengths[name]
            strength = 0.0 if index is None else float(by_index[index])
            chances[policy, turn] = chance
            for sign in (0, 1):
                signed = -strength if is_signed and sign == 0 else strength
                places[policy, turn, sign] = operations.setdefault((name, signed), len(operations))
    return list(operations), chances, places
