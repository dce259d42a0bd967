"""The random numbers of an epoch's augmentation: of each sample its own, whoever asks for them and in which order."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

#: What each of a sample's numbers is for. A new use goes to the end: it would change the draws of those behind it.
COLUMNS = (
    *("crop_row", "crop_column", "flip"),
    *("policy", "first_chance", "second_chance", "first_sign", "second_sign"),
    *("cutout_row", "cutout_column"),
)


class Draws:
    """Independent numbers, uniform in [0, 1), for each sample in one epoch.

    They follow from the seed, the epoch and the sample alone: neither the order of the images, nor the number of
    processes, nor what else is augmented changes them.

    Parameters
    ----------
    seed, epoch : int
    count : number of samples
    """

    def __init__(self, seed: int, epoch: int, count: int) -> None:
        # Counter-based: sample i has the numbers from i * len(COLUMNS) on, however many samples there are.
        generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        self._table = torch.from_numpy(generator.random((count, len(COLUMNS)), dtype=np.float32))

    def of(self, chosen: Int64[Tensor, "batch"]) -> dict[str, Float64[Tensor, "batch"]]:
        """Return the numbers of some samples by name."""
        # In float64, where the product with a small integer n stays below n.
        return dict(zip(COLUMNS, self._table[chosen].double().unbind(1), strict=True))


def integers(uniform: Float64[Tensor, "batch"], count: int) -> Int64[Tensor, "batch"]:
    """Turn numbers in [0, 1) into integers from 0 to count - 1, each as probable as the others."""
    return (uniform * count).long()
