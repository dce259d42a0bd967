"""``polyroots train``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyroots.text import count_of
from polyroots_cli.help import GroupedCommand
from polyroots_cli.model_options import (
    RARE as RARE_MODEL,
    SECTIONS as MODEL_SECTIONS,
    NetworkRequest,
    model_options,
    refuse_shape,
)
from polyroots_cli.options import (
    data_dir_option,
    dataset_option,
    is_first_process,
    usage_errors,
    was_given,
    wide_option,
)
from polyroots_cli.train_options import RARE, SECTIONS, refuse_on_resume, training_options
from polyroots_cli.types import DIRECTORY, FILE

if TYPE_CHECKING:
    from polyroots.checkpoints import Checkpoint
    from polyroots.training import Source, TrainConfig, TrainResult
    from polyroots_cli.bar import TrainingBar
    from polyroots_cli.reporter import ConsoleReporter


@click.command(
    short_help="Train a network; on digits by default.",
    cls=GroupedCommand,
    sections={"Data": SECTIONS["Data"], **MODEL_SECTIONS, **SECTIONS},
    rare=(*RARE_MODEL, *RARE),
)
@dataset_option
@data_dir_option
@click.option("--download", is_flag=True, help="Download a data set of torchvision's to --data-dir if it is not there.")
@model_options("extremal, leja, minimax and others, which 'polyroots init --help' lists")
@click.option("--init", "init_file", type=FILE, help="Start from this file of 'polyroots init' or 'polyroots train'.")
@click.option(
    "--recipe",
    type=click.Choice(["paper", "quick"]),
    help="The authors' 400 epochs for CIFAR-10, or 10 quick ones; other options change single choices.",
)
@training_options
@click.option("--out", type=DIRECTORY, help="The run's directory. [default: a new one under runs/]")
@click.option("--resume", type=DIRECTORY, metavar="RUN", help="Go on with this run, which was stopped or killed.")
@wide_option
def train(  # noqa: PLR0913 - click passes each option by its name
    dataset: str,
    data_dir: Path | None,
    download: bool,
    request: NetworkRequest,
    init_file: Path | None,
    recipe: str | None,
    fields: dict[str, Any],
    out: Path | None,
    resume: Path | None,
) -> None:
    """Train a network on images and write a run directory.

    A Poly-MgNet's coefficients are set from the spectra of its own convolutions before the first step. The run
    directory holds config.json, init.json, metrics.csv, last.pt, best.pt and result.json. Ctrl-C and SIGTERM save and
    stop; --resume goes on, also after a crash, with the same result bit by bit. By default photographs have q2 with
    roots moved inwards, --relax 4, and --lr 0.2; digits have q4.

    \b
    Examples:
      polyroots train
      polyroots train --model q2 --epochs 5 --out runs/first
      polyroots train --resume runs/first
      polyroots train --dataset folder --data-dir cifar10 --val-fraction 0.1
      polyroots train --dataset cifar10 --data-dir data --recipe paper --compile
      polyroots train --blocks L,C,C --placement smoother --padding circular \\
          --a-init shifted --roots minimax
    """
    from polyroots_cli.bar import TrainingBar

    # Shown before torch is imported, which takes seconds.
    with TrainingBar() as bar:
        if resume is not None:
            refuse_on_resume(resume)
            result = _resumed(resume, {**fields, "data_dir": data_dir}, download, bar)
        else:
            import flint  # noqa: F401 - after torch, whose libraries have very many symbols, it takes 0.1 s, not 0.02

            from polyroots.training import train as run_training
            from polyroots_cli.reporter import ConsoleReporter

            config, source, start = _prepare(dataset, data_dir, download, request, init_file, recipe, fields)
            reporter = ConsoleReporter(bar, init_file)
            with _interrupts(reporter):
                result = run_training(config, source, out, start=start, reporter=reporter)
    if is_first_process():
        _print_result(result)


def _resumed(run: Path, fields: dict[str, Any], download: bool, bar: TrainingBar) -> TrainResult:
    """Resume a run with the fields that may be changed."""
    from polyroots.training import CHANGEABLE, resume
    from polyroots_cli.reporter import ConsoleReporter

    changes = {name: value for name, value in fields.items() if name in CHANGEABLE}
    if not was_given("device"):
        del changes["device"]
    reporter = ConsoleReporter(bar)
    with _interrupts(reporter):
        return resume(run, download=download, reporter=reporter, **changes)


@contextmanager
def _interrupts(reporter: ConsoleReporter) -> Iterator[None]:
    """Turn a second Ctrl-C into an error with the command that resumes the run."""
    try:
        yield
    except KeyboardInterrupt:
        raise click.ClickException(f"interrupted; {reporter.kept}") from None


def _prepare(
    dataset: str,
    data_dir: Path | None,
    download: bool,
    request: NetworkRequest,
    init_file: Path | None,
    recipe: str | None,
    fields: dict[str, Any],
) -> tuple[TrainConfig, Source, Checkpoint | None]:
    """Return the configuration, the data set and the network to start from that the options describe."""
    from polyroots.checkpoints import load_checkpoint
    from polyroots.training import open_data, require_tensorboard, train_config
    from polyroots_cli.network import config_for

    start: Checkpoint | None = None
    if init_file is not None:
        refuse_shape(
            f"--init {init_file} brings the network and its roots",
            *("model", "blocks", "degree", "roots", "alpha_init", "relax", "signs"),
        )
        start = load_checkpoint(init_file)
    if request.roots == "given":
        raise click.UsageError(
            "roots by hand are for 'polyroots init --root ... --out init.pt', and 'polyroots train --init init.pt' then"
        )
    with usage_errors():
        if fields["tensorboard"]:
            require_tensorboard()
        if start is None:
            request, rate = request.or_default(dataset, recipe)
            fields = {**fields, "lr": fields["lr"] or rate}
        source = open_data(dataset, data_dir, download)
        network = start.config if start else config_for(request, source)
        config = train_config(dataset, network, recipe, data_dir=data_dir, **_origin(start, request), **fields)
    return config, source, start


def _origin(start: Checkpoint | None, request: NetworkRequest) -> dict[str, str | None]:
    """Return the fields of `TrainConfig` for the origin of the coefficients."""
    if start is None or not start.init:
        return {
            "roots": request.roots,
            "alpha_init": request.alpha_init,
            "relax": request.relax,
            "signs": request.signs,
        }
    strategy = start.init["strategy"]
    if strategy is None:
        return {"alpha_init": start.init["alpha_init"]}
    # Files of version 0.1.0 have neither.
    return {
        "roots": strategy,
        "relax": start.init.get("relax", "none"),
        "signs": start.init.get("signs", "paper"),
    }


def _print_result(result: TrainResult) -> None:
    """Print the accuracies and the commands that go on from the run."""
    from polyroots_cli.console import say

    config = result.config
    limited = f" ({config.limit} images at most)" if config.limit else ""
    say(
        f"\nTest accuracy on {result.title}{limited}: last epoch {result.last_accuracy:.2%}, "
        f"best epoch {result.best_accuracy:.2%} (epoch {result.best_epoch}, chosen on the {result.chosen_on} images)"
    )
    epochs = count_of(config.epochs, "epoch")
    say(f"{epochs} at {result.images_per_second:,.0f} images per second; run in {result.run.path}")
    last = shlex.quote(str(result.run.last))
    say("\nNext:")
    limit = f" --limit {config.limit}" if config.limit else ""
    code = " --run-code" if config.model.is_own else ""
    say(f"  polyroots evaluate {last}{limit}{code}")
    say(f"  polyroots spectrum {last}")
    if config.model.is_polynomial:
        say(f"  polyroots figures --only 3 --checkpoint {last} --level 1 --out figures")
    run = shlex.quote(str(result.run.path))
    if config.track_spectrum:
        say(f"  polyroots figures --only flow --run {run} --out figures")
    say(f"  polyroots report {run}")
