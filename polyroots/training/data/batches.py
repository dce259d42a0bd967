"""The order of an epoch's images, their batches, and the part of each batch that a process trains on."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

# Images are augmented in portions of about this size: large enough that launching the operations costs little, and
# small beside the memory of a device.
_PORTION_BYTES = 2**25

#: Indices of the samples of a batch, or of a part of one.
Batch = Int64[Tensor, "_"]


def epoch_order(seed: int, epoch: int, count: int) -> Int64[Tensor, "count"]:
    """Return a random order of the images, which depends on the seed and the epoch alone."""
    return torch.randperm(count, generator=Generator().manual_seed(seed * 1_000_003 + epoch))


def split_batches(order: Int64[Tensor, "N"], batch_size: int, processes: int = 1) -> list[Batch]:
    """Return the batches of an order.

    Batch norm needs two images in each process; a last batch with fewer joins the one before it.
    """
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) < 2 * processes:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def part_of(batch: Batch, rank: int, processes: int) -> Batch:
    """Return a process's part of a batch: successive images, as many as in the other parts, or one more."""
    return batch.tensor_split(processes)[rank]


def portions(batches: list[Batch], image_bytes: int) -> list[list[Batch]]:
    """Return groups of successive batches, each of which is loaded and augmented at once."""
    at_once = max(1, _PORTION_BYTES // max(1, image_bytes * max(map(len, batches), default=1)))
    return [batches[first : first + at_once] for first in range(0, len(batches), at_once)]
