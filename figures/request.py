"""What a figure is computed from, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from polyroots.checkpoints import Checkpoint
    from polyroots.training import LoadedRun


@dataclass(frozen=True)
class Request:
    """What figures are to be computed from.

    Attributes
    ----------
    checkpoint : network for the figures of one
    run : for the figures of a run; its last network where there is no checkpoint
    study : directory of runs, for Figure 5
    level : of the network, from 1; without a network A is freshly drawn
    seed : of what is drawn
    degree, strategy : of the residual polynomials
    """

    checkpoint: Checkpoint | None = None
    run: LoadedRun | None = None
    study: Path | None = None
    level: int = 1
    seed: int = 7
    degree: int = 3
    strategy: str = "extremal"

    @cached_property
    def network(self) -> Checkpoint | None:
        """The network for the figures of one, if there is one."""
        if self.checkpoint is None and self.run is not None:
            return self.run.last
        return self.checkpoint


class Computed(NamedTuple):
    """What a picture is drawn from.

    Attributes
    ----------
    stem : name of its files, without a suffix
    data : what is stored; see `polyroots_figures.store`
    words : what is to be said of it, a sentence each
    """

    stem: str
    data: Mapping[str, Any]
    words: list[str]
