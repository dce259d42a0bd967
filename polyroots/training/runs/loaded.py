"""Runs as objects: configuration, metrics, networks and spectra of a run directory."""

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

from polyroots.checkpoints import Checkpoint, InitDocument, load_checkpoint
from polyroots.errors import FileError, InputError
from polyroots.files import cannot_read
from polyroots.limits import require_text_size
from polyroots.models import build_empty, count_weights
from polyroots.training.config import TrainConfig
from polyroots.training.runs.directory import COLUMNS, Run, load_config
from polyroots.training.runs.documents import ResultDocument, damaged, read_part
from polyroots.training.runs.first_network import network_at_start
from polyroots.training.runs.identity import require_same
from polyroots.training.runs.tracking import Snapshot, TrackedOperator, snapshots_of


@dataclass(frozen=True)
class LoadedRun:
    """A run, finished or not.

    Attributes
    ----------
    run : Run
        Its directory.
    config : TrainConfig
        Its configuration.
    metrics : dict
        Columns of metrics.csv by name, each an (epochs,) float64 array; NaN where nothing was measured.

    See Also
    --------
    load_run
    """

    run: Run
    config: TrainConfig
    metrics: dict[str, Float64[np.ndarray, "epochs"]]

    @property
    def model(self) -> nn.Module:
        """The network as it was last saved; a new one at each call."""
        return self.last.model()

    @property
    def weights(self) -> int:
        """Number of trained weights; of a network of the user's own without running its code."""
        if self.config.model.is_own:
            return int((self.last.training or {}).get("weights", 0))
        return count_weights(build_empty(self.config.model))

    @cached_property
    def last(self) -> Checkpoint:
        """The checkpoint that `model` is made from."""
        return self._own(self.run.last)

    @cached_property
    def best(self) -> Checkpoint:
        """The checkpoint of the best epoch."""
        return self._own(self.run.best)

    @cached_property
    def init(self) -> dict[str, Any] | None:
        """Spectra, roots and coefficients before the first step; None for a network without them."""
        return read_part(self.run.init, InitDocument)

    @cached_property
    def result(self) -> dict[str, Any] | None:
        """Accuracies of the last and of the best epoch; None before the run is finished."""
        document = read_part(self.run.result, ResultDocument)
        identity = (document or {}).get("identity")
        if identity is not None and identity != self.run.identity:
            raise FileError(
                f"{self.run.result} is the result of another run than {self.run.config}: their identities differ; "
                f"restore it, or remove it and write it again by: {self.run.resume_command}"
            )
        return document

    @cached_property
    def beginning(self) -> Snapshot:
        """Spectra and coefficients before the first step: the tracked ones, or those of the network drawn again.

        Raises
        ------
        InputError
            If the network has no convolutions A, or this version of torch draws another network.
        """
        if self.config.model.is_own or (self.run.spectra / "epoch-000000.npz").exists():
            return self._tracked(0)
        if self.run.start.exists():
            return Snapshot.of(load_checkpoint(self.run.start).model(), 0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            network, init = network_at_start(self.config, None)
        if not self._began_with(init):
            raise InputError(
                f"the network that {self.run.path} began with can't be drawn again from the seed {self.config.seed}: "
                "this version of torch draws others; train with track_spectrum, which stores the spectra",
                fields=["track_spectrum"],
            )
        return Snapshot.of(network, 0)

    def _own(self, path: Path) -> Checkpoint:
        """Return a checkpoint of this run; raise FileError for one of another run."""
        checkpoint = load_checkpoint(path)
        require_same(path, checkpoint, self.run.config, self.config, self.run.identity)
        return checkpoint

    def _began_with(self, init: dict[str, Any] | None) -> bool:
        """Whether a network drawn again is the first one, by the radii of its spectra or the version of torch."""
        if init is None or self.init is None:
            return bool(self.run.read_config().get("environment", {}).get("torch") == version("torch"))
        levels, again = self.init["levels"], init["levels"]
        return len(levels) == len(again) and all(
            first["radius"] is None or math.isclose(first["radius"], second["radius"], rel_tol=1e-6)
            for first, second in zip(levels, again, strict=True)
        )

    def inert_blocks(self, index: int) -> tuple[str, ...]:
        """Return the blocks of operator `index` of `end` whose coefficients' size batch norm cancels, as "2 (L)"."""
        operators = self.end.operators
        operator, before = operators[index], operators[:index]
        counts = [(A.level, len(A.letters)) for A in before]
        level = operator.level
        if self.config.model.is_own:
            # Levels whose roots were given are tracked, and have no entry in the report.
            entry = self._initial_level(operator)
            if entry is None:
                return ()
            entries = (self.init or {})["levels"]
            level = entry["level"]
            counts = [(other["level"], len(other["blocks"])) for other in entries[: entries.index(entry)]]
        first = 1 + sum(count for other, count in counts if other == level)
        own = range(first, first + len(operator.letters))
        inert = (self.init or {}).get("inert", ())
        blocks = {item["block"]: item["letter"] for item in inert if item["level"] == level}
        return tuple(f"{block} ({letter})" for block, letter in sorted(blocks.items()) if block in own)

    def size_of(self, operator: TrackedOperator) -> tuple[int, int] | None:
        """Return the grid (H, W) of a convolution A; None where a network of the user's own does not say it."""
        if not self.config.model.is_own:
            return self.config.model.sizes[operator.level - 1]
        entry = self._initial_level(operator)
        return None if entry is None else (entry["size"][0], entry["size"][1])

    def _initial_level(self, operator: TrackedOperator) -> dict[str, Any] | None:
        """Return the entry of init.json on a convolution A of a network of the user's own."""
        entries = (self.init or {}).get("levels", ())
        return next((entry for entry in entries if entry.get("name") == operator.name), None)

    @cached_property
    def end(self) -> Snapshot:
        """Spectra and coefficients of the network as it was last saved; of the user's own the last tracked ones.

        Raises
        ------
        InputError
            If the network has no convolutions A, or is one of the user's own and was not tracked.
        """
        if self.config.model.is_own:
            # Its code is not run.
            return self._tracked(-1)
        return Snapshot.of(self.model, (self.last.training or {}).get("epoch", 0))

    def _tracked(self, index: int) -> Snapshot:
        """Return the first or the last tracked snapshot."""
        if not (snapshots := self.snapshots):
            raise InputError(
                f"spectra of a network of your own are stored while it trains, and {self.run.path} has none: train "
                "with track_spectrum (--track-spectrum)",
                fields=["track_spectrum"],
            )
        return snapshots[index]

    @property
    def snapshots(self) -> list[Snapshot]:
        """Spectra and coefficients of the tracked epochs."""
        return snapshots_of(self.run)


def load_run(path: str | Path) -> LoadedRun:
    """Return the run of a directory.

    Parameters
    ----------
    path : path
        The run directory.

    Returns
    -------
    LoadedRun

    Raises
    ------
    FileError
        If it holds no run, or a damaged one.

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
    """Return the columns of metrics.csv; empty ones for a run without it."""
    try:
        require_text_size(run.metrics)
        with run.metrics.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        metrics = {name: np.array([float(row[name] or "nan") for row in rows]) for name in COLUMNS}
        if any(np.isinf(column).any() for column in metrics.values()):
            raise ValueError("and finite numbers")
        if metrics["epoch"].tolist() != list(range(1, len(rows) + 1)):
            raise ValueError("and the epochs 1, 2, ...")
        return metrics
    except FileNotFoundError:  # killed before its first step
        return {name: np.empty(0) for name in COLUMNS}
    except OSError as error:
        raise cannot_read(run.metrics, error) from error
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise damaged(run.metrics, f"expected the columns {', '.join(COLUMNS)}, {error}") from error
