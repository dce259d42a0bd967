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
from polyroots.models import ModelConfig, channels_last
from polyroots.text import count_of, listed
from polyroots.training.config import Device
from polyroots.training.data.given import GIVEN
from polyroots.training.data.normalisation import Normalisation, laid_out
from polyroots.training.data.source import Progress, Source
from polyroots.training.data.sources import open_data
from polyroots.training.data.split import SampleSet, Split
from polyroots.training.loop.device import one_device


@dataclass(frozen=True)
class Scores:
    """Scores of a network on a number of images.

    Attributes
    ----------
    loss : float
        Mean cross entropy.
    accuracy : float
        Share of correctly classified images.
    images : int
        Number of images.
    """

    loss: float
    accuracy: float
    images: int

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as plain numbers, for JSON."""
        return asdict(self)


def evaluate(model: nn.Module, split: SampleSet, normalise: Normalisation, device: torch.device) -> Scores:
    """Return the loss and the accuracy of a network on a split.

    Parameters
    ----------
    model : nn.Module
        A network on `device`; it is put into evaluation mode.
    split : Split
        Images, from `Source.load` or `Source.read`.
    normalise : Normalisation
        Normalisation by the training images.
    device : torch.device

    Returns
    -------
    Scores

    See Also
    --------
    evaluate_checkpoint : the same for a checkpoint, with the data that it was trained on
    """
    return scores_from(evaluation_sums(model, split, normalise, device), len(split))


def scores_from(sums: Float32[Tensor, "2"], count: int) -> Scores:
    """Return the scores of `count` images from their sums, see `evaluation_sums`."""
    loss, correct = sums.tolist()
    return Scores(loss / count, correct / count, count)


@torch.no_grad()
def evaluation_sums(
    model: nn.Module,
    split: SampleSet,
    normalise: Normalisation,
    device: torch.device,
    stops: Callable[[], bool] = lambda: False,
) -> Float32[Tensor, "2"]:
    """Return summed loss and number of correctly classified images, of the batches before `stops` returned True."""
    model.eval()
    sums = torch.zeros(2, device=device)
    for samples in split.batches(torch.arange(len(split)).split(split.evaluation_batch)):
        if stops():
            break
        images, labels = (values.to(device) for values in samples)
        logits = model(laid_out(normalise(images)))
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
    run_code: bool = False,
) -> tuple[Scores, Source]:
    """Return the scores of a trained network on the test images of its data set, and the data set.

    Parameters
    ----------
    checkpoint : Checkpoint
        A checkpoint that `train` wrote.
    data_dir : path, optional
        Directory of the data set; by default the one in training.
    limit : int, optional
        Largest number of test images, of each class the same number as far as they go; by default all.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"mps"``; ``"auto"`` takes an accelerator where there is one.
    progress : callable, optional
        Called with (done, total) while images are read.
    run_code : bool
        Whether the code of a network of the user's own may be run, see `polyroots.Checkpoint.model`.

    Returns
    -------
    scores : Scores
    source : Source
        The data set.

    Raises
    ------
    InputError
        If the network has not been trained, doesn't fit the data, or has diverged.
    FileError
        If the data is not there.

    Examples
    --------
    >>> import polyroots as pr
    >>> scores, source = pr.training.evaluate_checkpoint(pr.load_checkpoint("runs/first/best.pt"))
    Traceback (most recent call last):
    polyroots.errors.FileError: no file runs/first/best.pt: expected a checkpoint
    """
    test, normalise, source = _test_data(checkpoint, data_dir, limit, progress)
    trained = checkpoint.training
    assert trained is not None
    fabric = one_device(device, trained["config"].get("precision", "32"))
    model = channels_last(checkpoint.model(run_code=run_code)).to(fabric.device)
    with fabric.autocast():
        scores = evaluate(model, test, normalise, fabric.device)
    if not math.isfinite(scores.loss):
        raise InputError(
            f"the loss of this network is {scores.loss}: its training has diverged; choose an earlier checkpoint"
        )
    return scores, source


def normalised_test_images(
    checkpoint: Checkpoint,
    *,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Float32[Tensor, "N C H W"]:
    """Return test images of the data set that a network was trained on, as the network takes them.

    Parameters
    ----------
    checkpoint, data_dir, limit, progress
        As for `evaluate_checkpoint`.

    Returns
    -------
    (N, C, H, W) float32 tensor

    Raises
    ------
    InputError
        If the network has not been trained, or doesn't fit the data.
    FileError
        If the data is not there.

    See Also
    --------
    polyroots.effective_operator : takes them as `data`
    """
    test, normalise, _ = _test_data(checkpoint, data_dir, limit, progress)
    images, _ = test.take(torch.arange(len(test), device=test.labels.device))
    return normalise(images)


def _test_data(
    checkpoint: Checkpoint, data_dir: str | Path | None, limit: int | None, progress: Progress | None
) -> tuple[Split, Normalisation, Source]:
    """Return the test images of the data set that a network was trained on, their normalisation, and the data set."""
    if checkpoint.training is None:
        raise InputError("this checkpoint has not been trained yet; train it with 'polyroots train --init FILE'")
    trained = checkpoint.training
    if trained["config"]["dataset"] == GIVEN:
        raise InputError(
            "the network was trained on data that were given to pr.training.fit, which the checkpoint doesn't contain: "
            "its scores are in metrics.csv of the run, and fit(..., resume=True) returns them"
        )
    source = open_data(trained["config"]["dataset"], data_dir or trained["config"]["data_dir"])
    if list(source.classes) != trained["classes"]:
        raise InputError(
            f"the network was trained on the classes {listed(trained['classes'], characters=100)}, "
            f"{source.title} has {listed(source.classes, characters=100)}"
        )
    require_fit(checkpoint.config, source)
    (test,) = source.read(("test",), limit, progress)
    return test, Normalisation(tuple(trained["mean"]), tuple(trained["std"])), source


def fits(config: ModelConfig, source: Source) -> bool:
    """Whether a network takes a data set's images and has its classes."""
    network = (config.in_channels, *config.image_size, config.num_classes)
    return network == (source.channels, *source.image_size, len(source.classes))


def require_fit(config: ModelConfig, source: Source) -> None:
    """Raise InputError unless a network takes a data set's images and has its classes."""
    if not fits(config, source):
        image = "x".join(map(str, (config.in_channels, *config.image_size)))
        theirs = "x".join(map(str, (source.channels, *source.image_size)))
        raise InputError(
            f"the network takes images of {image} and has {count_of(config.num_classes, 'class', 'classes')}, "
            f"{source.title} has images of {theirs} and {count_of(len(source.classes), 'class', 'classes')}; make a "
            f"network for it with 'polyroots init --dataset {source.name}'"
        )
