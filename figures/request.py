"""The inputs of figures and their computed data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from polyroots.checkpoints import Checkpoint
    from polyroots.training import LoadedRun


@dataclass(frozen=True)
class Request:
    """The inputs that figures are computed from.

    Attributes
    ----------
    checkpoint : for figures of a network
    run : for figures of a run, and of its last network if there is no checkpoint
    study : directory of runs, for the figures 5 and relaxation
    level : of the network, from 1; without a network A is freshly drawn
    seed : of random numbers
    degree : of the residual polynomials
    strategy : of their roots; None for the network's own, or ``"extremal"`` where there are none
    """

    checkpoint: Checkpoint | None = None
    run: LoadedRun | None = None
    study: Path | None = None
    level: int = 1
    seed: int = 7
    degree: int = 3
    strategy: str | None = None

    @cached_property
    def network(self) -> Checkpoint | None:
        """The network of the checkpoint, or the last one of the run; None without either."""
        if self.checkpoint is None and self.run is not None:
            return self.run.last
        return self.checkpoint


class Computed(NamedTuple):
    """The data of a picture.

    Attributes
    ----------
    stem : name of its files, without a suffix
    data : as `polyroots_figures.store` stores it
    words : sentences about it
    notes : sentences about inputs that it lacks
    """

    stem: str
    data: Mapping[str, Any]
    words: list[str]
    notes: Sequence[str] = ()
