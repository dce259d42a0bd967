"""Options of ``polyroots train`` about the training and the machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import click

from polyroots_cli.options import FIELDS, device_option, refuse_given, seed_option
from polyroots_cli.types import Number, Whole
from polyroots_cli.values import AUGMENTATIONS, several_of

F = TypeVar("F", bound=Callable[..., Any])

_POSITIVE = Number(0, low_open=True)
_NOT_NEGATIVE = Number(0)
_SHARE = Number(0, 1, high_open=True)

_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "limit": click.option("--limit", type=Whole(2), help="Largest number of images used of each split."),
    "val_fraction": click.option(
        "--val-fraction",
        type=Number(0, 0.5),
        help="Hold out this share of the training images, at most half, to choose the best epoch by; the test images "
        "are then used once, at the end. [default: 0]",
    ),
    "augment": click.option(
        "--augment",
        metavar="LIST",
        shell_complete=several_of(AUGMENTATIONS),
        help="crop, flip, autoaugment (CIFAR-10's policy) and cutout, separated by commas, or none. "
        "[default: by the data set; crop,flip for photos]",
    ),
    "loading": click.option(
        "--loading",
        type=click.Choice(["auto", "device", "workers"]),
        help="Keep all images in the device's memory, or let workers read them ahead. [default: auto, by their size]",
    ),
    "workers": click.option("--workers", type=Whole(1), help="Processes that read ahead. [default: 2]"),
    "epochs": click.option(
        "--epochs",
        type=Whole(1),
        help="Passes over the training images. [default: 20 for digits, 30 for photos, 10 for others]",
    ),
    "batch_size": click.option("--batch-size", type=Whole(2), help="Images a step. [default: 64, 128 for photos]"),
    "lr": click.option(
        "--lr",
        type=_POSITIVE,
        help="Largest learning rate; it falls along half a cosine. [default: 0.1; 0.2 with the default q2]",
    ),
    "warmup": click.option(
        "--warmup", type=_NOT_NEGATIVE, help="Epochs in which the learning rate rises from 0. [default: 0]"
    ),
    "momentum": click.option("--momentum", type=_SHARE, help="Of SGD. [default: 0.9]"),
    "nesterov": click.option("--nesterov", is_flag=True, default=None, help="Nesterov's momentum."),
    "weight_decay": click.option(
        "--weight-decay",
        type=_NOT_NEGATIVE,
        help="Of SGD; not of the coefficients, but in the paper's recipe. [default: 1e-4]",
    ),
    "label_smoothing": click.option("--label-smoothing", type=_SHARE, help="Of the cross entropy. [default: 0]"),
    "clip": click.option(
        "--clip",
        type=_POSITIVE,
        metavar="NORM",
        help="Cut the gradient to this norm. [default: not]",
    ),
    "bn_recalibrate": click.option(
        "--bn-recalibrate",
        type=Whole(1),
        metavar="N",
        help="Take the statistics of batch norm over N batches before each evaluation. [default: not]",
    ),
    "seed": seed_option("Of weights, order, augmentation."),
    "device": device_option,
    "precision": click.option(
        "--precision", type=click.Choice(["32", "bf16"]), help="float32, or bf16 where it is enough. [default: 32]"
    ),
    "compile": click.option(
        "--compile", is_flag=True, default=None, help="Let torch.compile fuse the network's operations; takes minutes."
    ),
    "devices": click.option("--devices", type=Whole(1), help="Processes on each machine, a device each. [default: 1]"),
    "num_nodes": click.option("--num-nodes", type=Whole(1), help="Machines. [default: 1]"),
    "sync_bn": click.option(
        "--sync-bn", is_flag=True, default=None, help="Batch norm over the images of all CUDA devices together."
    ),
    "track_spectrum": click.option(
        "--track-spectrum",
        type=Whole(1),
        metavar="K",
        help="Store each level's spectrum and coefficients every K epochs.",
    ),
    "tensorboard": click.option("--tensorboard", is_flag=True, default=None, help="Write TensorBoard's logs as well."),
}

#: Heading -> its options, for the help of a command.
SECTIONS = {
    "Data": ("dataset", "data_dir", "download", "limit", "val_fraction", "augment", "loading", "workers"),
    "Training": (
        *("recipe", "epochs", "batch_size", "lr", "warmup", "momentum", "nesterov", "weight_decay"),
        *("label_smoothing", "clip", "bn_recalibrate", "seed"),
    ),
    "Machine": ("device", "precision", "compile", "devices", "num_nodes", "sync_bn"),
    "Run": ("out", "resume", "init_file", "track_spectrum", "tensorboard", "wide"),
}
#: Those that --help leaves out.
RARE = (
    *("limit", "augment", "loading", "workers"),
    *("batch_size", "warmup", "momentum", "nesterov", "weight_decay", "label_smoothing", "clip", "bn_recalibrate"),
    *("compile", "devices", "num_nodes", "sync_bn", "tensorboard", "wide"),
)


def training_options(command: F) -> F:
    """Add the options to a command, which gets them as `fields` of `TrainConfig`, None where an option is left out."""

    @wraps(command)
    def with_fields(*args: Any, **values: Any) -> Any:
        given = {FIELDS.get(name, name): values.pop(name) for name in _OPTIONS}
        return command(*args, fields=given, **values)

    result: Any = with_fields
    for option in reversed(_OPTIONS.values()):
        result = option(result)
    return cast("F", result)


def refuse_on_resume(run: object) -> None:
    """Raise a usage error if an option is given that would change the result of a resumed run."""
    from polyroots.training import CHANGEABLE

    names = [str(parameter.name) for parameter in click.get_current_context().command.params]
    may_differ = (*CHANGEABLE, "resume", "download", "wide")
    refuse_given((name for name in names if name not in may_differ), f"--resume goes on with {run} as it began")
