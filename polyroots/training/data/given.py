"""Data sets of the user's own: any map-style data set, or a pair of data loaders."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler, default_collate

from polyroots.errors import InputError
from polyroots.processes import blocked_signals, leave_signals_to_parent
from polyroots.training.data.batches import Batch
from polyroots.training.data.source import Part, Progress, Source
from polyroots.training.data.split import DataSet, SampleSet, SampleSets, Split

#: Name of such data in a configuration.
GIVEN = "given"

# Larger than any number of epochs and samples, so that different ones have different seeds.
_EPOCHS, _SAMPLES = 1_000_003, 2**32


class GivenSamples(SampleSet):
    """Samples of a map-style data set; what they draw at random depends on seed, epoch and sample alone.

    Parameters
    ----------
    dataset : Dataset
        Its samples are pairs of an input and a class.
    loader : DataLoader, optional
        Its collate_fn, number of workers and sampler are used.
    batch : int
        Samples of a batch in evaluation.
    rows : (n,) int64 tensor, optional
        Index into the data set of each sample.
    """

    def __init__(
        self, dataset: Any, loader: DataLoader[Any] | None, batch: int, rows: Int64[Tensor, "n"] | None = None
    ) -> None:
        self.dataset, self.loader, self.evaluation_batch, self.rows = dataset, loader, batch, rows
        self.workers = 0 if loader is None else loader.num_workers
        self.collate: Callable[[list[Any]], Any] = default_collate if loader is None else loader.collate_fn

    def __len__(self) -> int:
        return len(self.dataset) if self.rows is None else len(self.rows)

    def subset(self, chosen: Int64[Tensor, "n"]) -> GivenSamples:
        """Return the set of some samples."""
        rows = chosen if self.rows is None else self.rows[chosen]
        return GivenSamples(self.dataset, self.loader, self.evaluation_batch, rows)

    def batches(
        self, groups: Sequence[Int64[Tensor, "_"]], key: tuple[int, int] = (0, 0), workers: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the inputs and classes of each group of samples, in an epoch with a seed."""
        rows = [(group if self.rows is None else self.rows[group]).tolist() for group in groups]
        reader = DataLoader(
            _Seeded(self.dataset, self.collate, key),
            batch_size=None,
            sampler=rows,
            num_workers=self.workers if workers is None else workers,
            worker_init_fn=leave_signals_to_parent,
            generator=torch.Generator(),  # by default it draws from the global generator
        )
        with blocked_signals():
            read = iter(reader)
        for batch in read:
            yield _pair(batch)

    def own_batches(self, seed: int, epoch: int) -> list[Batch] | None:
        """Return the batches that the sampler of a loader chooses in an epoch; None where it takes all in any order."""
        loader = self.loader
        if loader is None or _is_plain(loader):
            return None
        assert loader.batch_sampler is not None
        for owner in (loader, loader.sampler):
            generator = getattr(owner, "generator", None)
            if isinstance(generator, torch.Generator):
                generator.manual_seed(_mixed(seed, epoch, 0))
        if hasattr(loader.sampler, "set_epoch"):
            loader.sampler.set_epoch(epoch)
        with _seeded(seed, epoch, 0):
            return [torch.tensor(indices) for indices in loader.batch_sampler]

    def update(self, digest: Any) -> None:
        """Add the number of samples and three of them to a digest of hashlib."""
        digest.update(str(len(self)).encode())
        for index in sorted({0, len(self) // 2, len(self) - 1}):
            for inputs, labels in self.batches([torch.tensor([index])], workers=0):
                digest.update(str((tuple(inputs.shape), inputs.dtype, labels.tolist())).encode())
                digest.update(inputs.contiguous().cpu().view(-1).numpy().tobytes())

    def why_not_exact(self, seed: int) -> str:
        """Return why a resumed run may differ from one without a stop; empty where nothing is known to."""
        first = [torch.tensor([0])]
        (one, _), (other, _) = (next(self.batches(first, (seed, 1), workers=0)) for _ in range(2))
        if not torch.equal(one, other):
            return "a sample that is read twice differs: the data set draws from a generator of its own"
        orders = [[batch.tolist() for batch in self.own_batches(seed, 1) or ()] for _ in range(2)]
        if orders[0] != orders[1]:
            return "the sampler chooses another order each time: it draws from a generator of its own"
        return ""


class GivenData(Source):
    """Training and test data of the user's own, with the network that is trained on them.

    Parameters
    ----------
    train, test : GivenSamples
    network : nn.Module
    num_classes : int
        Outputs of the network.
    shape : tuple of int
        Shape of an input.
    """

    name = GIVEN
    data_dir: Path | None = None

    def __init__(
        self, train: GivenSamples, test: GivenSamples, network: nn.Module, num_classes: int, shape: tuple[int, ...]
    ) -> None:
        self.train, self.test, self.network = train, test, network
        self.title = type(train.dataset).__name__
        self.channels, self.image_size = image_shape(shape)
        self.classes = tuple(str(number) for number in range(num_classes))
        self.counts = (len(train), len(test))

    def load(self, limit: int | None = None, progress: Progress | None = None, val_fraction: float = 0.0) -> DataSet:
        """Raise InputError: the samples are read when they are needed."""
        raise InputError("data of the user's own are not read into memory")

    def samples(self) -> SampleSets:
        """Return the samples, which are read when they are needed."""
        return SampleSets(self.train, self.test)

    def read(self, parts: Sequence[Part], limit: int | None = None, progress: Progress | None = None) -> list[Split]:
        """Raise InputError: the samples are not images in memory."""
        raise InputError("data of the user's own are not read into memory")


def image_shape(shape: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
    """Return channels and grid of an input; of one that is no image the first length, and the others multiplied.

    >>> image_shape((3, 32, 24)), image_shape((16, 100)), image_shape((7,))
    ((3, (32, 24)), (16, (1, 100)), (7, (1, 1)))
    """
    channels, *others = shape or (1,)
    if len(others) == 2:
        return channels, (others[0], others[1])
    return channels, (1, int(np.prod(others, dtype=int)))


def given_samples(data: Any, what: str, batch: int | None) -> GivenSamples:
    """Return the samples of a map-style data set or of a data loader of one.

    Raises
    ------
    InputError
        If there are none, they have no order to go on from, or they are no pairs of tensors.
    """
    loader = data if isinstance(data, DataLoader) else None
    dataset = data if loader is None else loader.dataset
    if isinstance(dataset, IterableDataset) or not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise InputError(
            f"{what}: expected a map-style data set, with __getitem__ and __len__, or a DataLoader of one, got "
            f"{type(dataset).__name__}; a stream has no order that a run could be resumed in"
        )
    if loader is not None and loader.batch_sampler is None:
        raise InputError(
            f"{what}: expected a DataLoader with batches, got one with batch_size None; give it a batch_size"
        )
    if not len(dataset):
        raise InputError(f"{what}: the data set has no samples")
    own = None if loader is None else loader.batch_size
    return GivenSamples(dataset, loader, batch or own or 64)


def _is_plain(loader: DataLoader[Any]) -> bool:
    """Whether a loader takes all samples, in their order or shuffled."""
    kind = type(loader.batch_sampler)
    if kind is not torch.utils.data.BatchSampler or loader.drop_last:
        return False
    sampler = loader.sampler
    return type(sampler) is SequentialSampler or (
        type(sampler) is RandomSampler and not sampler.replacement and sampler.num_samples == len(sampler.data_source)
    )


class _Seeded(Dataset[Any]):
    """A data set whose index is a list of samples, each of which is read with the generators seeded for it."""

    def __init__(self, dataset: Any, collate: Callable[[list[Any]], Any], key: tuple[int, int]) -> None:
        self.dataset, self.collate, self.key = dataset, collate, key

    def __getitem__(self, rows: list[int]) -> Any:
        samples = []
        for row in rows:
            with _seeded(*self.key, row):
                samples.append(self.dataset[row])
        try:
            return self.collate(samples)
        except TypeError as error:
            raise InputError(
                f"the samples can't be collected to a batch ({str(error).splitlines()[0]}); give the data set a "
                "transform to tensors, such as torchvision.transforms.ToTensor()"
            ) from error


def _mixed(seed: int, epoch: int, sample: int) -> int:
    """Return a seed for a sample in an epoch."""
    return ((seed * _EPOCHS + epoch) * _SAMPLES + sample) % 2**63


@contextmanager
def _seeded(seed: int, epoch: int, sample: int) -> Iterator[None]:
    """Seed the generators of torch, numpy and Python for a sample, and set them back: networks draw from them, too."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    mixed = _mixed(seed, epoch, sample)
    try:
        # Only the CPU's generator: data sets run there.
        torch.default_generator.manual_seed(mixed)
        np.random.seed(mixed % 2**32)  # noqa: NPY002
        random.seed(mixed)
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])


def _pair(batch: Any) -> tuple[Tensor, Tensor]:
    """Return the inputs and the classes of a batch."""
    if not isinstance(batch, list | tuple) or len(batch) != 2 or not isinstance(batch[0], Tensor):
        kind = type(batch).__name__
        what = f"{kind} of {len(batch)}" if isinstance(batch, list | tuple | dict) else kind
        raise InputError(
            f"expected samples (input, class) that make a pair of tensors, got a {what}; wrap the data set"
        )
    labels = torch.as_tensor(batch[1])
    if labels.dim() != 1 or labels.is_floating_point():
        raise InputError(
            f"expected a class of each sample as a whole number, got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    return batch[0], labels.long()
