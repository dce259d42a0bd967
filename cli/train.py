"""``polyroots train``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .model_options import ModelWish, model_options, refuse_shape
from .options import (
    PATH,
    data_dir_option,
    dataset_option,
    device_option,
    seed_option,
    usage_errors,
)

if TYPE_CHECKING:
    from polyroots.checkpoint import Checkpoint
    from polyroots.training import Source, TrainConfig, TrainResult


@click.command(short_help="Train a network; digits and q4 by default.")
@dataset_option
@data_dir_option
@click.option("--download", is_flag=True, help="Download cifar10 to --data-dir if it is not there.")
@model_options
@click.option("--init", "init_file", type=PATH, help="Start from this file of 'polyroots init' or 'polyroots train'.")
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Passes over the training images. [default: 20, 30 for photos]"
)
@click.option("--batch-size", type=click.IntRange(min=2), help="Images a step. [default: 64, 128 for photos]")
@click.option("--lr", type=float, help="Learning rate at the start; it falls along half a cosine. [default: 0.1]")
@click.option(
    "--augment",
    type=click.Choice(["none", "crop", "crop-flip"]),
    help="Random crop, also flip, of training images. [default: none, crop-flip for photos]",
)
@click.option("--limit", type=click.IntRange(min=2), help="Use at most so many images of each split.")
@seed_option("Of weights, order, augmentation.")
@device_option
@click.option("--out", type=PATH, help="The run's directory. [default: a new one under runs/]")
def train(
    dataset: str,
    data_dir: Path | None,
    download: bool,
    wish: ModelWish,
    init_file: Path | None,
    out: Path | None,
    **options: Any,
) -> None:
    """Train a network on images and write a run directory.

    A Poly-MgNet's coefficients are set from the spectra of its own convolutions before the first step. The run
    directory holds config.json, init.json, metrics.csv, last.pt and best.pt.

    \b
    Examples:
      polyroots train
      polyroots train --model q2 --epochs 5 --out runs/first
      polyroots train --dataset folder --data-dir cifar10 --model q2
      polyroots train --blocks L,C,C --placement smoother --padding circular --a-init shifted --roots minimax
    """
    from polyroots.checkpoint import load_checkpoint
    from polyroots.training import open_data, train_config
    from polyroots.training import train as run_training

    from .network import config_for
    from .reporter import ConsoleReporter

    start: Checkpoint | None = None
    if init_file is not None:
        refuse_shape(
            f"--init {init_file} brings the network and its roots",
            *("model", "blocks", "degree", "roots", "alpha_init"),
        )
        start = load_checkpoint(init_file)
    if wish.roots == "given":
        raise click.UsageError(
            "roots by hand are for 'polyroots init --root ... --out init.pt', and 'polyroots train --init init.pt' then"
        )
    with usage_errors():
        source = open_data(dataset, data_dir, download)
        network = start.config if start else config_for(wish, source)
        config = train_config(dataset, network, data_dir=data_dir, **_origin(start, wish), **options)
    with ConsoleReporter(source, init_file) as reporter:
        try:
            result = run_training(config, source, out, start=start, reporter=reporter)
        except KeyboardInterrupt:
            raise click.ClickException(f"interrupted; {reporter.kept}") from None
    _print_result(config, source, result)


def _origin(start: Checkpoint | None, wish: ModelWish) -> dict[str, str]:
    """Say where the coefficients come from, in the terms of `TrainConfig`."""
    if start is None or not start.init:
        return {"roots": wish.roots, "alpha_init": wish.alpha_init}
    strategy = start.init["strategy"]
    return {"alpha_init": start.init["alpha_init"]} if strategy is None else {"roots": strategy}


def _print_result(config: TrainConfig, source: Source, result: TrainResult) -> None:
    from .console import say

    say(
        f"\nTest accuracy on {source.title}: last epoch {result.last_accuracy:.2%}, "
        f"best epoch {result.best_accuracy:.2%} (epoch {result.best_epoch}, chosen on the test images)"
    )
    epochs = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
    say(f"{epochs} at {result.images_per_second:,.0f} images per second; run in {result.run.path}")
    last = shlex.quote(str(result.run.last))
    say("\nNext:")
    say(f"  polyroots evaluate {last}")
    say(f"  polyroots spectrum {last}")
    if config.model.is_polynomial:
        say(f"  polyroots figures --only 3 --checkpoint {last} --level 1 --out figures")
