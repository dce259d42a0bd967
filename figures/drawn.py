"""What a figure's function is asked for, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from polyroots.checkpoint import Checkpoint
    from polyroots.training import LoadedRun


@dataclass(frozen=True)
class Request:
    """What the figures are to be drawn from.

    Attributes
    ----------
    out : directory for the pictures
    checkpoint, level : network and its level, from 1, for figures of one A; without it A is freshly drawn
    seed : of the fresh A
    run : for figures of a run
    """

    out: Path
    checkpoint: Checkpoint | None
    level: int
    seed: int
    run: LoadedRun | None


class Drawn(NamedTuple):
    """The files that were written, and what is to be said of what is in them, a sentence each."""

    paths: list[Path]
    words: list[str]
