"""The training loop."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from lightning_fabric import Fabric
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from polyroots.checkpoint import Checkpoint, save_checkpoint
from polyroots.errors import InputError, PolyrootsError
from polyroots.files import write_json
from polyroots.initialization import initialize
from polyroots.models import build, count_weights
from polyroots.training import augment
from polyroots.training.config import TrainConfig
from polyroots.training.data import Source, Split
from polyroots.training.device import describe, make_fabric
from polyroots.training.evaluate import evaluate, require_fit
from polyroots.training.normalisation import Normalisation
from polyroots.training.run import Run, new_run

# Loss and accuracy are summed on the device; they are read, which waits for it, about so often in an epoch.
_READS_PER_EPOCH = 50


class DivergedError(PolyrootsError):
    """The loss is no longer a finite number."""


class Reporter:
    """What a run tells while it goes on; each method does nothing unless overridden."""

    def on_images(self, done: int, total: int) -> None:
        """So many images of all have been read."""

    def on_start(
        self, config: TrainConfig, run: Run, init: Mapping[str, Any] | None, weights: int, device: str
    ) -> None:
        """Training begins; `init` is the `InitReport.to_dict` of the coefficients, if they come from spectra."""

    def on_step(self, epoch: int, done: int, total: int, loss: float, accuracy: float, rate: float) -> None:
        """So many training images of this epoch are done, with means so far and images per second."""

    def on_epoch(self, row: dict[str, float]) -> None:
        """An epoch has been evaluated and saved; `row` is the line of metrics.csv."""


@dataclass(frozen=True)
class TrainResult:
    """Outcome of a run.

    Attributes
    ----------
    run : its directory
    last_accuracy : test accuracy after the last epoch
    best_accuracy, best_epoch : largest test accuracy; chosen on the test set, and so optimistic
    images_per_second : training images over the seconds of the training loops, without evaluation
    """

    run: Run
    last_accuracy: float
    best_accuracy: float
    best_epoch: int
    images_per_second: float


def train(
    config: TrainConfig,
    source: Source,
    out: str | Path | None = None,
    *,
    start: Checkpoint | None = None,
    reporter: Reporter | None = None,
) -> TrainResult:
    """Train a network and write a run directory.

    The same configuration gives the same weights, bit by bit, on the same CPU with the same number of threads.

    Parameters
    ----------
    config : TrainConfig
    source : Source
        The data set of `config.dataset`, from `open_data`.
    out : path, optional
        The run directory; must not hold a run. By default a new one under runs/.
    start : Checkpoint, optional
        Start from its weights and coefficients rather than from fresh ones.
    reporter : Reporter, optional

    Raises
    ------
    InputError
        If `start` doesn't fit the data, or the device is not there.
    FileError
        If the data can't be read or the run not be written.
    DivergedError
        If the loss is no longer finite.
    """
    reporter = reporter or Reporter()
    fabric = make_fabric(config.device)
    require_fit(config.model, source)
    if start is not None and start.config != config.model:
        raise InputError("the network to start from is not the configuration's: give start.config as its model")
    run = new_run(config.dataset, config.model.title) if out is None else Run(out)
    try:
        data = source.load(config.limit, reporter.on_images)
        fabric.seed_everything(config.seed, verbose=False)
        model = start.model() if start else build(config.model)
        init = _initialize(model, config, start)
    except BaseException:
        run.abandon()
        raise

    run.write_config(config.model_dump(mode="json"), sys.argv)
    if init is not None:
        write_json(run.init, init)
    weights = count_weights(model)
    reporter.on_start(config, run, init, weights, describe(fabric.device))

    optimizer = make_optimizer(model, config)
    model = model.to(memory_format=torch.channels_last)
    network, optimizer = fabric.setup(model, optimizer)
    steps = len(split_batches(torch.arange(len(data.train)), config.batch_size))
    schedule = CosineAnnealingLR(optimizer, config.epochs * steps)
    loop = _Loop(config, fabric, network, optimizer, schedule, Normalisation.of(data.train.images), reporter)
    train_split = Split(data.train.images.to(fabric.device), data.train.labels.to(fabric.device))

    best_accuracy, best_epoch, seconds = -1.0, 0, 0.0
    row: dict[str, float] = {}
    for epoch in range(1, config.epochs + 1):
        row = loop.epoch(epoch, train_split)
        scores = evaluate(network, data.test, loop.normalise, fabric.device)
        if not math.isfinite(scores.loss):
            raise loop.diverged(epoch, f"the test loss is {scores.loss} after epoch {epoch}")
        row |= {"test_loss": scores.loss, "test_accuracy": scores.accuracy}
        seconds += row["train_seconds"]
        checkpoint = Checkpoint(
            config.model,
            model.state_dict(),
            init,
            {
                "epoch": epoch,
                "test_accuracy": scores.accuracy,
                "config": config.model_dump(mode="json"),
                "classes": list(source.classes),
                "mean": list(loop.normalise.mean),
                "std": list(loop.normalise.std),
                "optimizer": optimizer.state_dict(),
            },
        )
        save_checkpoint(run.last, checkpoint)
        if scores.accuracy > best_accuracy:
            best_accuracy, best_epoch = scores.accuracy, epoch
            save_checkpoint(run.best, checkpoint)
        run.append_metrics(row)
        reporter.on_epoch(row)
    rate = config.epochs * len(data.train) / seconds
    return TrainResult(run, row["test_accuracy"], best_accuracy, best_epoch, rate)


def _initialize(model: nn.Module, config: TrainConfig, start: Checkpoint | None) -> dict[str, Any] | None:
    """Set fresh coefficients, and return the report of those that training starts from, if it is known."""
    if start is not None:
        # Once trained, coefficients are no longer those of the report, unless they were set anew.
        is_known = start.training is None or start.training.get("initialised", False)
        return start.init if is_known else None
    if not config.model.is_polynomial:
        return None
    return initialize(model, strategy=config.roots, alpha_init=config.alpha_init).to_dict()


def epoch_generator(seed: int, epoch: int) -> Generator:
    """Return the source of an epoch's order and augmentation: its own, whatever was drawn before."""
    return Generator().manual_seed(seed * 1_000_003 + epoch)


