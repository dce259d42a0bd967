"""The order of an epoch: which images make a step, and which of them are a process's."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

# Images are augmented together, as bytes, in portions of about this size: enough that starting the operations costs
# little beside them, and little memory.
_PORTION_BYTES = 2**25

Batch = Int64[Tensor, "batch"]


def epoch_order(seed: int, epoch: int, count: int) -> Int64[Tensor, "count"]:
    """Return the order of an epoch's images: its own, whatever was drawn before."""
    return torch.randperm(count, generator=Generator().manual_seed(seed * 1_000_003 + epoch))


def split_batches(order: Int64[Tensor, "N"], batch_size: int, processes: int = 1) -> list[Batch]:
    """Cut an order into batches.

    What is left over joins the last one if it is less than two images a process, which batch norm needs.
    """
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) < 2 * processes:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def part_of(batch: Batch, rank: int, processes: int) -> Batch:
    """Return a process's part of a batch: successive images, as many as the others have, or one more."""
    return batch.tensor_split(processes)[rank]


def portions(batches: list[Batch], image_bytes: int) -> list[list[Batch]]:
    """Group successive batches that are loaded and augmented together."""
    at_once = max(1, _PORTION_BYTES // max(1, image_bytes * max(map(len, batches), default=1)))
    return [batches[first : first + at_once] for first in range(0, len(batches), at_once)]
