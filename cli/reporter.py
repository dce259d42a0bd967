"""Output of a training run: a table at the start, a progress bar, a line for each epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from polyroots.initialization import (
    inert_sentences,
    levels_tables,
    origin_of,
    rectified_sentences,
    start_sentences,
)
from polyroots.tables import dimensions
from polyroots.text import count_of
from polyroots.training import Beginning, Reporter
from polyroots_cli.console import console, say

if TYPE_CHECKING:
    from polyroots.training import Run
    from polyroots_cli.bar import TrainingBar


class ConsoleReporter(Reporter):
    """Reporter that prints a run on stdout.

    Parameters
    ----------
    bar : TrainingBar
        Its console prints the lines.
    init_file : Path, optional
        The file that weights and coefficients come from.
    """

    def __init__(self, bar: TrainingBar, init_file: Path | None = None) -> None:
        self.bar, self.console, self.init_file = bar, bar.console, init_file
        self.run: Run | None = None
        self.epochs = self.epochs_done = 0

    @property
    def kept(self) -> str:
        """The command that resumes the run, in a sentence; before its start, that there is none."""
        if self.run is None:
            return "nothing was trained"
        return f"go on with: {self.run.resume_command}"

    def on_images(self, done: int, total: int) -> None:
        """Show the number of images that have been read."""
        if done == total:
            self.bar.show("starting", 0, None, "")
        elif done % 100 == 0:
            self.bar.show("reading images", done, total, f"{done:,} of {total:,}")

    def on_start(self, beginning: Beginning) -> None:
        """Print the network, the data and the device, and the tables of levels and roots."""
        config, source, model = beginning.config, beginning.source, beginning.config.model
        channels = f", channels {','.join(map(str, model.channels))}" if model.channels else ""
        say(
            f"{model.title}, {beginning.weights:,} weights{channels}; "
            f"{source.title}, {source.channels}x{dimensions(source.image_size)}, {model.num_classes} classes; "
            f"{beginning.device}",
            screen=self.console,
        )
        init = beginning.init
        if beginning.epoch == config.epochs:
            say(f"{beginning.run.path} is done: {count_of(config.epochs, 'epoch')}", screen=self.console)
        elif beginning.epoch or beginning.step:
            steps = f" and {count_of(beginning.step, 'step')}" if beginning.step else ""
            say(
                f"{beginning.run.path} goes on after {beginning.epoch} of {config.epochs} epochs{steps}",
                screen=self.console,
            )
        elif self.init_file:
            say(f"Weights and coefficients from {self.init_file}", screen=self.console)
        if init and not beginning.epoch:
            say(
                f"Levels: spectra of A with circular padding (the network's is {model.padding}), "
                f"{origin_of(init)}, degree {init['degree']}",
                screen=self.console,
            )
            say(
                *levels_tables(init),
                *start_sentences(init),
                *rectified_sentences(init, "--signs placement"),
                *inert_sentences(init),
                screen=self.console,
            )
        self.run, self.epochs, self.epochs_done = beginning.run, config.epochs, beginning.epoch
        words = f"epoch {min(beginning.epoch + 1, self.epochs)}/{self.epochs}"
        # Within an epoch its first report says how much of it is done.
        show = self.bar.show if beginning.step else self.bar.show_training
        show(words, beginning.epoch, self.epochs, "")

    def on_step(self, epoch: int, done: int, total: int, loss: float, accuracy: float, rate: float) -> None:
        """Advance the progress bar."""
        self.bar.show_training(
            f"epoch {epoch}/{self.epochs}",
            epoch - 1 + done / total,
            self.epochs,
            f"loss {loss:.4f}  accuracy {accuracy:.2%}  {rate:,.0f} images/s",
        )

    def on_epoch(self, row: dict[str, int | float]) -> None:
        """Print the epoch's line."""
        self.epochs_done = int(row["epoch"])
        width = len(str(self.epochs))
        held_out = [
            f"{title} loss {row[f'{name}_loss']:.4f}, {row[f'{name}_accuracy']:7.2%}  "
            for name, title in (("val", "validation"), ("test", "test"))
            if f"{name}_loss" in row
        ]
        say(
            f"epoch {self.epochs_done:{width}}/{self.epochs}  "
            f"train loss {row['train_loss']:.4f}, {row['train_accuracy']:7.2%}  {''.join(held_out)}"
            f"{row['images_per_second']:5,.0f} images/s",
            screen=self.console,
        )

    def on_warning(self, message: str) -> None:
        """Print the warning."""
        say(f"Warning: {message}", screen=console(stderr=True))
