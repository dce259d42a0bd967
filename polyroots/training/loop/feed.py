"""Feeds of training images: from the device's memory, or from workers that read ahead."""

from __future__ import annotations

import multiprocessing
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from polyroots.processes import blocked_signals, leave_signals_to_parent
from polyroots.training.config import TrainConfig
from polyroots.training.data.batches import Batch
from polyroots.training.data.given import GivenSamples
from polyroots.training.data.split import Samples, SampleSet, Split

# Splits up to this size are kept on the device: 40,000 photos of 128x128 pixels.
_RESIDENT_BYTES = 2**31


class Feed(ABC):
    """Images and classes of successive groups of samples, on a device."""

    def batches(self, epoch: int) -> list[Batch] | None:
        """Return the batches of an epoch where the data has an order of its own; None where the seed decides it."""
        return None

    @abstractmethod
    def load(self, portions: Sequence[Batch], epoch: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images and classes of each group of samples of an epoch."""


class DeviceFeed(Feed):
    """A feed from the device's memory, which holds all images as bytes."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self.split = split.to(device)
        self.device = device

    def load(self, portions: Sequence[Batch], epoch: int = 0) -> Iterator[Samples]:
        """Yield the images and classes of each group of samples."""
        for chosen in portions:
            yield self.split.take(chosen.to(self.device, non_blocking=True))


class WorkerFeed(Feed):
    """A feed from worker processes, which read images ahead from memory or from a file that is mapped into it."""

    def __init__(self, split: Split, device: torch.device, workers: int) -> None:
        self.device = device
        self._portions: list[list[int]] = []
        # Forked processes share the images; spawned ones would each receive a copy.
        can_fork = "fork" in multiprocessing.get_all_start_methods() and device.type != "mps"
        self._loader = DataLoader(
            _GroupDataset(split),
            batch_size=None,
            sampler=_GroupSampler(self._portions),
            num_workers=workers,
            multiprocessing_context="fork" if can_fork else None,
            pin_memory=device.type == "cuda",
            worker_init_fn=leave_signals_to_parent,
            generator=torch.Generator(),  # by default it draws from the global generator
        )

    def load(self, portions: Sequence[Batch], epoch: int = 0) -> Iterator[Samples]:
        """Yield the images and classes of each group of samples."""
        self._portions[:] = [chosen.tolist() for chosen in portions]
        with blocked_signals():
            batches = iter(self._loader)
        for images, labels in batches:
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


class _GroupDataset(Dataset[tuple[Tensor, Tensor]]):
    """A split as a data set whose index is a list of samples."""

    def __init__(self, split: Split) -> None:
        self.split = split

    def __getitem__(self, chosen: list[int]) -> Samples:
        return self.split.take(torch.tensor(chosen))


class _GroupSampler:
    """The lists of samples of the next epoch, which `WorkerFeed.load` replaces."""

    def __init__(self, portions: list[list[int]]) -> None:
        self.portions = portions

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.portions)

    def __len__(self) -> int:
        return len(self.portions)


class GivenFeed(Feed):
    """A feed from a data set of the user's own; what it draws depends on seed, epoch and sample alone."""

    def __init__(self, samples: GivenSamples, device: torch.device, config: TrainConfig) -> None:
        self.samples, self.device, self.seed = samples, device, config.seed
        self.workers = config.workers if config.loading == "workers" else samples.workers

    def batches(self, epoch: int) -> list[Batch] | None:
        """Return the batches of a data loader's own sampler; None without one."""
        return self.samples.own_batches(self.seed, epoch)

    def load(self, portions: Sequence[Batch], epoch: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the inputs and classes of each group of samples of an epoch."""
        for inputs, labels in self.samples.batches(portions, (self.seed, epoch), self.workers):
            yield inputs.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


def make_feed(split: SampleSet, device: torch.device, config: TrainConfig) -> Feed:
    """Return the feed of a split: from workers if they are configured, or the images are too many."""
    if isinstance(split, GivenSamples):
        return GivenFeed(split, device, config)
    assert isinstance(split, Split)
    is_large = len(split) * split.image_bytes > _RESIDENT_BYTES
    if config.loading == "workers" or (config.loading == "auto" and is_large):
        return WorkerFeed(split, device, config.workers)
    return DeviceFeed(split, device)
