"""Random numbers for the augmentation of an epoch: each sample has its own, independent of the order of the samples."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

#: Use of each of a sample's numbers. A new use goes to the end, so that the numbers of the others stay the same.
COLUMNS = (
    *("crop_row", "crop_column", "flip"),
    *("policy", "first_chance", "second_chance", "first_sign", "second_sign"),
    *("cutout_row", "cutout_column"),
)


class Draws:
    """Independent numbers, uniform in [0, 1), for each sample in one epoch.

    They depend on the seed, the epoch and the sample alone, not on the order of the images, the number of processes or
    the parts of the augmentation.

    Parameters
    ----------
    seed, epoch : int
    count : int
        Number of samples.
    """

    def __init__(self, seed: int, epoch: int, count: int) -> None:
        # Sample i has the numbers from i * len(COLUMNS) on, whatever the number of samples.
        generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        self._table = torch.from_numpy(generator.random((count, len(COLUMNS)), dtype=np.float32))

    def of(self, chosen: Int64[Tensor, "batch"]) -> dict[str, Float64[Tensor, "batch"]]:
        """Return the numbers of the given samples by name."""
        # The product of a float32 below 1 and a small integer n stays below n in float64, not in float32.
        return dict(zip(COLUMNS, self._table[chosen].double().unbind(1), strict=True))


def integers(uniform: Float64[Tensor, "batch"], count: int) -> Int64[Tensor, "batch"]:
    """Return integers from 0 to count - 1, equally probable, from numbers uniform in [0, 1)."""
    return (uniform * count).long()
