"""Images and their classes, in memory or in a file that is mapped into memory."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, Integer, UInt8
from torch import Tensor

# Seed of the choice of images by a limit or for validation: part of the data set, so the same for every seed of a run.
SPLIT_SEED = 20250219

_PORTION_BYTES = 2**26

#: Number of images of a batch in evaluation: it fills a device and fits into its memory.
EVALUATION_BATCH = 512

#: Images and classes of some samples.
Samples = tuple[UInt8[Tensor, "batch C H W"], Int64[Tensor, "batch"]]


class SampleSet(ABC):
    """Samples, which are taken in batches."""

    #: Number of samples of a batch in evaluation.
    evaluation_batch = EVALUATION_BATCH

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abstractmethod
    def batches(self, groups: Sequence[Int64[Tensor, "_"]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the inputs and the classes of each group of samples."""

    @abstractmethod
    def subset(self, chosen: Int64[Tensor, "n"]) -> SampleSet:
        """Return the set of some samples."""

    @abstractmethod
    def update(self, digest: Any) -> None:
        """Add what identifies the samples to a digest of hashlib."""


@dataclass(frozen=True)
class Split(SampleSet):
    """Images and their classes.

    Attributes
    ----------
    images : (M, C, H, W) uint8 tensor
    labels : (N,) int64 tensor
    rows : (N,) int64 tensor, optional
        Index into `images` of each sample; without it sample i is image i.
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

    def take(self, chosen: Int64[Tensor, "batch"]) -> Samples:
        """Return the images and classes of some samples."""
        return self.images[chosen if self.rows is None else self.rows[chosen]], self.labels[chosen]

    def batches(self, groups: Sequence[Int64[Tensor, "_"]]) -> Iterator[Samples]:
        """Yield the images (batch, C, H, W) and the classes (batch,) of each group of samples."""
        return map(self.take, groups)

    def update(self, digest: Any) -> None:
        """Add number, shape, classes and images to a digest of hashlib."""
        digest.update(str((len(self), *self.images.shape[1:])).encode())
        digest.update(self.labels.numpy().tobytes())
        for chosen in self.portions():
            digest.update(self.take(chosen)[0].numpy().tobytes())

    def portions(self) -> Sequence[Int64[Tensor, "_"]]:
        """Return the indices of all samples in portions whose images fit into memory."""
        return torch.arange(len(self)).split(max(1, _PORTION_BYTES // max(1, self.image_bytes)))

    def subset(self, chosen: Int64[Tensor, "n"]) -> Split:
        """Return the split of some samples; the images are shared, not copied."""
        return Split(self.images, self.labels[chosen], chosen if self.rows is None else self.rows[chosen])

    def to(self, device: torch.device) -> Split:
        """Return the split on a device, with the images of its own samples alone."""
        images = self.images if self.rows is None else self.images[self.rows]
        return Split(images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class SampleSets:
    """Training samples, test samples, and validation samples if some training samples are held out."""

    train: SampleSet
    test: SampleSet
    validation: SampleSet | None = None

    def fingerprint(self) -> str:
        """Return a hash of what identifies the samples, in their order; of images all of them and their classes."""
        digest = hashlib.blake2b(digest_size=16)
        for split in (self.train, self.test, self.validation):
            if split is not None:
                split.update(digest)
        return digest.hexdigest()


@dataclass(frozen=True)
class DataSet(SampleSets):
    """Training images, test images, and validation images if some training images are held out."""

    train: Split
    test: Split
    validation: Split | None = None


def split_from(images: UInt8[np.ndarray, "N C H W"], labels: Integer[np.ndarray, "N"]) -> Split:
    """Return the split of images and classes; the images are copied only if they are not contiguous."""
    return Split(torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels.astype(np.int64)))


def hold_out(split: Split, fraction: float) -> tuple[Split, Split]:
    """Return the rest of a split, and the share of each class that is held out.

    The choice is random, but the same in every run. At least one image of each class stays in the rest.
    """
    labels = split.labels.numpy()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    classes, sizes = np.unique(labels, return_counts=True)
    # Round down; then add one to the classes with the largest remainders until the total is right.
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


def balanced(labels: Integer[np.ndarray, "N"], limit: int | None) -> Int64[np.ndarray, "n"]:
    """Return ascending indices of at most `limit` random samples: equally many of each class as far as they go."""
    if limit is None or limit >= len(labels):
        return np.arange(len(labels))
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = np.arange(len(members))
    return np.sort(order[np.argsort(rank[order], kind="stable")][:limit])
