"""How images get to the device: from its own memory, or through workers that read ahead."""

from __future__ import annotations

import multiprocessing
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from polyroots.training.config import TrainConfig
from polyroots.training.data.batches import Batch
from polyroots.training.data.split import Split

# What is larger stays where it is: 40,000 photos of 128x128 pixels.
_RESIDENT_BYTES = 2**31


class Feed(ABC):
    """Images and their classes, on a device, a list of samples at a time."""

    @abstractmethod
    def load(self, portions: Sequence[Batch]) -> Iterator[tuple[Tensor, Tensor]]:
        """Return images (batch, C, H, W) uint8 and classes (batch,) of each list of samples, in its order."""


class Resident(Feed):
    """All images live on the device, as bytes."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self.split = split.to(device)
        self.device = device

    def load(self, portions: Sequence[Batch]) -> Iterator[tuple[Tensor, Tensor]]:
        """Take them from the device's memory."""
        for chosen in portions:
            yield self.split.take(chosen.to(self.device, non_blocking=True))


class Streamed(Feed):
    """Worker processes read images ahead, which stay in memory or in a file that is mapped into it."""

    def __init__(self, split: Split, device: torch.device, workers: int) -> None:
        self.device = device
        self._portions: list[list[int]] = []
        # Forked, they share the images; a new process would be sent a copy.
        can_fork = "fork" in multiprocessing.get_all_start_methods() and device.type != "mps"
        self._loader = DataLoader(
            _Rows(split),
            batch_size=None,
            sampler=_Sampler(self._portions),
            num_workers=workers,
            multiprocessing_context="fork" if can_fork else None,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # else it draws from the global one
        )

    def load(self, portions: Sequence[Batch]) -> Iterator[tuple[Tensor, Tensor]]:
        """Let the workers take them, and bring them to the device."""
        self._portions[:] = [chosen.tolist() for chosen in portions]
        for images, labels in self._loader:
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


class _Rows(Dataset[tuple[Tensor, Tensor]]):
    """A split whose items are lists of samples."""

    def __init__(self, split: Split) -> None:
        self.split = split

    def __getitem__(self, chosen: list[int]) -> tuple[Tensor, Tensor]:
        return self.split.take(torch.tensor(chosen))


class _Sampler:
    """The lists of samples of the next epoch."""

    def __init__(self, portions: list[list[int]]) -> None:
        self.portions = portions

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.portions)

    def __len__(self) -> int:
        return len(self.portions)


def make_feed(split: Split, device: torch.device, config: TrainConfig) -> Feed:
    """Return the way for a split's images: through workers where asked for, or if they are many."""
    is_large = len(split) * split.image_bytes > _RESIDENT_BYTES
    if config.loading == "workers" or (config.loading == "auto" and is_large):
        return Streamed(split, device, config.workers)
    return Resident(split, device)
