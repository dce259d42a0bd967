"""The paper's figures, and those of a run, one file each."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from polyroots.training import LoadedRun

from . import figure3, flow
from .drawn import Drawn, Request

#: Every figure by the name that ``polyroots figures --only`` knows it by.
FIGURES: dict[str, Callable[[Request], Drawn]] = {
    "3": lambda request: figure3.draw(request.out, request.checkpoint, request.level, request.seed),
    "flow": lambda request: flow.draw(request.out, cast("LoadedRun", request.run)),
}

#: Those that need a run.
OF_A_RUN = ("flow",)

__all__ = ["FIGURES", "OF_A_RUN", "Drawn", "Request", "figure3", "flow"]
