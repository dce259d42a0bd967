"""Loss and accuracy of a network on a split."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from polyroots.checkpoints import Checkpoint
from polyroots.errors import InputError
from polyroots.models import ModelConfig
from polyroots.text import count_of
from polyroots.training.config import Device
from polyroots.training.data.normalisation import Normalisation
from polyroots.training.data.source import Progress, Source
from polyroots.training.data.sources import open_data
from polyroots.training.data.split import Split
from polyroots.training.loop.device import one_device

#: Images at once: enough to fill the device, small enough for its memory.
EVALUATION_BATCH = 512


@dataclass(frozen=True)
class Scores:
    """Mean cross entropy and share of images classified rightly."""

    loss: float
    accuracy: float
    images: int

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as plain numbers, for JSON."""
        return asdict(self)


def evaluate(model: nn.Module, split: Split, normalise: Normalisation, device: torch.device) -> Scores:
    """Evaluate a network (on `device`, put into evaluation mode) on a split."""
    return scores_from(evaluation_sums(model, split, normalise, device), len(split))


def scores_from(sums: Float32[Tensor, "2"], count: int) -> Scores:
    """Return the scores of so many images from what `evaluation_sums` returned."""
    loss, correct = sums.tolist()
    return Scores(loss / count, correct / count, count)


@torch.no_grad()
def evaluation_sums(
    model: nn.Module,
    split: Split,
    normalise: Normalisation,
    device: torch.device,
    stops: Callable[[], bool] = lambda: False,
) -> Float32[Tensor, "2"]:
    """Return summed loss and number of images classified rightly, on the device; not all of it if `stops` says so."""
    model.eval()
    sums = torch.zeros(2, device=device)
    for chosen in torch.arange(len(split), device=split.labels.device).split(EVALUATION_BATCH):
        if stops():
            break
        images, labels = (values.to(device) for values in split.take(chosen))
        logits = model(normalise(images).contiguous(memory_format=torch.channels_last))
        sums[0] += cross_entropy(logits, labels, reduction="sum")
        sums[1] += (logits.argmax(1) == labels).sum()
    return sums


def evaluate_checkpoint(
    checkpoint: Checkpoint,
    *,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    device: Device = "auto",
    progress: Progress | None = None,
) -> tuple[Scores, Source]:
    """Evaluate a trained network on the test images of the data set that it was trained on.

    Parameters
    ----------
    checkpoint : Checkpoint
        Of `train`.
    data_dir : path, optional
        Where the data set lies now; by default where it lay in training.
    limit : int, optional
        At most so many test images, the same number of each class as far as they go; by default all.
    device : str
    progress : callable, optional
        Called with (done, total) while images are read.

    Raises
    ------
    InputError
        If the network has not been trained, doesn't fit the data, or has diverged.
    FileError
        If the data is not there.
    """
    if checkpoint.training is None:
        raise InputError("this checkpoint has not been trained yet; train it with 'polyroots train --init FILE'")
    trained = checkpoint.training
    source = open_data(trained["config"]["dataset"], data_dir or trained["config"]["data_dir"])
    if list(source.classes) != trained["classes"]:
        raise InputError(
            f"the network was trained on the classes {', '.join(trained['classes'])}, "
            f"{source.title} has {', '.join(source.classes)}"
        )
    require_fit(checkpoint.config, source)
    fabric = one_device(device, trained["config"].get("precision", "32"))
    model = checkpoint.model().to(fabric.device).to(memory_format=torch.channels_last)
    normalise = Normalisation(tuple(trained["mean"]), tuple(trained["std"]))
    (test,) = source.read(("test",), limit, progress)
    with fabric.autocast():
        scores = evaluate(model, test, normalise, fabric.device)
    if not math.isfinite(scores.loss):
        raise InputError(
            f"the loss of this network is {scores.loss}: it has diverged; use a checkpoint from before that"
        )
    return scores, source


def fits(config: ModelConfig, source: Source) -> bool:
    """Whether a network takes a data set's images and has its classes."""
    network = (config.in_channels, *config.image_size, config.num_classes)
    return network == (source.channels, *source.size, len(source.classes))


def require_fit(config: ModelConfig, source: Source) -> None:
    """Raise InputError if a network doesn't take a data set's images or hasn't its classes."""
    if not fits(config, source):
        image = "x".join(map(str, (config.in_channels, *config.image_size)))
        theirs = "x".join(map(str, (source.channels, *source.size)))
        raise InputError(
            f"the network takes images of {image} and has {count_of(config.num_classes, 'class', 'classes')}, "
            f"{source.title} has images of {theirs} and {count_of(len(source.classes), 'class', 'classes')}; make a "
            f"network for it with 'polyroots init --dataset {source.name}'"
        )
