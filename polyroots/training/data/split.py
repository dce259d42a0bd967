"""Images in memory, or in a file that is mapped into it, with their classes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor

# Which images are held out or kept by a limit is part of the data set: the same in every run, whatever its seed.
SPLIT_SEED = 20250219

_PORTION_BYTES = 2**26


@dataclass(frozen=True)
class Split:
    """Images and their classes.

    Attributes
    ----------
    images : (M, C, H, W) uint8
    labels : (N,) int64
    rows : (N,) int64, optional
        Which images are this split's; all of them without it.
    """

    images: UInt8[Tensor, "M C H W"]
    labels: Int64[Tensor, "N"]
    rows: Int64[Tensor, "N"] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_bytes(self) -> int:
        """Bytes of one image."""
        return self.images[:1].nbytes

    def take(self, chosen: Int64[Tensor, "batch"]) -> tuple[UInt8[Tensor, "batch C H W"], Int64[Tensor, "batch"]]:
        """Return some images and their classes."""
        return self.images[chosen if self.rows is None else self.rows[chosen]], self.labels[chosen]

    def portions(self) -> Sequence[Int64[Tensor, "n"]]:
        """Return all samples in portions that fit into memory: a large split lies in a file."""
        return torch.arange(len(self)).split(max(1, _PORTION_BYTES // max(1, self.image_bytes)))

    def subset(self, chosen: Int64[Tensor, "n"]) -> Split:
        """Return the split of some images alone; the images are shared, not copied."""
        return Split(self.images, self.labels[chosen], chosen if self.rows is None else self.rows[chosen])

    def to(self, device: torch.device) -> Split:
        """Return the split with its own images, and no others, on a device."""
        images = self.images if self.rows is None else self.images[self.rows]
        return Split(images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class DataSet:
    """A data set: training images, held-out test images, and images held out of the training ones for validation."""

    train: Split
    test: Split
    validation: Split | None = None

    def fingerprint(self) -> str:
        """Return a digest of all images and classes, in their order."""
        digest = hashlib.blake2b(digest_size=16)
        for split in (self.train, self.test, self.validation):
            if split is None:
                continue
            digest.update(str((len(split), *split.images.shape[1:])).encode())
            digest.update(split.labels.numpy().tobytes())
            for chosen in split.portions():
                digest.update(split.take(chosen)[0].numpy().tobytes())
        return digest.hexdigest()


def split_from(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Split:
    """Return the split of arrays (N, C, H, W) and (N,); the images are copied only if they are not contiguous."""
    return Split(torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels.astype(np.int64)))


def hold_out(split: Split, fraction: float) -> tuple[Split, Split]:
    """Divide a split: what is left, and the same share of each class held out.

    Random images, but the same ones in every run. A class of two images or more keeps one at least.
    """
    labels = split.labels.numpy()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    classes, sizes = np.unique(labels, return_counts=True)
    # Rounded down, and then up for those that are farthest from it, until the sum is right.
    shares = fraction * sizes
    counts = np.floor(shares).astype(int)
    missing = round(float(shares.sum())) - counts.sum()
    counts[np.argsort(counts - shares, kind="stable")[:missing]] += 1
    counts = np.minimum(counts, sizes - 1)
    held = np.concatenate([order[labels[order] == c][:n] for c, n in zip(classes, counts, strict=True)])
    is_held = np.zeros(len(split), dtype=bool)
    is_held[held] = True
    rest, chosen = (torch.from_numpy(np.flatnonzero(mask)) for mask in (~is_held, is_held))
    return split.subset(rest), split.subset(chosen)


def balanced(labels: Sequence[int] | NDArray[np.int64], limit: int | None) -> NDArray[np.intp]:
    """Indices, ascending, of at most `limit` samples: random ones, the same number of each class as far as it goes."""
    labels = np.asarray(labels)
    if limit is None or limit >= len(labels):
        return np.arange(len(labels))
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    rank = np.empty(len(labels), dtype=np.intp)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = np.arange(len(members))
    return np.sort(order[np.argsort(rank[order], kind="stable")][:limit])
