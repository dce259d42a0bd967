"""Commands that work on the same directory at the same time: ``python -m tests.rivals --reads 10000 --rounds 20``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent))

from forked import start, status_of
from small_runs import require_same
from small_studies import FOUR, four
from victims import begin_and_stop, keep_writing, resume_and_say, run_study, study_and_say, train_run

from polyroots.checkpoints import load_checkpoint
from polyroots.training import load_run


def resume_at_once(directory: Path, rounds: int) -> int:
    """Resume a run by two processes at once; return how often one was refused. The run ends with the same bits."""
    whole, refused = directory / "whole", 0
    assert status_of(start(train_run, whole), 600) == 0
    for index in range(rounds):
        out = directory / f"run-{index}"
        assert status_of(start(begin_and_stop, out), 600) == 0
        said = [directory / f"said-{index}-{i}" for i in range(2)]
        refused += _one_refused(
            [start(resume_and_say, out, path) for path in said], said, "is being trained by another"
        )
        require_same(whole, out)
    return refused


def study_at_once(directory: Path, rounds: int) -> int:
    """Run a study by two commands at once; return how often one was refused. Its runs end with the same bits."""
    file = four(directory, epochs=6, text=FOUR.replace("[11, 23]", "[11]"))
    whole, refused = directory / "whole", 0
    assert status_of(start(run_study, file, whole), 600) == 0
    for index in range(rounds):
        out = directory / f"study-{index}"
        said = [directory / f"said-study-{index}-{i}" for i in range(2)]
        refused += _one_refused(
            [start(study_and_say, file, out, path) for path in said], said, "another 'polyroots study run' is running"
        )
        for run in (whole / "runs").iterdir():
            require_same(run, out / "runs" / run.name)
    return refused


def read_while_written(directory: Path, reads: int) -> int:
    """Read a checkpoint and config.json while a process writes them; return the number of contents that were seen."""
    process = start(keep_writing, directory)
    path, seen, last = directory / "last.pt", set[float](), 0.0
    while not path.exists():
        assert process.exitcode is None
    for _ in range(reads):
        (value,) = {float(weight.flatten()[-1]) for weight in load_checkpoint(path).weights.values()}
        assert value >= last
        last = value
        seen.add(value)
        assert load_run(directory).config.epochs == 1
    assert process.exitcode is None
    process.kill()
    process.join()
    return len(seen)


def _one_refused(processes: Sequence[ForkServerProcess], said: Sequence[Path], message: str) -> bool:
    """Return whether one of two processes was refused by this message; one at least has to be done."""
    statuses = [status_of(process, 600) for process in processes]
    assert statuses == [0, 0]
    texts = [path.read_text() for path in said]
    assert "done" in texts
    others = [text for text in texts if text != "done"]
    assert all(message in text for text in others), texts
    return bool(others)


@click.command()
@click.option("--reads", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=20, show_default=True)
def main(reads: int, rounds: int) -> None:
    """Let two processes resume a run, two commands run a study, and a reader read what a writer writes."""
    directory = Path(tempfile.mkdtemp(prefix="rivals-"))
    for name in ("resume", "study", "read"):
        (directory / name).mkdir()
    seen = read_while_written(directory / "read", reads)
    click.echo(f"{reads} reads beside a writer: each whole, {seen} contents")
    refused = resume_at_once(directory / "resume", rounds)
    click.echo(f"{rounds} times two resumptions: one refused {refused} times, the same bits each time")
    refused = study_at_once(directory / "study", rounds)
    click.echo(f"{rounds} times two studies: one refused {refused} times, the same bits each time")
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
