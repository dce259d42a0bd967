"""A run that kills its own process by SIGKILL at the n-th call of a chosen method."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forked import snapshots_without_processes
from small_runs import small

from polyroots.training import open_data, resume, train
from polyroots.training.loop import train as loop
from polyroots.training.loop.epoch import EpochLoop
from polyroots.training.loop.trainer import Trainer
from polyroots.training.runs.directory import Run


def half(path: str | Path, content: bytes) -> None:
    """Write the first half of a file."""
    with Path(path).open("wb") as stream:
        stream.write(bytes(content)[: len(content) // 2])


def named(prefix: str) -> Callable[..., bool]:
    """Return whether a call has a temporary file of this name as its argument."""
    return lambda path, *_: Path(path).name.startswith(prefix)


# Moments by name: an object and its method, the calls that count, and a function that is called before the kill.
MOMENTS: dict[str, tuple[Any, ...]] = {
    "claimed": (loop, "Trainer"),
    "before the first checkpoint": (Trainer, "_write_beginning"),
    "step": (EpochLoop, "_step"),
    "half of last.pt": (Path, "write_bytes", named(".last-"), half),
    "last.pt before it has its name": (Path, "replace", named(".last-")),
    "before last.pt": (Trainer, "_save_last"),
    "after last.pt": (Run, "append_metrics"),
    "before result.json": (Trainer, "_result"),
    "best.pt before it has its name": (Path, "replace", named(".best-")),
    "metrics.csv made anew": (Path, "replace", named(".metrics-")),
}


def train_and_die(moment: str, count: int, out: Path, options: dict[str, Any]) -> None:
    """Begin or resume a run, and kill this process at the n-th time of a moment."""
    die_after(count, *MOMENTS[moment])
    with snapshots_without_processes():
        if out.exists():
            resume(out)
        else:
            source = open_data("digits")
            train(small(source, **options), source, out)


def die_after(
    count: int,
    owner: Any,
    name: str,
    when: Callable[..., bool] = lambda *_: True,
    before: Callable[..., Any] = lambda *_: None,
) -> None:
    """Replace a method by one that kills this process at the n-th call."""
    original, seen = getattr(owner, name), []

    def dying(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            seen.append(1)
            if len(seen) == count:
                before(*args)
                os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    setattr(owner, name, dying)
