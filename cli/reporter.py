"""What a training run shows: a table at the start, a bar on a terminal, a line an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from polyroots.training import Reporter

from .console import console, dimensions, say
from .network import inert_sentences, levels_tables, origin_of

if TYPE_CHECKING:
    from polyroots.training import Run, Source, TrainConfig


class ConsoleReporter(Reporter):
    """Shows a run on stdout."""

    def __init__(self, source: Source, init_file: Path | None) -> None:
        self.source = source
        self.init_file = init_file
        self.run: Run | None = None
        self.epochs = self.epochs_done = 0
        self.console = console()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task: TaskID | None = None

    def __enter__(self) -> ConsoleReporter:
        self.bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.bar.stop()

    @property
    def kept(self) -> str:
        """Say what an interrupted run leaves behind."""
        if self.run is None or not self.epochs_done:
            return "no epoch was done"
        return f"{self.run.last} holds epoch {self.epochs_done}"

    def on_images(self, done: int, total: int) -> None:
        """Show how many images have been read."""
        if self.task is None:
            self.task = self.bar.add_task("reading images", total=total, state="")
        if done % 100 == 0 or done == total:
            self.bar.update(self.task, completed=done, state=f"{done:,} of {total:,}")

    def on_start(
        self, config: TrainConfig, run: Run, init: Mapping[str, Any] | None, weights: int, device: str
    ) -> None:
        """Show what is trained on what, with the table of levels and roots."""
        if self.task is not None:
            self.bar.remove_task(self.task)
        model = config.model
        say(
            f"{model.title}, {weights:,} weights, channels {','.join(map(str, model.channels))}; {self.source.title}, "
            f"{self.source.channels}x{dimensions(self.source.size)}, {model.classes} classes; {device}",
            screen=self.console,
        )
        if self.init_file:
            say(f"Weights and coefficients from {self.init_file}", screen=self.console)
        if init:
            say(
                f"Levels: spectra of A with circular padding (the network's is {model.padding}), "
                f"{origin_of(init)}, degree {init['degree']}",
                screen=self.console,
            )
            say(*levels_tables(init), *inert_sentences(init), screen=self.console)
        self.run, self.epochs = run, config.epochs
        self.task = self.bar.add_task(f"epoch 1/{self.epochs}", total=self.epochs, state="")

    def on_step(self, epoch: int, done: int, total: int, loss: float, accuracy: float, rate: float) -> None:
        """Move the bar."""
        assert self.task is not None
        self.bar.update(
            self.task,
            description=f"epoch {epoch}/{self.epochs}",
            completed=epoch - 1 + done / total,
            state=f"loss {loss:.4f}  accuracy {accuracy:.2%}  {rate:,.0f} images/s",
        )

    def on_epoch(self, row: dict[str, float]) -> None:
        """Print the epoch's line."""
        self.epochs_done = int(row["epoch"])
        width = len(str(self.epochs))
        say(
            f"epoch {self.epochs_done:{width}}/{self.epochs}  "
            f"train loss {row['train_loss']:.4f}, {row['train_accuracy']:7.2%}  "
            f"test loss {row['test_loss']:.4f}, {row['test_accuracy']:7.2%}  "
            f"{row['images_per_second']:5,.0f} images/s",
            screen=self.console,
        )
