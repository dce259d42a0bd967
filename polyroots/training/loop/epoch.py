"""One epoch of training: its steps follow each other without waiting for the device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float32, Int64, Shaped
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from polyroots.errors import InputError, PolyrootsError
from polyroots.training.config import TrainConfig
from polyroots.training.data.augmentation import augment, parse
from polyroots.training.data.batches import Batch, epoch_order, part_of, portions, split_batches
from polyroots.training.data.draws import Draws
from polyroots.training.data.normalisation import Normalisation, laid_out
from polyroots.training.data.split import SampleSet, Split
from polyroots.training.loop.feed import Feed
from polyroots.training.loop.interruption import Interruption
from polyroots.training.loop.optimizer import rate_at, set_rate
from polyroots.training.loop.processes import total
from polyroots.training.loop.reporter import Reporter
from polyroots.training.runs.state import RunState

# Loss and accuracy stay on the device between reads, because reading them waits for it.
_SECONDS_BETWEEN_READS = 0.5
# Several processes read in the same steps, whose number doesn't depend on a clock.
_READS_PER_EPOCH = 50


class DivergedError(PolyrootsError):
    """A loss that is not finite."""


@dataclass(frozen=True)
class EpochLoop:
    """The training steps of an epoch.

    Attributes
    ----------
    config, fabric : TrainConfig, Fabric
    network, optimizer : nn.Module, Optimizer
        As `fabric` has set them up.
    feed : Feed
        Brings the images of `split` to the device.
    split : Split
        The training images.
    normalise : Normalisation
    reporter : Reporter
        Receives the progress within the epoch.
    interruption : Interruption
        Requests to stop, which end the epoch after the current step.
    require_in_place : callable
        Raises the error that ends the epoch if the run directory is no longer in its place.
    """

    config: TrainConfig
    fabric: Fabric
    network: nn.Module
    optimizer: Optimizer
    feed: Feed
    split: SampleSet
    normalise: Normalisation
    reporter: Reporter
    interruption: Interruption
    require_in_place: Callable[[], None] = lambda: None

    @cached_property
    def _sizes(self) -> list[int]:
        """Number of images of each step of an epoch."""
        return [len(batch) for batch in self._batches(1)]

    @property
    def count(self) -> int:
        """Number of training images of an epoch."""
        return sum(self._sizes)

    @property
    def steps(self) -> int:
        """Number of steps of an epoch."""
        return len(self._sizes)

    def run(self, state: RunState) -> bool:
        """Train on every image once, or on those that are left of an interrupted epoch.

        Parameters
        ----------
        state : RunState
            Holds the steps that are done; it is updated.

        Returns
        -------
        bool
            Whether all steps are done, False after a request to stop.

        Raises
        ------
        DivergedError
            If a loss is not finite.
        """
        config, rank = self.config, self.fabric.global_rank
        batches = self._batches(state.epoch + 1)[state.step :]
        parts = [part_of(batch, rank, config.processes) for batch in batches]
        sums = torch.zeros(2, self.steps, device=self.fabric.device)
        if rank == 0:
            sums[:, : state.step] = state.sums
        clock = _EpochClock(state.seconds)
        every = 0 if config.processes == 1 else math.ceil(self.steps / _READS_PER_EPOCH)

        self.network.train()
        step, before, is_stopped = state.step, self._done(state.step), False
        for batch, (images, labels) in zip(batches, self._on_device(parts, state.epoch + 1), strict=True):
            set_rate(self.optimizer, rate_at(config, state.epoch * self.steps + step, self.steps))
            self._step(images, labels, len(images) * config.processes / len(batch), sums[:, step])
            step += 1
            is_due = step % every == 0 if every else self.interruption.requested or clock.is_due()
            if is_due or step == self.steps:
                state.step, state.sums, state.seconds = step, total(self.fabric, sums[:, :step]), clock.seconds
                if config.processes == 1:  # several find it at the end of the epoch, together
                    self.require_in_place()
                loss, accuracy = self._means(state)
                done = self._done(step)
                self.reporter.on_step(
                    state.epoch + 1, done, self.count, loss, accuracy, (done - before) / clock.seconds_here
                )
                if is_stopped := self._is_stopped():
                    break
        return not is_stopped

    def row(self, state: RunState) -> dict[str, int | float]:
        """Return the training columns of metrics.csv after the last step of an epoch."""
        loss, accuracy = self._means(state)
        return {
            "epoch": state.epoch + 1,
            "lr": rate_at(self.config, state.epoch * self.steps, self.steps),
            "train_loss": loss,
            "train_accuracy": accuracy,
            "train_seconds": state.seconds,
            "images_per_second": self.count / state.seconds,
        }

    def _batches(self, epoch: int) -> list[Batch]:
        own = self.feed.batches(epoch)
        if own is not None:
            if epoch > 1 and [len(batch) for batch in own] != self._sizes:
                raise InputError(
                    f"the batch sampler has other numbers or sizes of batches in epoch {epoch} than in the first one: "
                    "expected the same in every epoch"
                )
            return own
        order = epoch_order(self.config.seed, epoch, len(self.split))
        return split_batches(order, self.config.batch_size, self.config.processes)

    def _done(self, step: int) -> int:
        """Return the number of images in the first steps of an epoch."""
        return sum(self._sizes[:step])

    def _on_device(self, parts: list[Batch], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield augmented images and classes of each batch."""
        if not isinstance(self.split, Split):
            yield from self.feed.load(parts, epoch)
            return
        names = parse(self.config.augment)
        draws = Draws(self.config.seed, epoch, self.count) if names else None
        groups = portions(parts, self.split.image_bytes)
        chosen = [torch.cat(group) for group in groups]
        for group, samples, (images, labels) in zip(groups, chosen, self.feed.load(chosen, epoch), strict=True):
            if draws is not None:
                images = augment(names, images, draws.of(samples), self.config.fill)
            sizes = [len(batch) for batch in group]
            yield from zip(images.split(sizes), labels.split(sizes), strict=True)

    def _means(self, state: RunState) -> tuple[float, float]:
        """Return mean loss and accuracy of the steps so far; raise DivergedError at a loss that is not finite."""
        losses, correct = state.sums.double()
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            step = int(bad[0])
            rate = rate_at(self.config, state.epoch * self.steps + step, self.steps)
            raise DivergedError(
                f"the loss is {float(losses[step])} in step {step + 1} of {self.steps} in epoch {state.epoch + 1}, at "
                f"a learning rate of {rate:.4g}"
            )
        images = self._done(state.step)
        return float(losses.sum()) / images, float(correct.sum()) / images

    def _step(
        self,
        images: Shaped[Tensor, "batch ..."],
        labels: Int64[Tensor, "batch"],
        share: float,
        sums: Float32[Tensor, "2"],
    ) -> None:
        """Take a step, and set `sums` to the summed loss and the number of correctly classified images."""
        # Before the forward pass: CUDA graphs need their memory back before they run again.
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.network(laid_out(self.normalise(images)))
        loss = cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
        # Processes average their gradients, so each is weighted by its share of the step's images.
        self.fabric.backward(loss if share == 1 else loss * share)
        if self.config.clip_norm is not None:
            self.fabric.clip_gradients(
                self.network, self.optimizer, max_norm=self.config.clip_norm, error_if_nonfinite=False
            )
        self.optimizer.step()
        sums[0] = loss.detach() * len(labels)
        sums[1] = (logits.detach().argmax(1) == labels).sum()

    def _is_stopped(self) -> bool:
        """Whether any process has received a request to stop."""
        mine = torch.tensor(float(self.interruption.requested), device=self.fabric.device)
        return bool(total(self.fabric, mine) > 0)


class _EpochClock:
    """Seconds of an epoch, and since its loss was last read.

    Parameters
    ----------
    before : float
        Seconds of the epoch before it was interrupted.
    """

    def __init__(self, before: float) -> None:
        self._before = before
        self._started = self._read = time.perf_counter()

    @property
    def seconds_here(self) -> float:
        """Seconds since this process began or resumed the epoch."""
        return time.perf_counter() - self._started

    @property
    def seconds(self) -> float:
        """Seconds of the epoch."""
        return self._before + self.seconds_here

    def is_due(self) -> bool:
        """Whether the loss is to be read now; if so, the time to the next read starts."""
        now = time.perf_counter()
        if now - self._read < _SECONDS_BETWEEN_READS:
            return False
        self._read = now
        return True
