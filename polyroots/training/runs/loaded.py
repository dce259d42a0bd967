"""Runs as objects, for looking at what came of them."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import nn

from polyroots.checkpoints import Checkpoint, load_checkpoint
from polyroots.errors import FileError, InputError
from polyroots.files import cannot_read, read_json
from polyroots.training.config import TrainConfig
from polyroots.training.runs.directory import COLUMNS, Run, load_config
from polyroots.training.runs.first_network import network_at_start
from polyroots.training.runs.tracking import Snapshot, snapshots_of


@dataclass(frozen=True)
class LoadedRun:
    """A run, also one that is still going on.

    Attributes
    ----------
    run : its directory
    config : what was trained, and how
    metrics : column of metrics.csv -> (epochs,) float64; NaN where nothing was measured
    """

    run: Run
    config: TrainConfig
    metrics: dict[str, Float64[np.ndarray, "epochs"]]

    @property
    def model(self) -> nn.Module:
        """The network as it was last saved, anew at each call."""
        return self.last.model()

    @cached_property
    def last(self) -> Checkpoint:
        """The checkpoint that `model` is made from."""
        return load_checkpoint(self.run.last)

    @cached_property
    def best(self) -> Checkpoint:
        """The checkpoint of the best epoch."""
        return load_checkpoint(self.run.best)

    @cached_property
    def init(self) -> dict[str, Any] | None:
        """Spectra, roots and coefficients at the start; None for a network without them."""
        document: dict[str, Any] | None = read_json(self.run.init, "a report") if self.run.init.exists() else None
        return document

    @cached_property
    def result(self) -> dict[str, Any] | None:
        """Accuracies of the last and of the best epoch; None before the run is done."""
        document: dict[str, Any] | None = read_json(self.run.result, "a result") if self.run.result.exists() else None
        return document

    @cached_property
    def beginning(self) -> Snapshot:
        """Spectra and coefficients before the first step: as they were tracked, or of the network drawn once more.

        Raises
        ------
        InputError
            If the network has no convolutions A, or can no longer be drawn as it was.
        """
        if (self.run.spectra / "epoch-000000.npz").exists():
            return self.snapshots[0]
        if self.run.start.exists():
            return Snapshot.of(load_checkpoint(self.run.start).model(), 0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            network, init = network_at_start(self.config, None)
        if not self._began_with(init):
            raise InputError(
                f"the seed {self.config.seed} may no longer draw the network that {self.run.path} began with, as "
                "another version of torch draws; train with --track-spectrum, which stores its spectra"
            )
        return Snapshot.of(network, 0)

    def _began_with(self, init: dict[str, Any] | None) -> bool:
        """Whether a network drawn once more is the first one: by its spectra, or by the version of torch."""
        if init is None or self.init is None:
            return bool(self.run.read_config().get("environment", {}).get("torch") == version("torch"))
        pairs = zip(self.init["levels"], init["levels"], strict=True)
        return all(
            first["radius"] is None or math.isclose(first["radius"], again["radius"], rel_tol=1e-6)
            for first, again in pairs
        )

    def inert_blocks(self, index: int) -> tuple[str, ...]:
        """Blocks of an A, counted as in `end`, of whose coefficients batch norm cancels the size, such as "2 (L)"."""
        operators = self.end.operators
        before = [A for A in operators[:index] if A.level == operators[index].level]
        first = 1 + sum(len(A.letters) for A in before)
        own = range(first, first + len(operators[index].letters))
        inert = (self.init or {}).get("inert", ())
        blocks = {item["block"]: item["letter"] for item in inert if item["level"] == operators[index].level}
        return tuple(f"{block} ({letter})" for block, letter in sorted(blocks.items()) if block in own)

    @cached_property
    def end(self) -> Snapshot:
        """Spectra and coefficients of the network as it was last saved.

        Raises
        ------
        InputError
            If the network has no convolutions A.
        """
        return Snapshot.of(self.model, (self.last.training or {}).get("epoch", 0))

    @property
    def snapshots(self) -> list[Snapshot]:
        """Spectra and coefficients while it trained, of those epochs that were tracked."""
        return snapshots_of(self.run)


def load_run(path: str | Path) -> LoadedRun:
    """Open the directory of a run.

    Raises
    ------
    FileError
        If it holds none, or one that is damaged.

    Examples
    --------
    >>> import polyroots as pr
    >>> pr.training.load_run("runs/first")
    Traceback (most recent call last):
    polyroots.errors.FileError: no directory runs/first: expected a run of 'polyroots train'
    """
    run = Run(path)
    return LoadedRun(run, load_config(run), _read_metrics(run))


def _read_metrics(run: Run) -> dict[str, Float64[np.ndarray, "epochs"]]:
    try:
        with run.metrics.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        return {name: np.array([float(row[name] or "nan") for row in rows]) for name in COLUMNS}
    except FileNotFoundError:  # it was killed before its first step
        return {name: np.empty(0) for name in COLUMNS}
    except OSError as error:
        raise cannot_read(run.metrics, error) from error
    except (KeyError, ValueError, TypeError) as error:
        raise FileError(f"{run.metrics} is damaged: expected the columns {', '.join(COLUMNS)}, {error}") from error
