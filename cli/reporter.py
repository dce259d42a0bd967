"""Output of a training run: a table at the start, a progress bar on a terminal, a line for each epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

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
from polyroots_cli.console import Words, console, say
from polyroots_cli.options import is_first_process

if TYPE_CHECKING:
    from polyroots.training import Run


class ConsoleReporter(Reporter):
    """Reporter that prints a run on stdout.

    Parameters
    ----------
    init_file : Path, optional
        The file that weights and coefficients come from.
    """

    def __init__(self, init_file: Path | None = None) -> None:
        self.init_file = init_file
        self.run: Run | None = None
        self.epochs = self.epochs_done = 0
        self.console = console()
        self.bar = Progress(
            Words(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal or not is_first_process(),
        )
        self.task: TaskID | None = None

    def __enter__(self) -> ConsoleReporter:
        self.bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.bar.stop()

    @property
    def kept(self) -> str:
        """The command that resumes the run, in a sentence; before its start, that there is none."""
        if self.run is None:
            return "nothing was trained"
        return f"go on with: {self.run.resume_command}"

    def on_images(self, done: int, total: int) -> None:
        """Show the number of images that have been read."""
        if self.task is None:
            self.task = self.bar.add_task("reading images", total=total, state="")
        if done % 100 == 0 or done == total:
            self.bar.update(self.task, completed=done, state=f"{done:,} of {total:,}")

    def on_start(self, beginning: Beginning) -> None:
        """Print the network, the data and the device, and the tables of levels and roots."""
        if self.task is not None:
            self.bar.remove_task(self.task)
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
        self.task = self.bar.add_task(
            f"epoch {min(beginning.epoch + 1, self.epochs)}/{self.epochs}",
            total=self.epochs,
            completed=beginning.epoch,
            state="",
        )

    def on_step(self, epoch: int, done: int, total: int, loss: float, accuracy: float, rate: float) -> None:
        """Advance the progress bar."""
        assert self.task is not None
        self.bar.update(
            self.task,
            description=f"epoch {epoch}/{self.epochs}",
            completed=epoch - 1 + done / total,
            state=f"loss {loss:.4f}  accuracy {accuracy:.2%}  {rate:,.0f} images/s",
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
