"""Errors of the system at each step of writing the files of a run: ``python -m tests.faults``."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from small_runs import require_same, small

from polyroots.checkpoints import load_checkpoint
from polyroots.errors import FileError
from polyroots.training import TrainConfig, open_data, resume, train

# What writes a file: a name for the temporary file, its content, flushing it, its final name. An error comes before the
# work is done.
_STEPS: tuple[tuple[Any, str], ...] = (
    (tempfile, "mkstemp"),
    (Path, "write_bytes"),
    (Path, "write_text"),
    (os, "fsync"),
    (Path, "replace"),
)


@contextmanager
def failing(at: int, number: int) -> Iterator[list[str]]:
    """Raise an OSError at one of the steps within the block, counted from 1; yield the names of the steps so far."""
    seen: list[str] = []

    def wrapped(original: Callable[..., Any], name: str) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            seen.append(name)
            if len(seen) == at:
                raise OSError(number, os.strerror(number))
            return original(*args, **kwargs)

        return step

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in _STEPS:
            patch.setattr(owner, name, wrapped(getattr(owner, name), name))
        yield seen


def fail_at(at: int, number: int, config: TrainConfig, whole: Path, out: Path) -> str:
    """Let a run fail at a step, check what is left, resume it, and require the end state of a run without failure.

    Returns
    -------
    str
        The step; empty if the run has fewer.
    """
    source = open_data("digits")
    with failing(at, number) as seen:
        try:
            train(config, source, out)
        except FileError as error:
            said = str(error)
            if "\n" in said or os.strerror(number) not in said:
                raise AssertionError(f"step {at}, {seen[-1]}: {said}") from error
    if len(seen) < at:
        return ""
    for name in ("last.pt", "best.pt"):
        if (out / name).exists():
            load_checkpoint(out / name).model()
    if (out / "config.json").exists():
        resume(out)
    else:
        train(config, source, out)
    require_same(whole, out)
    return seen[at - 1]


def fail_everywhere(directory: Path, numbers: tuple[int, ...], every: int = 1) -> Counter[str]:
    """Let runs fail at every step, or at each `every`-th one, by each error, and return the number of runs by step."""
    source, counts = open_data("digits"), Counter[str]()
    config = small(source, limit=100, epochs=2, val_fraction=0.2)
    train(config, source, directory / "whole")
    for number in numbers:
        for at in range(1, 1000, every):
            out = directory / f"run-{number}-{at}"
            step = fail_at(at, number, config, directory / "whole", out)
            shutil.rmtree(out)
            if not step:
                break
            counts[step] += 1
    return counts


@click.command()
@click.option("--every", type=click.IntRange(min=1), default=1, show_default=True, help="Take each N-th step.")
def main(every: int) -> None:
    """Let runs fail at each step of writing by a full disk, an error of the disk and a read-only file system."""
    directory = Path(tempfile.mkdtemp(prefix="faults-"))
    counts = fail_everywhere(directory, (errno.ENOSPC, errno.EIO, errno.EROFS), every)
    shutil.rmtree(directory)
    steps = ", ".join(f"{count} at {step}" for step, count in counts.items())
    click.echo(f"{sum(counts.values())} failures ({steps}): a sentence each, and resumed to the same bits")


if __name__ == "__main__":
    main()