def split_batches(order: Int64[Tensor, "N"], batch_size: int) -> list[Int64[Tensor, "batch"]]:
    """Cut an order into batches; a single image left over joins the last one, as batch norm needs two."""
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def make_optimizer(model: nn.Module, config: TrainConfig) -> SGD:
    """SGD with weight decay on all but the coefficients alpha.

    Where batch norm follows a coefficient, its size has no effect, and decay would shrink it to nothing.
    """
    alphas = [p for name, p in model.named_parameters() if name.endswith("alphas")]
    others = [p for name, p in model.named_parameters() if not name.endswith("alphas")]
    groups = [{"params": others, "weight_decay": config.weight_decay}]
    if alphas:
        groups.append({"params": alphas, "weight_decay": 0.0})
    return SGD(groups, lr=config.lr, momentum=config.momentum)


@dataclass(frozen=True)
class _Loop:
    """All that an epoch of training needs."""

    config: TrainConfig
    fabric: Fabric
    network: nn.Module
    optimizer: Optimizer
    schedule: CosineAnnealingLR
    normalise: Normalisation
    reporter: Reporter

    def epoch(self, number: int, split: Split) -> dict[str, float]:
        """Train on every image once and return the training columns of metrics.csv."""
        device, count = self.fabric.device, len(split)
        generator = epoch_generator(self.config.seed, number)
        order = torch.randperm(count, generator=generator)
        height, width = split.images.shape[-2:]
        draws = augment.draw(self.config.augment, count, (height, width), generator)

        self.network.train()
        lr = float(self.schedule.get_last_lr()[0])
        loss_sum = torch.zeros((), device=device)
        correct = torch.zeros((), device=device)
        batches = split_batches(order, self.config.batch_size)
        every = math.ceil(len(batches) / _READS_PER_EPOCH)
        mean_loss = accuracy = 0.0
        done, started = 0, time.perf_counter()
        for index, chosen in enumerate(batches, 1):
            rows = chosen.to(device)
            images, labels = self.normalise(split.images[rows]), split.labels[rows]
            if draws is not None:
                images = augment.apply(draws, chosen, images)
            logits, loss = self._step(images, labels)
            loss_sum += loss * len(chosen)
            correct += (logits.argmax(1) == labels).sum()
            done += len(chosen)
            if index % every == 0 or index == len(batches):
                mean_loss, accuracy = float(loss_sum) / done, float(correct) / done
                if not math.isfinite(mean_loss):
                    where = f"the loss is {mean_loss} by step {index} of {len(batches)} in epoch {number}"
                    raise self.diverged(number, where)
                rate = done / (time.perf_counter() - started)
                self.reporter.on_step(number, done, count, mean_loss, accuracy, rate)
        seconds = time.perf_counter() - started
        return {
            "epoch": number,
            "lr": lr,
            "train_loss": mean_loss,
            "train_accuracy": accuracy,
            "train_seconds": seconds,
            "images_per_second": count / seconds,
        }

    def _step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(images.contiguous(memory_format=torch.channels_last))
        loss = cross_entropy(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        self.optimizer.step()
        self.schedule.step()
        return logits.detach(), loss.detach()

    def diverged(self, epoch: int, what: str) -> DivergedError:
        """Return the error for a run that diverged in an epoch."""
        kept = f"last.pt holds epoch {epoch - 1}" if epoch > 1 else "no checkpoint was written yet"
        return DivergedError(f"{what}; {kept}; choose a smaller --lr than {self.config.lr:g}")
